"""A segment: one index and one eviction policy over its slots, kept in step.

With a clock it notes when each entry was last read or opened for writing, in whole seconds of the
wall clock: that is what a TTL goes by, and it has to mean something after a restart.

Not thread-safe: ``Space`` calls it under its lock.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from millpond.store.index import FREE, Index, key_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from millpond.store.eviction import EvictionPolicy


BLOCK_KEY_BYTES = 20  # file id, block number (u32, little-endian)
META_BLOCK = 0xFFFFFFFF  # the block number that stands for a meta, under half its digest
_META_BLOCK = META_BLOCK.to_bytes(4, "little")


def is_block_key(key: bytes) -> bool:
    """Whether a key of an index names a block (not a meta or a stamp)."""
    return len(key) == BLOCK_KEY_BYTES and key[16:] != _META_BLOCK


class Segment:
    """Entries by key, in the order in which they are to be evicted."""

    def __init__(
        self,
        name: str,
        key_bytes: int,
        policy: type[EvictionPolicy],
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.name = name
        self._clock = clock
        self.index = Index(key_bytes)
        self.policy = policy(self.index.sizes)
        self.blocks = 0  # of the entries
        self.changes = 0  # since the start: tells a snapshot whether anything is new
        self.seen = array("I")
        self.chosen: set[int] = set()  # victims whose file still has to go: not in the policy

    def __len__(self) -> int:
        return len(self.index)

    @property
    def total_bytes(self) -> int:
        return self.index.total_bytes

    def find(self, key: bytes) -> tuple[Segment, int] | None:
        """Itself and the slot of the entry, if it is here."""
        slot = self.index.find(key)
        return None if slot < 0 else (self, slot)

    def put(self, key: bytes, size: int) -> None:
        """Add the entry, or change its size."""
        slot = self.index.find(key)
        self.changes += 1
        if slot < 0:
            slot = self.index.add(key, size)
            self.policy.insert(slot, key_hash(key))
            self.blocks += is_block_key(key)
        else:
            self._resize(slot, size)
        self._see(slot)

    def _see(self, slot: int) -> None:
        if self._clock is not None:
            self.fill_seen()
            self.seen[slot] = int(self._clock())

    def fill_seen(self) -> None:
        """Of slots that nothing is known of, now is the time."""
        missing = len(self.index.sizes) - len(self.seen)
        if missing > 0 and self._clock is not None:
            self.seen.extend(array("I", [int(self._clock())]) * missing)

    def take_seen(self, key: bytes, other: Segment) -> None:
        """The entry was in another segment: it is as old as it was there."""
        mine, theirs = self.index.find(key), other.index.find(key)
        self.seen[mine] = other.seen[theirs]

    def unseen_since(self, time_s: int, first: int, last: int) -> list[bytes]:
        """Keys among the slots [first, last) that nothing was heard of since."""
        sizes, seen = self.index.sizes, self.seen
        return [
            self.index.key(slot)
            for slot in range(first, min(last, len(sizes)))
            if seen[slot] < time_s and sizes[slot] != FREE and slot not in self.chosen
        ]

    def take(self, key: bytes) -> bool:
        """Choose this entry for eviction; whether it was here to be chosen."""
        slot = self.index.find(key)
        if slot < 0 or slot in self.chosen:
            return False
        self.policy.remove(slot)
        self.chosen.add(slot)
        return True

    def resize(self, key: bytes, size: int) -> None:
        """Change the size of an entry, if it is still here."""
        slot = self.index.find(key)
        if slot >= 0:
            self.changes += 1
            self._resize(slot, size)

    def _resize(self, slot: int, size: int) -> None:
        delta = self.index.resize(slot, size)
        if slot not in self.chosen:
            self.policy.resized(slot, delta)

    def touch(self, key: bytes, reads: int) -> None:
        slot = self.index.find(key)
        if slot >= 0 and slot not in self.chosen:
            self.policy.touch(slot, reads)
            self._see(slot)
            self.changes += 1

    def size(self, key: bytes) -> int:
        """Bytes of the entry on disk, -1 if it is unknown."""
        slot = self.index.find(key)
        return -1 if slot < 0 else self.index.sizes[slot]

    def drop(self, key: bytes) -> int:
        """The entry's file is gone; the bytes it had."""
        slot = self.index.find(key)
        if slot < 0:
            return 0
        self.changes += 1
        size = self.index.sizes[slot]
        if slot in self.chosen:
            self.chosen.discard(slot)
        else:
            self.policy.remove(slot)
        self.index.remove(slot)
        self.blocks -= is_block_key(key)
        return size

    def set_room(self, size: int) -> None:
        """What its entries may take together."""
        self.policy.capacity_bytes = size

    def choose(self, blocked: Callable[[bytes], bool]) -> bytes | None:
        """The next entry to evict. Answer with ``drop`` or, if it must stay, ``spare``."""
        index = self.index
        slot = self.policy.victim(lambda s: blocked(index.key(s)), index.hash_of)
        if slot < 0:
            return None
        self.chosen.add(slot)
        return index.key(slot)

    def spare(self, key: bytes) -> None:
        """A chosen entry stays: it came into use before its file was gone."""
        slot = self.index.find(key)
        if slot in self.chosen:
            self.chosen.discard(slot)
            self.policy.insert(slot, key_hash(key))

    def adopt(self, slots: Iterable[int]) -> None:
        """Give the policy entries that it has not."""
        for slot in slots:
            self.policy.insert(slot, self.index.hash_of(slot))

    def restore(self) -> None:
        """Order all entries of a loaded index anew (its policy's own order is not known)."""
        self.adopt(self.index.slots())

    def find_prefix(self, prefix: bytes) -> bytes | None:
        """The first key that begins with these 16 bytes of a digest."""
        slot = self.index.find_prefix(prefix)
        return None if slot < 0 else self.index.key(slot)
