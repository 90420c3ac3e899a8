"""Staging areas, performed: what committers write before they rename it, kept on this node.

What is asked of a path in an area is answered from what is held here first, and of all else from
the store, each time anew: other nodes' files of the same job are there. Each change is one step of
the journal. Files renamed out of an area become pending entries in that step: visible, and on
their way to the store.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from millpond.errors import (
    AlreadyExists,
    DirectoryNotEmpty,
    IsADirectory,
    NotADirectory,
    PathNotFound,
)
from millpond.model.paths import file_id, join, parent
from millpond.namespace.options import AROUND, CACHE, HERE_FIRST, THROUGH
from millpond.namespace.pending.areas import DEPTH, Changes, Spot
from millpond.namespace.pending.records import State, new_id
from millpond.namespace.pending.view import Snapshot, merged
from millpond.namespace.places import At, cacheable
from millpond.server.core.writes import check_free, check_no_commit
from millpond.under.base import ABSENT, ObjectStat
from millpond.under.tree import order
from millpond.wire import millpond_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from millpond.namespace import Namespace
    from millpond.namespace.mounts import Mount
    from millpond.namespace.namespace import Place
    from millpond.namespace.pending.areas import Name
    from millpond.namespace.pending.begun import Begun
    from millpond.namespace.pending.records import Entry
    from millpond.server.core.writes import Write
    from millpond.store.staging import Taken

    Pages = Iterator[tuple[wire.FileInfo, list[wire.FileInfo]]]

log = logging.getLogger(__name__)


class StagingAreas:
    """The areas of this sidecar. All of it blocks; any thread.

    ``await_store`` returns when entries are persisted. An area that nobody asks about is dropped
    after ``idle_s``.
    """

    def __init__(
        self,
        namespace: Namespace,
        await_store: Callable[[list[Entry]], None],
        *,
        idle_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._namespace, self._await_store = namespace, await_store
        self._pending = pending = namespace.pending
        self._areas = pending.areas
        self._idle_s, self._clock = idle_s, clock
        self._started_s = clock()
        self._used: dict[int, float] = {}

    # -- looking

    def knows(self, path: str) -> bool:
        """Whether what is at a path may be here alone, or in part."""
        spot = self._spot(path)
        if spot is None:
            return False
        self._touch(spot)
        return self._areas.at(spot) is not None or self._areas.held(spot)

    def holds(self, path: str) -> bool:
        """Whether what is created at a path stays here."""
        spot = self._spot(path)
        return spot is not None and bool(spot.names) and self._areas.held(spot)

    def find(self, path: str) -> wire.FileInfo | None:
        """What is held here at a path."""
        spot = self._spot(path)
        name = self._areas.at(spot) if spot is not None else None
        return None if spot is None or name is None else self._info(path, name.stat(spot.key))

    def look(self, path: str, *, force: bool = False) -> wire.FileInfo:
        """As ``Namespace.stat``, of any path: a directory with an area in it is there, too."""
        if self.knows(path):
            return self._stat(path)
        try:
            return self._namespace.stat(path, force=force)
        except PathNotFound:
            if not self._leads(path):
                raise
            return wire.FileInfo(path=path, directory=True)

    def entries(self, path: str, *, recursive: bool) -> Pages:
        """As ``Namespace.list``, of any path."""
        if self.knows(path):
            yield from self._listed(path, recursive=recursive)
            return
        try:
            yield from self._namespace.list(path, recursive=recursive)
        except PathNotFound:
            if not self._leads(path):
                raise
            yield wire.FileInfo(path=path, directory=True), []

    def _leads(self, path: str) -> bool:
        """Whether an area lies below a path, which makes it a directory."""
        resolved = self._namespace.table.resolve(path)
        return bool(self._areas.tops_below(resolved.mount.place, resolved.key))

    def _stat(self, path: str) -> wire.FileInfo:
        """Of a path in an area. Raises PathNotFound, and what the store raises."""
        found = self.find(path)
        if found is not None:
            return found
        place = self._namespace.place(path)
        return self._info(path, place.store.stat(place.key))

    def _listed(self, path: str, *, recursive: bool) -> Pages:
        """As ``Namespace.list``, of a path in an area."""
        spot = self._spot(path)
        name = self._areas.at(spot) if spot is not None else None
        place = self._namespace.place(path)
        shown: list[ObjectStat] = []
        if name is not None and not name.is_dir:
            raise NotADirectory(f"{path} is a file")
        if name is not None and recursive:
            below = self._areas.below(name)
            shown = [n.stat(f"{place.key}/{inside}") for inside, n in below if not n.is_dir]
        elif name is not None:
            shown = [n.stat(f"{place.key}/{n.name}") for n in self._areas.children(name)]

        def stored() -> Iterator[list[ObjectStat]]:
            try:
                yield from place.store.list(place.key, recursive=recursive)
            except (PathNotFound, NotADirectory):
                if name is None:
                    raise

        head = wire.FileInfo(path=path, directory=True)
        pages = merged(stored(), Snapshot(sorted(shown, key=order), frozenset()))
        first = next(pages, [])
        yield head, self._relative(place, first)
        for page in pages:
            yield head, self._relative(place, page)

    def _relative(self, place: Place, page: list[ObjectStat]) -> list[wire.FileInfo]:
        start = len(place.key) + 1
        return [
            wire.FileInfo(
                path=each.key[start:].removesuffix("/"), directory=each.is_dir,
                length=each.length, mtime_ms=each.mtime_ms, version=each.version,
                file_id=self._file_id(place.mount, each),
            )
            for each in page
        ]  # fmt: skip

    # -- changing

    def check_above(self, path: str, *, must: bool, stored: Callable[[str], object]) -> None:
        """What is above a new file has to be a directory; with ``must``, there. ``stored`` looks
        in the store."""
        above = parent(path)
        while self.knows(above):
            found = self.find(above)
            if found is not None and not found.directory:
                raise NotADirectory(f"{path} can't be made", cause=f"{above} is a file")
            if found is not None:
                return
            if must and stored(above) is None:
                raise PathNotFound(
                    f"{path} can't be made",
                    cause=f"the directory {above} does not exist",
                    remedy="Make it first",
                )
            must, above = False, parent(above)

    def begins(self, path: str) -> bool:
        """Whether a new directory begins an area."""
        spot = self._spot(path)
        mount = self._namespace.table.find(path)
        if spot is None or mount is None or len(spot.names) > DEPTH:
            return False
        return mount.write_type(path) != AROUND

    def hold(self, path: str) -> None:
        """A directory with which an area begins."""
        spot = self._at(path)
        with self._pending.changing(spot.place, spot.key, clean=False), self._areas.lock:
            self._record(self._areas.hold(spot))
        self._touch(spot)
        self._namespace.invalidate([path], tree=True)

    def mkdirs(self, path: str) -> None:
        """A directory in a held one. Raises NotADirectory."""
        spot = self._at(path)
        with self._areas.lock:
            self._record(self._areas.make(spot))

    def stage(self, write: Write, taken: Taken) -> wire.FileInfo:
        """A file that was written in a held directory. Raises AlreadyExists, PathNotFound where
        the directory is there no more, and what keeping its blocks raises."""
        spot = self._at(write.path)
        entry = self._pending.keep(self._namespace.place(write.path), taken)
        with self._pending.owned(entry):
            self._pending.sync([entry])  # by its task: so that no rename has to wait for it
            with self._areas.lock:
                old = self._areas.at(spot)
                if not self._areas.held(spot):
                    raise PathNotFound(
                        f"{write.path} can't be made",
                        cause="the staging directory above was deleted meanwhile",
                    )
                if old is not None and old.is_dir:
                    raise IsADirectory(f"{write.path} is a directory")
                if old is not None and write.expect == ABSENT:
                    raise AlreadyExists(f"{write.path} exists")
                changes = self._areas.file(spot, entry)
                self._record(changes)
        self._drop_blocks(changes)
        self._namespace.invalidate([write.path], tree=False)
        return self._info(write.path, changes.put[-1].stat(spot.key))

    def check_delete(self, path: str, *, recursive: bool) -> bool:
        """Whether ``delete`` would delete anything. Raises as that does."""
        return bool(self._deleted(path, recursive=recursive))

    def delete(self, path: str, *, recursive: bool) -> None:
        """What is held at a path or below it, areas in it included. Raises DirectoryNotEmpty."""
        with self._areas.lock:
            self._drop(self._deleted(path, recursive=recursive))

    def _deleted(self, path: str, *, recursive: bool) -> list[Name]:
        spot = self._spot(path)
        names = self._below(path, spot)
        if names and not recursive:
            if spot is None:
                raise DirectoryNotEmpty(
                    f"{path} is not empty",
                    cause=f"a job has its staging in it: {names[0].name}",
                    remedy="Wait until the job has ended, or delete it recursively",
                )
            if self._areas.children(names[0]):
                raise DirectoryNotEmpty(f"{path} is not empty", remedy="Delete it recursively")
        return names

    def _below(self, path: str, spot: Spot | None) -> list[Name]:
        if spot is None:
            place = self._namespace.place(path)
            return self._areas.tops_below(place.mount.place, place.key)
        name = self._areas.at(spot)
        return [] if name is None else [name]

    def check_rename(self, source: str, target: str) -> None:
        """Raises NotSupported where a file would leave its area as a commit file."""
        self._check_commits(target, self._leaving(self._at(source), self._spot(target)))

    def rename(self, source: str, target: str, begun: Begun) -> None:
        """What is held at a path, to one where nothing is: a move within an area, or out of it.
        ``begun`` before that was looked at. Raises PathNotFound, AlreadyExists, NotSupported,
        Conflict, and what waiting for the store raises."""
        to = self._spot(target)
        leaving = self._leaving(self._at(source), to)
        self._look_for(target, [inside for inside, _ in leaving])
        with self._pending.changing(begun.place, begun.key, clean=False), self._areas.lock:
            if begun.taken:
                raise AlreadyExists(f"{target} exists", cause="it was made meanwhile")
            made = self._renamed(source, target, to)
        if made is None:
            return
        self._pending.committed(made)
        if not made:
            place = self._namespace.place(target)
            place.store.mkdirs(place.key)
        waited = [e for e in made if self._write_type(e) not in HERE_FIRST]
        if waited:
            self._await_store(waited)

    def _renamed(self, source: str, target: str, to: Spot | None) -> list[Entry] | None:
        """The journal's step: what has left its area, None for a move within areas."""
        name = self._areas.at(self._at(source))
        if name is None:
            raise PathNotFound(f"{source} does not exist", cause="it was moved meanwhile")
        check_free(source, target, self.find(target))
        if to is not None and self._stays(name, to):
            self._record(self._areas.move(name, to))
            return None
        files = self._files(name)
        self._check_commits(target, files)
        return self._leave(target, files, self._areas.drop(name))

    def check_carried(self, source: str, target: str) -> None:
        """Raises AlreadyExists where an area lies at or below what is to be a new name."""
        place = self._namespace.place(target)
        for top in self._areas.tops_below(place.mount.place, place.key):
            raise AlreadyExists(
                f"{source} can't be renamed to {target}",
                cause=f"a job has its staging there: {top.name}",
                remedy="Wait until the job has ended, or name another",
            )

    def carried(self, source: str, target: str) -> None:
        """A directory of the store was renamed: areas in it go along."""
        old, new = self._namespace.place(source), self._namespace.place(target)
        with self._areas.lock:
            self._record(self._areas.carry(old.mount.place, old.key, new.key))

    def expire(self) -> None:
        """Drop the areas that nobody asks about any more."""
        before = self._clock() - self._idle_s
        for top in self._areas.tops():
            if self._used.get(top.id, self._started_s) < before:
                log.warning("staging area %s is dropped: unused for %g s", top.name, self._idle_s)
                self.drop_area(top)

    def drop_area(self, top: Name) -> None:
        with self._areas.lock:
            self._drop([top])

    # -- parts

    def _leaving(self, spot: Spot, to: Spot | None) -> list[tuple[str, Name]]:
        """What a rename would bring out of an area: files, and the names below that lead there."""
        with self._areas.lock:
            name = self._areas.at(spot)
            if name is None or (to is not None and self._stays(name, to)):
                return []
            return self._files(name)

    def _files(self, name: Name) -> list[tuple[str, Name]]:
        found = self._areas.below(name) if name.is_dir else [("", name)]
        return [(inside, each) for inside, each in found if not each.is_dir]

    def _look_for(self, target: str, inside: Iterable[str]) -> None:
        """Ask the store for what it was known to have below a path: it may have gone. A slow store
        keeps no other job waiting."""
        place = self._namespace.place(target)
        for key in (f"{place.key}/{each}" for each in inside if each):
            if self._pending.aliases.get(place.mount.place, key) is not None:
                place.store.find(key)

    def _check_commits(self, target: str, files: Iterable[tuple[str, Name]]) -> None:
        for inside, _ in files:
            path = join(target, inside) if inside else target
            check_no_commit(self._namespace.table.resolve(path).mount, path)

    def _leave(self, target: str, files: list[tuple[str, Name]], changes: Changes) -> list[Entry]:
        """Files become pending at and below a path, in one step; ``committed`` tells it then."""
        place, batch = self._namespace.place(target), new_id()
        entries = []
        for inside, name in files:
            key = f"{place.key}/{inside}" if inside else place.key
            entry = name.entry(place.mount.path, place.mount.place, key)
            cached = self._write_type(entry) == CACHE
            state = State.KEPT if cached else State.STAGED
            entries.append(replace(entry, batch=batch, expect=ABSENT, state=state))

        def leave() -> list[Entry]:
            made = self._pending.journal.record(entries, changes)
            self._areas.apply(changes)
            return made

        return self._pending.commit(leave, entries)

    def _drop(self, names: list[Name]) -> None:
        for name in names:
            changes = self._areas.drop(name)
            self._record(changes)
            self._drop_blocks(changes)
            self._used.pop(name.id, None)

    def _drop_blocks(self, changes: Changes) -> None:
        gone = [n for n in changes.gone if not n.is_dir]
        self._pending.drop(n.entry(n.mount, n.place, "") for n in gone)

    def _record(self, changes: Changes) -> None:
        if not changes:
            return
        self._pending.journal.record([], changes)
        self._areas.apply(changes)
        if any(name.held for name in (*changes.put, *changes.gone)):
            self._namespace.pending_mounts.flag()

    def _stays(self, name: Name, to: Spot) -> bool:
        """Whether a rename to there is one within areas."""
        if not to.names:
            return False
        above = Spot(to.mount, to.place, to.top, to.names[:-1])
        return self._areas.held(above) or (name.held and len(to.names) <= DEPTH)

    def _write_type(self, entry: Entry) -> str:
        mount = self._namespace.table.find(entry.mount)
        path = mount.path_of(entry.key) if mount is not None else None
        return THROUGH if mount is None or path is None else mount.write_type(path)

    def _touch(self, spot: Spot) -> None:
        top = self._areas.at(Spot(spot.mount, spot.place, spot.top, ()))
        if top is not None:
            self._used[top.id] = self._clock()

    def _spot(self, path: str) -> Spot | None:
        mount = self._namespace.table.find(path)
        return None if mount is None else mount.spot(path)

    def _at(self, path: str) -> Spot:
        spot = self._spot(path)
        assert spot is not None, f"{path} is in no area"
        return spot

    @staticmethod
    def _file_id(mount: Mount, found: ObjectStat) -> bytes:
        cached = cacheable(found.key, found)
        return file_id(mount.store_path(found.key), found.version) if cached else b""

    def _info(self, path: str, found: ObjectStat) -> wire.FileInfo:
        mount = self._namespace.table.resolve(path).mount
        return At(path, mount, mount.key(path)).info(found)
