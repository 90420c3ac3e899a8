"""Which writes are open, and what may be done where: decisions without a sidecar."""

from __future__ import annotations

from pathlib import Path

import pytest

from millpond.errors import (
    AcrossMounts,
    AlreadyExists,
    InvalidPath,
    InvalidRequest,
    IsADirectory,
    MountConflict,
    MountNotFound,
    MountReadOnly,
    SessionLost,
)
from millpond.namespace.mounts import Mount, MountTable
from millpond.server.core import writes as core
from millpond.server.core.writes import Writes
from millpond.store.staging import StagedFile
from millpond.under.base import ABSENT
from millpond.wire.millpond_pb2 import FileInfo

TABLE = MountTable(
    [
        Mount("/m", "s3a://b", "0" * 16, "b", ""),
        Mount("/m/in/ner", "s3a://c", "0" * 16, "c", ""),
        Mount("/ro", "s3a://d", "0" * 16, "d", "", read_only=True),
    ]
)
FILE, DIRECTORY = FileInfo(path="/m/f"), FileInfo(path="/m/d", directory=True)


def files(*names: str) -> list[StagedFile]:
    return [StagedFile(Path(n), n, 1, 0) for n in names]


def test_a_write_is_committed_once() -> None:
    writes = Writes()
    number = writes.begin(1, "/m/f", ABSENT).number
    writes.added(1, number, files("a", "b"))
    writes.added(1, number, files("c"))
    write, taken = writes.commit(1, number, ["c", "a"])
    assert [f.name for f in taken] == ["c", "a"]
    assert [f.name for f in core.unnamed(write, taken)] == ["b"]
    for late in (writes.commit, writes.added):
        with pytest.raises(SessionLost):
            late(1, number, [])
    assert writes.abort(1, number) == []
    assert writes.open == 1
    assert writes.committed(1) is None
    assert writes.open == 0


def test_names_of_another_write_are_refused() -> None:
    writes = Writes()
    first, second = (writes.begin(1, p, None).number for p in ("/m/a", "/m/b"))
    writes.added(1, first, files("a"))
    writes.added(1, second, files("b"))
    for names in (["b"], ["a", "a"], ["a", "b"], [""]):
        with pytest.raises(InvalidRequest):
            writes.commit(1, first, names)
    with pytest.raises(SessionLost):
        writes.commit(2, first, ["a"])
    assert [f.name for f in writes.commit(1, first, ["a"])[1]] == ["a"]


def test_a_session_that_ends_takes_its_files_along() -> None:
    writes = Writes()
    kept = writes.begin(1, "/m/a", None).number
    lost = writes.begin(1, "/m/b", None).number
    name = writes.session(1, kept)
    writes.added(1, kept, files("a"))
    writes.added(1, lost, files("b"))
    writes.commit(1, kept, ["a"])
    gone, directory = writes.vanished(1)
    assert ([f.name for f in gone], directory) == (["b"], None), "a commit is still using it"
    with pytest.raises(SessionLost):
        writes.added(1, lost, files("c"))
    assert writes.committed(1) == name
    assert not writes.known(1)
    assert writes.vanished(1) == ([], None)


def test_what_a_create_replaces() -> None:
    assert core.check_create("/m/f", None, overwrite=False) == ABSENT
    assert core.check_create("/m/f", None, overwrite=True) is None
    assert core.check_create("/m/f", FILE, overwrite=True) is None
    with pytest.raises(AlreadyExists):
        core.check_create("/m/f", FILE, overwrite=False)
    for overwrite in (True, False):
        with pytest.raises(IsADirectory):
            core.check_create("/m/d", DIRECTORY, overwrite=overwrite)


@pytest.mark.parametrize("path", ["/", "/m", "/m/in", "/m/in/ner", "/ro"])
def test_mounts_are_fixed(path: str) -> None:
    with pytest.raises(MountConflict):
        core.check_delete(TABLE, path)
    with pytest.raises(MountConflict):
        core.check_rename(TABLE, path, "/m/other")
    with pytest.raises(MountConflict):
        core.check_rename(TABLE, "/m/other", path)


def test_renames_stay_in_a_mount() -> None:
    assert core.check_rename(TABLE, "/m/a", "/m/b/c").path == "/m"
    assert core.check_rename(TABLE, "/m/in/ner/a", "/m/in/ner/b").path == "/m/in/ner"
    for error, source, target in (
        (AcrossMounts, "/m/a", "/m/in/ner/a"),
        (MountReadOnly, "/m/a", "/ro/a"),
        (MountReadOnly, "/ro/a", "/m/a"),
        (MountNotFound, "/m/a", "/nowhere/a"),
        (InvalidPath, "/m/a", "/m/a/b"),
    ):
        with pytest.raises(error):
            core.check_rename(TABLE, source, target)
    assert core.target_of("/m/a", "/m/d", DIRECTORY, into=True) == "/m/d/a"
    assert core.target_of("/m/a", "/m/d", DIRECTORY, into=False) == "/m/d"
    assert core.target_of("/m/a", "/m/f", FILE, into=True) == "/m/f"
