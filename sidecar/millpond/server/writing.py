"""Writing, performed: sessions and their staging, uploads, and changes of the namespace.

What is known of a path goes before its store is touched, and again when that is done, whether or
not it succeeded: an answer to a look that began in between may be of before. Only then is asked
what the store has now, and that is published. Blocks have their names before meta leads to them.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from millpond import metrics as m
from millpond.errors import (
    AlreadyExists,
    IsADirectory,
    MillpondError,
    NotSupported,
    PathNotFound,
)
from millpond.model.paths import check_path, file_id, join, parent, staged
from millpond.model.sizes import INLINE_FILE_BYTES
from millpond.namespace.options import AROUND, CACHE, HERE_FIRST, THROUGH
from millpond.namespace.pending.records import State, new_id
from millpond.server.commit_files import CommitFiles
from millpond.server.core import writes as core
from millpond.server.core.writes import MAX_FILES_AT_ONCE, Write, Writes
from millpond.under.base import ABSENT
from millpond.wire import millpond_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from millpond.namespace import Namespace
    from millpond.namespace.namespace import Place
    from millpond.namespace.pending.begun import Begun
    from millpond.server.areas import StagingAreas
    from millpond.server.batches import Batches
    from millpond.store import BlockStore
    from millpond.store.staging import StagedFile, Taken

log = logging.getLogger(__name__)


class Writing:
    """The write verbs. All of it blocks; any thread. ``owner`` is a connection's number."""

    def __init__(
        self,
        store: BlockStore,
        namespace: Namespace,
        count: Callable[[m.Metric, float, str], None],
        batches: Batches,
        areas: StagingAreas,
    ) -> None:
        self._store, self._namespace = store, namespace
        self._count, self._batches, self._areas = count, batches, areas
        self.commit_files = CommitFiles(namespace)
        self.writes = Writes()

    def path_of(self, owner: int, verb: str, request: Any) -> str:
        """[loop] What a request is about, unchecked; "" where that is no path of a store."""
        match verb:
            case "rename":
                return str(request.source)
            case "commit":
                return self.writes.path(owner, request.write)
            case "abort":
                return ""
            case _:
                return str(request.path)

    # One file.

    def begin(self, owner: int, request: wire.BeginRequest) -> wire.BeginReply:
        """Look whether the file may be made, and make staging files for it."""
        count = min(max(1, request.files), MAX_FILES_AT_ONCE)
        if request.write:
            number, first = request.write, False
        else:
            path = check_path(request.path)
            number, first = self._begun(owner, path, request).number, True
        files: list[StagedFile] = []
        try:
            session = self.writes.session(owner, number)
            files = self._store.staging.create(session, count, first=first)
            write, done = self.writes.added(owner, number, files)
            if done and self._durable(write):
                self._store.staging.write_back(done)
        except BaseException:
            self._store.staging.discard(files)
            if first:
                self.abort(owner, number)
            raise
        names = [f.name for f in files]
        return wire.BeginReply(write=number, file_id=write.file_id, files=names)

    @staticmethod
    def _durable(write: Write) -> bool:
        """Whether its commit waits for the disk."""
        return write.write_type in HERE_FIRST or staged(write.path) is not None

    def _begun(self, owner: int, path: str, request: wire.BeginRequest) -> Write:
        """A write of a file that may be made."""
        strict = not request.overwrite
        if staged(path) is not None:
            self._batches.check(path)
            return self.writes.begin(owner, path, ABSENT if strict else None, strict=strict)
        table = self._namespace.table
        if core.is_fixed(table, path):
            raise IsADirectory(f"{path} is a directory", cause="it leads to mounts")
        mount = core.writable(table, path)
        if self._areas.holds(path):
            return self._begun_held(owner, path, request)
        write_type = core.write_type(mount, path, request.write_type)
        if write_type in HERE_FIRST and mount.is_commit_file(path):
            write_type = THROUGH
        later = write_type in HERE_FIRST
        begun = self._under_way(path) if later else None
        found = self._found(path, force=later or strict)
        expect = core.check_create(path, found, overwrite=request.overwrite)
        if begun is not None:  # what others make until it is persisted is kept
            version = ABSENT if found is None else found.version
            self._namespace.pending.under_way.found(begun, version)
        # A directory that another node holds is in no store.
        self._check_above(path, must=request.parent and mount.spot(path) is None)
        return self.writes.begin(
            owner, path, expect, write_type=write_type, strict=strict, begun=begun
        )

    def _under_way(self, path: str) -> Begun:
        place = self._namespace.place(path)
        return self._namespace.pending.under_way.begin(place.mount.place, place.key)

    def _begun_held(self, owner: int, path: str, request: wire.BeginRequest) -> Write:
        """A write in a staging area: nobody else creates the same file, so no store is asked."""
        found = self._areas.find(path)
        if found is None and not request.overwrite:
            found = self._found(path)
        expect = core.check_create(path, found, overwrite=request.overwrite)
        self._areas.check_above(path, must=request.parent, stored=self._found)
        return self.writes.begin(owner, path, expect, write_type=core.HELD)

    def commit(self, owner: int, request: wire.CommitRequest) -> wire.CommitReply:
        """Upload what was staged, and publish it."""
        staging = self._store.staging
        write, files = self.writes.commit(owner, request.write, request.files)
        try:
            staging.discard(core.unnamed(write, files))
            taken = staging.take(files, write.file_id, request.length)
            info = self._performs(write)(write, taken)
        except MillpondError as e:
            self._count(m.WRITES, 1, e.name)
            raise
        finally:
            staging.discard(files)
            if (session := self.writes.committed(owner)) is not None:
                staging.end(session)
        self._count(m.WRITES, 1, "complete")
        self._count(m.WRITTEN_BYTES, request.length, "")
        return wire.CommitReply(info=info)

    def _performs(self, write: Write) -> Callable[[Write, Taken], wire.FileInfo]:
        if staged(write.path) is not None:
            return self._batches.stage
        if write.write_type == core.HELD:
            return self._areas.stage
        return self._later if write.write_type in HERE_FIRST else self._through

    def _later(self, write: Write, taken: Taken) -> wire.FileInfo:
        """Durable here, and visible; the persister brings it to the store, or nobody does."""
        core.writable(self._namespace.table, write.path)
        place = self._namespace.place(write.path)
        pending = self._namespace.pending
        entry = replace(
            pending.keep(place, taken), batch=new_id(), expect=write.expect, strict=write.strict,
            state=State.KEPT if write.write_type == CACHE else State.STAGED,
        )  # fmt: skip
        pending.record(entry, write.begun)
        info = self._namespace.stat(write.path)
        if taken.length <= INLINE_FILE_BYTES and info.version == entry.version:
            self._namespace.inlined(info, bytes(taken.read(0, taken.length)))
        return info

    def _through(self, write: Write, taken: Taken) -> wire.FileInfo:
        place = self._namespace.place(write.path)
        core.writable(self._namespace.table, write.path)
        with self._made(write.path, place), self._changing(write.path):
            version = place.store.put(place.key, taken, expect=write.expect)
        if write.write_type == AROUND:
            return wire.FileInfo(
                path=write.path, length=taken.length, version=version, store_path=place.store_path,
                store_uri=place.mount.uri(place.key),
            )  # fmt: skip
        try:
            return self._publish(write, place, taken, version)
        except MillpondError as e:
            # The store has it, and that is what counts: it is read from there.
            log.warning("%s was written, and is not cached: %s", write.path, e)
            return wire.FileInfo(path=write.path, length=taken.length, version=version)

    def _made(self, path: str, place: Place) -> AbstractContextManager[None]:
        """What stands around the making of a file in its store."""
        if not place.mount.is_commit_file(path):
            return nullcontext()
        return self.commit_files.making(path, place)

    def _publish(self, write: Write, place: Place, taken: Taken, version: str) -> wire.FileInfo:
        ident = file_id(place.store_path, version) if version else b""
        small = taken.length <= INLINE_FILE_BYTES
        cached = bool(ident) and not small and place.admits(taken.length)
        if cached:
            self._store.staging.publish(taken, ident, place.part)
        info = self._namespace.stat(write.path, force=True)
        if cached and info.version != version:
            self._store.drop_file(ident)  # another replaced it already
        elif ident and info.file_id == ident and info.meta_on_disk:
            if small and taken.length and place.admits(taken.length):
                self._namespace.inlined(info, bytes(taken.read(0, taken.length)))
            self._namespace.follow_pin(info)
        return info

    def abort(self, owner: int, number: int) -> None:
        """Forget a write. No error where there is none any more."""
        self._store.staging.discard(self.writes.abort(owner, number))

    def vanished(self, owner: int) -> None:
        """A connection is gone: what it did not commit is removed."""
        files, session = self.writes.vanished(owner)
        self._store.staging.discard(files)
        if session is not None:
            self._store.staging.end(session)

    # The namespace.

    def rename(self, request: wire.RenameRequest) -> wire.RenameReply:
        source, target = check_path(request.source), check_path(request.target)
        core.check_unstaged(source, target)
        core.check_delete(self._namespace.table, source)
        if request.again and self._renamed_before(source, target):
            return wire.RenameReply(path=target)
        try:
            return self._rename(source, target, into=request.into)
        except (AlreadyExists, PathNotFound):
            # The first request may have been under way until now.
            if not request.again or not self._renamed_before(source, target):
                raise
            return wire.RenameReply(path=target)

    def _rename(self, source: str, target: str, *, into: bool) -> wire.RenameReply:
        table, asked = self._namespace.table, target
        found = self._areas.look(source, force=True)
        held = self._areas.find(source) is not None
        # What leaves an area replaces nothing, whatever has come to be there meanwhile.
        at = self._found(target, force=not held)
        if source == target:
            core.check_itself(source, found, into=into)
            return wire.RenameReply(path=source)
        target = core.target_of(source, target, at, into=into)
        core.check_rename(table, source, target)
        if target == source:
            return wire.RenameReply(path=source)
        begun = self._under_way(target) if held else None
        if held or target != asked:
            at = self._found(target, force=not held)
        core.check_free(source, target, at)
        self._check_above(target, must=True)
        if begun is None:
            self._rename_stored(source, target, directory=found.directory)
            return wire.RenameReply(path=target)
        self._areas.check_rename(source, target)
        if found.directory and self._stored(source):
            self._rename_stored(source, target, directory=True)
            begun = self._under_way(target)
        with self._changing(source, target):
            self._areas.rename(source, target, begun)
        return wire.RenameReply(path=target)

    def _rename_stored(self, source: str, target: str, *, directory: bool) -> None:
        old, new = self._namespace.place(source), self._namespace.place(target)
        if new.store.atomic_rename and self._areas.knows(parent(target)):
            new.store.mkdirs(self._namespace.place(parent(target)).key)
        files = self._below(source) if directory else []
        more = [t + f[len(source) :] for f in files for t in (source, target)]
        with self._changing(source, target, *more, tree=directory):
            if new.mount.is_commit_file(target) and not directory:
                self.commit_files.rename(target, old, new)
                return
            with self._namespace.pending.changing(new.mount.place, old.key, new.key):
                self._areas.check_carried(source, target)
                old.store.rename(old.key, new.key)
                if directory:
                    self._areas.carried(source, target)

    def _renamed_before(self, source: str, target: str) -> bool:
        core.check_rename(self._namespace.table, source, target)
        old, new = self._namespace.place(source), self._namespace.place(target)
        if not new.mount.is_commit_file(target) or self._areas.find(source) is not None:
            return False
        with self._changing(source, target):
            return self.commit_files.renamed_before(old, new)

    def delete(self, request: wire.DeleteRequest) -> None:
        path = check_path(request.path)
        if staged(path) is not None:
            self._batches.delete(path)
            return
        core.check_delete(self._namespace.table, path)
        held = self._areas.check_delete(path, recursive=request.recursive)
        try:
            self._delete_stored(path, recursive=request.recursive)
        except PathNotFound:
            if not held:
                raise
        if held:
            with self._changing(path):
                self._areas.delete(path, recursive=request.recursive)

    def _delete_stored(self, path: str, *, recursive: bool) -> None:
        found = self._namespace.stat(path, force=True)
        place = self._namespace.place(path)
        files = self._below(path) if found.directory and recursive else []
        with self._changing(path, *files, tree=found.directory):
            place.store.delete(place.key, recursive=recursive)

    def mkdirs(self, request: wire.MkdirsRequest) -> None:
        path = check_path(request.path)
        table = self._namespace.table
        if core.is_fixed(table, path) or staged(path) is not None:
            return
        core.writable(table, path)
        held = self._areas.holds(path)
        begins = not held and self._areas.begins(path)
        found = self._found(path, force=begins)
        if found is not None and found.directory:
            return
        if found is not None:
            raise AlreadyExists(f"{path} is a file", remedy="Delete it first, or name another")
        if held:
            self._areas.mkdirs(path)
            return
        self._check_above(path, must=False)
        if begins:
            self._areas.hold(path)
            return
        place = self._namespace.place(path)
        with self._changing(path):
            place.store.mkdirs(place.key)

    def set_times(self, request: wire.SetTimesRequest) -> None:
        path = check_path(request.path)
        core.check_unstaged(path)
        core.writable(self._namespace.table, path)
        if self._areas.find(path) is not None:
            raise NotSupported(f"the times of {path} can't be set", cause="it is in staging")
        self._namespace.stat(path)
        place = self._namespace.place(path)
        with self._changing(path):
            place.store.set_times(place.key, request.mtime_ms, request.atime_ms)

    # Facts.

    @contextmanager
    def _changing(self, *paths: str, tree: bool = False) -> Iterator[None]:
        """The store is about to change at these paths, with ``tree`` also below them."""
        self._namespace.invalidate(paths, tree=False)
        if tree:
            self._namespace.invalidate(paths[:2], tree=True)
        try:
            yield
        finally:
            if tree:
                self._namespace.invalidate(paths[:2], tree=True)
            self._namespace.invalidate(paths, tree=False)

    def _found(self, path: str, *, force: bool = False) -> wire.FileInfo | None:
        try:
            return self._areas.look(path, force=force)
        except PathNotFound:
            return None

    def _stored(self, path: str) -> bool:
        """Whether the store has something at a path, whatever is held here."""
        place = self._namespace.place(path)
        return place.store.find(place.key) is not None

    def _check_above(self, path: str, *, must: bool) -> None:
        """What is above has to be a directory, or with ``must`` not to be absent either."""
        table = self._namespace.table
        above = parent(path)
        while not core.is_fixed(table, above):
            found = self._found(above)
            if found is not None:
                core.check_above(path, found)
                return
            if must:
                raise PathNotFound(
                    f"{path} can't be made",
                    cause=f"the directory {above} does not exist",
                    remedy="Make it first",
                )
            above = parent(above)

    def _below(self, path: str) -> list[str]:
        """Every file below a directory: meta of each goes, also what this process never met."""
        pages = self._namespace.list(path, recursive=True)
        return [join(path, entry.path) for _, page in pages for entry in page]
