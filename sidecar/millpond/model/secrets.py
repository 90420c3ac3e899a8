"""Writer secrets: what proves a name where the kernel proves no user, as over TCP.

A secret is ``<name>:<64 hex digits>``, an HMAC of the name under the cache directory's
``control.token``. So none is stored by the sidecar, and a new ``control.token`` voids all of them.
"""

from __future__ import annotations

import hmac
import re

from millpond.errors import InvalidRequest

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def is_name(text: str) -> bool:
    """Whether a writer may be called so."""
    return _NAME.fullmatch(text) is not None


def writer_secret(control_token: str, name: str) -> str:
    """Raises InvalidRequest for what is no name of a writer."""
    if not is_name(name):
        raise InvalidRequest(
            f"{name!r} is no name of a writer",
            cause="it has up to 64 letters, digits, '_', '.' and '-'",
            remedy="Give the name that the mount's option writers has",
        )
    digest = hmac.digest(control_token.encode(), b"millpond writer\0" + name.encode(), "sha256")
    return f"{name}:{digest.hex()}"


def proven_name(control_token: str, secret: bytes) -> str | None:
    """The name that a secret proves; None where it proves none."""
    name = secret.partition(b":")[0].decode("ascii", "replace")
    if not is_name(name):
        return None
    right = writer_secret(control_token, name).encode()
    return name if hmac.compare_digest(secret, right) else None
