"""Pending data and the mounts: by which an entry is persisted, and what they tell of it."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from millpond.errors import MountConflict, MountNotFound
from millpond.namespace.mounts import Ours
from millpond.namespace.options import CACHE_TTL_MS
from millpond.namespace.pending.records import Op, State
from millpond.namespace.places import At

if TYPE_CHECKING:
    from collections.abc import Iterable

    from millpond.namespace.mounting import Mounts
    from millpond.namespace.mounts import MountTable
    from millpond.namespace.pending.areas import Areas
    from millpond.namespace.pending.data import PendingData
    from millpond.namespace.pending.records import Alias, Entry
    from millpond.namespace.pending.view import View
    from millpond.namespace.validation import Validation
    from millpond.under.base import UnderStore


def ours(table: MountTable, view: View, areas: Areas) -> Ours:
    """What the stores of these mounts do not have."""
    mounts = (m.path for m in table.mounts if view.holds_below(m.place, m.prefix))
    return Ours(frozenset(mounts), areas.held_keys())


def check_removable(view: View, areas: Areas, path: str) -> None:
    """Raises MountConflict while a mount has what its store has not."""
    staging = [top.name for top in areas.tops() if top.mount == path]
    if staging:
        raise MountConflict(
            f"{path} can't be unmounted",
            cause=f"a job has its staging in it: {staging[0]}",
            remedy="End the job; `millpond batch ls` shows what it left, `batch abort` drops that",
        )
    own = [e.state for e in view.all() if e.mount == path]
    kept = own.count(State.KEPT)
    if kept:
        raise MountConflict(
            f"{path} can't be unmounted",
            cause=f"{kept} files of it are kept here alone (write type cache)",
            remedy="Delete them, or wait until they expire; `millpond persist ls` shows them",
        )
    waiting = len(own)
    if waiting:
        raise MountConflict(
            f"{path} can't be unmounted",
            cause=f"{waiting} changes of it are not in the store yet",
            remedy=f"`millpond persist wait {path}` first; `millpond persist ls` shows them",
        )


IDLE_S = 3.0
"""How long a mount is told to hold pending data after it does: telling it anew costs a sync."""


class PendingMounts:
    """Keeps what clients are told in step with pending data. Thread-safe."""

    def __init__(self, mounts: Mounts, validation: Validation, pending: PendingData) -> None:
        self._mounts, self._validation, self._pending = mounts, validation, pending
        self._lock = threading.Lock()
        self._held_s: dict[str, float] = {}
        """When each mount that is told to hold pending data was last seen to."""
        pending.on_committed, pending.on_settled = self._committed, self._settled
        self.flag()

    def real_store(self, entry: Entry) -> UnderStore:
        """The store that an entry goes to. Raises MountNotFound, and what opening it raises."""
        return self._mounts.real_store(self._at(entry).mount)

    def path_of(self, entry: Entry) -> str:
        """The path by which people know an entry; its key where nothing is mounted there."""
        try:
            return self._at(entry).path
        except MountNotFound:
            return entry.key

    def flag(self, *, idle_s: float = IDLE_S) -> None:
        """Tell clients what the stores do not have, or did not have until not long ago."""
        pending = self._pending
        with self._lock:
            now = time.monotonic()
            lacking = ours(self._mounts.table, pending.view, pending.areas)
            self._held_s |= dict.fromkeys(lacking.mounts, now)
            for path, last in list(self._held_s.items()):
                if path not in lacking.mounts and now - last >= idle_s:
                    del self._held_s[path]
            self._mounts.set_ours(replace(lacking, mounts=frozenset(self._held_s)))

    def expire(self, now_ms: int | None = None) -> None:
        """Forgo what was kept long enough. What was committed together goes together, when the
        youngest of it is old enough."""
        if not self._pending.view.kept:
            return
        now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        young: set[str] = set()
        kept = self._pending.view.all_kept()
        for entry in kept:
            if now_ms < self.expires_ms(entry):
                young.add(entry.batch)
        self._pending.forgo([e for e in kept if e.batch not in young])

    def expires_ms(self, entry: Entry) -> int:
        """When a kept entry does, if it is alone."""
        try:
            ttl_ms = self._at(entry).mount.cache_ttl_ms
        except MountNotFound:
            ttl_ms = CACHE_TTL_MS
        return entry.mtime_ms + ttl_ms

    def _at(self, entry: Entry) -> At:
        store_id, _, root = entry.place.partition("/")
        table = self._mounts.table
        found = [At(p, m, entry.key) for p in table.paths_of(store_id, root, entry.key)
                 if (m := table.find(p)) is not None]  # fmt: skip
        if not found:
            raise MountNotFound(
                f"{entry.key} can't be persisted",
                cause=f"its store is mounted no more; it was at {entry.mount}",
                remedy="Mount it again",
            )
        return next((at for at in found if at.mount.path == entry.mount), found[0])

    def _committed(self, entries: Iterable[Entry]) -> None:
        self.flag()
        for entry in entries:
            self._validation.invalidate(self._at(entry), tree=False)

    def _settled(self, entry: Entry, alias: Alias | None) -> None:
        self.flag()
        if entry.op is Op.DELETE or self._pending.view.seen(entry.place, entry.key) is not None:
            return  # what is seen is as before
        try:
            at = self._at(entry)
        except MountNotFound:
            return
        if alias is not None:
            self._validation.persisted(at, entry.file_id, alias.store_version)
        else:
            self._validation.invalidate(at, tree=False)
