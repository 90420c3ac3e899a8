"""Commit files: those by whose appearance a table format commits.

Iceberg in a Hadoop catalog renames a file to ``metadata/v3.metadata.json``, Delta makes
``_delta_log/00000000000000000003.json``: whoever is first has committed, and what the file names
has to be there for all who read it. So such a file is in the store before it is acknowledged,
whatever the write type, and only after everything that was pending when it came; and where it is to
be new, the store is asked to make it only if it is absent.

The barrier is over the whole mount: a table's data may lie outside its directory (Iceberg's
``write.data.path``, clones of Delta). A conflict fails the commit only where it lies in the table's
directory: elsewhere it would stop every table of the mount until somebody ends it.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from millpond.errors import AlreadyExists, Conflict, MillpondError, NotSupported
from millpond.model.paths import parent
from millpond.namespace.pending.data import BARRIER_S
from millpond.namespace.pending.records import Op, State
from millpond.under.base import StoredSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from millpond.namespace import Namespace
    from millpond.namespace.namespace import Place
    from millpond.namespace.pending.records import Entry

log = logging.getLogger(__name__)
LOCKS = 64


class CommitFiles:
    """Makes them. All of it blocks; any thread."""

    def __init__(self, namespace: Namespace, barrier_s: float = BARRIER_S) -> None:
        self._namespace = namespace
        self.barrier_s = barrier_s
        self._locks = [threading.Lock() for _ in range(LOCKS)]
        self._told: set[str] = set()

    @contextmanager
    def making(self, path: str, place: Place, *, source: str | None = None) -> Iterator[None]:
        """In it the file at ``path`` may be made; ``source``: the key that is renamed to it.

        Conflict in it becomes AlreadyExists: another was first. Raises Conflict, NotPersisted
        where what is pending does not get to the store.
        """
        self._await_data(place, source)
        self._try_conditions(place)
        # Where the store ignores conditions, those of this node still take turns.
        with self._lock(place):
            try:
                yield
            except Conflict as e:
                raise AlreadyExists(
                    f"{path} exists", cause=e.cause or e.problem, remedy="Commit on top of it"
                ) from e

    def rename(self, target: str, old: Place, new: Place) -> None:
        """Give a file its last name, by which it commits. Raises as ``making`` does."""
        with self.making(target, new, source=None if new.store.atomic_rename else old.key):
            new.store.claim(old.key, new.key)

    def renamed_before(self, old: Place, new: Place) -> bool:
        """Whether a rename whose answer was lost had been done: the source has gone, or what is
        at the target is what the source has. Then the source goes, too.

        What goes on here is waited for, but for one that still waits for data: so who asks before
        a try asks again when that fails.
        """
        with self._lock(new):
            return self._renamed_before(old, new)

    def _lock(self, place: Place) -> threading.Lock:
        return self._locks[hash(place.store_path) % LOCKS]

    @staticmethod
    def _renamed_before(old: Place, new: Place) -> bool:
        at = new.store.find(new.key)
        if at is None:
            return False
        left = old.store.find(old.key)
        if left is None:
            return True
        ours = StoredSource(old.store, left.key, left.version, left.length)
        if not new.store.same_bytes(at, ours):
            return False
        try:
            old.store.delete(old.key)
        except MillpondError as e:
            log.warning("%s stays: %s", left.key, e)
        return True

    def _await_data(self, place: Place, source: str | None) -> None:
        """Until the store has all that is pending on the mount, ``source`` apart."""
        mount, pending = place.mount, self._namespace.pending
        entries = pending.view.below(mount.place, mount.key(mount.path))
        if not entries:
            return
        table = parent(parent(f"/{place.key}")).lstrip("/")
        own: list[Entry] = []
        others: list[Entry] = []
        for entry in entries:
            of_table = not table or entry.key.startswith(f"{table}/")
            if of_table and entry.state is State.KEPT and entry.op is Op.PUT:
                raise NotSupported(
                    f"no table can be committed at /{table}",
                    cause=f"{entry.key} is kept on this node alone (write type cache), and expires",
                    remedy="Write tables through or async",
                )
            if entry.key != source:
                (own if of_table else others).append(entry)
        until = time.monotonic() + self.barrier_s
        pending.await_persisted(own, self.barrier_s)
        pending.await_persisted(others, max(0.0, until - time.monotonic()), skip_conflicts=True)

    def _try_conditions(self, place: Place) -> None:
        path = place.mount.path
        conditional = place.store.try_conditions(parent(f"/{place.key}").lstrip("/"))
        if not conditional and path not in self._told:
            self._told.add(path)
            log.warning(
                "%s: its store ignores If-None-Match: tables there are to be written through one "
                "sidecar alone, else two commits at once may both succeed, and one is lost",
                path,
            )
