"""The adapter of fsspec over file systems that are really there: local, memory, s3fs."""

from __future__ import annotations

import itertools
import os
import time
from typing import TYPE_CHECKING, ClassVar

import fsspec
import pytest

from millpond.errors import FileChanged
from millpond.testing.under_contract import MANY, StoreSite, UnderStoreContract, fetch
from millpond.under.fsspec_store import FsspecStore
from millpond.under.registry import open_store
from millpond.under.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from millpond.testing.s3_gateway import S3Gateway

FAST = RetryPolicy(attempts=2, base_s=0.001, cap_s=0.01, deadline_s=20.0)


def later_s() -> float:
    """Later than any change here, so that versions are strong without waiting."""
    return time.time() + 3_600


class LocalSite(StoreSite):
    sets_times = False
    odd_keys = (
        "100%", "%41", "a b", " lead", "a+b", "é", "e\u0301", "c\tx", "a\nb", "h#h",
        "date=2026/f", "…", "日本", "d_$folder$",
    )  # fmt: skip

    def __init__(self, base: Path) -> None:
        self._base = base
        self._mtimes = itertools.count(1_700_000_000)
        self.prefix = str(base).lstrip("/")

    def open(self) -> FsspecStore:
        return FsspecStore("file", "file", "", {}, retry=FAST, clock_s=later_s)

    def put(self, key: str, data: bytes) -> None:
        path = self._base / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        at_s = next(self._mtimes)
        os.utime(path, (at_s, at_s))

    def delete(self, key: str) -> None:
        (self._base / key).unlink()

    def make_directory(self, key: str) -> None:
        (self._base / key).mkdir(parents=True)

    def many(self) -> str:
        for i in range(MANY):
            self.put(f"many/{'d/' if i % 10 == 0 else ''}f{i:05}", b"1")
        return self.key("many")

    def refused(self, key: str) -> FsspecStore:
        if os.geteuid() == 0:
            pytest.skip("no file mode stops root")
        (self._base / key).chmod(0)
        return self.open()


class TestLocal(UnderStoreContract):
    @pytest.fixture
    def site(self, tmp_path: Path) -> LocalSite:
        return LocalSite(tmp_path)

    def test_just_changed_is_weak(self, tmp_path: Path) -> None:
        (tmp_path / "f").write_bytes(b"1")
        key = str(tmp_path / "f").lstrip("/")
        assert FsspecStore("file", "file", "", {}).stat(key).weak
        assert not FsspecStore("file", "file", "", {}, clock_s=later_s).stat(key).weak


class S3fsSite(StoreSite):
    object_store = True
    sets_times = False
    odd_keys = (
        "100%", "%41", "a b", "a+b", "é", "h#h", "date=2026/f", "…", "日本", "q?x", "a:b", "{x}",
    )  # fmt: skip
    _numbers: ClassVar[itertools.count[int]] = itertools.count()

    def __init__(self, server: S3Gateway, bucket: str) -> None:
        self._server = server
        self._bucket = bucket
        self.prefix = f"t{next(self._numbers)}"

    def open(self, **changed: str) -> FsspecStore:
        options = self._server.mount_options() | changed
        return FsspecStore("s3a", "s3", self._bucket, options, retry=FAST, clock_s=later_s)

    def put(self, key: str, data: bytes) -> None:
        self._server.put_object(self._bucket, self.key(key), data)

    def delete(self, key: str) -> None:
        self._server.delete_object(self._bucket, self.key(key))

    def make_directory(self, key: str) -> None:
        self._server.put_object(self._bucket, self.key(key) + "/")

    def many(self) -> str:
        for i in range(MANY):
            self.put(f"many/{'d/' if i % 10 == 0 else ''}f{i:05}", b"1")
        return self.key("many")

    def refused(self, key: str) -> FsspecStore:
        return self.open(secret_key="wrong-secret")


@pytest.fixture(scope="module")
def bucket(s3_gateway: S3Gateway) -> str:
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    return s3_gateway.new_bucket()


class TestS3fs(UnderStoreContract):
    @pytest.fixture
    def site(self, s3_gateway: S3Gateway, bucket: str) -> S3fsSite:
        return S3fsSite(s3_gateway, bucket)

    def test_driver_of_a_mount(self, site: S3fsSite, s3_gateway: S3Gateway, bucket: str) -> None:
        site.put("f", b"0123456789")
        options = s3_gateway.mount_options() | {"driver": "s3fs"}
        store, key = open_store(f"s3a://{bucket}/{site.prefix}", options)
        found = store.stat(f"{key}/f")
        assert type(store).__name__ == "FsspecStore"
        assert s3_gateway.secret_key not in repr(store)
        assert fetch(store, found.key, 3, 7, found.version) == b"3456"


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    files = fsspec.filesystem("memory")
    yield files
    files.rm("/pond", recursive=True)


def test_without_a_tag_all_is_weak(memory: fsspec.AbstractFileSystem) -> None:
    memory.pipe_file("/pond/d/f", b"0123456789")
    store, key = open_store("memory://pond/d", {})
    [[entry]] = store.list(key)
    assert (entry.key, entry.length, entry.weak) == ("d/f", 10, True)
    assert fetch(store, "d/f", 2, 5, entry.version) == b"234"
    memory.pipe_file("/pond/d/f", b"shorter")
    with pytest.raises(FileChanged):
        fetch(store, "d/f", 2, 5, entry.version)
