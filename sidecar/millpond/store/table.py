"""A packed hash table from 64-bit hashes to slot numbers.

Open addressing with linear probing over one ``array`` of u32, deletion by shifting back (no
tombstones), at most 3/4 full: 5 to 11 bytes an entry, no Python object per entry. It stores no
hashes; the owner tells the hash of a slot.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

EMPTY = 0xFFFFFFFF
_SMALLEST = 16


class Table:
    """Slots by hash. ``hash_of(slot)`` must stay the same while the slot is in the table.

    ``all_hashes()`` yields the hashes of slots 0, 1, 2 … in one go, which growing asks for; those
    of slots not in the table may be anything.
    """

    def __init__(
        self, hash_of: Callable[[int], int], all_hashes: Callable[[], Iterable[int]]
    ) -> None:
        self._hash_of = hash_of
        self._all_hashes = all_hashes
        self.clear()

    def clear(self) -> None:
        self.cells = array("I", [EMPTY]) * _SMALLEST
        self.count = 0

    def probe(self, hashed: int) -> Iterator[int]:
        """The slots that may have this hash, until the chain ends."""
        cells = self.cells
        mask = len(cells) - 1
        at = hashed & mask
        while (slot := cells[at]) != EMPTY:
            yield slot
            at = (at + 1) & mask

    def add(self, hashed: int, slot: int) -> None:
        if (self.count + 1) * 4 > len(self.cells) * 3:
            self._rebuild(len(self.cells) * 2)
        self._place(hashed, slot)
        self.count += 1

    def remove(self, hashed: int, slot: int) -> None:
        """Take out a slot that is in the table."""
        cells = self.cells
        mask = len(cells) - 1
        hole = hashed & mask
        while cells[hole] != slot:
            hole = (hole + 1) & mask
        at = hole
        while True:
            at = (at + 1) & mask
            if cells[at] == EMPTY:
                break
            home = self._hash_of(cells[at]) & mask
            if (at - home) & mask >= (at - hole) & mask:
                cells[hole] = cells[at]
                hole = at
        cells[hole] = EMPTY
        self.count -= 1

    def _place(self, hashed: int, slot: int) -> None:
        cells = self.cells
        mask = len(cells) - 1
        at = hashed & mask
        while cells[at] != EMPTY:
            at = (at + 1) & mask
        cells[at] = slot

    def _rebuild(self, size: int) -> None:
        old, mask = self.cells, size - 1
        live = bytearray(max((slot for slot in old if slot != EMPTY), default=0) + 1)
        for slot in old:
            if slot != EMPTY:
                live[slot] = 1
        self.cells = cells = array("I", [EMPTY]) * size
        for slot, (alive, hashed) in enumerate(zip(live, self._all_hashes(), strict=False)):
            if alive:
                at = hashed & mask
                while cells[at] != EMPTY:
                    at = (at + 1) & mask
                cells[at] = slot
