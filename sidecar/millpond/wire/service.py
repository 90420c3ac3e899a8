"""The control service as the .proto files declare it, and what its two ends agree on.

No code is generated for it: the descriptor names every method and its messages.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from millpond.model.sizes import MIB
from millpond.wire import millpond_pb2, pending_pb2

if TYPE_CHECKING:
    from pathlib import Path

SOCKET = "control.sock"
READ_TOKEN = "token"
CHANGE_TOKEN = "control.token"
"""Files of the cache directory."""
AUTHORIZATION = "authorization"
ERROR = "millpond-error-bin"
MAX_REQUEST_BYTES = MIB
MAX_REPLY_BYTES = 64 * MIB
MAX_METADATA_BYTES = 64 * 1024
PING_S, PING_ANSWER_S = 10, 15
"""A peer that answers no ping is gone: a call that takes long needs no deadline."""


@dataclass(frozen=True, slots=True)
class Method:
    """One method. ``handler`` is its name in Python: ``mount_add`` for MountAdd."""

    name: str
    path: str
    handler: str
    request: Any
    reply: Any


def _methods(file: Any, name: str) -> dict[str, Method]:
    service = file.DESCRIPTOR.services_by_name[name]
    found = {}
    for declared in service.methods:
        handler = re.sub(r"(?<!^)(?=[A-Z])", "_", declared.name).lower()
        found[handler] = Method(
            declared.name,
            f"/{service.full_name}/{declared.name}",
            handler,
            getattr(file, declared.input_type.name),
            getattr(file, declared.output_type.name),
        )
    return found


METHODS = _methods(millpond_pb2, "Control") | _methods(pending_pb2, "Pending")


def address(directory: Path) -> str:
    """Where the sidecar of a cache directory listens, as gRPC writes it."""
    return "unix:" + quote(os.fspath(directory.absolute() / SOCKET))


def bearer(token: str) -> str:
    return f"Bearer {token}"
