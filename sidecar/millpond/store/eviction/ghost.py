"""A ghost queue: fingerprints of what was evicted, oldest out first, with the bytes it had.

A ring of (u64, u32) with a packed hash table over it: about 20 bytes an entry.
"""

from __future__ import annotations

from array import array

from millpond.store.table import Table

_DEAD = 0xFFFFFFFF
_SMALLEST = 64


class Ghost:
    """Fingerprints in order of eviction, bounded by the bytes they stood for and by number."""

    def __init__(self) -> None:
        self.prints = array("Q", [0]) * _SMALLEST
        self.sizes = array("I", [_DEAD]) * _SMALLEST
        self._first = 0  # the oldest entry
        self._used = 0  # ring cells from there on, dead ones included
        self.bytes = 0
        self._table = _table_over(self.prints)

    def __len__(self) -> int:
        return self._table.count

    def add(self, fingerprint: int, size: int, limit_bytes: int, limit_count: int) -> None:
        """Remember one more; the oldest make room for it."""
        if self._find(fingerprint) >= 0 or size > limit_bytes or limit_count < 1:
            return
        while self._used and (self.bytes + size > limit_bytes or len(self) >= limit_count):
            self._drop_oldest()
        if self._used == len(self.prints):
            self._compact()
        at = (self._first + self._used) % len(self.prints)
        self.prints[at], self.sizes[at] = fingerprint, size
        self._used += 1
        self.bytes += size
        self._table.add(fingerprint, at)

    def take(self, fingerprint: int) -> bool:
        """Forget it; whether it was remembered."""
        at = self._find(fingerprint)
        if at < 0:
            return False
        self._kill(at)
        return True

    def _find(self, fingerprint: int) -> int:
        for at in self._table.probe(fingerprint):
            if self.prints[at] == fingerprint:
                return at
        return -1

    def _kill(self, at: int) -> None:
        self._table.remove(self.prints[at], at)
        self.bytes -= self.sizes[at]
        self.sizes[at] = _DEAD

    def _drop_oldest(self) -> None:
        if self.sizes[self._first] != _DEAD:
            self._kill(self._first)
        self._first = (self._first + 1) % len(self.prints)
        self._used -= 1

    def _compact(self) -> None:
        """Close the gaps of a full ring; where there are few, make it half as large again."""
        live = [i % len(self.prints) for i in range(self._first, self._first + self._used)]
        live = [at for at in live if self.sizes[at] != _DEAD]
        room = max(len(self.prints), len(live) + len(live) // 2)
        prints = array("Q", [self.prints[at] for at in live])
        sizes = array("I", [self.sizes[at] for at in live])
        prints.extend(array("Q", [0]) * (room - len(live)))
        sizes.extend(array("I", [_DEAD]) * (room - len(live)))
        self._adopt(prints, sizes, 0, len(live))

    def _adopt(self, prints: array[int], sizes: array[int], first: int, used: int) -> None:
        self.prints, self.sizes, self._first, self._used = prints, sizes, first, used
        self._table = _table_over(prints)
        for i in range(first, first + used):
            at = i % len(prints)
            if sizes[at] != _DEAD:
                self._table.add(prints[at], at)

    def dump(self) -> tuple[dict[str, int], dict[str, array[int]]]:
        numbers = {"ghost.first": self._first, "ghost.used": self._used, "ghost.bytes": self.bytes}
        numbers["ghost.count"] = len(self)
        arrays = {"prints": self.prints, "sizes": self.sizes, "cells": self._table.cells}
        return numbers, {f"ghost.{name}": values for name, values in arrays.items()}

    def load(self, numbers: dict[str, int], arrays: dict[str, array[int]]) -> None:
        self.prints, self.sizes = arrays["ghost.prints"], arrays["ghost.sizes"]
        self._first, self._used = numbers["ghost.first"], numbers["ghost.used"]
        self.bytes = numbers["ghost.bytes"]
        self._table = _table_over(self.prints)
        self._table.cells, self._table.count = arrays["ghost.cells"], numbers["ghost.count"]


def _table_over(prints: array[int]) -> Table:
    return Table(prints.__getitem__, prints.__iter__)
