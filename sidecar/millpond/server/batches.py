"""Batches, performed: files staged by path, and commits that make all of them visible in one step.

A batch is in the journal from its beginning, and so is each file that joins it and what its commit
is to remove: a sidecar that starts again has it as it was, a machine that does has dropped it. Its
commit syncs the files that it takes, and is one step of the journal.
Under ``through`` it is answered when the persister has brought all of it to the store; the bytes of
a file are on their way since it joined.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from millpond import metrics as m
from millpond.errors import (
    AcrossMounts,
    MountConflict,
    NotADirectory,
    NotPersisted,
    NotSupported,
    PathNotFound,
)
from millpond.model.paths import STAGING, Staged, check_path, staged
from millpond.namespace.options import HERE_FIRST, THROUGH
from millpond.namespace.pending.records import (
    Batch,
    BatchState,
    Entry,
    Op,
    chosen,
    new_id,
)
from millpond.server.core import batches as core
from millpond.server.core import writes
from millpond.wire import millpond_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from millpond.namespace import Namespace
    from millpond.namespace.mounts import Mount
    from millpond.namespace.namespace import Place
    from millpond.server.core.writes import Write
    from millpond.store.staging import Taken
    from millpond.under.base import ObjectStat

log = logging.getLogger(__name__)
STALLED_S = 1800.0
"""How long a commit under ``through`` waits for a store that takes no file of it."""
LOOK_S = 10.0


class Batches:
    """The verbs of batches, and what their staging paths stand for. All of it blocks; any thread.

    A batch that nobody calls for is dropped after ``idle_s``.
    """

    def __init__(
        self,
        namespace: Namespace,
        count: Callable[[m.Metric, float, str], None],
        *,
        idle_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._namespace = namespace
        self._pending = pending = namespace.pending
        self._pending_mounts = namespace.pending_mounts
        self._journal = pending.journal
        self._count = count
        self._idle_s, self._clock = idle_s, clock
        self._open = core.OpenBatches()
        for batch, entries in pending.open_batches():
            self._open.add(batch, entries, clock())

    def mount_of(self, ident: str) -> str:
        """The path of the mount that a batch is in; "" for one that is not known."""
        batch = self._journal.batch(ident)
        return batch.mount if batch is not None else ""

    def mount_in_memory(self, ident: str) -> str:
        """[loop] The same; "" too where it ended long ago."""
        return self._open.mount_of(ident)

    # The verbs.

    def begin(self, request: wire.BatchBeginRequest) -> wire.BatchBeginReply:
        """Raises MountNotFound, MountReadOnly, NotSupported for a write type that keeps nothing."""
        path = check_path(request.path)
        mount = writes.writable(self._namespace.table, path)
        write_type = self._write_type(mount, path, request.write_type)
        now_ms = time.time_ns() // 1_000_000
        batch = Batch(new_id(), mount.path, write_type, request.name, now_ms)
        self._journal.begin(batch)
        self._open.add(batch, (), self._clock())
        return wire.BatchBeginReply(batch=batch.id, staging=STAGING + batch.id)

    def replace(self, request: wire.BatchReplaceRequest) -> None:
        """Remember what is at these paths, for the commit to remove. Raises BatchEnded."""
        with self._open.use(request.batch, self._clock()) as found:
            for path in map(check_path, request.paths):
                place = self._place(found, path)
                there = self._there(found, place, recursive=request.recursive)
                self._open.staged(found.batch.id, self._journal.stage(found.batch.id, there))

    def commit(self, request: wire.BatchCommitRequest) -> None:
        """Raises BatchEnded, Conflict; then the batch is as it was."""
        attempts = None if request.all else set(request.attempts)
        with self._open.end(request.batch) as found:
            if found is None:
                batch, entries = self._committed(request.batch, attempts)
            else:
                batch = found.batch
                entries = self._commit(found, attempts, dynamic=request.dynamic)
        if found is not None:
            self._count(m.BATCHES, 1, "committed")
            self._pending.drop(core.left_out(found, attempts))
        if batch.write_type == THROUGH:
            self.await_store(entries)

    def abort(self, request: wire.BatchAbortRequest) -> None:
        """No error where it is over already. Raises Conflict where it was committed."""
        self._abort(request.batch, "aborted by its owner", "aborted")

    def expire(self) -> None:
        """Drop the batches that nobody calls for any more."""
        for ident in self._open.idle(self._clock() - self._idle_s):
            log.warning("batch %s is dropped: no call of it for %g s", ident, self._idle_s)
            self._abort(ident, f"no call of it for {self._idle_s:g} s", "expired")

    # Staging paths.

    def check(self, path: str) -> None:
        """Whether a file may be begun there. Raises BatchEnded, InvalidPath, IsADirectory,
        NotSupported for a commit file."""
        at = _staged(path)
        core.check_file(at, path)
        with self._open.use(at.batch, self._clock()) as found:
            goal = _goal(at)
            writes.check_no_commit(self._place(found, goal).mount, goal)

    def stage(self, write: Write, taken: Taken) -> wire.FileInfo:
        """A file joins its batch. Raises BatchEnded, and what keeping its blocks raises."""
        at = _staged(write.path)
        with self._open.use(at.batch, self._clock()) as found:
            place = self._place(found, _goal(at))
            entry = replace(
                self._pending.keep(place, taken),
                attempt=at.attempt, expect=write.expect, strict=write.strict,
            )  # fmt: skip
            with self._pending.owned(entry):
                if found.batch.write_type == THROUGH:
                    store = self._pending_mounts.real_store(entry)
                    self._pending.ahead.send(store, entry, self._pending.source(entry))
                made = self._journal.stage(at.batch, [entry])
            self._open.staged(at.batch, made)
        return _info(write.path, made[0])

    def stat(self, path: str) -> wire.FileInfo:
        """Raises BatchEnded, PathNotFound."""
        with self._open.use(_staged(path).batch, self._clock()) as found:
            entry = core.at(found, *self._within(found, path))
        return wire.FileInfo(path=path, directory=True) if entry is None else _info(path, entry)

    def delete(self, path: str) -> None:
        """Take files out of their batch. Raises BatchEnded, PathNotFound."""
        with self._open.use(_staged(path).batch, self._clock()) as found:
            seqs = [e.seq for e in core.below(found, *self._within(found, path))]
            if not seqs:
                raise PathNotFound(f"nothing is staged at {path}")
            gone = self._journal.unstage(found.batch.id, seqs)
            self._open.unstaged(found.batch.id, gone)
        self._pending.drop(gone)

    # Parts.

    def _commit(
        self, found: core.OpenBatch, attempts: set[str] | None, *, dynamic: bool
    ) -> list[Entry]:
        remembered = {(e.place, e.key): e for e in found.removals()}
        core.check_unchanged(remembered.values(), self._versions(remembered.values()))
        removals = list(remembered.values())
        files = chosen(found.staged.values(), attempts)
        if dynamic:
            for mount, key in core.replaced(files):
                removals += self._there(found, self._at(mount, key), recursive=True)
        self._pending.sync(files)
        entries = self._pending.commit(
            lambda: self._journal.commit(found.batch.id, attempts, removals), [*files, *removals]
        )
        self._pending.committed(entries)
        return entries

    def await_store(self, entries: list[Entry]) -> None:
        """Raises Conflict, and NotPersisted where the store takes nothing any more."""
        left, since = len(entries), self._clock()
        while True:
            try:
                self._pending.await_persisted(entries, LOOK_S)
                return
            except NotPersisted:
                now = sum(self._pending.view.get(e.seq) is not None for e in entries)
                if now < left:
                    left, since = now, self._clock()
                elif self._clock() - since > STALLED_S:
                    raise

    def _committed(self, ident: str, attempts: set[str] | None) -> tuple[Batch, list[Entry]]:
        """The same commit again; what is left of it."""
        batch = self._journal.batch(ident)
        if batch is None or batch.state is not BatchState.COMMITTED:
            raise core.ended(ident)
        return batch, self._journal.commit(ident, attempts)

    def _abort(self, ident: str, why: str, outcome: str) -> None:
        with self._open.end(ident) as found:
            dropped = self._journal.abort(ident, why)
        if found is not None:
            self._count(m.BATCHES, 1, outcome)
        self._pending.drop(dropped)

    def _write_type(self, mount: Mount, path: str, asked: str) -> str:
        write_type = asked or mount.write_type(path)
        if write_type != THROUGH and write_type not in HERE_FIRST:
            raise NotSupported(
                f"a batch in {mount.path} under write type {write_type!r}",
                cause="what is not kept here can't become visible in one step",
                remedy="Write it under through, async or cache",
            )
        return write_type

    def _place(self, found: core.OpenBatch, path: str) -> Place:
        """Where a path of the batch lies. Raises AcrossMounts, MountReadOnly."""
        place = self._namespace.place(path)
        writes.writable(self._namespace.table, path)
        if place.mount.path != found.batch.mount:
            raise AcrossMounts(
                f"{path} can't be in batch {found.batch.id}",
                cause=f"it lies in {place.mount.path}, the batch in {found.batch.mount}",
                remedy="Write it by a batch of its own",
            )
        return place

    def _within(self, found: core.OpenBatch, path: str) -> tuple[str, Staged]:
        """The place of a staging path, and what its key stands for."""
        place = self._place(found, path)
        return place.mount.place, _staged(place.key)

    def _there(self, found: core.OpenBatch, place: Place, *, recursive: bool) -> list[Entry]:
        """What is at or below a place now, each as its removal."""
        now_ms = time.time_ns() // 1_000_000
        return [
            Entry(
                found.batch.id, place.mount.path, place.mount.place, each.key, Op.DELETE,
                mtime_ms=now_ms, expect=each.version, attempt=core.REMOVALS,
            )
            for each in _files(place, recursive=recursive)
        ]  # fmt: skip

    def _versions(self, entries: Iterable[Entry]) -> dict[tuple[str, str], str]:
        """What the keys of these entries, and more around them, have now."""
        now: dict[tuple[str, str], str] = {}
        for mount, directory, recursive in core.listings(entries):
            place = self._at(mount, directory)
            found = _files(place, recursive=recursive)
            now.update({(place.mount.place, each.key): each.version for each in found})
        return now

    def _at(self, mount: str, key: str) -> Place:
        """The place of a key of a mount."""
        found = self._namespace.table.find(mount)
        path = found.path_of(key) if found is not None else None
        if path is None:
            raise MountConflict(f"{mount} is not mounted as it was", remedy="Mount it again")
        return self._namespace.place(path)


def _staged(path: str) -> Staged:
    at = staged(path)
    assert at is not None, f"{path} is in no staging"
    return at


def _goal(at: Staged) -> str:
    """The path that a staged file will have."""
    return at.key if at.key.startswith("/") else f"/{at.key}"


def _files(place: Place, *, recursive: bool) -> list[ObjectStat]:
    """The file at a place, or those in or below the directory; none where nothing is."""
    try:
        pages = place.store.list(place.key, recursive=recursive)
        return [each for page in pages for each in page if not each.is_dir]
    except NotADirectory:
        return [place.store.stat(place.key)]
    except PathNotFound:
        return []


def _info(path: str, entry: Entry) -> wire.FileInfo:
    return wire.FileInfo(
        path=path, length=entry.length, mtime_ms=entry.mtime_ms, version=entry.version,
        file_id=entry.file_id, store_path=entry.store_path,
    )  # fmt: skip
