"""Room for pending data: a share of the cache, that writers are kept within.

Pending data can't be evicted, so it must not fill the disk. From ``SLOW`` of its share on each
write waits a little, longer the fuller it is; one that does not fit waits until the persister has
made room, and is refused after a time. A write is held up at its commit: what it holds until then
is staging, which the cache's own space bounds.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from millpond.errors import NoSpace
from millpond.units import format_size

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)
SLOW = 0.8
CALM = 0.6
SLOW_S = 2.0
"""What a write waits at most while there is room."""
WAIT_S = 60.0


class Room:
    """The bytes of files that are kept for no store has them. Thread-safe.

    ``at_most`` says how much they may be, now. ``tell`` is called with what a write met: ``slowed``
    or ``refused``.
    """

    def __init__(self, at_most: Callable[[], int], *, wait_s: float = WAIT_S) -> None:
        self.at_most = at_most
        self.tell: Callable[[str], None] = lambda met: None
        self.bytes = 0
        self._wait_s = wait_s
        self._lock = threading.Condition()
        self._warned = False

    def take(self, size: int) -> None:
        """Wait until a file of this size may be kept, and count it. Raises NoSpace."""
        bound = self.at_most()
        began = time.monotonic()
        with self._lock:
            self._warn(bound, self.bytes + size)
            full = (self.bytes + size) / max(1, bound)
            if full > SLOW:
                self.tell("slowed")
                enough = SLOW_S * min(1.0, (full - SLOW) / (1 - SLOW))
                self._lock.wait_for(lambda: self.bytes + size <= SLOW * bound, enough)
            left = began + self._wait_s - time.monotonic()
            if not self._lock.wait_for(lambda: self.bytes + size <= bound, left):
                self.tell("refused")
                raise NoSpace(
                    f"no room for {format_size(size)} more that no store has yet",
                    cause=f"{format_size(self.bytes)} wait for their stores, of "
                    f"{format_size(bound)} that may (pending_share)",
                    remedy="`millpond persist ls` shows why; try again, or write through",
                )
            self.bytes += size

    def add(self, size: int) -> None:
        """Count a file that is kept already."""
        with self._lock:
            self.bytes += size

    def give_back(self, size: int) -> None:
        with self._lock:
            self.bytes -= size
            self._lock.notify_all()

    def _warn(self, bound: int, size: int) -> None:
        if size > SLOW * bound and not self._warned:
            log.warning(
                "%s wait for their stores, of %s that may: writers are slowed down. "
                "`millpond persist ls` shows what holds them up",
                format_size(size), format_size(bound),
            )  # fmt: skip
        self._warned = size > (CALM if self._warned else SLOW) * bound
