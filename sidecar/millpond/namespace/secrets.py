"""Secrets of mounts: given plain, or as ``env:NAME`` or ``file:/path``, read when a store opens."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from millpond.errors import InvalidSetting
from millpond.namespace.mounts import SECRET_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping


def resolve_secrets(
    mount: str, options: Mapping[str, str], environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """``options`` with references replaced by what they name. Raises InvalidSetting."""
    return {
        name: _resolve(mount, name, value, environ) if name in SECRET_OPTIONS else value
        for name, value in options.items()
    }


def _resolve(mount: str, name: str, value: str, environ: Mapping[str, str]) -> str:
    kind, colon, rest = value.partition(":")
    if not colon or kind not in ("env", "file"):
        return value
    found, cause = "", "it is empty"
    if kind == "env":
        found = environ.get(rest, "")
        cause = "the sidecar has no such variable" if rest not in environ else cause
    else:
        try:
            found = Path(rest).read_text().strip()
        except (OSError, UnicodeDecodeError) as e:
            cause = getattr(e, "strerror", None) or "it is not text"
    if not found:
        raise InvalidSetting(
            f"option {name} of mount {mount} names {value}",
            cause=cause,
            remedy="Set it in the sidecar's own environment, or name a file it can read",
        )
    return found
