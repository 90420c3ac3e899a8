"""Content: blocks and the bytes of small files, in parts that are evicted apart from each other.

``common`` holds what no mount has set apart; a mount with a quota, a reserve or a TTL has a part of
its own, named by its path. ``pinned`` holds what is pinned; nothing in it is ever chosen. An entry
is in one segment at a time; who looks for a key need not know which.

Not thread-safe: ``Space`` calls it under its lock.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from millpond.store.eviction.lru import Lru
from millpond.store.parts import NO_LIMITS, Limits, Turns, Use
from millpond.store.segment import BLOCK_KEY_BYTES, Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from millpond.store.eviction import EvictionPolicy

COMMON = ""  # the name of the part of all who have none
PREFIX = "content:"  # before a part's name in the snapshot
IDENT_BYTES = 16  # of a key: a file id, or the first half of a meta's digest


class Content:
    """One map of keys over all parts; the interface of a ``Segment`` but for slots."""

    name = "content"

    def __init__(
        self, policy: type[EvictionPolicy], clock: Callable[[], float] = time.time
    ) -> None:
        self._policy, self._clock = policy, clock
        self.common = Segment("content", BLOCK_KEY_BYTES, policy, clock)
        self.parts: dict[str, Segment] = {COMMON: self.common}
        self.limits: dict[str, Limits] = {}
        self._turns = Turns()
        self.pinned = Segment("pinned", BLOCK_KEY_BYTES, Lru, clock)
        self.pins: set[bytes] = set()
        """What is pinned: file ids, and halves of metas' digests."""
        self.pins_at_most_bytes = 0
        self._room_bytes = 0

    def __len__(self) -> int:
        return sum(map(len, self.segments))

    @property
    def segments(self) -> tuple[Segment, ...]:
        return (*self.parts.values(), self.pinned)

    def part(self, name: str) -> Segment:
        """The part of a mount, made where it is absent."""
        if name not in self.parts:
            made = Segment(PREFIX + name, BLOCK_KEY_BYTES, self._policy, self._clock)
            self.parts = {**self.parts, name: made}
        return self.parts[name]

    def set_limits(self, limits: dict[str, Limits]) -> bool:
        """These mounts have parts of their own; whether one is new.

        A part that no mount has any more stays until it is empty, as one without limits.
        """
        new = limits.keys() - self.parts.keys()
        for name in limits:
            self.part(name)
        self.limits = limits
        self.parts = {
            name: part
            for name, part in self.parts.items()
            if part is self.common or name in limits or len(part)
        }
        return bool(new)

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

    def put(self, key: bytes, size: int, part: str | None = None) -> None:
        """Add the entry, or change its size: it was read or written. Without ``part`` it stays."""
        held = self._holder(key)
        self._settle(key, size, held, part).put(key, size)

    def _settle(self, key: bytes, size: int, held: Segment | None, part: str | None) -> Segment:
        """The segment where the entry belongs; if it is elsewhere, it is taken there."""
        home = self._home(key, size, held, part)
        if held is not None and held is not home:
            home.put(key, size)
            home.take_seen(key, held)
            held.drop(key)
        return home

    def _home(self, key: bytes, size: int, held: Segment | None, part: str | None) -> Segment:
        if key[:IDENT_BYTES] in self.pins:
            others = self.pinned.total_bytes - (
                max(0, held.size(key)) if held is self.pinned else 0
            )
            if others + size <= self.pins_at_most_bytes:
                return self.pinned
        if part is not None:
            return self.parts.get(part, self.common)
        return self.common if held is None or held is self.pinned else held

    def _holder(self, key: bytes) -> Segment | None:
        found = self.find(key)
        return None if found is None else found[0]

    def resize(self, key: bytes, size: int) -> None:
        """Change the size of an entry, if it is still here."""
        held = self._holder(key)
        if held is not None:
            self._settle(key, size, held, None).resize(key, size)

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

    def choose(self, blocked: Callable[[bytes], bool], *, shrink: bool = False) -> bytes | None:
        """The next entry to evict. Answer with ``drop`` or, if it must stay, ``spare``.

        ``shrink``: the cache takes more than it may, so reserves do not count.
        """
        left = {
            name: Use(name, part.total_bytes, self.limits.get(name, NO_LIMITS))
            for name, part in self.parts.items()
        }
        while (name := self._turns.next([*left.values()], shrink=shrink)) is not None:
            key = self.choose_of(name, blocked)
            if key is not None:
                return key
            del left[name]
        return None

    def choose_of(self, name: str, blocked: Callable[[bytes], bool]) -> bytes | None:
        """The next entry of one part to evict."""
        part = self.parts[name]
        room = max(0, self._room_bytes - self.total_bytes + part.total_bytes)
        quota = self.limits.get(name, NO_LIMITS).quota_bytes
        part.set_room(min(room, quota) if quota else room)
        return part.choose(blocked)

    def over_quota(self) -> dict[str, int]:
        """The parts over their quota, and by how many bytes."""
        return {
            name: over
            for name, said in self.limits.items()
            if said.quota_bytes and (over := self.parts[name].total_bytes - said.quota_bytes) > 0
        }

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

    def settle(self, keys: Iterable[bytes], part: str | None = None) -> None:
        """Take the entries of these keys to where they belong now."""
        for key in keys:
            held = self._holder(key)
            if held is not None:
                self._settle(key, held.size(key), held, part)


def _keys(segment: Segment) -> Iterator[bytes]:
    return map(segment.index.key, segment.index.slots())
