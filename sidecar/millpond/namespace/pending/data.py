"""The pending data of a node: its journal, what is seen of it, and its blocks, kept in step.

The journal is changed first, and what it says holds; memory follows. An entry that is acknowledged
has its blocks on disk, synced, under their last names, and none of them is evicted before the
store has confirmed the file. What is staged in a batch has its names, and is synced by the commit.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from millpond.errors import CacheDirUnusable, Conflict, MillpondError, NotPersisted
from millpond.model.records import is_born
from millpond.namespace.pending.ahead import Ahead
from millpond.namespace.pending.aliases import Aliases
from millpond.namespace.pending.areas import Areas
from millpond.namespace.pending.begun import Changes, UnderWay
from millpond.namespace.pending.overlay import PendingSource
from millpond.namespace.pending.records import BatchState, Entry, Op, State, born
from millpond.namespace.pending.room import Room
from millpond.namespace.pending.sqlite import SqliteJournal
from millpond.namespace.pending.view import View

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from millpond.namespace.database import Database
    from millpond.namespace.namespace import Place
    from millpond.namespace.pending.begun import Begun
    from millpond.namespace.pending.records import Alias, Batch
    from millpond.store import BlockStore
    from millpond.store.staging import Taken

log = logging.getLogger(__name__)
BARRIER_S = 120.0
"""How long a change of the namespace waits for what is pending there."""


def committed(database: Database) -> tuple[View, Areas]:
    """What is pending in a cache directory whose sidecar does not run."""
    loaded = SqliteJournal(database).load()
    return View(e for e in loaded.entries if e.state is not State.STAGED), Areas(loaded.names)


class PendingData:
    """Thread-safe; what writes blocks."""

    def __init__(self, database: Database, store: BlockStore, share: float = 0.5) -> None:
        self._store = store
        self.room = Room(lambda: int(share * store.stats().capacity_bytes))
        self.journal = SqliteJournal(database, boot=store.boot_id.hex())
        loaded = self.journal.load()
        self.view = View(e for e in loaded.entries if e.state is not State.STAGED)
        self.aliases = Aliases(loaded.aliases)
        self.ahead = Ahead()
        self.under_way = UnderWay()
        self._unsynced: set[bytes] = set()
        """What a sync has failed of: the kernel says so once, and another sync would succeed."""
        self._turn = threading.Condition(threading.Lock())
        """Of who commits and who settles: the journal, and the view after it, change in one. Taken
        after the lock of the areas; within it no store is asked."""
        self._changes = Changes(self._turn)
        staged: dict[str, list[Entry]] = {}
        for entry in loaded.entries:
            if entry.op is Op.PUT:
                store.keep(entry.file_id)
                self.room.add(entry.length)
                if entry.state is not State.STAGED:
                    store.keep(entry.meta_ident)
            if entry.state is State.STAGED:
                staged.setdefault(entry.batch, []).append(entry)
        self.areas = Areas(loaded.names)
        for name in loaded.names:
            if not name.is_dir:
                store.keep(name.file_id)
                self.room.add(name.length)
        self._open = [
            (b, staged.get(b.id, [])) for b in loaded.batches if b.state is BatchState.OPEN
        ]
        self._changed = threading.Condition()
        self.on_committed: Callable[[list[Entry]], None] = lambda entries: None
        """Told when the view has them, or has them no more, before who committed is answered."""
        self.on_settled: Callable[[Entry, Alias | None], None] = lambda entry, alias: None
        """Told when the store has it and the view has it no more."""
        self.wake: Callable[[], None] = lambda: None
        """There is something to persist."""

    def open_batches(self) -> list[tuple[Batch, list[Entry]]]:
        """Those that were open when this process started, with their staged entries."""
        return self._open

    # -- committing

    def keep(self, place: Place, taken: Taken) -> Entry:
        """The blocks of a taken write, not to be evicted, under a new version.

        The entry is nobody's yet: the journal has to take it, or ``drop`` its blocks; and they have
        to be synced before it is committed. Raises NoSpace, also where too much is pending, and
        CacheDirUnusable.
        """
        self.room.take(taken.length)
        mount = place.mount
        entry = Entry(
            "", mount.path, mount.place, place.key, Op.PUT, born(),
            taken.length, time.time_ns() // 1_000_000,
        )  # fmt: skip
        self._store.keep(entry.file_id)
        with self.owned(entry):
            self._store.staging.publish(taken, entry.file_id, place.part)
        return entry

    @contextmanager
    def owned(self, entry: Entry) -> Iterator[None]:
        """Within it what ``keep`` has made becomes somebody's; else, whatever error ends it, its
        blocks go. Not where the process is to end: the journal may have it by then."""
        try:
            yield
        except Exception:
            self.drop([entry])
            raise

    def sync(self, entries: Iterable[Entry]) -> None:
        """The blocks of these are on the disk when it returns, whatever happens. Raises
        CacheDirUnusable."""
        files = {e.file_id: e.length for e in entries if e.op is Op.PUT}
        try:
            if not files.keys().isdisjoint(self._unsynced):
                raise CacheDirUnusable(
                    "what was written can't be committed",
                    cause="the disk has failed to take it before",
                    remedy="Write it again; check the disk's health (smartctl)",
                )
            self._store.staging.sync(files.items())
        except MillpondError:
            self._unsynced.update(files)
            raise

    def drop(self, entries: Iterable[Entry]) -> None:
        """These files are nobody's any more: their blocks go, and what a store was sent of them."""
        for entry in entries:
            if entry.op is Op.PUT:
                self.ahead.forget(entry)
                self._unsynced.discard(entry.file_id)
                self._unkeep(entry)
                self._store.drop_file(entry.file_id)

    def record(self, entry: Entry, begun: Begun | None = None) -> None:
        """Commit an entry that ``keep`` made, as a batch that nobody asks for; ``begun`` says what
        it is to replace.

        Durable and visible when it returns. Raises Conflict, IsADirectory, NotADirectory, NoSpace,
        CacheDirUnusable: then it is dropped.
        """

        def step() -> list[Entry]:
            if begun is None:
                return self.journal.record([entry])
            begun.check(strict=entry.strict)
            self.view.check(entry.place, entry.key)
            return self.journal.record([replace(entry, expect=begun.expect)])

        with self.owned(entry):
            self.sync([entry])
            made = self.commit(step, [entry])
        self.committed(made)

    def commit(self, step: Callable[[], list[Entry]], about: Iterable[Entry]) -> list[Entry]:
        """Have the journal commit what ``step`` returns, and the view show it.

        In one turn: what settles in between would change what these replace in the journal alone;
        and after what this node is changing in the store itself at the keys that it is ``about``.
        ``committed`` is to be called then, without locks.
        """
        keys: dict[str, list[str]] = {}
        for entry in about:
            keys.setdefault(entry.place, []).append(entry.key)
        with self._turn:
            while any(self._changes.met(place, *of_place) for place, of_place in keys.items()):
                self._turn.wait()
            made = step()
            self.view.add(made)
            for entry in made:
                if entry.op is Op.PUT:
                    self._store.keep(entry.meta_ident)
        return made

    def committed(self, entries: list[Entry]) -> None:
        """Who reads, and the persister, are told of what was committed."""
        self.on_committed(entries)
        self.wake()

    @contextmanager
    def changing(
        self, place: str, *keys: str, clean: bool = True, shallow: bool = False
    ) -> Iterator[None]:
        """This node changes a store itself at these keys, and below them but for ``shallow``:
        nothing is pending there (but for ``clean``), and nothing is committed there until it is
        over. Raises Conflict, NotPersisted.

        Taken before the lock of the areas. Whoever has it takes no other but at keys below.
        """
        while True:
            for key in keys if clean else ():
                self.await_clean(place, key)
            with self._turn:
                if self._changes.met(place, *keys, shallow=shallow):
                    self._turn.wait()
                elif not clean or not any(self._pending_below(place, k) for k in keys):
                    change = self._changes.begin(place, *keys, shallow=shallow)
                    break
        try:
            yield
        finally:
            self._changes.end(change)

    def _pending_below(self, place: str, key: str) -> bool:
        """Whether anything at or below a key is on its way to the store."""
        return any(e.state is not State.KEPT for e in self.view.below(place, key))

    # -- persisting

    def settle(
        self, entry: Entry, made: str | None, alias: Alias | None = None, *, changed: bool = True
    ) -> bool:
        """The store has what the entry says, or (not ``changed``) need not: it leaves. Whether it
        was ours to say."""
        with self._turn:
            if not self.journal.settle(entry.seq, entry.state, made, alias, changed=changed):
                return False
            now = made if alias is None else alias.version
            if changed and now is not None:
                self.under_way.made(entry.place, entry.key, now)
            if alias is None and changed:
                self.aliases.forget(entry.place, entry.key)
            elif alias is not None and (excess := self.aliases.add(alias)):
                self.journal.drop_aliases(excess)
            self.view.settle(entry.seq, made)
            self._unkeep_meta(entry)
        self.on_settled(entry, alias)
        if entry.op is Op.PUT:
            self._unkeep(entry)
        self._notify()
        return True

    def changed(self, place: str, key: str, version: str) -> None:
        """This node has put that into the store itself; ``version`` "": nothing proves which."""
        alias = self.aliases.forget(place, key)
        if alias is not None:
            self.journal.drop_aliases([alias])
        if version:
            self.under_way.made(place, key, version)

    def removed(self, place: str, key: str) -> None:
        """This node has removed from the store what was at a key and below it."""
        self.forget_below(place, key)
        self.under_way.removed(place, key)

    def disproved(self, place: str, key: str, mark: int) -> None:
        """A store has something else at a key, or nothing, by a request begun at ``mark``.

        In one turn: a commit goes by the alias that the journal has.
        """
        if self.aliases.get(place, key) is None:
            return
        with self._turn:
            alias = self.aliases.disproved(place, key, mark)
            if alias is not None:
                self.journal.drop_aliases([alias])

    def forget_below(self, place: str, key: str) -> None:
        """What this store had at a key and below it was not born here, or is there no more."""
        gone = self.aliases.forget_below(place, key)
        if gone:
            self.journal.drop_aliases(gone)

    def _unkeep(self, entry: Entry) -> None:
        self._store.unkeep(entry.file_id)
        self.room.give_back(entry.length)

    def advance(self, entry: Entry, state: State, detail: str = "") -> Entry | None:
        """The entry in its new state, or None where another was faster."""
        if not self.journal.advance(entry.seq, entry.state, state, detail):
            return None
        new = self.view.advance(entry.seq, state, detail)
        if state is State.CONFLICT:
            log.error("%s is not persisted: %s. `millpond persist ls`", entry.store_path, detail)
        self._notify()
        return new

    def retry(self, entry: Entry, *, overwrite: bool) -> None:
        """A conflict is persisted again, with ``overwrite`` whatever is in the store by now."""
        if not overwrite:
            self.advance(entry, State.DIRTY)
        elif self.journal.overwrite(entry.seq):
            self.view.overwrite(entry.seq)

    def discard(self, entry: Entry) -> None:
        """Give up what a conflict holds: what the store has is seen again."""
        if self.settle(entry, entry.expect, changed=False) and entry.op is Op.PUT:
            self._store.drop_file(entry.file_id)

    def kept(self, place: str, key: str) -> list[Entry]:
        """What is at or below a key and no store gets."""
        if not self.view.kept:
            return []
        return [e for e in self.view.below(place, key) if e.state is State.KEPT]

    def forgo(self, entries: Iterable[Entry]) -> None:
        """What is kept leaves, together: what the stores have there is seen again."""
        seqs = [e.seq for e in entries]
        if not seqs:
            return
        with self._turn:
            gone = self.journal.forgo(seqs)
            self.view.forgo(gone)
            for entry in gone:
                if entry.expect is not None:
                    self.under_way.made(entry.place, entry.key, entry.expect)
                self._unkeep_meta(entry)
        self.on_committed(gone)
        self.drop(gone)

    def move(self, entries: Iterable[Entry], source: str, target: str) -> None:
        """What is kept at or below a key is at or below another from now on. Raises Conflict."""
        keys = {e.seq: target + e.key[len(source) :] for e in entries}
        if not keys:
            return
        with self._turn:
            gone = self.journal.move(keys)
            self.view.move(keys)
            now = [replace(e, key=keys[e.seq]) for e in gone]
            for entry in now:
                self._store.keep(entry.meta_ident)
            for entry in gone:
                self._unkeep_meta(entry)
        self.on_committed([*gone, *now])

    def _unkeep_meta(self, entry: Entry) -> None:
        if self.view.seen(entry.place, entry.key) is None:
            self._store.unkeep(entry.meta_ident)

    def source(self, entry: Entry) -> PendingSource:
        """The bytes of a pending file."""
        return PendingSource(self._store.read, entry, entry.key)

    def real_version(self, place: str, key: str, version: str | None) -> str | None:
        """What a store calls a version that is seen here. Raises Conflict where it has it no more,
        or not yet."""
        if version is None or not is_born(version):
            return version
        alias = self.aliases.get(place, key)
        if alias is None or alias.version != version:
            raise Conflict(f"{key} is not what was to be replaced", cause="it was changed since")
        return alias.store_version

    def origin(self, place: str, key: str, version: str) -> tuple[bool, str]:
        """Whether a version is pending, and else what the store calls it if it was born here."""
        if not is_born(version):
            return False, ""
        if any(e.version == version for e in self.view.of(place, key)):
            return True, ""
        alias = self.aliases.get(place, key)
        return False, alias.store_version if alias is not None and alias.version == version else ""

    # -- waiting

    def await_clean(self, place: str, key: str, timeout_s: float = BARRIER_S) -> None:
        """Until nothing is pending at or below a key. Raises as ``await_persisted``."""
        if self.view.holds(place):
            self.await_persisted(self.view.below(place, key), timeout_s)

    def await_persisted(
        self, entries: Collection[Entry], timeout_s: float, *, skip_conflicts: bool = False
    ) -> None:
        """Until the store has all of these, what is kept apart. Raises Conflict where one can't be
        persisted (with ``skip_conflicts`` the others are waited for), NotPersisted after the time
        given."""
        end = time.monotonic() + timeout_s
        seqs = [e.seq for e in entries if e.state is not State.KEPT]
        with self._changed:
            while left := [e for e in map(self.view.get, seqs) if e is not None]:
                stuck = [e for e in left if e.state is State.CONFLICT]
                if skip_conflicts and len(stuck) == len(left):
                    return
                if stuck and not skip_conflicts:
                    raise Conflict(
                        f"{stuck[0].key} can't be persisted",
                        cause=stuck[0].detail,
                        remedy="`millpond persist ls` shows it, `millpond persist retry` ends it",
                    )
                if not self._changed.wait(end - time.monotonic()) and time.monotonic() >= end:
                    raise NotPersisted(
                        f"{left[0].key} is not in the store yet",
                        cause=left[0].detail or f"{len(left)} files are waited for",
                        remedy="`millpond persist ls` shows how far they are; try again",
                    )

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()
