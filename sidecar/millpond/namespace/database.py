"""What the sidecar must not forget: mounts, pins and pending data, in SQLite; on disk before it
counts."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
from typing import TYPE_CHECKING, NamedTuple

from millpond.errors import CacheDirUnusable, Corrupt, UnknownFormat
from millpond.store.files import FileVersion

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

PLAIN_SCHEMA = 1
PENDING_SCHEMA = 2
"""While there is pending data: a release that knows none of it would show older files."""
SCHEMA = PENDING_SCHEMA
_CREATE = """
CREATE TABLE mounts (
  path TEXT PRIMARY KEY,
  store_uri TEXT NOT NULL,
  store_id TEXT NOT NULL,
  root TEXT NOT NULL,
  prefix TEXT NOT NULL,
  options TEXT NOT NULL  -- JSON, as given: may hold secrets
) STRICT
"""

# A release that knows no pins leaves these alone: they need no schema of their own.
_PINS = """
CREATE TABLE IF NOT EXISTS pins (path TEXT PRIMARY KEY, recursive INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS pinned (
  path TEXT PRIMARY KEY,
  store_path TEXT NOT NULL,
  file_id BLOB NOT NULL,
  length INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""
_SYNCED = "PRAGMA synchronous = FULL"
_BELOW = "path = ?1 OR ?1 = '/' OR (path >= ?1 || '/' AND path < ?1 || '0')"
_PIN = (
    "INSERT INTO pins VALUES (?, ?) "
    "ON CONFLICT (path) DO UPDATE SET recursive = max(recursive, excluded.recursive)"
)
_PINNED = "INSERT OR REPLACE INTO pinned VALUES (?, ?, ?, ?)"
_INSERT = "INSERT OR REPLACE INTO mounts VALUES (?, ?, ?, ?, ?, ?)"


class MountRow(NamedTuple):
    """A mount as it was given, and what its store said of itself when it was added."""

    path: str
    store_uri: str
    store_id: str
    root: str
    prefix: str
    options: dict[str, str]


class Database:
    """``namespace.db``: 0600, since options of mounts may be secrets. Thread-safe.

    Raises UnknownFormat when a newer release wrote it, Corrupt when it is no database; in both
    cases the file is left as it is.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = threading.Lock()
        self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        file = self.file
        try:
            os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            os.chmod(file, 0o600)
            db = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.OperationalError) as e:
            raise CacheDirUnusable(
                f"{file} can't be opened",
                cause=str(e),
                remedy="Run the sidecar as the owner of the cache directory",
            ) from None
        try:
            self._prepare(db)
        except sqlite3.DatabaseError as e:
            db.close()
            raise Corrupt(
                f"{file} is not a readable database",
                cause=str(e),
                remedy="Move the file away and add the mounts again",
            ) from None
        except BaseException:
            db.close()
            raise
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        db.execute("PRAGMA busy_timeout = 5000")
        known = db.execute("PRAGMA user_version").fetchone()[0]
        if known > SCHEMA:
            raise UnknownFormat(
                f"{self.file} has schema {known}",
                cause=f"this release knows {SCHEMA}",
                remedy="Install the release that wrote it, or a newer one",
            )
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(_SYNCED)
        if known == 0:
            db.execute("BEGIN IMMEDIATE")
            if db.execute("PRAGMA user_version").fetchone()[0] == 0:
                db.execute(_CREATE)
                self.set_schema(db, PLAIN_SCHEMA)
            db.execute("COMMIT")
        db.executescript(_PINS)

    def mounts(self) -> list[MountRow]:
        """All mounts, by path."""
        with self._lock:
            rows = self._db.execute("SELECT * FROM mounts ORDER BY path").fetchall()
        return [MountRow(a, b, c, d, e, json.loads(f)) for a, b, c, d, e, f in rows]

    def add(self, row: MountRow) -> None:
        """On disk when this returns."""
        values = (*row[:-1], json.dumps(row.options))
        with self._lock:
            self._db.execute(_INSERT, values)

    def heal(self, rows: Iterable[MountRow]) -> bool:
        """Write the database anew where its file was deleted by hand; whether it was."""
        with self._lock:
            if self.file.exists():
                return False
            for suffix in ("-wal", "-shm"):  # of the deleted file: not this one's
                self.file.with_name(self.file.name + suffix).unlink(missing_ok=True)
            healed = self._open()
            self._db.backup(healed)  # the deleted file has pins and pending data
            self._db.close()
            self._db = healed
            values = [(*row[:-1], json.dumps(row.options)) for row in rows]
            with self._change():
                self._db.executemany(_INSERT, values)
        return True

    @contextlib.contextmanager
    def change(self, *, synced: bool = True) -> Iterator[sqlite3.Connection]:
        """The connection, for one transaction: on disk when the block ends, nothing if it raises.

        Not ``synced``: it outlives this process, and the machine with the next that is synced. What
        sqlite3 raises is the caller's.
        """
        with self._lock:
            if synced:
                with self._change():
                    yield self._db
                return
            self._db.execute("PRAGMA synchronous = NORMAL")
            try:
                with self._change():
                    yield self._db
            finally:
                self._db.execute(_SYNCED)

    @staticmethod
    def set_schema(db: sqlite3.Connection, schema: int) -> None:
        """Within a transaction, too."""
        if db.execute("PRAGMA user_version").fetchone()[0] != schema:
            db.execute(f"PRAGMA user_version = {schema}")

    def remove(self, path: str) -> None:
        with self._lock:
            self._db.execute("DELETE FROM mounts WHERE path = ?", (path,))

    # -- pins

    def pins(self) -> list[tuple[str, bool]]:
        """(path, whether all below it too), by path."""
        with self._lock:
            rows = self._db.execute("SELECT * FROM pins ORDER BY path").fetchall()
        return [(path, bool(recursive)) for path, recursive in rows]

    def pinned(self, path: str = "/") -> list[FileVersion]:
        """The pinned files at or below a path."""
        query = f"SELECT * FROM pinned WHERE {_BELOW}"
        with self._lock:
            return [FileVersion(*row) for row in self._db.execute(query, (path,))]

    def pinned_totals(self, path: str = "/") -> tuple[int, int]:
        """How many they are, and their length together."""
        query = f"SELECT count(*), coalesce(sum(length), 0) FROM pinned WHERE {_BELOW}"
        with self._lock:
            files, length = self._db.execute(query, (path,)).fetchone()
        return files, length

    def add_pin(self, path: str, recursive: bool, files: Iterable[FileVersion]) -> None:
        """On disk when this returns; so with the others."""
        with self._lock, self._change():
            self._db.execute(_PIN, (path, int(recursive)))
            self._db.executemany(_PINNED, files)

    def remove_pin(self, path: str, files: Iterable[FileVersion]) -> None:
        with self._lock, self._change():
            self._db.execute("DELETE FROM pins WHERE path = ?", (path,))
            self._forget(files)

    def replace_pinned(self, new: Iterable[FileVersion], old: Iterable[FileVersion]) -> None:
        with self._lock, self._change():
            self._forget(old)
            self._db.executemany(_PINNED, new)

    def _forget(self, files: Iterable[FileVersion]) -> None:
        self._db.executemany("DELETE FROM pinned WHERE path = ?", [(f.path,) for f in files])

    @contextlib.contextmanager
    def _change(self) -> Iterator[None]:
        """All of it or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # a full disk has ended it already
                self._db.execute("ROLLBACK")
            raise

    def close(self) -> None:
        with self._lock:
            self._db.close()
