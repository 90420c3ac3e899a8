"""LRU: evict what was read longest ago."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millpond.store.eviction.base import EvictionPolicy
from millpond.store.eviction.queues import Links, Queue

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable

    from millpond.store.eviction.base import State


class Lru(EvictionPolicy):
    """One queue; a read moves the entry to its head. 8 bytes a slot."""

    name = "lru"

    def __init__(self, sizes: array[int], capacity_bytes: int = 0) -> None:
        super().__init__(sizes, capacity_bytes)
        self._links = Links()
        self._queue = Queue(self._links, sizes)

    def insert(self, slot: int, fingerprint: int) -> None:
        self._links.reach(slot)
        self._queue.push(slot)

    def touch(self, slot: int, reads: int = 1) -> None:
        self._queue.remove(slot)
        self._queue.push(slot)

    def resized(self, slot: int, delta: int) -> None:
        self._queue.bytes += delta

    def remove(self, slot: int) -> None:
        self._queue.remove(slot)

    def victim(self, blocked: Callable[[int], bool], fingerprint: Callable[[int], int]) -> int:
        slot = self._queue.tail
        for _ in range(self._queue.count):
            if not blocked(slot):
                self._queue.remove(slot)
                return slot
            slot = self._links.prev[slot]
        return -1

    def dump(self) -> State:
        return self._queue.dump("lru"), {"next": self._links.next, "prev": self._links.prev}

    def load(self, state: State) -> None:
        numbers, arrays = state
        self._queue.load("lru", numbers)
        self._links.next, self._links.prev = arrays["next"], arrays["prev"]
