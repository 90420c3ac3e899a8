"""Staging areas by the local protocol: a real store, a real sidecar, and one that is killed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from millpond.client import CacheFileSystem
from millpond.errors import (
    AlreadyExists,
    DirectoryNotEmpty,
    MountConflict,
    NotADirectory,
    NotSupported,
    PathNotFound,
)
from millpond.model.sizes import MIB
from millpond.settings import Settings
from tests.fixtures.sidecar import LoopSidecar, ProcessSidecar
from tests.fixtures.waiting import eventually
from tests.fixtures.write_site import WriteSite, listed, stored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from millpond.testing.hdfs_cluster import HdfsCluster
    from millpond.testing.s3_gateway import S3Gateway
    from millpond.wire.local_client import LocalClient

BIG = bytes(range(256)) * (17 * MIB // 256)


@pytest.fixture(scope="module", params=["through", "async"])
def site(
    request: pytest.FixtureRequest, s3_gateway: S3Gateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WriteSite]:
    base = tmp_path_factory.mktemp("staging")
    settings = Settings(cache_dir=base / "cache", http_port=0, cache_capacity_bytes=512 * MIB)
    with LoopSidecar(settings) as sidecar:
        site = WriteSite(sidecar, s3_gateway, base, options={"write": str(request.param)})
        yield site
        site.close()


@pytest.fixture
def client(site: WriteSite) -> LocalClient:
    return site.client


@pytest.fixture(params=["/s3", "/local"])
def out(request: pytest.FixtureRequest, client: LocalClient) -> Iterator[str]:
    """The directory of a job, named like its test."""
    name = str(request.node.name).partition("[")[0]
    path = f"{request.param}/{name}"
    yield path
    with contextlib.suppress(PathNotFound):
        client.delete(path, recursive=True)


def names(client: LocalClient, path: str) -> list[str]:
    return [entry.path for reply in client.list(path) for entry in reply.entries]


def test_a_job_by_renames(site: WriteSite, client: LocalClient, out: str) -> None:
    client.mkdirs(f"{out}/_temporary/0")
    assert client.stat(out).directory
    attempt, task = f"{out}/_temporary/0/_temporary/t1_0", f"{out}/_temporary/0/t1"
    site.write(f"{attempt}/p=1/f", b"one")
    site.write(f"{attempt}/p=2/g", BIG)
    assert site.read(f"{attempt}/p=2/g") == BIG
    assert names(client, f"{out}/_temporary/0/_temporary") == ["t1_0"]
    client.rename(attempt, task)
    with pytest.raises(PathNotFound):
        client.stat(attempt)
    assert listed(client, task) == ["p=1/f", "p=2/g"]
    assert listed(client, out) == []

    client.rename(f"{task}/p=1", f"{out}/p=1")
    client.rename(f"{task}/p=2/g", f"{out}/g")
    assert listed(client, out) == ["g", "p=1/f"]
    assert client.stat(f"{out}/p=1/f").version.startswith("born:")
    client.delete(f"{out}/_temporary", recursive=True)
    assert site.read(f"{out}/g") == BIG
    assert site.read(f"{out}/p=1/f") == b"one"
    with pytest.raises(PathNotFound):
        client.stat(f"{out}/_temporary")


def test_what_is_refused(site: WriteSite, client: LocalClient, out: str) -> None:
    held = f"{out}/_temporary"
    client.mkdirs(held)
    site.write(f"{held}/f", b"1")
    with pytest.raises(AlreadyExists):
        client.begin(f"{held}/f", overwrite=False)
    with pytest.raises(NotADirectory):
        client.begin(f"{held}/f/g")
    with pytest.raises(AlreadyExists):
        client.mkdirs(f"{held}/f")
    with pytest.raises(DirectoryNotEmpty):
        client.delete(held)
    with pytest.raises(NotSupported):
        client.set_times(f"{held}/f", 1)
    site.write(f"{out}/f", b"old")
    with pytest.raises(AlreadyExists):
        client.rename(f"{held}/f", f"{out}/f")
    with pytest.raises(PathNotFound):
        client.rename(f"{held}/none", f"{out}/none")
    with pytest.raises(MountConflict, match="staging"):
        site.sidecar.control.mount_remove(out[: out.index("/", 1)])
    assert site.read(f"{held}/f") == b"1"
    site.write(f"{held}/f", b"22")
    assert site.read(f"{held}/f") == b"22"


def test_a_writer_whose_area_was_deleted_learns_it(
    site: WriteSite, client: LocalClient, out: str
) -> None:
    client.mkdirs(f"{out}/_temporary/0")
    with site.writer(f"{out}/_temporary/0/a/f") as writer:
        writer.write(b"late")
        client.delete(f"{out}/_temporary", recursive=True)
        with pytest.raises(PathNotFound, match="deleted meanwhile"):
            writer.commit()


def test_files_of_another_node_are_seen_and_renamed_too(
    site: WriteSite, client: LocalClient
) -> None:
    out = "/s3/two-nodes"
    client.mkdirs(f"{out}/_temporary/0")
    site.write(f"{out}/_temporary/0/t1/f", b"here")
    key = "data/two-nodes/_temporary/0"
    site.gateway.put_object(site.bucket, f"{key}/t2/g", b"there")
    site.gateway.put_object(site.bucket, f"{key}/t1/g", b"there")
    assert names(client, f"{out}/_temporary/0") == ["t1", "t2"]
    assert listed(client, f"{out}/_temporary/0") == ["t1/f", "t1/g", "t2/g"]
    client.rename(f"{out}/_temporary/0/t1", f"{out}/a")
    client.rename(f"{out}/_temporary/0/t2/g", f"{out}/g")
    client.delete(f"{out}/_temporary", recursive=True)
    assert listed(client, out) == ["a/f", "a/g", "g"]
    assert [site.read(f"{out}/{name}") for name in ("a/f", "a/g", "g")] == [
        b"here", b"there", b"there",
    ]  # fmt: skip


def test_where_a_directory_is_not_held_files_go_to_the_store(
    site: WriteSite, client: LocalClient
) -> None:
    """As on a node whose clients have not set up the job; deeper directories do not begin it."""
    site.write("/s3/elsewhere/_temporary/0/a/f", b"1")
    client.mkdirs("/s3/deep/_temporary/0/a/b")
    site.write("/s3/deep/_temporary/0/a/b/f", b"2")
    client.mkdirs("/s3/elsewhere/_temporary/0")
    site.write("/s3/elsewhere/_temporary/0/a/g", b"3")
    site.sidecar.control.persist_wait("/", timeout_s=60)
    assert stored(site, "elsewhere/_temporary/0/a/f") == b"1"
    assert stored(site, "elsewhere/_temporary/0/a/g") == b"3"
    assert stored(site, "deep/_temporary/0/a/b/f") == b"2"


def test_a_live_directory_is_renamed_into_an_area_and_back(
    site: WriteSite, client: LocalClient, out: str
) -> None:
    site.write(f"{out}/t/old", b"old")
    client.mkdirs(f"{out}/tmp/presto-me/1")
    client.rename(f"{out}/t", f"{out}/tmp/presto-me/1/was")
    site.write(f"{out}/tmp/presto-me/1/is/new", b"new")
    client.rename(f"{out}/tmp/presto-me/1/is", f"{out}/t")
    assert listed(client, f"{out}/t") == ["new"]
    assert listed(client, f"{out}/tmp/presto-me") == ["1/was/old"]
    assert site.read(f"{out}/tmp/presto-me/1/was/old") == b"old"


def test_areas_are_shown_and_dropped(site: WriteSite, client: LocalClient, out: str) -> None:
    client.mkdirs(f"{out}/_temporary/0")
    site.write(f"{out}/_temporary/0/f", BIG)
    control = site.sidecar.control
    [area] = [b for b in control.batches() if b.name == f"{out}/_temporary"]
    assert (area.state, area.files, area.bytes) == ("staging", 1, len(BIG))
    control.batch_abort(area.batch)
    assert all(b.name != area.name for b in control.batches())
    with pytest.raises(PathNotFound):
        client.stat(f"{out}/_temporary/0/f")


def test_unused_areas_are_dropped(s3_gateway: S3Gateway, tmp_path: Path) -> None:
    settings = Settings(cache_dir=tmp_path / "cache", http_port=0, staging_idle_ms=1000)
    with LoopSidecar(settings) as sidecar:
        site = WriteSite(sidecar, s3_gateway, tmp_path)
        site.client.mkdirs("/s3/out/_temporary/0")
        site.write("/s3/out/_temporary/0/f", b"1")
        eventually("the area is dropped", lambda: not sidecar.control.batches())
        site.close()


def test_an_area_survives_a_kill(s3_gateway: S3Gateway, tmp_path: Path) -> None:
    sidecar = ProcessSidecar(tmp_path / "cache", tmp_path / "log")
    sidecar.await_client().close()
    site = WriteSite(sidecar, s3_gateway, tmp_path)
    site.client.mkdirs("/s3/out/_temporary/0")
    site.write("/s3/out/_temporary/0/a/f", BIG)
    site.client.rename("/s3/out/_temporary/0/a", "/s3/out/_temporary/0/b")
    sidecar.process.kill()
    sidecar.process.wait()
    site.close()

    with ProcessSidecar(tmp_path / "cache", tmp_path / "log") as again:
        client = again.await_client()
        assert listed(client, "/s3/out/_temporary/0") == ["b/f"]
        client.rename("/s3/out/_temporary/0/b", "/s3/out/done")
        client.delete("/s3/out/_temporary", recursive=True)
        assert stored(site, "out/done/f") == BIG
        fs = CacheFileSystem(cache_dir=tmp_path / "cache", skip_instance_cache=True)
        assert fs.cat_file("/s3/out/done/f") == BIG
        client.close()
    sidecar.control.close()


def test_on_hdfs(s3_gateway: S3Gateway, hdfs_cluster: HdfsCluster, tmp_path: Path) -> None:
    settings = Settings(cache_dir=tmp_path / "cache", http_port=0)
    with LoopSidecar(settings) as sidecar:
        site = WriteSite(sidecar, s3_gateway, tmp_path, hdfs=hdfs_cluster)
        client, out = site.client, "/hdfs/job"
        client.mkdirs(f"{out}/_temporary/0")
        site.write(f"{out}/_temporary/0/t/p=1/f", b"1")
        client.rename(f"{out}/_temporary/0/t/p=1", f"{out}/p=1")
        site.write(f"{out}/live/f", b"2")
        client.rename(f"{out}/live", f"{out}/_temporary/0/was")
        assert listed(client, f"{out}/_temporary") == ["0/was/f"]
        client.delete(f"{out}/_temporary", recursive=True)
        assert listed(client, out) == ["p=1/f"]
        site.close()
