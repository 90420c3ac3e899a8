"""The directories of which something is remembered, within a bound of memory.

Directories are named by their store path with its trailing slash, since meta on disk is: two
mounts of one prefix share them. What is forgotten is forgotten safely: see ``floor_ns`` and
``may_have_loose_meta``.
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
        self._flat: dict[object, int] = {}
        self._loose: dict[str, int] = {}
        self._started_ns = clock()
        self.floor_ns = NEVER
        """Answers to requests begun up to here are not published where nothing is remembered:
        what would forbid it may have been forgotten."""

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
        """The directory, remembered from now on: it covers meta published after this."""
        with self._mutex:
            return self._ensure(path, self._clock())

    def publishing(self, path: str) -> Directory | None:
        """The directory whose meta is about to be published, where something is remembered."""
        with self._mutex:
            directory = self._known.get(path)
            if directory is None and self._flat:
                # A flat LIST will speak for this directory from its own beginning on: this is
                # the first publish since, so all since then will have been recorded.
                directory = self._ensure(path, min(self._flat.values()))
            if directory is None:
                self._loose[path] = self._clock()
            return directory

    @contextmanager
    def listing(self, path: str) -> Iterator[Directory]:
        """A LIST of ``path`` is in flight: publishes are recorded, nothing is forgotten."""
        with self._mutex:
            directory = self._ensure(path, self._clock())
            directory.pins += 1
        try:
            yield directory
        finally:
            with self._mutex:
                directory.pins -= 1

    @contextmanager
    def flat_listing(self) -> Iterator[int]:
        """A flat LIST is in flight. Yields when it began."""
        token = object()
        with self._mutex:
            self._flat[token] = began_ns = self._clock()
        try:
            yield began_ns
        finally:
            with self._mutex:
                del self._flat[token]

    def flat_listed(self, path: str, began_ns: int) -> Directory:
        """A directory that a flat LIST (still in flight) has seen; the lock is held."""
        with self._mutex:
            return self._ensure(path, began_ns)

    def below(self, path: str) -> list[str]:
        """Remembered directories at and below ``path``."""
        with self._mutex:
            return [p for p in self._known if p.startswith(path)]

    def may_have_loose_meta(self, path: str, bound_ns: int) -> bool:
        """Whether meta of this directory may be within the bound that nobody remembers: published
        before this process, or while nothing was remembered of the directory."""
        now = self._clock()
        return now - self._started_ns <= bound_ns or now - self._loose.get(path, NEVER) <= bound_ns

    def trim(self, bound_ns: int) -> None:
        """Forget what exceeds the memory. The caller holds no directory's lock."""
        with self._mutex:
            self._forget_loose(bound_ns)
            if self._flat:
                return
            doomed = []
            excess = self._used_bytes - self._capacity_bytes
            for path, directory in self._known.items():
                if excess <= 0:
                    break
                if not directory.pins:
                    doomed.append(path)
                    excess -= self._sizes.get(path, 0)
        for path in doomed:
            with self.lock(path):
                self._forget(path)

    def account(self, path: str) -> None:
        """The directory has changed its size."""
        with self._mutex:
            if path in self._known:
                self._account(path, self._known[path])

    def _ensure(self, path: str, covers_from_ns: int) -> Directory:
        directory = self._known.get(path)
        if directory is None:
            directory = self._known[path] = Directory(covers_from_ns)
            self._account(path, directory)
        return directory

    def _account(self, path: str, directory: Directory) -> None:
        size = directory.size_bytes + len(path)
        self._used_bytes += size - self._sizes.get(path, 0)
        self._sizes[path] = size

    def _forget(self, path: str) -> None:
        with self._mutex:
            directory = self._known.get(path)
            if directory is None or directory.pins or self._flat:
                return
            del self._known[path]
            self._used_bytes -= self._sizes.pop(path)
            self.floor_ns = self._loose[path] = self._clock()
            directory.forget_listing()

    def _forget_loose(self, bound_ns: int) -> None:
        if len(self._loose) > 1024:
            old = self._clock() - bound_ns
            self._loose = {p: at for p, at in self._loose.items() if at >= old}
