"""What is seen of pending data: entries by place and key, in memory, and listings with them. Pure.

Entries of open batches are not in the view. Several of one key stand in the order of their
commits; the last one is seen.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from millpond.errors import IsADirectory, NotADirectory
from millpond.namespace.pending.records import Op, State
from millpond.under.base import ABSENT, ObjectStat
from millpond.under.tree import order, pages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from millpond.namespace.pending.records import Entry


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What pending data says of one listing: entries that are there, keys of files that are not.

    ``shown`` is in the order of listings and has directories that hold pending files.
    """

    shown: list[ObjectStat]
    hidden: frozenset[str]


@dataclass(slots=True)
class _Place:
    """The entries of one store."""

    entries: dict[str, list[Entry]] = field(default_factory=dict)
    keys: list[bytes] = field(default_factory=list)
    """In order."""


class View:
    """Thread-safe; memory only."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._lock = threading.Lock()
        self._places: dict[str, _Place] = {}
        self._by_seq: dict[int, Entry] = {}
        self.bytes = 0
        """Of files that are to be persisted, whether seen or not."""
        self.conflicts = 0
        self.kept = self.kept_bytes = 0
        """Those that are kept, and their bytes."""
        self.add(entries)

    # -- changes

    def add(self, entries: Iterable[Entry]) -> None:
        """These were committed, together: nobody sees some of them alone."""
        with self._lock:
            for entry in sorted(entries, key=lambda e: e.seq):
                self._add(entry)

    def _add(self, entry: Entry) -> None:
        place = self._places.setdefault(entry.place, _Place())
        if entry.key not in place.entries:
            insort(place.keys, entry.key.encode())
        place.entries.setdefault(entry.key, []).append(entry)
        self._by_seq[entry.seq] = entry
        self._count(entry, 1)

    def advance(self, seq: int, state: State, detail: str = "") -> Entry:
        """As the journal has it now."""
        with self._lock:
            return self._replace(replace(self._by_seq[seq], state=state, detail=detail))

    def overwrite(self, seq: int) -> Entry:
        """As the journal has it now."""
        with self._lock:
            old = self._by_seq[seq]
            new = replace(old, state=State.DIRTY, detail="", expect=None, strict=False)
            return self._replace(new)

    def settle(self, seq: int, made: str | None) -> Entry:
        """An entry leaves; the next one of its key is to replace ``made``."""
        with self._lock:
            return self._leave(seq, made)

    def forgo(self, entries: Iterable[Entry]) -> None:
        """These leave, together, as the journal says."""
        with self._lock:
            for entry in entries:
                self._leave(entry.seq, entry.expect)

    def move(self, keys: Mapping[int, str]) -> None:
        """As the journal has it now."""
        with self._lock:
            for seq, key in keys.items():
                entry = self._leave(seq, self._by_seq[seq].expect)
                self._add(replace(entry, key=key, expect=ABSENT))

    def _leave(self, seq: int, made: str | None) -> Entry:
        entry = self._by_seq.pop(seq)
        place = self._places[entry.place]
        of_key = place.entries[entry.key]
        at = of_key.index(entry)
        del of_key[at]
        self._count(entry, -1)
        if at < len(of_key) and of_key[at].expect is not None:
            self._replace(replace(of_key[at], expect=made))
        if not of_key:
            del place.entries[entry.key]
            del place.keys[bisect_left(place.keys, entry.key.encode())]
            if not place.keys:
                del self._places[entry.place]
        return entry

    def _count(self, entry: Entry, by: int) -> None:
        self.conflicts += by * (entry.state is State.CONFLICT)
        if entry.state is State.KEPT:
            self.kept += by
            self.kept_bytes += by * entry.length
        else:
            self.bytes += by * entry.length

    def _replace(self, new: Entry) -> Entry:
        of_key = self._places[new.place].entries[new.key]
        old = self._by_seq[new.seq]
        of_key[of_key.index(old)] = new
        self.conflicts += (new.state is State.CONFLICT) - (old.state is State.CONFLICT)
        self._by_seq[new.seq] = new
        return new

    # -- single keys

    def __len__(self) -> int:
        return len(self._by_seq)

    def get(self, seq: int) -> Entry | None:
        return self._by_seq.get(seq)

    def all(self) -> list[Entry]:
        """In the order of commits."""
        with self._lock:
            return [self._by_seq[seq] for seq in sorted(self._by_seq)]

    def all_kept(self) -> list[Entry]:
        """Those that are kept, in the order of commits."""
        return [e for e in self.all() if e.state is State.KEPT] if self.kept else []

    def holds(self, place: str) -> bool:
        """Whether there is anything of a store."""
        return place in self._places

    def seen(self, place: str, key: str) -> Entry | None:
        """The last entry of a key."""
        of_key = self.of(place, key)
        return of_key[-1] if of_key else None

    def of(self, place: str, key: str) -> list[Entry]:
        """The entries of a key, in the order of commits."""
        with self._lock:
            at = self._places.get(place)
            return list(at.entries.get(key, ())) if at is not None else []

    def check(self, place: str, key: str) -> None:
        """Raises NotADirectory, IsADirectory where a file at a key could not be together with what
        is pending above it and below it."""
        self.check_above(place, key)
        if self.is_directory(place, key):
            raise IsADirectory(f"{key} is a directory", cause="files are below it")

    def check_above(self, place: str, key: str) -> None:
        """Raises NotADirectory where a file is pending above a key."""
        above = key
        while above := above.rpartition("/")[0]:
            entry = self.seen(place, above)
            if entry is not None and entry.op is Op.PUT:
                raise NotADirectory(f"{key} can't be made", cause=f"{above} is a file")

    # -- directories

    def below(self, place: str, key: str) -> list[Entry]:
        """All entries at a key and, it being a directory, below it."""
        with self._lock:
            at = self._places.get(place)
            if at is None:
                return []
            found = list(at.entries.get(key, ())) if key else []
            for each in self._keys_below(at, key):
                found += at.entries[each]
            return found

    def holds_below(self, place: str, key: str) -> bool:
        """Whether anything is pending at or below a key."""
        with self._lock:
            at = self._places.get(place)
            if at is None:
                return False
            return key in at.entries or next(self._keys_below(at, key), None) is not None

    def is_directory(self, place: str, key: str) -> bool:
        """Whether a pending file lies below the key."""
        with self._lock:
            at = self._places.get(place)
            if at is None:
                return False
            return any(at.entries[k][-1].op is Op.PUT for k in self._keys_below(at, key))

    def snapshot(self, place: str, key: str, *, recursive: bool) -> Snapshot:
        """What is pending in directory ``key``; "" is the root."""
        start = len(key) + 1 if key else 0
        shown: list[ObjectStat] = []
        hidden = set()
        directories: dict[str, None] = {}
        with self._lock:
            at = self._places.get(place)
            for each in self._keys_below(at, key) if at is not None else ():
                entry = at.entries[each][-1]  # type: ignore[union-attr]
                name, slash, _ = each[start:].partition("/")
                if slash and not recursive:
                    if entry.op is Op.PUT and name:
                        directories[each[:start] + name] = None
                elif entry.op is Op.PUT:
                    shown.append(stat_of(entry))
                else:
                    hidden.add(each)
        shown += [ObjectStat(each, 0, 0, is_dir=True) for each in directories]
        shown.sort(key=order)
        return Snapshot(shown, frozenset(hidden))

    def _keys_below(self, at: _Place, key: str) -> Iterator[str]:
        prefix = f"{key}/".encode() if key else b""
        for number in range(bisect_left(at.keys, prefix), len(at.keys)):
            if not at.keys[number].startswith(prefix):
                return
            yield at.keys[number].decode()


def stat_of(entry: Entry) -> ObjectStat:
    """A pending file as a store would describe it."""
    return ObjectStat(entry.key, entry.length, entry.mtime_ms, entry.version)


def merged(listed: Iterable[list[ObjectStat]], snapshot: Snapshot) -> Iterator[list[ObjectStat]]:
    """What a store lists, with pending data applied; both are in the order of listings."""
    return pages(_merged((e for page in listed for e in page), snapshot))


def _merged(listed: Iterator[ObjectStat], snapshot: Snapshot) -> Iterator[ObjectStat]:
    ours = iter(snapshot.shown)
    mine = next(ours, None)
    for theirs in listed:
        if not theirs.is_dir and theirs.key in snapshot.hidden:
            continue
        while mine is not None and order(mine) < order(theirs):
            yield mine
            mine = next(ours, None)
        if mine is not None and order(mine) == order(theirs):
            yield mine
            mine = next(ours, None)
        else:
            yield theirs
    while mine is not None:
        yield mine
        mine = next(ours, None)
