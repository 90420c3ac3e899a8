"""The handlers of the control service about pending data. All block."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from millpond.errors import InvalidRequest, NotPersisted
from millpond.model.paths import check_path
from millpond.namespace.options import CACHE
from millpond.namespace.pending.records import BatchState, Op, State
from millpond.wire import pending_pb2 as wire
from millpond.wire.millpond_pb2 import BatchAbortRequest

if TYPE_CHECKING:
    from millpond.namespace import Namespace
    from millpond.namespace.pending.areas import Name
    from millpond.namespace.pending.records import Batch, Entry
    from millpond.server.areas import StagingAreas
    from millpond.server.batches import Batches
    from millpond.server.persisting import Persister

READS = frozenset({"persists", "persist_wait", "batches", "batch_show"})
MAX_WAIT_S = 10.0


class PendingControl:
    """As ``Admin``: one method for each of the service."""

    def __init__(
        self, namespace: Namespace, persister: Persister, batches: Batches, areas: StagingAreas
    ) -> None:
        self._namespace, self._persister = namespace, persister
        self._pending, self._batches, self._areas = namespace.pending, batches, areas

    def persists(self, asked: wire.PersistsRequest) -> wire.PersistsReply:
        return self._told(self._below(asked.path), asked.limit)

    def persist_wait(self, asked: wire.PersistWaitRequest) -> wire.PersistsReply:
        entries = [e for e in self._waiting(asked.path) if e.state is not State.CONFLICT]
        with suppress(NotPersisted):
            self._pending.await_persisted(
                entries, min(asked.timeout_s, MAX_WAIT_S), skip_conflicts=True
            )
        return self._told(self._waiting(asked.path), 1)

    def persist_retry(self, asked: wire.PersistRetryRequest) -> wire.PersistsReply:
        stuck = [e for e in self._below(asked.path) if e.state is State.CONFLICT]
        for entry in stuck:
            if asked.how == wire.DISCARD:
                self._pending.discard(entry)
            else:
                self._pending.retry(entry, overwrite=asked.how == wire.OVERWRITE)
        self._persister.hurry()
        return self._told(stuck, len(stuck))

    def batches(self, asked: wire.BatchesRequest) -> wire.BatchesReply:
        told = [self._batch(b, self._entries(b)) for b in self._pending.journal.batches()]
        shown = [b for b in told if asked.ended or b.state in ("open", "committed")]
        areas = [self._area(top) for top in self._pending.areas.tops()]
        return wire.BatchesReply(batches=[*areas, *shown])

    def batch_show(self, asked: wire.BatchShowRequest) -> wire.BatchShowReply:
        batch = self._find(asked.batch)
        entries = self._entries(batch)
        shown = [self._info(e) for e in entries[: asked.limit]]
        return wire.BatchShowReply(batch=self._batch(batch, entries), entries=shown)

    def batch_drop(self, asked: wire.BatchDropRequest) -> wire.BatchInfo:
        for top in self._pending.areas.tops():
            if asked.batch == _area_id(top):
                area = self._area(top)
                self._areas.drop_area(top)
                return area
        batch = self._find(asked.batch)
        self._batches.abort(BatchAbortRequest(batch=batch.id))
        return self._batch(self._find(batch.id), [])

    def _find(self, ident: str) -> Batch:
        """Raises InvalidRequest, for a start of several ids too."""
        found = [b for b in self._pending.journal.batches() if ident and b.id.startswith(ident)]
        if len(found) != 1:
            raise InvalidRequest(
                f"{ident!r} names no batch" if not found else f"{ident!r} names several batches",
                cause=", ".join(b.id for b in found[:5]),
                remedy="`millpond batch ls --all` lists them",
            )
        return found[0]

    def _entries(self, batch: Batch) -> list[Entry]:
        """As they are now: how far an upload is, memory knows alone."""
        entries = self._pending.journal.entries(batch.id)
        return [self._pending.view.get(e.seq) or e for e in entries]

    def _batch(self, batch: Batch, entries: list[Entry]) -> wire.BatchInfo:
        is_open = batch.state is BatchState.OPEN
        files = [e for e in entries if e.op is Op.PUT]
        state = batch.state.value
        if batch.state is BatchState.COMMITTED and not entries:
            state = "expired" if batch.write_type == CACHE else "persisted"
        return wire.BatchInfo(
            batch=batch.id, name=batch.name, write_type=batch.write_type, mount=batch.mount,
            state=state, created_ms=batch.created_ms,
            files=len(files) if is_open else batch.files,
            bytes=sum(e.length for e in files) if is_open else batch.length, detail=batch.detail,
        )  # fmt: skip

    def _area(self, top: Name) -> wire.BatchInfo:
        names = [name for _, name in self._pending.areas.below(top)]
        return wire.BatchInfo(
            batch=_area_id(top), state="staging", mount=top.mount, created_ms=top.mtime_ms,
            name=self._namespace.pending_mounts.path_of(top.entry(top.mount, top.place, top.name)),
            files=sum(not n.is_dir for n in names), bytes=sum(n.length for n in names),
        )  # fmt: skip

    def _below(self, path: str) -> list[Entry]:
        inside = check_path(path or "/").rstrip("/") + "/"
        return [
            e
            for e in self._pending.view.all()
            if f"{self._namespace.pending_mounts.path_of(e)}/".startswith(inside)
        ]

    def _waiting(self, path: str) -> list[Entry]:
        return [e for e in self._below(path) if e.state is not State.KEPT]

    def _told(self, entries: list[Entry], limit: int) -> wire.PersistsReply:
        return wire.PersistsReply(
            entries=[self._info(e) for e in entries[:limit]],
            files=len(entries),
            bytes=sum(e.length for e in entries),
            conflicts=sum(e.state is State.CONFLICT for e in entries),
            kept=sum(e.state is State.KEPT for e in entries),
        )

    def _info(self, entry: Entry) -> wire.PersistInfo:
        kept = entry.state is State.KEPT
        expires_ms = self._namespace.pending_mounts.expires_ms(entry) if kept else 0
        return wire.PersistInfo(
            seq=entry.seq, path=self._namespace.pending_mounts.path_of(entry),
            removal=entry.op is Op.DELETE, length=entry.length, state=entry.state.value,
            batch=entry.batch, detail=entry.detail, committed_ms=entry.mtime_ms,
            expires_ms=expires_ms,
        )  # fmt: skip


def _area_id(top: Name) -> str:
    """By which a staging area is named beside batches."""
    return f"area-{top.id}"
