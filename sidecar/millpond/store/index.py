"""The index: keys of what is on disk, with their sizes, packed into arrays.

An entry is a *slot*, a small integer that eviction policies work on. A block costs its key (20
bytes), its size (4) and 5 to 11 bytes of hash table.
"""

from __future__ import annotations

import struct
from array import array
from typing import TYPE_CHECKING

from millpond.store.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

FREE = 0xFFFFFFFF  # the size of an unused slot
MAX_BYTES = FREE - 1
_NUMBERED_BYTES = 20
_FACTOR = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def key_hash(key: bytes) -> int:
    """64 bits of a key: a digest, or a random file id (16 bytes) and a small number (4).

    A digest's hash rests on its first 8 bytes alone, so that it is found by half of it.
    """
    low = int.from_bytes(key[:8], "little")
    if len(key) != _NUMBERED_BYTES:
        return low
    return (low + int.from_bytes(key[16:], "little") * _FACTOR) & _MASK


class Index:
    """A map from keys of ``key_bytes`` bytes to slots and sizes. Not thread-safe."""

    def __init__(self, key_bytes: int) -> None:
        self.key_bytes = key_bytes
        self.keys = bytearray()
        self.sizes = array("I")
        self.total_bytes = 0
        self.free = array("I")
        self.table = Table(self.hash_of, self._all_hashes)

    def __len__(self) -> int:
        return self.table.count

    def key(self, slot: int) -> bytes:
        at = slot * self.key_bytes
        return bytes(self.keys[at : at + self.key_bytes])

    def key_in_use(self, slot: int) -> bytes | None:
        """The key of a slot; None if the slot is free or not there."""
        in_use = slot < len(self.sizes) and self.sizes[slot] != FREE
        return self.key(slot) if in_use else None

    def hash_of(self, slot: int) -> int:
        return key_hash(self.key(slot))

    def _all_hashes(self) -> Iterator[int]:
        """``hash_of`` for every slot, without a Python object per key."""
        if self.key_bytes == _NUMBERED_BYTES:
            for low, number in struct.iter_unpack("<Q8xI", self.keys):
                yield (low + number * _FACTOR) & _MASK
        else:
            for (low,) in struct.iter_unpack(f"<Q{self.key_bytes - 8}x", self.keys):
                yield low

    def find(self, key: bytes) -> int:
        """The slot of ``key``, or -1."""
        keys, width = self.keys, self.key_bytes
        for slot in self.table.probe(key_hash(key)):
            if keys.startswith(key, slot * width):
                return slot
        return -1

    def find_prefix(self, prefix: bytes) -> int:
        """The slot of a digest that begins with ``prefix`` (8 bytes or more), or -1."""
        for slot in self.table.probe(key_hash(prefix)):
            if self.keys.startswith(prefix, slot * self.key_bytes):
                return slot
        return -1

    def add(self, key: bytes, size: int) -> int:
        """The slot of a key that is not in the index yet."""
        size = min(size, MAX_BYTES)
        if self.free:
            slot = self.free.pop()
            at = slot * self.key_bytes
            self.keys[at : at + self.key_bytes] = key
            self.sizes[slot] = size
        else:
            slot = len(self.sizes)
            self.keys += key
            self.sizes.append(size)
        self.table.add(key_hash(key), slot)
        self.total_bytes += size
        return slot

    def resize(self, slot: int, size: int) -> int:
        """Change an entry's size; the difference."""
        size = min(size, MAX_BYTES)
        delta = size - self.sizes[slot]
        self.sizes[slot] = size
        self.total_bytes += delta
        return delta

    def remove(self, slot: int) -> None:
        self.table.remove(self.hash_of(slot), slot)
        self.total_bytes -= self.sizes[slot]
        self.sizes[slot] = FREE
        self.free.append(slot)

    def slots(self) -> Iterator[int]:
        """All slots in use, by number."""
        for slot, size in enumerate(self.sizes):
            if size != FREE:
                yield slot
