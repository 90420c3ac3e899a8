"""The options of an S3 mount, and where its credentials come from.

The chain of credentials is botocore's, because it is the one that AWS keeps and documents: mount
options, environment, shared profile files (SSO and roles included), web identity, container,
instance. Only credentials and signing are used of botocore: its
clients would cost tens of MB and retry by rules of their own.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import botocore.credentials
import botocore.exceptions
import botocore.session

from millpond.errors import InvalidSetting, PermissionDenied

if TYPE_CHECKING:
    from collections.abc import Mapping

OPTIONS: dict[str, str] = {
    "access_key": "access key id; or env:NAME or file:/path",
    "anonymous": "true: requests are not signed",
    "endpoint": "http(s)://host[:port] of the store; default: AWS in this region",
    "path_style": "true: bucket in the path, not in the host; default: true with an endpoint",
    "profile": "profile of the shared AWS configuration files",
    "region": "region to sign for; default: environment, profile, us-east-1",
    "secret_key": "secret access key; or env:NAME or file:/path",
    "session_token": "token of temporary credentials; or env:NAME or file:/path",
}
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class S3Options:
    """One mount's options, checked. Secrets are in no repr."""

    endpoint: str
    region: str
    path_style: bool
    anonymous: bool = False
    profile: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)

    @property
    def store_id(self) -> str:
        """Driver and endpoint hashed. No access key: a rotated key would orphan the whole cache.

        No account either, which a store does not tell. It needs none: bucket names are unique
        within an endpoint, and the bucket is part of every store path.
        """
        return hashlib.sha256(f"s3\n{self.endpoint}".encode()).hexdigest()[:16]


def parse(options: Mapping[str, str], environ: Mapping[str, str] | None = None) -> S3Options:
    """Raises InvalidSetting, naming the known options but never a value that may be secret."""
    environ = os.environ if environ is None else environ
    unknown = sorted(set(options) - set(OPTIONS))
    if unknown:
        raise InvalidSetting(
            f"an s3 mount has no option {', '.join(unknown)}",
            remedy=f"Known: {', '.join(sorted(OPTIONS))}",
        )
    access, hidden, token = (
        secret(name, options.get(name), environ)
        for name in ("access_key", "secret_key", "session_token")
    )
    if (access is None) != (hidden is None):
        raise InvalidSetting("access_key and secret_key go together; one of them is missing")
    anonymous = _truth("anonymous", options.get("anonymous", "false"))
    if anonymous and (access or options.get("profile")):
        raise InvalidSetting("an anonymous mount takes no credentials")
    profile = options.get("profile") or None
    region = options.get("region") or _default_region(profile, environ)
    given = options.get("endpoint") or environ.get("AWS_ENDPOINT_URL_S3") or ""
    given = given or environ.get("AWS_ENDPOINT_URL", "")
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    path_style = options.get("path_style")
    return S3Options(
        endpoint=_endpoint(given) if given else f"https://s3.{region}.{suffix}",
        region=region,
        path_style=_truth("path_style", path_style) if path_style else bool(given),
        anonymous=anonymous,
        profile=profile,
        access_key=access,
        secret_key=hidden,
        session_token=token,
    )


def credentials(options: S3Options) -> botocore.credentials.Credentials | None:
    """What signs this mount's requests, refreshing itself; None for anonymous.

    Raises PermissionDenied where the chain finds none, InvalidSetting for an unknown profile.
    """
    if options.anonymous:
        return None
    if options.access_key and options.secret_key:
        return botocore.credentials.Credentials(
            options.access_key, options.secret_key, options.session_token
        )
    try:
        found = botocore.session.Session(profile=options.profile).get_credentials()
    except botocore.exceptions.BotoCoreError as e:
        raise InvalidSetting("the AWS configuration is unusable", cause=type(e).__name__) from None
    if found is None:
        raise PermissionDenied(
            "no credentials for the store",
            cause="none in the mount's options, environment, profile files, container or instance",
            remedy="Set access_key and secret_key, profile or anonymous=true",
        )
    return found


def _default_region(profile: str | None, environ: Mapping[str, str]) -> str:
    named = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    if named:
        return named
    try:
        found = botocore.session.Session(profile=profile).get_config_variable("region")
    except botocore.exceptions.BotoCoreError as e:
        raise InvalidSetting("the AWS configuration is unusable", cause=type(e).__name__) from None
    return str(found) if found else "us-east-1"


def _endpoint(given: str) -> str:
    """``scheme://host[:port]`` in one spelling: lower case, no default port, no trailing slash."""
    parts = urlsplit(given)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or port == -1
        or parts.username is not None
        or parts.path.strip("/")
        or parts.query
        or parts.fragment
    ):
        # The value is not repeated: it may hold a password.
        raise InvalidSetting("option endpoint must be http://host[:port] or https://host[:port]")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default = 443 if parts.scheme == "https" else 80
    return f"{parts.scheme}://{host}" + (f":{port}" if port and port != default else "")


def _truth(name: str, text: str) -> bool:
    try:
        return _TRUTH[text.lower()]
    except KeyError:
        raise InvalidSetting(f"option {name} is true or false, not {text!r}") from None


def secret(name: str, value: str | None, environ: Mapping[str, str] | None = None) -> str | None:
    """The value of an option that may be given as ``env:NAME`` or ``file:/path``."""
    environ = os.environ if environ is None else environ
    if not value:
        return None
    kind, colon, rest = value.partition(":")
    if not colon or kind not in ("env", "file"):
        return value
    if kind == "env":
        found = environ.get(rest, "")
    else:
        try:
            found = Path(rest).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as e:
            cause = type(e).__name__
            raise InvalidSetting(f"option {name} names an unreadable file", cause=cause) from None
    if not found:
        raise InvalidSetting(f"option {name} names {value}, which is empty or not set")
    return found
