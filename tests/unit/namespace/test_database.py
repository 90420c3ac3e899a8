"""The database: what it keeps, who may read it, and what it refuses."""

from __future__ import annotations

import sqlite3
import stat
from typing import TYPE_CHECKING

import pytest

from millpond.errors import CacheDirUnusable, Corrupt, UnknownFormat
from millpond.namespace.database import SCHEMA, Database, MountRow

if TYPE_CHECKING:
    from pathlib import Path

ROW = MountRow("/a", "s3a://b", "0" * 16, "b", "", {"secret_key": "s3cret", "é": "日"})


def test_mounts_survive(tmp_path: Path) -> None:
    database = Database(tmp_path / "n.db")
    other = ROW._replace(path="/A", options={})
    database.add(ROW)
    database.add(other)
    database.close()
    database = Database(tmp_path / "n.db")
    assert database.mounts() == [other, ROW]
    database.remove("/A")
    database.remove("/absent")
    assert database.mounts() == [ROW]
    database.close()


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    (tmp_path / "n.db").touch(0o666)
    database = Database(tmp_path / "n.db")
    database.add(ROW)
    assert len(list(tmp_path.iterdir())) == 3  # the database, its log, the log's index
    modes = {f.name: stat.S_IMODE(f.stat().st_mode) for f in tmp_path.iterdir()}
    database.close()
    assert set(modes.values()) == {0o600}


def test_every_change_is_synced(tmp_path: Path) -> None:
    database = Database(tmp_path / "n.db")
    assert database._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert database._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()


def test_a_newer_schema_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "n.db"
    raw = sqlite3.connect(file)
    raw.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    raw.close()
    before = file.read_bytes()
    with pytest.raises(UnknownFormat, match=f"schema {SCHEMA + 1}"):
        Database(file)
    assert file.read_bytes() == before


def test_what_is_no_database_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "n.db"
    file.write_bytes(b"not a database" * 100)
    with pytest.raises(Corrupt, match="not a readable database"):
        Database(file)
    assert file.read_bytes() == b"not a database" * 100


def test_where_it_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(CacheDirUnusable, match="owner of the cache directory"):
        Database(tmp_path / "absent/n.db")
