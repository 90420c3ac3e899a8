"""Writing through a sidecar: real S3, HDFS and local stores, by the local protocol."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from millpond.errors import (
    AcrossMounts,
    AlreadyExists,
    Conflict,
    Corrupt,
    DirectoryNotEmpty,
    InvalidPath,
    InvalidRequest,
    IsADirectory,
    MountConflict,
    MountReadOnly,
    NoSpace,
    NotADirectory,
    NotSupported,
    PathNotFound,
    SessionLost,
)
from millpond.model.sizes import MIB
from millpond.settings import Settings
from tests.fixtures.sidecar import LoopSidecar
from tests.fixtures.waiting import eventually
from tests.fixtures.write_site import WriteSite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from millpond.testing.hdfs_cluster import HdfsCluster
    from millpond.testing.s3_gateway import S3Gateway

CONTENT = random.Random(5).randbytes(35 * MIB + 4_321)
EVERY = pytest.mark.parametrize("mount", ["/s3", "/local", "/hdfs"])


@pytest.fixture(scope="module")
def site(
    s3_gateway: S3Gateway, hdfs_cluster: HdfsCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WriteSite]:
    base = tmp_path_factory.mktemp("writing")
    settings = Settings(cache_dir=base / "cache", http_port=0, cache_capacity_bytes=512 * MIB)
    with LoopSidecar(settings) as sidecar:
        site = WriteSite(sidecar, s3_gateway, base, hdfs=hdfs_cluster)
        yield site
        site.close()


@EVERY
@pytest.mark.parametrize("size", [0, 10, 65_536, 65_537, 16 * MIB, len(CONTENT)])
def test_what_is_written_is_read(site: WriteSite, mount: str, size: int) -> None:
    path = f"{mount}/read/{size}"
    info = site.write(path, CONTENT[:size])
    assert (info.path, info.length, info.directory) == (path, size, False)
    assert site.read(path) == CONTENT[:size]
    assert site.client.stat(path, force=True).version == info.version
    assert site.staged() == []


@pytest.mark.parametrize("size", [10, 65_537, len(CONTENT)])
def test_it_is_warm_at_once(site: WriteSite, size: int) -> None:
    path = f"/s3/warm/{size}"
    site.write(path, CONTENT[:size])
    before = site.calls()
    fs = site.fs()
    assert fs.cat_file(path) == CONTENT[:size]
    after = site.calls()
    assert (after.get, after.head, after.list) == (before.get, before.head, before.list)
    assert fs.counters["hit_bytes"] == size
    assert not any(name.startswith("fallback") for name in fs.counters)
    assert fs.counters["fills"] == 0


@EVERY
def test_replacing(site: WriteSite, mount: str) -> None:
    path = f"{mount}/replaced"
    for data in (b"first", CONTENT[:100_000], b"third", b"third"):
        site.write(path, data)
        assert site.read(path) == data
    with pytest.raises(AlreadyExists):
        site.client.begin(path, overwrite=False)


@EVERY
def test_what_another_made_meanwhile_is_a_conflict(site: WriteSite, mount: str) -> None:
    path = f"{mount}/contested"
    with site.writer(path, overwrite=False) as writer:
        writer.write(b"ours")
        site.write(path, b"theirs")
        with pytest.raises(Conflict):
            writer.commit()
    assert site.read(path) == b"theirs"
    assert site.staged() == []


def test_a_foreign_file_meanwhile_is_a_conflict(site: WriteSite) -> None:
    with site.writer("/s3/foreign", overwrite=False) as writer:
        writer.write(CONTENT)
        site.gateway.put_object(site.bucket, "data/foreign", b"foreign")
        with pytest.raises(Conflict):
            writer.commit()
    assert site.read("/s3/foreign") == b"foreign"
    assert site.gateway.uploads(site.bucket) == []


def test_nothing_is_seen_before_the_commit(site: WriteSite) -> None:
    site.write("/s3/seen/other", b"1")
    with site.writer("/s3/seen/late") as writer:
        writer.write(CONTENT)
        assert len(site.staged()) >= 3
        with pytest.raises(PathNotFound):
            site.client.stat("/s3/seen/late", force=True)
    eventually("staging is empty", lambda: site.staged() == [], 10)
    names = [e.path for page in site.client.list("/s3/seen") for e in page.entries]
    assert names == ["other"]


def test_a_write_is_committed_once(site: WriteSite) -> None:
    begun = site.client.begin("/s3/once")
    with site.writer("/s3/twice") as writer:
        writer.write(b"1")
        writer.commit()
        with pytest.raises(SessionLost):
            writer.commit()
    other = site.connect()
    with pytest.raises(SessionLost):
        other.commit(begun.write, 0, [])
    other.close()
    site.client.abort(begun.write)
    site.client.abort(begun.write)
    with pytest.raises(SessionLost):
        site.client.commit(begun.write, 0, [])
    with pytest.raises(SessionLost):
        site.client.begin("/s3/once", write=begun.write)


def test_what_a_writer_may_not_do(site: WriteSite) -> None:
    """Files that are not its own, unfinished, replaced, linked, still open: refused, and gone."""

    def file(name: str) -> str:
        return os.fspath(site.directory / name)

    def refused(error: type[Exception], length: int, *names: str, write: int) -> None:
        with pytest.raises(error):
            site.client.commit(write, length, names)
        with pytest.raises(PathNotFound):
            site.client.stat("/s3/bad", force=True)

    begun = site.client.begin("/s3/bad")
    refused(InvalidRequest, 10, "token", write=begun.write)
    refused(InvalidRequest, 10, "staging/../token", write=begun.write)
    refused(Corrupt, 10, *begun.files, write=begun.write)
    begun = site.client.begin("/s3/bad")
    os.unlink(file(begun.files[0]))
    os.symlink(file("token"), file(begun.files[0]))
    refused(Exception, 10, *begun.files, write=begun.write)
    begun = site.client.begin("/s3/bad")
    os.link(file(begun.files[0]), file(begun.files[0]) + "-link")
    refused(InvalidRequest, 10, *begun.files, write=begun.write)
    begun = site.client.begin("/s3/bad")
    with open(file(begun.files[0]), "wb"):
        refused(InvalidRequest, 10, *begun.files, write=begun.write)


def test_a_page_that_fails_its_checksum_is_not_uploaded(site: WriteSite) -> None:
    with site.writer("/s3/torn") as writer:
        writer.write(CONTENT[: 17 * MIB])
        (first, *_) = writer._files
        with open(site.directory / first, "r+b") as staged:
            staged.seek(65536 * 5 + 7)
            staged.write(b"\xff\x00\xff")
        with pytest.raises(Corrupt):
            writer.commit()
    with pytest.raises(PathNotFound):
        site.client.stat("/s3/torn", force=True)
    assert site.gateway.uploads(site.bucket) == []


def test_the_cache_is_full_of_what_is_being_written(site: WriteSite) -> None:
    begun = site.client.begin("/s3/full")

    def fill() -> None:
        for _ in range(40):
            site.client.begin("/s3/full", write=begun.write, files=16)

    with pytest.raises(NoSpace):
        fill()
    site.client.abort(begun.write)
    assert site.write("/s3/full", CONTENT).length == len(CONTENT)


@EVERY
def test_directories(site: WriteSite, mount: str) -> None:
    client = site.client
    client.mkdirs(f"{mount}/dirs/a/b")
    client.mkdirs(f"{mount}/dirs/a/b")
    assert client.stat(f"{mount}/dirs/a/b").directory
    site.write(f"{mount}/dirs/f", b"1")
    with pytest.raises(AlreadyExists):
        client.mkdirs(f"{mount}/dirs/f")
    for made in (f"{mount}/dirs/f/below", f"{mount}/dirs/f/below/it"):
        with pytest.raises(NotADirectory):
            client.mkdirs(made)
    with pytest.raises(NotADirectory):
        client.begin(f"{mount}/dirs/f/below")
    with pytest.raises(IsADirectory):
        client.begin(f"{mount}/dirs/a")
    with pytest.raises(PathNotFound):
        client.begin(f"{mount}/dirs/absent/f", parent=True)


@EVERY
def test_deleting(site: WriteSite, mount: str) -> None:
    client = site.client
    site.write(f"{mount}/del/a/f", b"1")
    site.write(f"{mount}/del/g", b"1")
    with pytest.raises(DirectoryNotEmpty):
        client.delete(f"{mount}/del")
    client.delete(f"{mount}/del/a/f")
    assert client.stat(f"{mount}/del/a", force=True).directory
    with pytest.raises(PathNotFound):
        client.stat(f"{mount}/del/a/f")
    client.delete(f"{mount}/del", recursive=True)
    for gone in ("del/g", "del/a", "del"):
        with pytest.raises(PathNotFound):
            client.stat(f"{mount}/{gone}")
    with pytest.raises(PathNotFound):
        client.delete(f"{mount}/del")


@EVERY
def test_renaming(site: WriteSite, mount: str) -> None:
    client = site.client
    site.write(f"{mount}/ren/a/f", CONTENT[:100_000])
    site.write(f"{mount}/ren/a/c/g", b"g")
    site.write(f"{mount}/ren/b/f", b"another")
    with pytest.raises(AlreadyExists):
        client.rename(f"{mount}/ren/a/f", f"{mount}/ren/b/f")
    with pytest.raises(AlreadyExists):
        client.rename(f"{mount}/ren/a/f", f"{mount}/ren/b", into=True)
    with pytest.raises(PathNotFound):
        client.rename(f"{mount}/ren/a/f", f"{mount}/ren/absent/f")
    with pytest.raises(NotADirectory):
        client.rename(f"{mount}/ren/a", f"{mount}/ren/b/f/below")
    with pytest.raises(InvalidPath):
        client.rename(f"{mount}/ren/a", f"{mount}/ren/a/c/d")
    assert client.rename(f"{mount}/ren/a", f"{mount}/ren/b", into=True) == f"{mount}/ren/b/a"
    assert site.read(f"{mount}/ren/b/a/f") == CONTENT[:100_000]
    assert site.read(f"{mount}/ren/b/a/c/g") == b"g"
    with pytest.raises(PathNotFound):
        client.stat(f"{mount}/ren/a/f")
    with pytest.raises(PathNotFound):
        client.rename(f"{mount}/ren/a", f"{mount}/ren/d")
    site.write(f"{mount}/ren/a/f", b"new")
    assert site.read(f"{mount}/ren/a/f") == b"new"


def test_times(site: WriteSite) -> None:
    for mount in ("/local", "/hdfs"):
        site.write(f"{mount}/timed", b"1")
        site.client.set_times(f"{mount}/timed", 1_600_000_000_000)
        assert site.client.stat(f"{mount}/timed").mtime_ms == 1_600_000_000_000
    site.write("/s3/timed", b"1")
    with pytest.raises(NotSupported):
        site.client.set_times("/s3/timed", 1_600_000_000_000)


def test_mounts_stay_where_they_are(site: WriteSite) -> None:
    client, control = site.client, site.sidecar.control
    (site.base / "inner").mkdir()
    control.mount_add("/s3/in/local", f"file://{site.base}/inner", {})
    control.mount_add("/ro", f"file://{site.base}/inner", {"read_only": "true"})
    try:
        site.write("/s3/one", b"1")
        for target in ("/local/one", "/s3/in/local/one"):
            with pytest.raises(AcrossMounts):
                client.rename("/s3/one", target)
        for fixed in ("/s3", "/s3/in", "/s3/in/local", "/"):
            with pytest.raises(MountConflict):
                client.delete(fixed, recursive=True)
            with pytest.raises(MountConflict):
                client.rename(fixed, "/s3/moved")
            with pytest.raises(IsADirectory):
                client.begin(fixed)
            client.mkdirs(fixed)
        site.write("/s3/in/local/f", b"1")
        for refused in (
            lambda: client.begin("/ro/g"),
            lambda: client.delete("/ro/f"),
            lambda: client.mkdirs("/ro/d"),
            lambda: client.rename("/ro/f", "/ro/g"),
            lambda: client.set_times("/ro/f", 1),
        ):
            with pytest.raises(MountReadOnly):
                refused()
    finally:
        control.mount_remove("/s3/in/local")
        control.mount_remove("/ro")
