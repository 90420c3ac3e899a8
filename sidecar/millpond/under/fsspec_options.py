"""The options of a mount that fsspec serves, and what an ``info`` of fsspec says about a version.

``fsspec.<name>=<value>`` is an argument of the implementation, such as ``fsspec.account_name``; a
value may be true, false, a number, a JSON object, ``env:NAME`` or ``file:/path``. S3 takes the
options that the native store takes as well.
"""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from millpond.errors import InvalidSetting
from millpond.under import s3_options

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "fsspec."
PACKAGES = {"adlfs": "abfs", "gcsfs": "gs", "local": "file", "ossfs": "oss", "s3fs": "s3"}
"""Packages that are named otherwise than the scheme they serve."""
_S3 = ("s3", "s3a")
# What tells one store from another; keys and tokens don't, they are rotated.
_PLACE = ("account_name", "base_url", "endpoint", "endpoint_url", "host", "port")
_TAGS = (
    "ETag", "etag", "e_tag", "md5Hash", "md5", "content_md5", "checksum", "sha256", "sha", "hash",
    "generation",
)  # fmt: skip
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified")


@dataclass(slots=True)
class Arguments:
    """``place`` names the store without any secret."""

    kwargs: dict[str, Any] = field(repr=False)
    place: str
    secrets: tuple[str, ...] = field(repr=False)


def arguments(protocol: str, options: Mapping[str, str]) -> Arguments:
    """Raises InvalidSetting, never naming a value."""
    s3 = {k: v for k, v in options.items() if protocol in _S3 and k in s3_options.OPTIONS}
    own = {k: v for k, v in options.items() if k.startswith(PREFIX) and len(k) > len(PREFIX)}
    unknown = sorted(set(options) - set(s3) - set(own))
    if unknown:
        raise InvalidSetting(
            f"a mount by fsspec has no option {', '.join(unknown)}",
            remedy=f"Write {PREFIX}<name> for an argument of the implementation",
        )
    given = {k.removeprefix(PREFIX): _value(k, v) for k, v in own.items()}
    kwargs = (_s3(s3) if protocol in _S3 else {}) | given
    place = "".join(f"{name}={kwargs[name]}\n" for name in _PLACE if name in kwargs)
    secrets = tuple(str(v) for v in (*kwargs.values(), *s3.values()) if len(str(v)) >= 6)
    return Arguments(kwargs, place, secrets)


def tag(info: Mapping[str, Any]) -> str | None:
    """What differs between any two contents, as far as the implementation tells; else None."""
    for name in _TAGS:
        found = info.get(name)
        if found:
            return str(found).strip('"').replace(":", "_")
    if "ino" in info and "mtime" in info:  # a local file; ``created`` is its ctime
        return f"{info['ino']}_{info['mtime']!r}_{info.get('created')!r}"
    return None


def changed_s(info: Mapping[str, Any]) -> float | None:
    """When the file was changed; None where that is not told."""
    for name in _TIMES:
        found = info.get(name)
        if isinstance(found, datetime.datetime):
            return found.timestamp()
        if isinstance(found, int | float):
            return float(found)
        if isinstance(found, str):
            try:
                return datetime.datetime.fromisoformat(found).timestamp()
            except ValueError:
                continue
    return None


def _s3(options: Mapping[str, str]) -> dict[str, Any]:
    parsed = s3_options.parse(options)
    style = "path" if parsed.path_style else "virtual"
    return {
        "key": parsed.access_key,
        "secret": parsed.secret_key,
        "token": parsed.session_token,
        "anon": parsed.anonymous,
        "profile": parsed.profile,
        "endpoint_url": parsed.endpoint,
        "client_kwargs": {"region_name": parsed.region},
        "config_kwargs": {"s3": {"addressing_style": style}},
    }


def _value(name: str, text: str) -> Any:
    text = s3_options.secret(name, text) or ""
    if text in ("true", "false"):
        return text == "true"
    if text.isdigit():
        return int(text)
    if text.startswith("{"):
        try:
            return json.loads(text)
        except ValueError:
            raise InvalidSetting(f"option {name} is no JSON object") from None
    return text
