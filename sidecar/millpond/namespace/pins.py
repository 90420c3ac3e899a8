"""Pins: paths whose blocks are not evicted, kept in the database, followed over versions.

A pin is a path: a file, or a directory with all below it. What it holds are *pinned files*, each
one version of one file; they are found when the pin is made, and later when a file below it, or a
new version of one, is read. The database has both, so that a start knows what may not be evicted
without asking any store.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, NamedTuple

from millpond.errors import InvalidRequest, NoSpace, PathNotFound
from millpond.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from millpond.namespace.database import Database
    from millpond.store import BlockStore
    from millpond.store.files import FileVersion

log = logging.getLogger(__name__)
FILES_AT_MOST = 200_000


class Pin(NamedTuple):
    """A pinned path and what it holds: files known, and their length together."""

    path: str
    recursive: bool
    files: int = 0
    length: int = 0


class Pins:
    """The pins of this node. Thread-safe."""

    def __init__(self, database: Database, store: BlockStore) -> None:
        self._database = database
        self._store = store
        self._lock = threading.Lock()
        self._paths = dict(database.pins())
        self._files, self.length = database.pinned_totals()
        store.load_pins(database.pinned())

    def covers(self, path: str) -> bool:
        """Whether a pin holds the file at ``path``. Memory only."""
        return bool(self._paths) and _covered(self._paths, path)

    def add(self, path: str, recursive: bool, files: Iterable[FileVersion]) -> Pin:
        """Pin a path; ``files`` are those found at or below it.

        Raises NoSpace where pins would hold more than their share, InvalidRequest where they would
        be too many; then nothing is pinned.
        """
        with self._lock:
            known = {f.path: f for f in self._database.pinned(path)}
            new = [f for f in files if known.get(f.path) != f]
            old = [known[f.path] for f in new if f.path in known]
            self._check(path, new, old)
            self._database.add_pin(path, recursive, new)
            self._paths[path] = recursive or self._paths.get(path, False)
            self._exchange(new, old)
            return self._told(path)

    def remove(self, path: str) -> Pin:
        """Unpin a path; what another pin holds stays pinned. Raises PathNotFound."""
        with self._lock:
            if path not in self._paths:
                names = ", ".join(sorted(self._paths)) or "none"
                raise PathNotFound(f"{path} is not pinned", remedy=f"Pins: {names}")
            told = self._told(path)
            left = {p: r for p, r in self._paths.items() if p != path}
            gone = [f for f in self._database.pinned(path) if not _covered(left, f.path)]
            self._database.remove_pin(path, gone)
            self._paths = left
            self._exchange((), gone)
            return told

    def release(self, mount: str, inner: Iterable[str]) -> None:
        """A mount is gone: what pins held through it is no longer pinned; the pins stay."""
        others = dict.fromkeys(inner, True)
        with self._lock:
            gone = [f for f in self._database.pinned(mount) if not _covered(others, f.path)]
            self._database.replace_pinned((), gone)
            self._exchange((), gone)

    def follow(self, file: FileVersion) -> None:
        """A file is about to be filled: where a pin covers it, this version is what is pinned."""
        if not self.covers(file.path):
            return
        with self._lock:
            if not self.covers(file.path):
                return
            old = [f for f in self._database.pinned(file.path) if f.path == file.path]
            if old == [file]:
                return
            try:
                self._check(file.path, [file], old)
            except (NoSpace, InvalidRequest) as e:
                log.warning("%s is cached without being pinned: %s", file.path, e)
                self._database.replace_pinned((), old)
                self._exchange((), old)
                return
            self._database.replace_pinned([file], old)
            self._exchange([file], old)

    def all(self) -> list[Pin]:
        """All pins, by path."""
        with self._lock:
            return [self._told(path) for path in sorted(self._paths)]

    def _told(self, path: str) -> Pin:
        files, length = self._database.pinned_totals(path)
        return Pin(path, self._paths[path], files, length)

    def _check(self, path: str, new: list[FileVersion], old: list[FileVersion]) -> None:
        length = self.length + sum(f.length for f in new) - sum(f.length for f in old)
        if length > (most := self._store.pins_at_most_bytes) and new:
            raise NoSpace(
                f"{path} can't be pinned",
                cause=f"pins would hold {format_size(length)} of the {format_size(most)} that "
                "pin_share leaves them",
                remedy="Unpin something (`millpond pins`), or raise pin_share or the capacity",
            )
        if self._files + len(new) - len(old) > FILES_AT_MOST and new:
            raise InvalidRequest(
                f"{path} can't be pinned",
                cause=f"pins would hold more than {FILES_AT_MOST} files",
                remedy="Pin directories with fewer, larger files",
            )

    def _exchange(self, new: Iterable[FileVersion], old: Iterable[FileVersion]) -> None:
        for file in old:
            self._store.unpin(file)
            self._files, self.length = self._files - 1, self.length - file.length
        for file in new:
            self._store.pin(file)
            self._files, self.length = self._files + 1, self.length + file.length


def _covered(pins: dict[str, bool], path: str) -> bool:
    if path in pins:
        return True
    at = path
    while at != "/":
        at = at[: at.rindex("/")] or "/"
        if pins.get(at):
            return True
    return False
