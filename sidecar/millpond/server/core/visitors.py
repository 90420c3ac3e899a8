"""Who uses the sidecar: the processes that said Hello, and what they said they read.

Names come from clients, so they are cut and cleaned, and there are never more than a bound of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_VISITORS = 100
MAX_NAME = 100
KEPT_S = 3600.0
"""How long a process that left is still listed."""
OTHERS = "others"


@dataclass(slots=True, eq=False)
class Visitor:
    """One process over all its connections; ``uid`` is None over TCP, ``pid`` where not known."""

    client: str
    uid: int | None
    pid: int | None
    since_s: float
    seen_s: float
    connections: int = 0
    requests: int = 0
    hit_bytes: int = 0
    miss_bytes: int = 0
    direct_bytes: int = 0
    warm_up_bytes: int = 0

    def reported(self, counters: Mapping[str, int]) -> None:
        """Add what it says it read since its last report."""
        self.hit_bytes += counters.get("hit_bytes", 0)
        self.direct_bytes += counters.get("direct_bytes", 0)

    @property
    def idle(self) -> bool:
        """Whether it has read nothing so far: a command that asks, an engine that waits."""
        return not (self.hit_bytes + self.miss_bytes + self.direct_bytes + self.warm_up_bytes)


class Visitors:
    """All of them, the last seen last. Belongs to the control loop."""

    def __init__(self) -> None:
        self._known: dict[tuple[int | None, int | None, str], Visitor] = {}

    def greeted(self, client: str, uid: int | None, pid: int | None, now_s: float) -> Visitor:
        """A connection said Hello; ``left`` is owed."""
        key = (uid, pid, _clean(client))
        known = self._known.pop(key, None)
        if known is None and not self._make_room(now_s):
            key = (None, None, OTHERS)
            known = self._known.pop(key, None)
        if known is None:
            known = Visitor(key[2], key[0], key[1], now_s, now_s)
        self._known[key] = known
        known.connections += 1
        known.seen_s = now_s
        return known

    def left(self, visitor: Visitor, now_s: float) -> None:
        """One of its connections is gone."""
        visitor.connections -= 1
        visitor.seen_s = now_s

    def recent(self, now_s: float) -> list[Visitor]:
        """Who is connected or left lately, and has read anything; the last seen first."""
        self._forget(now_s)
        listed = [v for v in self._known.values() if not v.idle]
        return sorted(listed, key=lambda v: -v.seen_s)

    def _forget(self, now_s: float) -> None:
        for key, v in list(self._known.items()):
            if not v.connections and (v.idle or now_s - v.seen_s > KEPT_S):
                del self._known[key]

    def _make_room(self, now_s: float) -> bool:
        """Whether one more may be known; one place is kept for all others together."""
        if len(self._known) < MAX_VISITORS - 1:
            return True
        self._forget(now_s)
        gone = [(v.seen_s, key) for key, v in self._known.items() if not v.connections]
        if len(self._known) >= MAX_VISITORS - 1 and gone:
            del self._known[min(gone, key=lambda each: each[0])[1]]
        return len(self._known) < MAX_VISITORS - 1


def _clean(name: str) -> str:
    text = "".join(c if c.isprintable() else "?" for c in name[:MAX_NAME])
    return text or "unnamed"
