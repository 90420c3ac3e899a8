"""The sidecar process: a pure core that decides, and a shell of sockets and threads.

``Sidecar`` is imported when it is first used: the client beside it needs none of what it needs.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millpond.server.sidecar import Sidecar

__all__ = ["Sidecar"]


def __getattr__(name: str) -> Any:
    if name == "Sidecar":
        from millpond.server.sidecar import Sidecar

        return Sidecar
    raise AttributeError(name)
