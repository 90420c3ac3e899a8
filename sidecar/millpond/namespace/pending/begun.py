"""Files that are being written, and what they are to replace while this node changes that itself.

A file is begun with the version that is there, and is to replace just that. What this node makes of
its key until the commit is no other's change: what the write is to replace follows it.
"""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millpond.errors import Conflict, IsADirectory, NotADirectory
from millpond.under.base import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(eq=False, slots=True, weakref_slot=True)
class Begun:
    """One file; forgotten with its last reference. ``expect`` as ``UnderStore.put`` has it.

    ``above``: the file that this node has made above it meanwhile; ``is_dir``: it has made a
    directory of it. ``unknown``: it has tried to change what is there, and can't tell what came of
    it.
    """

    place: str
    key: str
    expect: str | None = None
    above: str = ""
    is_dir: bool = False
    unknown: bool = False

    @property
    def taken(self) -> bool:
        """Whether this node has put anything there, above it or below it since it was begun."""
        return bool(self.expect) or bool(self.above) or self.is_dir or self.unknown

    def check(self, *, strict: bool) -> None:
        """Raises NotADirectory, IsADirectory, Conflict where it can't be committed any more."""
        if self.above:
            raise NotADirectory(
                f"{self.key} can't be made", cause=f"{self.above} was made meanwhile, a file"
            )
        if self.is_dir:
            raise IsADirectory(f"{self.key} is a directory", cause="it was made meanwhile")
        if self.unknown or (strict and self.expect != ABSENT):
            cause = "a change of it failed, and may have been done" if self.unknown else ""
            raise Conflict(
                f"{self.key} is not what was to be replaced",
                cause=cause or "it was written by another meanwhile",
                remedy="Look at it, and write again",
            )


class UnderWay:
    """All of them. Thread-safe; memory only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: weakref.WeakSet[Begun] = weakref.WeakSet()

    def begin(self, place: str, key: str) -> Begun:
        """To be called before anybody looks what is there; ``found`` says it then."""
        begun = Begun(place, key)
        with self._lock:
            self._all.add(begun)
        return begun

    def found(self, begun: Begun, version: str) -> None:
        """What was seen there, unless this node has changed it since."""
        with self._lock:
            if begun.expect is None:
                begun.expect = version

    def made(self, place: str, key: str, version: str) -> None:
        """This node has made that of a key: a file, or ABSENT."""
        with self._lock:
            for begun in self._of(place):
                if begun.key == key:
                    begun.expect, begun.is_dir, begun.unknown = version, False, False
                elif version == ABSENT:
                    continue
                elif _is_at(begun.key, key):
                    begun.above = key
                elif _is_at(key, begun.key):
                    begun.is_dir = True

    def made_directory(self, place: str, key: str) -> None:
        """This node has made a directory of a key, and of those above it."""
        with self._lock:
            for begun in self._of(place):
                if _is_at(key, begun.key):
                    begun.is_dir = True

    def removed(self, place: str, key: str) -> None:
        """This node has removed what was at a key, and below it."""
        with self._lock:
            for begun in self._of(place):
                if _is_at(begun.key, key):
                    begun.expect, begun.above = ABSENT, ""
                    begun.is_dir = begun.unknown = False

    def looked(self, place: str, key: str, version: str) -> None:
        """That is there after a change by this node that failed."""
        with self._lock:
            for begun in self._of(place):
                if begun.key == key and begun.expect != version:
                    begun.unknown = begun.expect is not None and version != ABSENT
                    begun.expect = version

    def unknown(self, place: str, key: str) -> None:
        """This node has changed a key, or not: nobody can tell."""
        with self._lock:
            for begun in self._of(place):
                if begun.key == key:
                    begun.unknown = True

    def concerned(self, place: str, key: str) -> bool:
        """Whether one lies at a key, below it or above it."""
        with self._lock:
            return any(_is_at(b.key, key) or _is_at(key, b.key) for b in self._of(place))

    def keys(self, place: str, key: str) -> set[str]:
        """Of those at a key and below it."""
        with self._lock:
            return {b.key for b in self._of(place) if _is_at(b.key, key)}

    def _of(self, place: str) -> Iterator[Begun]:
        return (b for b in self._all if b.place == place)


def _is_at(key: str, above: str) -> bool:
    return key == above or key.startswith(f"{above}/")


class Changes:
    """The keys that this node changes in a store itself, each by one thread at a time.

    ``lock`` is that of who commits: what it commits at such a key, below it or above it waits until
    the change is over and known. A thread that changes keys may change those below them too. Below
    a directory that is made (``shallow``) others may change what they like.
    """

    def __init__(self, lock: threading.Condition) -> None:
        self._lock = lock
        self._running: list[_Change] = []

    def met(self, place: str, *keys: str, shallow: bool = False) -> bool:
        """Whether another thread changes one of these. By who holds ``lock``."""
        me = threading.get_ident()
        return any(
            (_is_at(key, each) and not (change.shallow and key != each))
            or (_is_at(each, key) and not (shallow and key != each))
            for change in self._running
            if change.thread != me and change.place == place
            for key in keys
            for each in change.keys
        )

    def begin(self, place: str, *keys: str, shallow: bool = False) -> _Change:
        """By who holds ``lock``, once nobody is met."""
        change = _Change(threading.get_ident(), place, keys, shallow)
        self._running.append(change)
        return change

    def end(self, change: _Change) -> None:
        with self._lock:
            self._running.remove(change)
            self._lock.notify_all()


@dataclass(frozen=True, slots=True, eq=False)
class _Change:
    thread: int
    place: str
    keys: tuple[str, ...]
    shallow: bool
