"""The persister: threads that bring pending entries into their stores.

What is to be done next says ``namespace.pending.persister``. An entry is ``completing`` in the
journal before the one call that makes its file appear, and settled after it: so whoever finds it
``completing`` later looks at the store before he does anything. The condition on what is replaced
goes with that call; where the store refuses it, or something else is found, nothing is overwritten.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from millpond import metrics as m
from millpond.errors import (
    Conflict,
    Corrupt,
    DataLost,
    InvalidPath,
    IsADirectory,
    MillpondError,
    NotADirectory,
    NotSupported,
    PathNotFound,
    PermissionDenied,
    StoreUnavailable,
)
from millpond.namespace.pending.persister import Do, Step, delay_s, plan
from millpond.namespace.pending.records import Alias, Entry, Op, State
from millpond.server.replies import as_millpond
from millpond.under.base import ABSENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from millpond.namespace import Namespace
    from millpond.namespace.pending.data import PendingData
    from millpond.under.base import ObjectStat, UnderStore, Upload

log = logging.getLogger(__name__)
THREADS = 4
COMPLETE_TRIES = 3
HOPELESS = (
    Conflict, Corrupt, DataLost, InvalidPath, IsADirectory, NotADirectory, NotSupported,
)  # fmt: skip
"""What trying again does not change: the entry waits for a person, as a conflict."""
OF_THE_STORE = (StoreUnavailable, PermissionDenied)
"""What all entries of a store would meet."""


class Persister:
    """Brings what is committed into its store. ``start``, then ``stop``; the rest is any thread's.

    ``tell`` counts metrics, ``step`` is called with the name of each step that is about to be done:
    tests stop there.
    """

    def __init__(
        self,
        namespace: Namespace,
        tell: Callable[[m.Metric, float, str], None],
        *,
        threads: int = THREADS,
        clock: Callable[[], float] = time.monotonic,
        step: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._namespace, self._tell, self._clock, self._step = namespace, tell, clock, step
        self._pending: PendingData = namespace.pending
        self._threads = [
            threading.Thread(target=self._run, name=f"persist-{n}", daemon=True)
            for n in range(threads)
        ]
        self._lock = threading.Condition()
        self._ready: deque[Step] = deque()
        self._active: set[int] = set()
        self._failures: dict[int, int] = {}
        self._not_before: dict[int, float] = {}
        self._places: dict[str, float] = {}
        self._changed = True
        self._again: float | None = None
        self._stopped = False
        self._pending.wake = self.wake

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Something was committed, or may be tried again."""
        with self._lock:
            self._changed = True
            self._lock.notify_all()

    def hurry(self) -> None:
        """What waits after a failure is tried now."""
        with self._lock:
            self._not_before.clear()
            self._places.clear()
        self.wake()

    def stop(self, timeout_s: float) -> bool:
        """Begin nothing more; False where something does not end in time."""
        with self._lock:
            self._stopped = True
            self._lock.notify_all()
        until = time.monotonic() + timeout_s
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        while (found := self._next(wait=True)) is not None:
            self._do(*found)

    def run_one(self) -> bool:
        """Do one step in this thread; whether there was one."""
        found = self._next(wait=False)
        if found is not None:
            self._do(*found)
        return found is not None

    # -- what is next

    def _next(self, *, wait: bool) -> tuple[Entry, Do] | None:
        with self._lock:
            while not self._stopped:
                while self._ready:
                    step = self._ready.popleft()
                    entry = self._pending.view.get(step.seq)
                    if entry is not None and step.seq not in self._active:
                        self._active.add(step.seq)
                        return entry, step.do
                now = self._clock()
                if self._changed or (self._again is not None and self._again <= now):
                    self._changed = False
                    entries = self._pending.view.all()
                    steps, self._again = plan(
                        entries, self._active, self._not_before, self._places, now
                    )
                    self._ready.extend(steps)
                    if steps:
                        self._lock.notify_all()
                        continue
                if not wait:
                    return None
                self._lock.wait(None if self._again is None else max(0.0, self._again - now))
        return None

    def _over(self, entry: Entry, error: MillpondError | None) -> None:
        with self._lock:
            self._active.discard(entry.seq)
            if error is None:
                self._failures.pop(entry.seq, None)
                self._not_before.pop(entry.seq, None)
                self._places.pop(entry.place, None)
            else:
                failures = self._failures[entry.seq] = self._failures.get(entry.seq, 0) + 1
                until = self._clock() + delay_s(failures)
                self._not_before[entry.seq] = until
                if isinstance(error, OF_THE_STORE):
                    self._places[entry.place] = until
            self._changed = True
            self._lock.notify_all()

    # -- doing it

    def _do(self, entry: Entry, do: Do) -> None:
        error: MillpondError | None = None
        work = {
            Do.UPLOAD: self._upload, Do.DELETE: self._delete, Do.SKIP: self._skip,
            Do.FIND_OUT: self._find_out,
        }[do]  # fmt: skip
        try:
            work(entry)
        except Exception as e:
            error = e if isinstance(e, MillpondError) else as_millpond(e)
            self._failed(entry.seq, error)
        finally:
            self._over(entry, error)

    def _failed(self, seq: int, error: MillpondError) -> None:
        """It stays as it is, but that a file that is not in the store goes back in line."""
        entry = self._pending.view.get(seq)
        if entry is None:
            return
        try:
            if isinstance(error, HOPELESS):
                self._conflict(entry, error)
            elif entry.state is State.UPLOADING:
                self._pending.view.advance(seq, State.DIRTY, str(error))
            else:
                self._pending.view.advance(seq, entry.state, str(error))
        except MillpondError as e:
            log.warning("%s: %s", entry.store_path, e)
        log.info("%s is not persisted yet: %s", entry.store_path, error)

    def _conflict(self, entry: Entry, error: MillpondError) -> None:
        if entry.state is State.UPLOADING:
            entry = self._pending.view.advance(entry.seq, State.DIRTY)
        if self._pending.advance(entry, State.CONFLICT, str(error)) is not None:
            self._tell(m.PERSISTED, 1, "conflict")

    def _skip(self, entry: Entry) -> None:
        self._step("skip")
        if self._pending.settle(entry, entry.expect, changed=False):
            self._tell(m.PERSISTED, 1, "superseded")

    def _upload(self, entry: Entry) -> None:
        store = self._namespace.pending_mounts.real_store(entry)
        try:
            expect = self._pending.real_version(entry.place, entry.key, entry.expect)
        except Conflict as e:
            self._settle_if_ours(entry, store, e)
            return
        self._step("upload")
        self._pending.view.advance(entry.seq, State.UPLOADING)
        upload = self._pending.ahead.take(entry) or store.upload(
            entry.key, self._pending.source(entry)
        )
        try:
            self._step("completing")
            entry = self._completing(self._pending.view.advance(entry.seq, State.DIRTY))
            self._step("complete")
            version = self._complete(upload, expect)
            self._step("settle")
        except Conflict as e:
            upload.abort()
            self._settle_if_ours(entry, store, e)
            return
        except BaseException:
            upload.abort()
            raise
        self._settle_put(entry, version, store)

    def _completing(self, entry: Entry) -> Entry:
        new = self._pending.advance(entry, State.COMPLETING)
        if new is None:
            raise StoreUnavailable(f"{entry.key} is being persisted by another")
        return new

    def _complete(self, upload: Upload, expect: str | None) -> str:
        for tries in range(1, COMPLETE_TRIES + 1):
            try:
                return upload.complete(expect)
            except StoreUnavailable:
                if tries == COMPLETE_TRIES or self._stopped:
                    raise
        raise AssertionError("the last try returns or raises")

    def _settle_put(self, entry: Entry, version: str, store: UnderStore) -> None:
        """``version`` "": nothing proves what the store calls it; then it is known as that only."""
        made, alias = version, None
        if version:
            alias = Alias(
                entry.place, entry.key, version, entry.version, entry.length, entry.mtime_ms
            )
        else:
            found = _found(store, entry.key)
            made = ABSENT if found is None else found.version
        if self._pending.settle(entry, made, alias):
            self._tell(m.PERSISTED, 1, "persisted")
            self._tell(m.PERSISTED_BYTES, entry.length, "")

    def _delete(self, entry: Entry) -> None:
        store = self._namespace.pending_mounts.real_store(entry)
        found = _found(store, entry.key)
        expect = self._pending.real_version(entry.place, entry.key, entry.expect)
        self._step("delete")
        if found is not None and found.version != expect and expect is not None:
            if expect != ABSENT:
                raise Conflict(
                    f"{entry.key} is not what was to be deleted",
                    cause=f"it has version {found.version}",
                )
            found = None  # what was deleted here is not there; this is another's
        entry = self._completing(entry)
        if found is not None:
            self._step("complete")
            try:
                store.delete(entry.key)
            except PathNotFound:
                log.debug("%s is gone already", entry.store_path)
        self._step("settle")
        if self._pending.settle(entry, ABSENT):
            self._tell(m.PERSISTED, 1, "deleted")

    def _find_out(self, entry: Entry) -> None:
        """The store may or may not have obeyed."""
        self._step("find_out")
        store = self._namespace.pending_mounts.real_store(entry)
        if entry.op is Op.DELETE:
            if _found(store, entry.key) is None:
                self._pending.settle(entry, ABSENT)
            else:
                self._pending.advance(entry, State.DIRTY, entry.detail)
            return
        found = _found(store, entry.key)
        try:
            expect = self._pending.real_version(entry.place, entry.key, entry.expect)
        except Conflict as e:
            self._settle_if_ours(entry, store, e)
            return
        now = ABSENT if found is None else found.version
        again = now == expect
        if expect is None:
            again = found is None or not store.same_bytes(found, self._pending.source(entry))
        if again:
            self._pending.advance(entry, State.DIRTY, entry.detail)
        else:
            cause = "it has changed" if found is not None else "it is gone"
            error = Conflict(f"{entry.key} is not what was to be replaced", cause=cause)
            self._settle_if_ours(entry, store, error)

    def _settle_if_ours(self, entry: Entry, store: UnderStore, error: Conflict) -> None:
        """The store refused, or has something else: our own file, of a call whose answer was lost,
        or another's. Raises ``error`` then."""
        found = _found(store, entry.key)
        if found is None or not store.same_bytes(found, self._pending.source(entry)):
            raise error
        self._settle_put(entry, "" if found.weak else found.version, store)


def _found(store: UnderStore, key: str) -> ObjectStat | None:
    """The file at a key."""
    found = store.find(key)
    return None if found is None or found.is_dir else found
