"""Space: what the cache takes, what it may take, and who has to go.

Bytes are those the file system counts (``st_blocks``), of blocks, metas and stamps alike. The
limit is the capacity, or less where the file system itself runs short: some of it always stays
free for others. Above ``high`` of the limit a housekeeper evicts down to ``low``; a writer that
finds no room evicts for itself, and gets NoSpace when nothing more can go.

Three kinds: ``content`` (blocks, and metas of more than one disk block, which hold the bytes of
small files), evicted for bytes by the policy chosen, part by part; ``names`` (all metas) and
``stamps`` (directory stamps), evicted least recently used first, when they outgrow their bound,
when the file system runs out of inodes, or when no content is left to evict.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from millpond.errors import NoSpace
from millpond.model.sizes import GIB, MIB
from millpond.store.content import IDENT_BYTES, PREFIX, Content
from millpond.store.eviction.lru import Lru
from millpond.store.history import Loss
from millpond.store.segment import META_BLOCK, Segment, is_block_key

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    from millpond.store.eviction import EvictionPolicy
    from millpond.store.parts import Limits


log = logging.getLogger(__name__)
Kind: TypeAlias = Content | Segment
DIGEST_BYTES = 32
NAMES_SHARE = 0.05  # of the limit, in bytes: bound of all metas without content
NAMES_BYTES_AT_LEAST = 16 * MIB
NAMES_AT_MOST = 1_000_000
STAMPS_AT_MOST = 100_000
FREE_BYTES_FLOOR = GIB  # of the file system; or 2 % of it, where that is less
FREE_SHARE_FLOOR = 0.02
INODES_FLOOR = 10_000  # or 1 %, where that is less
STATVFS_EVERY_S = 0.2
EXPIRE_EVERY_S = 60.0  # or a tenth of the shortest TTL
EXPIRE_SLOTS = 4096  # looked at under one hold of the lock
_TOUCHES_KEPT = 1 << 16


class Victim(NamedTuple):
    segment: Kind
    key: bytes
    why: Loss = Loss.EVICTED


class Space:
    """Accounts, limits and eviction. Thread-safe; ``touch`` and plain attributes never block."""

    def __init__(
        self,
        policy: type[EvictionPolicy],
        capacity_bytes: int,
        high: float,
        low: float,
        statvfs: Callable[[], os.statvfs_result],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.capacity_bytes = capacity_bytes
        self.high, self.low = high, low
        self.content = Content(policy, clock)
        self.names = Segment("names", DIGEST_BYTES, Lru)
        self.stamps = Segment("stamps", DIGEST_BYTES, Lru)
        self.kinds: tuple[Kind, ...] = (self.content, self.names, self.stamps)
        self.may_evict = True
        self.expired_bytes = self.expired_blocks = 0
        self._clock = clock
        self._expire_at = 0.0  # monotonic
        self.lock = threading.Lock()  # memory only
        self.blocked: Callable[[bytes], bool] = lambda key: False
        self.delete: Callable[[Victim], bool] = lambda victim: False
        self.pressure = threading.Event()
        self.evicted_bytes = self.evicted_blocks = self.evicted_files = 0
        self.free_bytes = self.free_inodes = self._disk_limit = 0
        self._missing_inodes = 0
        self._reserved = 0
        self._statvfs = statvfs
        self._statvfs_at = -STATVFS_EVERY_S
        self._evicting = threading.Lock()
        self._touches: deque[tuple[Kind, bytes, int]] = deque(maxlen=_TOUCHES_KEPT)
        self.look()

    # -- accounts

    @property
    def segments(self) -> list[Segment]:
        """What all of it is in: the parts of the content, the names, the stamps."""
        return [*self.content.segments, self.names, self.stamps]

    def kind_of(self, segment: Segment) -> Kind:
        """What a segment is a part of."""
        return segment if segment in (self.names, self.stamps) else self.content

    @property
    def used_bytes(self) -> int:
        return sum(kind.total_bytes for kind in self.kinds)

    @property
    def limit_bytes(self) -> int:
        """What the cache may take now: its capacity, or less on a disk that others fill."""
        return min(self.capacity_bytes, self._disk_limit)

    def put(self, segment: Kind, key: bytes, size: int, part: str | None = None) -> None:
        """The file of ``key`` exists and takes ``size`` bytes; ``part``: whose content it is."""
        with self.lock:
            if segment is self.content:
                self.content.put(key, size, part)
            else:
                segment.put(key, size)
        self._watch()

    def resize(self, segment: Kind, key: bytes, size: int) -> None:
        """The file of ``key`` takes ``size`` bytes now, if it is still in the index."""
        with self.lock:
            segment.resize(key, size)
        self._watch()

    def drop(self, segment: Kind, key: bytes) -> int:
        """The file of ``key`` is gone; the bytes it had."""
        with self.lock:
            return segment.drop(key)

    def touch(self, segment: Kind, key: bytes, reads: int) -> None:
        """Memory only, no lock: taken over later, the oldest lost when too many wait."""
        self._touches.append((segment, key, reads))

    def settle(self) -> None:
        """Take over the touches that wait."""
        with self.lock:
            self._settle()

    def _settle(self) -> None:
        for _ in range(len(self._touches)):
            segment, key, reads = self._touches.popleft()
            segment.touch(key, reads)

    # -- the file system

    def look(self) -> None:
        """Ask the file system what is free."""
        self._statvfs_at = time.monotonic()
        try:
            fs = self._statvfs()
        except OSError:  # the directory was deleted by hand: it will be made again
            return
        size = fs.f_blocks * fs.f_frsize
        floor = min(FREE_BYTES_FLOOR, int(size * FREE_SHARE_FLOOR))
        self.free_bytes, self.free_inodes = fs.f_bavail * fs.f_frsize, fs.f_favail
        self._disk_limit = max(0, self.used_bytes + self.free_bytes - floor)
        if not size:  # a file system that does not count, such as ramfs
            self._disk_limit = self.capacity_bytes
        inodes_floor = min(INODES_FLOOR, fs.f_files // 100)  # btrfs counts none
        self._missing_inodes = max(0, inodes_floor - fs.f_favail) if fs.f_files else 0

    def _watch(self) -> None:
        if time.monotonic() - self._statvfs_at > STATVFS_EVERY_S:
            self.look()
        full = self.used_bytes > self.high * self.limit_bytes or self._missing_inodes > 0
        full = full or bool(self.content.limits and self.content.over_quota())
        if full or not (self.bounded(self.names) and self.bounded(self.stamps)):
            self.pressure.set()

    # -- making room

    def reserve(self, size: int) -> None:
        """Set ``size`` bytes aside for a write, evicting if need be; give back with ``release``.

        Raises NoSpace when nothing more can be evicted.
        """
        if time.monotonic() - self._statvfs_at > STATVFS_EVERY_S:
            self.look()
        while not self._take(size):
            with self._evicting:
                missing = self.used_bytes + self._reserved + size - self.limit_bytes
                freed = missing <= 0 or self._evict(missing)
            if not freed:
                raise NoSpace(
                    "the cache is full and nothing in it can be evicted now",
                    cause=f"{self.used_bytes} of {self.limit_bytes} bytes used, "
                    f"{self._reserved} about to be",
                    remedy="Raise cache_capacity_bytes, or free space on the disk",
                )

    def _take(self, size: int) -> bool:
        with self.lock:
            if self.used_bytes + self._reserved + size > self.limit_bytes:
                return False
            self._reserved += size
        return True

    def release(self, size: int) -> None:
        with self.lock:
            self._reserved -= size

    def free(self, size: int, inodes: int = 0) -> int:
        """Evict until ``size`` bytes and ``inodes`` files are gone; the bytes freed."""
        with self._evicting:
            return self._evict(size) + self._evict_names(inodes)

    def make_room(self, size: int, inodes: int) -> bool:
        """As ``free``, after the file system said that it is full; whether anything went."""
        before = self.evicted_files
        self.look()
        self.free(size, inodes)
        return self.evicted_files > before

    def tidy(self) -> None:
        """What the housekeeper does: down to the low mark where the high one is passed."""
        self.pressure.clear()
        self.look()
        self.settle()
        with self._evicting:
            limit = self.limit_bytes
            if self.used_bytes > self.high * limit:
                self._evict(int(self.used_bytes - self.low * limit))
            self._evict_names(self._missing_inodes)
            self._hold_quotas()
            self._expire()
            for segment in (self.names, self.stamps):
                while not self.bounded(segment) and self._evict_one(segment) >= 0:
                    pass

    def _hold_quotas(self) -> None:
        """Mounts over their quota pay: down to the share of it that the low mark is of the high."""
        for name, over in self.content.over_quota().items():
            size = over + int(self.content.limits[name].quota_bytes * (1 - self.low / self.high))
            while size > 0 and (got := self._evict_one(self.content, of=name)) >= 0:
                size -= got

    def _expire(self) -> None:
        """Free what no reader came for within its mount's TTL."""
        ttls = {name: said.ttl_s for name, said in self.content.limits.items() if said.ttl_s}
        if not ttls or not self.may_evict or time.monotonic() < self._expire_at:
            return
        self._expire_at = time.monotonic() + min(EXPIRE_EVERY_S, max(1.0, min(ttls.values()) / 10))
        for name, ttl_s in ttls.items():
            part, before = self.content.parts[name], int(self._clock()) - ttl_s
            for first in range(0, len(part.index.sizes), EXPIRE_SLOTS):
                with self.lock:
                    old = part.unseen_since(before, first, first + EXPIRE_SLOTS)
                for key in old:
                    self._expire_one(part, key)

    def _expire_one(self, part: Segment, key: bytes) -> None:
        with self.lock:
            if self.blocked(key) or not part.take(key):
                return
            size = part.size(key)
        if self._delete(self.content, key, Loss.EXPIRED):
            self.expired_bytes += size
            self.expired_blocks += is_block_key(key)

    def bounded(self, segment: Segment) -> bool:
        """Whether the metas or stamps are within their bound."""
        if segment is self.stamps:
            return len(segment) <= STAMPS_AT_MOST
        bound = max(NAMES_BYTES_AT_LEAST, NAMES_SHARE * self.limit_bytes)
        return len(segment) <= NAMES_AT_MOST and segment.total_bytes <= bound

    def _evict(self, size: int) -> int:
        freed = 0
        for segment in self.kinds:
            while freed < size and (got := self._evict_one(segment)) >= 0:
                freed += got
        return freed

    def _evict_names(self, count: int) -> int:
        """Evict ``count`` files, the least valuable kinds first; the bytes freed."""
        freed = 0
        for segment in (self.stamps, self.names, self.content):
            while count > 0 and (got := self._evict_one(segment)) >= 0:
                freed += got
                count -= 1
        return freed

    def _evict_one(self, segment: Kind, of: str | None = None) -> int:
        """Evict one entry, ``of`` that part of the content alone; its bytes, -1 if none may go."""
        if not self.may_evict:
            return -1
        for _ in range(len(segment) + 1):
            with self.lock:
                self._settle()
                key = self._choose(segment, of)
                size = segment.size(key) if key is not None else 0
            if key is None:
                return -1
            if self._delete(segment, key):
                self.evicted_bytes += size
                self.evicted_files += 1
                self.evicted_blocks += is_block_key(key)
                return size
        return -1

    def _choose(self, segment: Kind, of: str | None) -> bytes | None:
        used = self.used_bytes
        segment.set_room(max(0, int(self.low * self.limit_bytes) - (used - segment.total_bytes)))
        if not isinstance(segment, Content):
            return segment.choose(self._stays)
        if of is not None:
            return segment.choose_of(of, self._stays)
        return segment.choose(self._stays, shrink=used > self.limit_bytes)

    def _delete(self, segment: Kind, key: bytes, why: Loss = Loss.EVICTED) -> bool:
        """Delete the file of a chosen entry; False: it came into use and stays."""
        gone = False
        try:
            gone = self.delete(Victim(segment, key, why))
        finally:
            if not gone:
                with self.lock:
                    segment.spare(key)
        return gone

    def _stays(self, key: bytes) -> bool:
        pinned = len(key) == DIGEST_BYTES and key[:IDENT_BYTES] in self.content.pins
        return pinned or self.blocked(key)

    def set_marks(self, high: float, low: float) -> None:
        """Where eviction begins and ends."""
        with self.lock:
            self.high, self.low = high, low
        self.pressure.set()

    def set_pins_bound(self, size: int) -> None:
        """What pins may hold of what comes from now on."""
        with self.lock:
            self.content.pins_at_most_bytes = size

    # -- parts and pins

    def segment_named(self, name: str) -> Segment | None:
        """The segment that a snapshot calls so."""
        if name.startswith(PREFIX):
            return self.content.part(name.removeprefix(PREFIX))
        return next((s for s in self.segments if s.name == name), None)

    def set_limits(self, limits: dict[str, Limits]) -> bool:
        """These mounts have parts of their own; whether one is new."""
        with self.lock:
            new = self.content.set_limits(limits)
        self.pressure.set()
        return new

    def settle_in(self, part: str, keys: Iterable[bytes]) -> None:
        """What is cached under these keys belongs to that part."""
        with self.lock:
            self.content.settle(keys, part)

    def set_pins(self, pins: set[bytes], at_most_bytes: int) -> None:
        """Exactly these are pinned: file ids, and halves of metas' digests. Eviction may begin."""
        with self.lock:
            self.content.pins_at_most_bytes = at_most_bytes
            self.content.set_pins(pins)
        self.may_evict = True

    def pin(self, idents: Iterable[bytes], keys: Iterable[bytes]) -> None:
        """These are pinned too; ``keys``: what may be cached of them."""
        with self.lock:
            self.content.pins.update(idents)
            self.content.settle(keys)

    def unpin(self, idents: Iterable[bytes], keys: Iterable[bytes], part: str) -> None:
        """These are pinned no more, and go back to their part."""
        with self.lock:
            self.content.pins.difference_update(idents)
            self.content.settle(keys, part)


def block_key(file_id: bytes, block: int) -> bytes:
    """The index key of a block."""
    return file_id + block.to_bytes(4, "little")


def meta_key(digest: bytes) -> bytes:
    """The index key of a meta's content: the first half of its digest, as block 0xFFFFFFFF."""
    return block_key(digest[:16], META_BLOCK)
