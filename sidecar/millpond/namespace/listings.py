"""Snapshots of listings, packed: about 60 bytes an entry beside its name and version."""

from __future__ import annotations

from array import array
from itertools import pairwise
from typing import TYPE_CHECKING

from millpond.under.base import ObjectStat

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_DIR, _WEAK = 1, 2


class Listing:
    """What one LIST said: entries by name, sorted by their UTF-8 bytes. Immutable.

    A name may occur twice, as a file and as a directory: object stores allow both.
    """

    __slots__ = ("_ends", "_flags", "_lengths", "_mtimes", "_names", "_version_ends", "_versions")

    def __init__(self, entries: Iterable[ObjectStat]) -> None:
        """``key`` of each entry is its name relative to the directory."""
        rows = sorted((e.key.encode(), e.is_dir, e) for e in _once(entries))
        self._names = b"".join(row[0] for row in rows)
        self._versions = b"".join(row[2].version.encode() for row in rows)
        self._ends, self._version_ends = array("I", [0]), array("I", [0])
        self._lengths = array("Q", (row[2].length for row in rows))
        self._mtimes = array("q", (row[2].mtime_ms for row in rows))
        self._flags = bytes(_DIR * r[2].is_dir | _WEAK * r[2].weak for r in rows)
        name_end = version_end = 0
        for name, _, entry in rows:
            name_end += len(name)
            version_end += len(entry.version.encode())
            self._ends.append(name_end)
            self._version_ends.append(version_end)

    def __len__(self) -> int:
        return len(self._flags)

    def __getitem__(self, i: int) -> ObjectStat:
        flags, ends = self._flags[i], self._version_ends
        return ObjectStat(
            self._name(i).decode(),
            self._lengths[i],
            self._mtimes[i],
            self._versions[ends[i] : ends[i + 1]].decode(),
            bool(flags & _WEAK),
            bool(flags & _DIR),
        )

    def __iter__(self) -> Iterator[ObjectStat]:
        return (self[i] for i in range(len(self)))

    @property
    def size_bytes(self) -> int:
        return len(self._names) + len(self._versions) + 25 * len(self._flags) + 400

    def find(self, name: str) -> ObjectStat | None:
        """The file of that name, else the directory."""
        wanted = name.encode()
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self._name(middle) < wanted:
                low = middle + 1
            else:
                high = middle
        return self[low] if low < len(self) and self._name(low) == wanted else None

    def versions(self) -> Iterator[tuple[str, str]]:
        """(name, version) of each file that may be cached."""
        names, texts = pairwise(self._ends), pairwise(self._version_ends)
        for flags, (a, b), (c, d) in zip(self._flags, names, texts, strict=True):
            if not flags:
                yield self._names[a:b].decode(), self._versions[c:d].decode()

    def same_versions(self, other: Listing) -> bool:
        """Whether both hold the same names with the same versions."""
        return (
            self._flags == other._flags
            and self._names == other._names
            and self._versions == other._versions
            and self._ends == other._ends
            and self._version_ends == other._version_ends
        )

    def _name(self, i: int) -> bytes:
        return self._names[self._ends[i] : self._ends[i + 1]]


def _once(entries: Iterable[ObjectStat]) -> Iterator[ObjectStat]:
    """Each (name, kind) once: a store may repeat a directory at the seam of two pages."""
    seen = set()
    for entry in entries:
        mark = (entry.key, entry.is_dir)
        if mark not in seen:
            seen.add(mark)
            yield entry
