"""Millpond from Python: mounts, loading, eviction, figures. ``docs/control.md`` has examples.

What needs gRPC is imported when it is first used: the command line pays for it where it calls.
"""

from typing import TYPE_CHECKING, Any

from millpond.control.loading import Loaded, LoadError

if TYPE_CHECKING:
    from millpond.control.client import Control, connect

__all__ = ["Control", "LoadError", "Loaded", "connect"]


def __getattr__(name: str) -> Any:
    if name in ("Control", "connect"):
        from millpond.control import client

        return getattr(client, name)
    raise AttributeError(name)
