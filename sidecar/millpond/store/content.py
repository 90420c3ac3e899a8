"""Content: blocks and the bytes of small files, in parts that are evicted apart from each other.

``common`` holds what no mount has set apart. ``pinned`` holds what is pinned; nothing in it is
ever chosen. An entry is in one part at a time; who looks for a key need not know which.

Not thread-safe: ``Space`` calls it under its lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from millpond.store.eviction.lru import Lru
from millpond.store.segment import BLOCK_KEY_BYTES, Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from millpond.store.eviction import EvictionPolicy

IDENT_BYTES = 16  # of a key: a file id, or the first half of a meta's digest


class Content:
    """One map of keys over all parts; the interface of a ``Segment`` but for slots."""

    name = "content"

    def __init__(self, policy: type[EvictionPolicy]) -> None:
        self.common = Segment("content", BLOCK_KEY_BYTES, policy)
        self.pinned = Segment("pinned", BLOCK_KEY_BYTES, Lru)
        self.pins: set[bytes] = set()
        """What is pinned: file ids, and halves of metas' digests."""
        self.pins_at_most_bytes = 0
        self._room_bytes = 0

    def __len__(self) -> int:
        return sum(map(len, self.segments))

    @property
    def segments(self) -> tuple[Segment, ...]:
        return (self.common, self.pinned)

    @property
    def total_bytes(self) -> int:
        return sum(s.total_bytes for s in self.segments)

    @property
    def blocks(self) -> int:
        return sum(s.blocks for s in self.segments)

    @property
    def changes(self) -> int:
        return sum(s.changes for s in self.segments)

    def find(self, key: bytes) -> tuple[Segment, int] | None:
        """The part that holds a key, and its slot there."""
        for segment in self.segments:
            slot = segment.index.find(key)
            if slot >= 0:
                return segment, slot
        return None

    def put(self, key: bytes, size: int) -> None:
        """Add the entry, or change its size."""
        held = self._holder(key)
        home = self._home(key, size, held)
        if held is not None and held is not home:
            held.drop(key)
        home.put(key, size)

    def _home(self, key: bytes, size: int, held: Segment | None) -> Segment:
        if key[:IDENT_BYTES] in self.pins:
            others = self.pinned.total_bytes - (
                max(0, held.size(key)) if held is self.pinned else 0
            )
            if others + size <= self.pins_at_most_bytes:
                return self.pinned
        return self.common if held is None or held is self.pinned else held

    def _holder(self, key: bytes) -> Segment | None:
        found = self.find(key)
        return None if found is None else found[0]

    def resize(self, key: bytes, size: int) -> None:
        """Change the size of an entry, if it is still here."""
        if self._holder(key) is not None:
            self.put(key, size)

    def touch(self, key: bytes, reads: int) -> None:
        held = self._holder(key)
        if held is not None:
            held.touch(key, reads)

    def size(self, key: bytes) -> int:
        """Bytes of the entry on disk, -1 if it is unknown."""
        held = self._holder(key)
        return -1 if held is None else held.size(key)

    def drop(self, key: bytes) -> int:
        """The entry's file is gone; the bytes it had."""
        held = self._holder(key)
        return 0 if held is None else held.drop(key)

    # -- eviction

    def set_room(self, size: int) -> None:
        """What all parts together may take."""
        self._room_bytes = size

    def choose(self, blocked: Callable[[bytes], bool]) -> bytes | None:
        """The next entry to evict. Answer with ``drop`` or, if it must stay, ``spare``."""
        self.common.set_room(max(0, self._room_bytes - self.pinned.total_bytes))
        return self.common.choose(blocked)

    def spare(self, key: bytes) -> None:
        """A chosen entry stays: it came into use before its file was gone."""
        held = self._holder(key)
        if held is not None:
            held.spare(key)

    # -- pins

    def set_pins(self, pins: set[bytes]) -> None:
        """Exactly these are pinned from now on."""
        self.pins = pins
        for segment in self.segments:
            wrong = segment is self.pinned
            keys = [k for k in _keys(segment) if (k[:IDENT_BYTES] not in pins) == wrong]
            self.settle(keys)

    def settle(self, keys: Iterable[bytes]) -> None:
        """Take the entries of these keys to where they belong now."""
        for key in keys:
            if (size := self.size(key)) >= 0:
                self.put(key, size)


def _keys(segment: Segment) -> Iterator[bytes]:
    return map(segment.index.key, segment.index.slots())
