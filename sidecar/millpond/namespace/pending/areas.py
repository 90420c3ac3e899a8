"""Staging areas: directories whose files are on this node alone until they are renamed out. Pure.

Committers that rename write a job's files into such a directory first. Where it lies in the path
says a *staging glob* of the mount (``_temporary``); the directory that matches is the *top* of an
area. A directory in it is *held* when a client of this node made it: what is created below stays
here. What other nodes create there goes to the store, for they do not hold it; so whoever looks at
an area looks at both.

A name knows its parent by number: a directory with all that is in it gets another place by one
change. A file's blocks lie under the number in its version, and stay where they are.
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from millpond.errors import NotADirectory
from millpond.model.globs import glob_pattern
from millpond.model.paths import file_id
from millpond.namespace.pending.records import Entry, Op
from millpond.under.base import ObjectStat

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

DEFAULT_GLOBS = ("_temporary", ".hive-staging*", "tmp/presto-*")
NONE = "none"
DEPTH = 1
"""How far below its top a directory may be held. Whoever sets up a job makes that one; its tasks,
which may run on other nodes, make deeper ones."""


@dataclass(frozen=True)
class StagingGlobs:
    """Which directories of a mount are tops of staging areas: globs over components of paths."""

    globs: tuple[str, ...] = DEFAULT_GLOBS

    def split(self, below: str) -> tuple[str, tuple[str, ...]] | None:
        """A path below a mount as (top, names below it), where one of its directories matches."""
        found = self._pattern.match(below) if self._pattern is not None else None
        if found is None:
            return None
        names = below[found.end() + 1 :].split("/") if found.end() < len(below) else []
        return (below[: found.end()], tuple(names)) if all(names) else None

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        if not self.globs:
            return None
        tops = "|".join(map(glob_pattern, self.globs))
        return re.compile(rf"(?s:(?:.*?/)??(?:{tops})(?=/|\Z))")

    @staticmethod
    def parse(text: str) -> StagingGlobs:
        """``_temporary, tmp/job-*``, or ``none``. Raises ValueError."""
        globs = tuple(g for g in (part.strip() for part in text.split(",")) if g)
        if globs == (NONE,):
            return StagingGlobs(())
        if not globs or any("**" in g or g.startswith("/") or g.endswith("/") for g in globs):
            raise ValueError("names of directories with * and ?, such as _temporary; or none")
        if any(not re.search("[^*?/]", g) for g in globs):
            raise ValueError("names with at least one letter")
        return StagingGlobs(globs)


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in an area: that of its store, the key of its top, the names below that."""

    mount: str
    place: str
    top: str
    names: tuple[str, ...]

    @property
    def key(self) -> str:
        return "/".join((self.top, *self.names))


@dataclass(frozen=True, slots=True)
class Name:
    """A file or a directory in an area. ``version`` "": a directory.

    A top has parent 0, its key as its name, and says in which store and by which mount it lies.
    """

    id: int
    parent: int
    name: str
    version: str = ""
    length: int = 0
    mtime_ms: int = 0
    held: bool = False
    place: str = ""
    mount: str = ""

    @property
    def is_dir(self) -> bool:
        return not self.version

    @property
    def file_id(self) -> bytes:
        return file_id("", self.version)

    def stat(self, key: str) -> ObjectStat:
        return ObjectStat(key, self.length, self.mtime_ms, self.version, is_dir=self.is_dir)

    def entry(self, mount: str, place: str, key: str) -> Entry:
        """The file as a change of the key where it is renamed to."""
        return Entry(
            "", mount, place, key, Op.PUT, self.version, self.length, self.mtime_ms
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Changes:
    """What becomes of names in one step: these are as they say, those are no more."""

    put: Sequence[Name] = ()
    gone: Sequence[Name] = ()

    def __bool__(self) -> bool:
        return bool(self.put or self.gone)


NO_CHANGES = Changes()


def split_orphans(names: Iterable[Name]) -> tuple[list[Name], list[Name]]:
    """Names that lead up to a top, and those that don't."""
    by_id = {name.id: name for name in names}
    inside: dict[int, list[Name]] = {}
    for name in by_id.values():
        inside.setdefault(name.parent, []).append(name)
    rooted = list(inside.get(0, ()))
    for name in rooted:  # grows meanwhile
        rooted += inside.get(name.id, ())
    known = {name.id for name in rooted}
    kept = [name for name in by_id.values() if name.id in known]
    return kept, [name for name in by_id.values() if name.id not in known]


@dataclass(slots=True)
class _Node:
    name: Name
    children: dict[str, int] = field(default_factory=dict)


class Areas:
    """All areas of a node, in memory. Methods that plan a change make none: ``apply`` does.

    Who plans and applies holds ``lock`` meanwhile; who only looks need not.
    """

    def __init__(self, names: Iterable[Name] = ()) -> None:
        self.lock = threading.RLock()
        self._nodes: dict[int, _Node] = {}
        self._tops: dict[tuple[str, str], int] = {}
        self._last = 0
        self._held_keys: frozenset[tuple[str, str]] = frozenset()
        self.apply(Changes(put=list(names)))

    def __len__(self) -> int:
        return len(self._nodes)

    # -- looking

    def at(self, spot: Spot) -> Name | None:
        """What has the name of a spot."""
        with self.lock:
            path = self._path(spot)
            return path[-1].name if len(path) == len(spot.names) + 1 else None

    def held(self, spot: Spot) -> bool:
        """Whether what is created at or below a spot stays here."""
        with self.lock:
            return any(node.name.held for node in self._path(spot))

    def children(self, name: Name) -> list[Name]:
        with self.lock:
            node = self._nodes.get(name.id)
            return [self._nodes[i].name for i in node.children.values()] if node else []

    def below(self, name: Name) -> Iterator[tuple[str, Name]]:
        """(names that lead there, the file or directory) of all below a directory."""
        for child in self.children(name):
            yield child.name, child
            for inside, each in self.below(child):
                yield f"{child.name}/{inside}", each

    def held_keys(self) -> frozenset[tuple[str, str]]:
        """(place, key) of the held directories. Takes no lock: who asks may hold one for which
        who holds ``lock`` waits."""
        return self._held_keys

    def tops(self) -> list[Name]:
        with self.lock:
            return [self._nodes[i].name for i in self._tops.values()]

    def tops_below(self, place: str, key: str) -> list[Name]:
        """The areas whose tops lie at or below a key."""
        inside = f"{key}/" if key else ""
        return [
            top for top in self.tops()
            if top.place == place and (top.name == key or top.name.startswith(inside))
        ]  # fmt: skip

    def _path(self, spot: Spot) -> list[_Node]:
        """The nodes from the top to the spot, as far as there are any."""
        at = self._tops.get((spot.place, spot.top))
        found = []
        for name in (*spot.names, ""):
            if at is None:
                break
            node = self._nodes[at]
            found.append(node)
            at = node.children.get(name)
        return found[: len(spot.names) + 1]

    # -- planning

    def hold(self, spot: Spot) -> Changes:
        """A held directory at a spot."""
        there = self.at(spot)
        put = list(self.make(spot).put) if there is None else [there]
        return Changes(put=[*put[:-1], replace(put[-1], held=True)])

    def make(self, spot: Spot) -> Changes:
        """The directories that lead to a spot, and one there. Raises NotADirectory."""
        path = self._path(spot)
        for node in path:
            if not node.name.is_dir:
                raise NotADirectory(
                    f"{spot.key} can't be made", cause=f"{node.name.name} is a file"
                )
        put: list[Name] = []
        parent = path[-1].name.id if path else 0
        now = time.time_ns() // 1_000_000
        for name in (spot.top, *spot.names)[len(path) :]:
            if parent:
                new = Name(self._new(), parent, name, mtime_ms=now)
            else:
                new = Name(self._new(), 0, name, mtime_ms=now, place=spot.place, mount=spot.mount)
            put.append(new)
            parent = new.id
        return Changes(put=put)

    def file(self, spot: Spot, entry: Entry) -> Changes:
        """A file at a spot, in place of one that may be there, and the directories that lead to
        it. Raises NotADirectory."""
        above = Spot(spot.mount, spot.place, spot.top, spot.names[:-1])
        made = list(self.make(above).put)
        parent = made[-1].id if made else self._path(above)[-1].name.id
        old = self.at(spot)
        new = Name(
            self._new(), parent, spot.names[-1], entry.version, entry.length, entry.mtime_ms
        )  # fmt: skip
        return Changes(put=[*made, new], gone=[] if old is None else [old])

    def move(self, name: Name, spot: Spot) -> Changes:
        """A name, with all below it, to a spot where nothing is. Raises NotADirectory."""
        above = Spot(spot.mount, spot.place, spot.top, spot.names[:-1])
        made = list(self.make(above).put)
        parent = made[-1].id if made else self._path(above)[-1].name.id
        moved = replace(name, parent=parent, name=spot.names[-1], place="", mount="")
        return Changes(put=[*made, moved], gone=self._idle_above(name, kept=parent))

    def drop(self, name: Name) -> Changes:
        """A name with all below it; a top that holds nothing any more goes too."""
        return Changes(gone=[name, *(n for _, n in self.below(name)), *self._idle_above(name)])

    def carry(self, place: str, source: str, target: str) -> Changes:
        """The areas below a directory of the store that was renamed."""
        tops = [t for t in self.tops_below(place, source) if t.name != source]
        return Changes(put=[replace(t, name=target + t.name[len(source) :]) for t in tops])

    def _idle_above(self, name: Name, kept: int = 0) -> list[Name]:
        """The directories above that are nothing but the way to this name."""
        gone: list[Name] = []
        while name.parent and name.parent != kept:
            node = self._nodes[name.parent]
            if node.name.held or len(node.children) > 1 or self._in_held(node.name):
                break
            gone.append(name := node.name)
        return gone

    def _in_held(self, name: Name) -> bool:
        while name.parent:
            name = self._nodes[name.parent].name
            if name.held:
                return True
        return False

    def _new(self) -> int:
        self._last += 1
        return self._last

    # -- changing

    def apply(self, changes: Changes) -> None:
        """What the journal has recorded."""
        with self.lock:
            for name in changes.gone:
                node = self._nodes.pop(name.id, None)
                if node is not None:
                    self._unlink(node.name)
            for name in changes.put:
                self._nodes.setdefault(name.id, _Node(name))
            for name in changes.put:
                node = self._nodes[name.id]
                self._unlink(node.name)
                node.name = name
                if name.parent:
                    self._nodes[name.parent].children[name.name] = name.id
                else:
                    self._tops[name.place, name.name] = name.id
                self._last = max(self._last, name.id)
            if any(n.held or not n.parent for n in (*changes.put, *changes.gone)):
                self._held_keys = frozenset(self._find_held())

    def _find_held(self) -> Iterator[tuple[str, str]]:
        for top in self.tops():
            if top.held:
                yield top.place, top.name
                continue
            for name in self.children(top):
                if name.held:
                    yield top.place, f"{top.name}/{name.name}"

    def _unlink(self, name: Name) -> None:
        if not name.parent:
            if self._tops.get((name.place, name.name)) == name.id:
                del self._tops[name.place, name.name]
            return
        parent = self._nodes.get(name.parent)
        if parent is not None and parent.children.get(name.name) == name.id:
            del parent.children[name.name]
