"""What is particular to files: weak versions, links, special files, changes in mid-read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from millpond.errors import FileChanged, PermissionDenied
from millpond.testing.under_contract import names
from millpond.under.file import FileStore

if TYPE_CHECKING:
    from pathlib import Path


def key_of(path: Path) -> str:
    return str(path).lstrip("/")


def test_recent_change_is_weak(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"1")
    changed_ns = path.stat().st_ctime_ns
    for age_ns, weak in ((0, True), (1_999_999_999, True), (2_000_000_000, False), (-5, True)):
        store = FileStore(tmp_path, clock_ns=lambda age_ns=age_ns: changed_ns + age_ns)
        assert store.stat(key_of(path)).weak is weak


def test_same_size_and_mtime_is_another_version(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"before")
    store = FileStore(tmp_path)
    old = store.stat(key_of(path))
    times = path.stat()
    fresh = tmp_path / "g"
    fresh.write_bytes(b"after!")
    os.utime(fresh, ns=(times.st_atime_ns, times.st_mtime_ns))
    fresh.rename(path)
    assert store.stat(key_of(path)).version != old.version


def test_change_in_mid_read(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(bytes(3 << 20))
    store = FileStore(tmp_path)
    found = store.stat(key_of(path))
    stream = store.read(found.key, 0, found.length, found.version)
    next(stream)
    os.truncate(path, 2 << 20)
    with pytest.raises(FileChanged):
        next(stream)


def test_links_inside_are_followed_and_outside_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "d").mkdir(parents=True)
    (root / "d/f").write_bytes(b"1")
    (tmp_path / "secret").write_bytes(b"s")
    (root / "file").symlink_to("d/f")
    (root / "dir").symlink_to("d")
    (root / "loop").symlink_to("..")
    (root / "d/up").symlink_to("..", target_is_directory=True)
    (root / "nowhere").symlink_to("absent")
    (root / "self").symlink_to("self")
    (root / "out").symlink_to(tmp_path / "secret")
    store = FileStore(root)
    key = key_of(root)
    with pytest.raises(PermissionDenied):
        store.stat(f"{key}/out")
    with pytest.raises(PermissionDenied):
        next(store.read(f"{key}/out", 0, 1, "x"))
    with pytest.raises(PermissionDenied):
        store.stat(key_of(tmp_path))
    level = [k.removeprefix(key + "/") for k, _ in names(store.list(key))]
    assert level == ["d", "dir", "file"]
    deep = [k.removeprefix(key + "/") for k, _ in names(store.list(key, recursive=True))]
    assert deep == ["d/f", "dir/f", "file"]


def test_special_files_are_refused_and_not_listed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    store = FileStore(tmp_path)
    with pytest.raises(PermissionDenied):
        store.stat(key_of(tmp_path / "pipe"))
    with pytest.raises(PermissionDenied):
        next(store.read(key_of(tmp_path / "pipe"), 0, 1, "x"))
    assert names(store.list(key_of(tmp_path))) == []


def test_names_that_are_no_text_are_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "good").write_bytes(b"1")
    (tmp_path / "d").mkdir()
    odd = [os.fsencode(tmp_path) + name for name in (b"/bad\xff", b"/d/x\xfe", b"/d/y\xfe")]
    for name in odd:
        with open(name, "wb"):
            pass
    store = FileStore(tmp_path)
    assert store.left_out() == 0
    for _ in range(2):
        assert len(names(store.list(key_of(tmp_path)))) == 2
        assert store.left_out() == 1
    for _ in range(2):
        assert len(names(store.list(key_of(tmp_path), recursive=True))) == 1
        assert store.left_out() == 3
    assert [r.getMessage() for r in caplog.records] == [
        f"1 names in {tmp_path} are not UTF-8 and are not shown",
        f"2 names in {tmp_path}/d are not UTF-8 and are not shown",
    ]
    for name in odd[1:]:
        os.unlink(name)
    names(store.list(key_of(tmp_path / "d")))
    assert store.left_out() == 1
