"""S3-FIFO: a small queue in front of a main one, and a ghost queue of what fell out of the small.

Source: Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023, with the
parameters and the start-up rule of libCacheSim's ``S3FIFO``: small queue 10 % of the capacity,
ghost 90 %, an entry read twice in the small queue moves to the main one with its count reset, in
the main queue a count of at most 3 buys as many further rounds; until the first eviction what
no longer fits into the small queue goes to the main one.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from millpond.store.eviction.base import EvictionPolicy
from millpond.store.eviction.ghost import Ghost
from millpond.store.eviction.queues import Links, Queue

if TYPE_CHECKING:
    from collections.abc import Callable

    from millpond.store.eviction.base import State

SMALL_SHARE = 0.10
GHOST_SHARE = 0.90
MOVE_TO_MAIN_READS = 2
MAX_COUNT = 3
_COUNT = 0b011  # bits of a mark: reads, capped
_MAIN = 0b100  # in the main queue
_GHOSTS_AT_LEAST = 1024


class S3Fifo(EvictionPolicy):
    """9 bytes a slot, and about 20 for each ghost."""

    name = "s3fifo"

    def __init__(self, sizes: array[int], capacity_bytes: int = 0) -> None:
        super().__init__(sizes, capacity_bytes)
        self._marks = array("B")
        self._links = Links()
        self._small = Queue(self._links, sizes)
        self._main = Queue(self._links, sizes)
        self._ghost = Ghost()
        self._has_evicted = False

    def insert(self, slot: int, fingerprint: int) -> None:
        self._links.reach(slot)
        if slot >= len(self._marks):
            self._marks.extend(bytes(slot + 1 - len(self._marks)))
        warming = not self._has_evicted and self._small.bytes >= self._small_bytes()
        if self._ghost.take(fingerprint) or warming:
            self._into_main(slot, 0)
        else:
            self._marks[slot] = 0
            self._small.push(slot)

    def touch(self, slot: int, reads: int = 1) -> None:
        mark = self._marks[slot]
        self._marks[slot] = (mark & _MAIN) | min((mark & _COUNT) + reads, MAX_COUNT)

    def resized(self, slot: int, delta: int) -> None:
        self._queue(slot).bytes += delta

    def remove(self, slot: int) -> None:
        self._queue(slot).remove(slot)

    def victim(self, blocked: Callable[[int], bool], fingerprint: Callable[[int], int]) -> int:
        self._has_evicted = True
        small, main = self._small, self._main
        main_bytes = self.capacity_bytes - self._small_bytes()
        spared_small = spared_main = 0  # blocked ones met since the queue last changed
        while True:
            small_open = spared_small < small.count
            main_open = spared_main < main.count
            if main_open and (main.bytes > main_bytes or not small_open):
                slot = main.tail
                main.remove(slot)
                if blocked(slot):
                    main.push(slot)
                    spared_main += 1
                elif count := self._marks[slot] & _COUNT:
                    self._into_main(slot, count - 1)
                    spared_main = 0
                else:
                    return slot
            elif small_open:
                slot = small.tail
                small.remove(slot)
                if self._marks[slot] & _COUNT >= MOVE_TO_MAIN_READS:
                    self._into_main(slot, 0)
                elif blocked(slot):
                    small.push(slot)
                    spared_small += 1
                else:
                    self._remember(fingerprint(slot), self.sizes[slot])
                    return slot
            else:
                return -1

    def _small_bytes(self) -> int:
        return int(self.capacity_bytes * SMALL_SHARE)

    def _queue(self, slot: int) -> Queue:
        return self._main if self._marks[slot] & _MAIN else self._small

    def _into_main(self, slot: int, count: int) -> None:
        self._marks[slot] = _MAIN | count
        self._main.push(slot)

    def _remember(self, fingerprint: int, size: int) -> None:
        # The number is bounded too: millions of evicted slivers must not outweigh the index.
        most = max(_GHOSTS_AT_LEAST, self._small.count + self._main.count)
        self._ghost.add(fingerprint, size, int(self.capacity_bytes * GHOST_SHARE), most)

    def dump(self) -> State:
        numbers, arrays = self._ghost.dump()
        numbers |= self._small.dump("small") | self._main.dump("main")
        numbers["has_evicted"] = int(self._has_evicted)
        links = {"next": self._links.next, "prev": self._links.prev, "marks": self._marks}
        return numbers, arrays | links

    def load(self, state: State) -> None:
        numbers, arrays = state
        self._ghost.load(numbers, arrays)
        self._small.load("small", numbers)
        self._main.load("main", numbers)
        self._has_evicted = bool(numbers["has_evicted"])
        self._links.next, self._links.prev = arrays["next"], arrays["prev"]
        self._marks = arrays["marks"]
