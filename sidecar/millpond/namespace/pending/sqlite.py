"""The journal in ``namespace.db``: one connection, one transaction a step."""

from __future__ import annotations

import json
import logging
import sqlite3
from contextlib import contextmanager
from dataclasses import astuple, replace
from typing import TYPE_CHECKING, Any

from millpond.errors import BatchEnded, CacheDirUnusable, Conflict, NoSpace
from millpond.namespace.database import PENDING_SCHEMA, PLAIN_SCHEMA, Database
from millpond.namespace.options import CACHE
from millpond.namespace.pending.areas import NO_CHANGES, Name, split_orphans
from millpond.namespace.pending.journal import Journal
from millpond.namespace.pending.records import (
    Alias,
    Batch,
    BatchState,
    Entry,
    Loaded,
    Op,
    State,
    chosen,
    joined,
    rebased,
)
from millpond.under.base import ABSENT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from millpond.namespace.pending.areas import Changes

log = logging.getLogger(__name__)
ENDED_BATCHES = 1000
"""How many batches that are over are remembered, for who asks again or wants to see."""

_CREATE = """
CREATE TABLE IF NOT EXISTS batches (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  mount TEXT NOT NULL,
  write_type TEXT NOT NULL,
  name TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  state TEXT NOT NULL,
  detail TEXT NOT NULL,
  attempts TEXT,  -- JSON
  files INTEGER NOT NULL,
  length INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS entries (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  batch TEXT NOT NULL,
  mount TEXT NOT NULL,
  place TEXT NOT NULL,
  key TEXT NOT NULL,
  op TEXT NOT NULL,
  version TEXT NOT NULL,
  length INTEGER NOT NULL,
  mtime_ms INTEGER NOT NULL,
  expect TEXT,
  strict INTEGER NOT NULL,
  state TEXT NOT NULL,
  attempt TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS entries_batch ON entries (batch);
CREATE INDEX IF NOT EXISTS entries_key ON entries (place, key);
CREATE TABLE IF NOT EXISTS aliases (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  place TEXT NOT NULL,
  key TEXT NOT NULL,
  store_version TEXT NOT NULL,
  version TEXT NOT NULL,
  length INTEGER NOT NULL,
  mtime_ms INTEGER NOT NULL,
  UNIQUE (place, key)
) STRICT;
CREATE TABLE IF NOT EXISTS names (
  id INTEGER PRIMARY KEY,
  parent INTEGER NOT NULL,  -- 0: a top, whose key is its name
  name TEXT NOT NULL,
  version TEXT NOT NULL,  -- '': a directory
  length INTEGER NOT NULL,
  mtime_ms INTEGER NOT NULL,
  held INTEGER NOT NULL,
  place TEXT NOT NULL,  -- of a top
  mount TEXT NOT NULL,
  UNIQUE (parent, name, place)
) STRICT;
CREATE TABLE IF NOT EXISTS life (boot TEXT NOT NULL) STRICT;
"""
_ENTRY = (
    "batch, mount, place, key, op, version, length, mtime_ms, expect, strict, state, attempt, "
    "detail, seq"
)
_BATCH = "id, mount, write_type, name, created_ms, state, detail, attempts, files, length"
_PENDING = "place = ? AND key = ? AND state != 'staged'"
_ALIAS = "place, key, store_version, version, length, mtime_ms"
_NAME = "id, parent, name, version, length, mtime_ms, held, place, mount"
_SAME_NAME = ", ".join(f"{each} = excluded.{each}" for each in _NAME.split(", "))


class SqliteJournal(Journal):
    """The journal of a node that is alone.

    ``boot`` names this life of the machine; "": who only looks.
    """

    def __init__(self, database: Database, boot: str = "") -> None:
        self._database = database
        with self._step() as db:
            for statement in _CREATE.split(";"):
                db.execute(statement)
            [before] = db.execute("SELECT max(boot) FROM life").fetchone()
            if boot and boot != before:
                db.execute("DELETE FROM life")
                db.execute("INSERT INTO life (boot) VALUES (?)", (boot,))
                db.execute("DELETE FROM entries WHERE state = 'staged'")
                db.execute("DELETE FROM names")
                values = (BatchState.ABORTED, "the machine was started anew", BatchState.OPEN)
                db.execute("UPDATE batches SET state = ?, detail = ? WHERE state = ?", values)

    @contextmanager
    def _step(self, *, synced: bool = True) -> Iterator[sqlite3.Connection]:
        try:
            with self._database.change(synced=synced) as db:
                yield db
                [pending] = db.execute("SELECT EXISTS (SELECT 1 FROM entries)").fetchone()
                Database.set_schema(db, PENDING_SCHEMA if pending else PLAIN_SCHEMA)
        except sqlite3.Error as e:
            full = getattr(e, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL
            cause = f"{self._database.file}: {e}"
            if full:
                raise NoSpace("pending data can't be recorded", cause=cause) from e
            raise CacheDirUnusable(
                "pending data can't be recorded", cause=cause, remedy="Check the disk"
            ) from e

    def load(self) -> Loaded:
        batches = self.batches()
        with self._step() as db:
            entries = _entries(db, "1 ORDER BY seq")
            aliases = db.execute(f"SELECT {_ALIAS} FROM aliases ORDER BY n").fetchall()
            rows = db.execute(f"SELECT {_NAME} FROM names").fetchall()
            names, orphans = split_orphans(replace(Name(*row), held=bool(row[6])) for row in rows)
            db.executemany("DELETE FROM names WHERE id = ?", [(n.id,) for n in orphans])
        if orphans:
            log.warning(
                "%d names in staging areas are dropped, %s among them: their directory is not in "
                "the journal", len(orphans), orphans[0].name,
            )  # fmt: skip
        return Loaded(batches, entries, [Alias(*row) for row in aliases], names)

    def begin(self, batch: Batch) -> None:
        with self._step(synced=False) as db:
            if _find(db, batch.id) is not None:
                raise Conflict(f"there is a batch {batch.id}")
            values = (
                batch.id, batch.mount, batch.write_type, batch.name, batch.created_ms, batch.state,
                batch.detail, None, 0, 0,
            )  # fmt: skip
            db.execute(f"INSERT INTO batches ({_BATCH}) VALUES ({_marks(values)})", values)
            db.execute(
                "DELETE FROM batches WHERE n IN (SELECT n FROM batches b WHERE state != 'open' AND "
                "NOT EXISTS (SELECT 1 FROM entries WHERE batch = b.id) "
                "ORDER BY n DESC LIMIT -1 OFFSET ?)",
                (ENDED_BATCHES,),
            )

    def batch(self, batch: str) -> Batch | None:
        with self._step() as db:
            return _find(db, batch)

    def batches(self) -> list[Batch]:
        with self._step() as db:
            rows = db.execute(f"SELECT {_BATCH} FROM batches ORDER BY n").fetchall()
        return [_batch(row) for row in rows]

    def entries(self, batch: str) -> list[Entry]:
        with self._step() as db:
            return _entries(db, "batch = ? ORDER BY seq", batch)

    def stage(self, batch: str, entries: Iterable[Entry]) -> list[Entry]:
        with self._step(synced=False) as db:
            _open(db, batch)
            return [
                _insert(db, replace(e, batch=batch, state=State.STAGED, seq=0)) for e in entries
            ]

    def unstage(self, batch: str, seqs: Collection[int]) -> list[Entry]:
        with self._step(synced=False) as db:
            _open(db, batch)
            found = [e for e in _entries(db, "batch = ? ORDER BY seq", batch) if e.seq in seqs]
            _remove(db, found)
            return found

    def commit(
        self, batch: str, attempts: Collection[str] | None, removals: Iterable[Entry] = ()
    ) -> list[Entry]:
        named = None if attempts is None else tuple(sorted(set(attempts)))
        with self._step() as db:
            found = _find(db, batch)
            if found is not None and found.state is BatchState.COMMITTED:
                if found.attempts != named:
                    raise Conflict(
                        f"batch {batch} is committed already", cause="with files of other attempts"
                    )
                return _entries(db, "batch = ? ORDER BY seq", batch)
            _open(db, batch)
            staged = _entries(db, "batch = ? ORDER BY seq", batch)
            _remove(db, staged)
            made = joined(chosen(staged, named), removals)
            if found is not None and found.write_type == CACHE:
                made = [replace(e, state=State.KEPT) for e in made]
            made = _record(db, batch, made)
            puts = [e for e in made if e.op is Op.PUT]
            db.execute(
                "UPDATE batches SET state = ?, attempts = ?, files = ?, length = ? WHERE id = ?",
                (
                    BatchState.COMMITTED, None if named is None else json.dumps(named), len(puts),
                    sum(e.length for e in puts), batch,
                ),
            )  # fmt: skip
            return made

    def abort(self, batch: str, detail: str = "") -> list[Entry]:
        with self._step(synced=False) as db:
            found = _find(db, batch)
            if found is not None and found.state is BatchState.COMMITTED:
                raise Conflict(f"batch {batch} is committed", remedy="Delete its files instead")
            if found is None or found.state is BatchState.ABORTED:
                return []
            staged = _entries(db, "batch = ? ORDER BY seq", batch)
            _remove(db, staged)
            values = (BatchState.ABORTED, detail, batch)
            db.execute("UPDATE batches SET state = ?, detail = ? WHERE id = ?", values)
            return staged

    def record(self, entries: Iterable[Entry], names: Changes = NO_CHANGES) -> list[Entry]:
        entries = list(entries)
        with self._step(synced=bool(entries)) as db:
            db.executemany("DELETE FROM names WHERE id = ?", [(n.id,) for n in names.gone])
            db.executemany(
                f"INSERT INTO names ({_NAME}) VALUES ({', '.join('?' * 9)}) "
                f"ON CONFLICT (id) DO UPDATE SET {_SAME_NAME}",
                [astuple(n) for n in names.put],
            )
            return [made for e in entries for made in _record(db, e.batch, [e])]

    def advance(self, seq: int, old: State, new: State, detail: str = "") -> bool:
        if State.CLEAN in (old, new):
            raise ValueError("an entry becomes clean by settle")
        with self._step() as db:
            done = db.execute(
                "UPDATE entries SET state = ?, detail = ? WHERE seq = ? AND state = ?",
                (new, detail, seq, old),
            )
            return done.rowcount == 1

    def settle(
        self, seq: int, old: State, made: str | None, alias: Alias | None = None, *,
        changed: bool = True,
    ) -> bool:  # fmt: skip
        with self._step() as db:
            found = _entries(db, "seq = ? AND state = ?", seq, old)
            if not found:
                return False
            [entry] = found
            _leave(db, entry, made, made if alias is None else alias.version)
            if changed:
                _drop_alias(db, entry.place, entry.key)
            if alias is not None:
                values = (
                    alias.place, alias.key, alias.store_version, alias.version, alias.length,
                    alias.mtime_ms,
                )  # fmt: skip
                db.execute(f"INSERT INTO aliases ({_ALIAS}) VALUES ({_marks(values)})", values)
            return True

    def forgo(self, seqs: Collection[int]) -> list[Entry]:
        with self._step() as db:
            found = _kept(db, seqs)
            for entry in found:
                _leave(db, entry, entry.expect, entry.expect)
            return found

    def move(self, keys: Mapping[int, str]) -> list[Entry]:
        with self._step() as db:
            found = _kept(db, keys)
            for entry in found:
                key = keys[entry.seq]
                if _entries(db, _PENDING, entry.place, key):
                    raise Conflict(f"{key} was written meanwhile")
                values = (key, ABSENT, entry.seq)
                db.execute("UPDATE entries SET key = ?, expect = ? WHERE seq = ?", values)
            return found

    def overwrite(self, seq: int) -> bool:
        with self._step() as db:
            done = db.execute(
                "UPDATE entries SET state = ?, expect = NULL, strict = 0, detail = '' "
                "WHERE seq = ? AND state = ?",
                (State.DIRTY, seq, State.CONFLICT),
            )
            return done.rowcount == 1

    def drop_aliases(self, aliases: Iterable[Alias]) -> None:
        with self._step() as db:
            db.executemany(
                "DELETE FROM aliases WHERE place = ? AND key = ? AND version = ?",
                [(a.place, a.key, a.version) for a in aliases],
            )


def _record(db: sqlite3.Connection, batch: str, entries: Iterable[Entry]) -> list[Entry]:
    made = []
    for entry in entries:
        at = (entry.place, entry.key)
        before = _entries(db, f"{_PENDING} ORDER BY seq", *at)
        row = db.execute(f"SELECT {_ALIAS} FROM aliases WHERE place = ? AND key = ?", at).fetchone()
        state = State.KEPT if entry.state is State.KEPT else State.DIRTY
        new = replace(entry, batch=batch, state=state, seq=0)
        new = rebased(new, before[-1] if before else None, Alias(*row) if row else None)
        made.append(_insert(db, new))
    return made


def _insert(db: sqlite3.Connection, entry: Entry) -> Entry:
    values = (
        entry.batch, entry.mount, entry.place, entry.key, entry.op, entry.version, entry.length,
        entry.mtime_ms, entry.expect, int(entry.strict), entry.state, entry.attempt, entry.detail,
    )  # fmt: skip
    names = _ENTRY.removesuffix(", seq")
    done = db.execute(f"INSERT INTO entries ({names}) VALUES ({_marks(values)})", values)
    assert done.lastrowid is not None
    return replace(entry, seq=done.lastrowid)


def _entries(db: sqlite3.Connection, where: str, *values: Any) -> list[Entry]:
    rows = db.execute(f"SELECT {_ENTRY} FROM entries WHERE {where}", values)
    return [
        Entry(b, m, p, k, Op(op), v, n, t, x, bool(strict), State(s), a, d, seq)
        for b, m, p, k, op, v, n, t, x, strict, s, a, d, seq in rows
    ]


def _kept(db: sqlite3.Connection, seqs: Collection[int]) -> list[Entry]:
    return [e for s in seqs for e in _entries(db, "seq = ? AND state = ?", s, State.KEPT)]


def _leave(db: sqlite3.Connection, entry: Entry, made: str | None, now: str | None) -> None:
    """An entry leaves; those after it are to replace ``made``, which is seen as ``now``."""
    _remove(db, [entry])
    at = (entry.place, entry.key)
    if entry.op is Op.PUT:
        db.execute(
            "UPDATE entries SET expect = ? WHERE place = ? AND key = ? AND expect = ?",
            (made, *at, entry.version),
        )
    db.execute(
        "UPDATE entries SET expect = ? WHERE place = ? AND key = ? AND state = 'staged' "
        "AND strict = 0",
        (now, *at),
    )
    after = _entries(db, f"{_PENDING} AND seq > ? ORDER BY seq LIMIT 1", *at, entry.seq)
    if after and after[0].expect is not None:
        db.execute("UPDATE entries SET expect = ? WHERE seq = ?", (made, after[0].seq))


def _remove(db: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    db.executemany("DELETE FROM entries WHERE seq = ?", [(e.seq,) for e in entries])


def _drop_alias(db: sqlite3.Connection, place: str, key: str) -> None:
    db.execute("DELETE FROM aliases WHERE place = ? AND key = ?", (place, key))


def _find(db: sqlite3.Connection, batch: str) -> Batch | None:
    row = db.execute(f"SELECT {_BATCH} FROM batches WHERE id = ?", (batch,)).fetchone()
    return None if row is None else _batch(row)


def _batch(row: tuple[Any, ...]) -> Batch:
    ident, mount, write_type, name, created_ms, state, detail, attempts, files, length = row
    named = None if attempts is None else tuple(json.loads(attempts))
    return Batch(
        ident, mount, write_type, name, created_ms, BatchState(state), detail, named, files, length
    )


def _open(db: sqlite3.Connection, batch: str) -> None:
    found = _find(db, batch)
    if found is None or found.state is not BatchState.OPEN:
        why = "it is not known" if found is None else f"it is {found.state}"
        if found is not None and found.detail:
            why += f": {found.detail}"
        raise BatchEnded(f"batch {batch} is not open", cause=why, remedy="Begin another")


def _marks(values: tuple[Any, ...]) -> str:
    return ", ".join("?" * len(values))
