"""What became of blocks that are gone: a bounded memory, for those who ask why."""

from __future__ import annotations

import struct
import threading
import time
from array import array
from enum import IntEnum
from typing import NamedTuple

BOUND = 65_536
"""Events kept, in 1.9 MB; the oldest go first. It begins anew with each start."""
PLACES = 2 * BOUND
_RECORD = struct.Struct("<20sBq")  # key in the index, what happened, Unix time in ms


class Loss(IntEnum):
    """Why a block, or the content of a small file, is gone."""

    EVICTED = 0
    """Space was needed."""
    DROPPED = 1
    """By hand: evicted by command, or its file was deleted in the cache directory."""
    BAD = 2
    """A page failed its checksum."""
    EXPIRED = 3
    """Nobody read it within its mount's TTL."""


class Event(NamedTuple):
    what: Loss
    at_ms: int


class History:
    """The last losses. Thread-safe; memory only.

    ``find`` searches all records, for people; ``last`` looks at one place of a table of
    fingerprints (0.5 MB), for each miss: where two keys share a place, the older is forgotten.
    """

    def __init__(self, bound: int = BOUND) -> None:
        self.bound = bound
        self._records = bytearray()
        self._next = 0  # where the oldest is, once all are there
        self._table = array("I", bytes(4 * PLACES))
        self._began_ms = now_ms()
        self._lock = threading.Lock()

    def add(self, key: bytes, what: Loss) -> None:
        """``key`` is that of the index: ``store.space.block_key`` or ``meta_key``."""
        record = _RECORD.pack(key, what, now_ms())
        place, mark = _place(key)
        with self._lock:
            self._table[place] = mark | (what + 1)
            if len(self) < self.bound:
                self._records += record
            else:
                self._records[self._next : self._next + _RECORD.size] = record
                self._next = (self._next + _RECORD.size) % len(self._records)

    def last(self, key: bytes) -> Loss | None:
        """What became of one block last, if that is still known."""
        place, mark = _place(key)
        known = self._table[place]
        what = known & 15
        return Loss(what - 1) if what and known - what == mark else None

    def __len__(self) -> int:
        return len(self._records) // _RECORD.size

    @property
    def since_ms(self) -> int:
        """Nothing from before this is known: the oldest event once some were forgotten."""
        with self._lock:
            if len(self) < self.bound:
                return self._began_ms
            at_ms: int = _RECORD.unpack_from(self._records, self._next)[2]
            return at_ms

    def find(self, ident: bytes) -> dict[int, Event]:
        """The last loss of each block whose key begins with these 16 bytes, by block number."""
        with self._lock:
            records = bytes(self._records[self._next :] + self._records[: self._next])
        found = {}
        at = records.find(ident)
        while at >= 0:
            offset = at % _RECORD.size
            if offset == 0:
                key, what, at_ms = _RECORD.unpack_from(records, at)
                found[int.from_bytes(key[16:], "little")] = Event(Loss(what), at_ms)
            at = records.find(ident, at + 1)
        return found


def _place(key: bytes) -> tuple[int, int]:
    """Of the table, and 28 bits that tell keys of one place apart; 4 are the loss, from 1 on."""
    number = hash(key)
    return number % PLACES, (number >> 20) & 0xFFFFFFF0


def now_ms() -> int:
    return time.time_ns() // 1_000_000
