"""The directories of which something is remembered, within a bound of memory.

Directories are named by their store path with its trailing slash, since meta on disk is: two
mounts of one prefix share them. Every publish is remembered by its directory, so a new one covers
all meta since this process began, or since that directory was last forgotten. Older meta is
*loose*: it stands by its own stamp, and the first LIST looks at it on disk.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING

from millpond.namespace.freshness import NEVER, Directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_STRIPES = 256
_FORGOTTEN = 4096


class Directories:
    """All ``Directory`` objects, least recently used forgotten first. Thread-safe.

    A decision about a directory and its deed on disk are made under ``lock(path)``; no two of
    these locks are ever held together.
    """

    def __init__(self, clock: Callable[[], int], capacity_bytes: int) -> None:
        self._clock = clock
        self._capacity_bytes = capacity_bytes
        self._mutex = threading.Lock()
        self._stripes = [threading.Lock() for _ in range(_STRIPES)]
        self._known: OrderedDict[str, Directory] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._used_bytes = 0
        self._forgotten: dict[str, int] = {}
        self._before_ns = clock()
        """Of directories that are in neither table: when what is on disk may have been written."""
        self.floor_ns = NEVER
        """Answers to requests begun up to here are not published where nothing was remembered
        when they came: what would forbid it may have been forgotten, or never been remembered."""
        self.invalidated_ns = NEVER
        """When a tree was last invalidated, which directories not remembered may have been in."""

    @property
    def used_bytes(self) -> int:
        return self._used_bytes

    def lock(self, path: str) -> threading.Lock:
        return self._stripes[hash(path) % _STRIPES]

    def get(self, path: str) -> Directory | None:
        with self._mutex:
            directory = self._known.get(path)
            if directory is not None:
                self._known.move_to_end(path)
            return directory

    def ensure(self, path: str) -> Directory:
        """The directory, remembered from now on."""
        with self._mutex:
            directory = self._known.get(path)
            if directory is None:
                directory = Directory(self._loose_until(path) + 1, self.invalidated_ns)
                self._known[path] = directory
                self._account(path, directory)
            self._known.move_to_end(path)
            return directory

    @contextmanager
    def listing(self, path: str) -> Iterator[Directory]:
        """The directory, not forgotten while a LIST of it is in flight."""
        directory = self.ensure(path)
        with self._mutex:
            directory.pins += 1
        try:
            yield directory
        finally:
            with self._mutex:
                directory.pins -= 1

    def below(self, path: str) -> list[str]:
        """Remembered directories at and below ``path``."""
        with self._mutex:
            return [p for p in self._known if p.startswith(path)]

    def invalidated(self, now_ns: int) -> None:
        """Whatever is not remembered now may have changed up to then."""
        with self._mutex:
            self.invalidated_ns = max(self.invalidated_ns, now_ns)
            self.floor_ns = max(self.floor_ns, now_ns)

    def may_have_loose_meta(self, path: str, bound_ns: int) -> bool:
        """Whether meta that nobody remembers may be within the bound by its own stamp."""
        with self._mutex:
            return self._clock() - self._loose_until(path) <= bound_ns

    def account(self, path: str) -> None:
        """The directory has changed its size."""
        with self._mutex:
            if path in self._known:
                self._account(path, self._known[path])

    def trim(self) -> None:
        """Forget what exceeds the memory. The caller holds no directory's lock."""
        if self._used_bytes <= self._capacity_bytes:
            return
        with self._mutex:
            doomed = []
            excess = self._used_bytes - self._capacity_bytes
            for path, directory in self._known.items():
                if excess <= 0:
                    break
                if not directory.pins:
                    doomed.append(path)
                    excess -= self._sizes[path]
        for path in doomed:
            with self.lock(path):
                self._forget(path)

    def _loose_until(self, path: str) -> int:
        return self._forgotten.get(path, self._before_ns)

    def _account(self, path: str, directory: Directory) -> None:
        size = directory.size_bytes + len(path)
        self._used_bytes += size - self._sizes.get(path, 0)
        self._sizes[path] = size

    def _forget(self, path: str) -> None:
        with self._mutex:
            directory = self._known.get(path)
            if directory is None or directory.pins:
                return
            del self._known[path]
            self._used_bytes -= self._sizes.pop(path)
            self.floor_ns = self._forgotten[path] = self._clock()
            directory.forget_listing()
            if len(self._forgotten) > _FORGOTTEN:
                self._before_ns = self.floor_ns
                self._forgotten.clear()
