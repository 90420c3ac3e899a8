"""The handlers of the control service about pending data. All block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millpond.errors import NotPersisted
from millpond.model.paths import check_path
from millpond.namespace.pending.records import Op, State
from millpond.wire import pending_pb2 as wire

if TYPE_CHECKING:
    from millpond.namespace import Namespace
    from millpond.namespace.pending.records import Entry
    from millpond.server.persisting import Persister

READS = frozenset({"persists", "persist_wait"})
MAX_WAIT_S = 10.0


class PendingControl:
    """As ``Admin``: one method for each of the service."""

    def __init__(self, namespace: Namespace, persister: Persister) -> None:
        self._namespace, self._persister = namespace, persister
        self._pending = namespace.pending

    def persists(self, asked: wire.PersistsRequest) -> wire.PersistsReply:
        return self._told(self._below(asked.path), asked.limit)

    def persist_wait(self, asked: wire.PersistWaitRequest) -> wire.PersistsReply:
        entries = [e for e in self._below(asked.path) if e.state is not State.CONFLICT]
        try:
            self._pending.await_persisted(
                entries, min(asked.timeout_s, MAX_WAIT_S), skip_conflicts=True
            )
        except NotPersisted:
            return self._told(self._below(asked.path), 1)
        return self._told(self._below(asked.path), 1)

    def persist_retry(self, asked: wire.PersistRetryRequest) -> wire.PersistsReply:
        stuck = [e for e in self._below(asked.path) if e.state is State.CONFLICT]
        for entry in stuck:
            if asked.how == wire.DISCARD:
                self._pending.discard(entry)
            else:
                self._pending.retry(entry, overwrite=asked.how == wire.OVERWRITE)
        self._persister.hurry()
        return self._told(stuck, len(stuck))

    def _below(self, path: str) -> list[Entry]:
        inside = check_path(path or "/").rstrip("/") + "/"
        return [
            e
            for e in self._pending.view.all()
            if f"{self._namespace.pending_mounts.path_of(e)}/".startswith(inside)
        ]

    def _told(self, entries: list[Entry], limit: int) -> wire.PersistsReply:
        return wire.PersistsReply(
            entries=[self._info(e) for e in entries[:limit]],
            files=len(entries),
            bytes=sum(e.length for e in entries),
            conflicts=sum(e.state is State.CONFLICT for e in entries),
        )

    def _info(self, entry: Entry) -> wire.PersistInfo:
        return wire.PersistInfo(
            seq=entry.seq, path=self._namespace.pending_mounts.path_of(entry),
            removal=entry.op is Op.DELETE, length=entry.length, state=entry.state.value,
            batch=entry.batch, detail=entry.detail, committed_ms=entry.mtime_ms,
        )  # fmt: skip
