"""Files of write type ``cache``: kept on this node until they expire, and in no store."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from millpond.errors import (
    AlreadyExists,
    DirectoryNotEmpty,
    MountConflict,
    NoSpace,
    NotSupported,
    PathNotFound,
    PendingUnreachable,
)
from millpond.model.sizes import MIB
from millpond.settings import Settings
from millpond.under.registry import open_store
from tests.fixtures.async_site import Site
from tests.fixtures.sidecar import LoopSidecar, ProcessSidecar
from tests.fixtures.waiting import eventually
from tests.fixtures.write_site import listed, stored
from tests.integration.jvm_probe import Probe, ProbeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from millpond.testing.s3_gateway import S3Gateway

OPTIONS = {"write": "through:**/through/**, async:**/async/**, cache", "cache_ttl": "1h"}
HOUR_MS = 3_600_000
CONTENT = random.Random(5).randbytes(17 * MIB + 3)
OLD = b"what the store has"


class LoopSite(Site):
    """Its clock is moved by hand."""

    sidecar: LoopSidecar

    def objects(self) -> list[str]:
        """All that the bucket has of the mount."""
        store, prefix = open_store(f"s3://{self.bucket}/data", self.gateway.mount_options())
        try:
            found = [e.key for page in store.list(prefix, recursive=True) for e in page]
        finally:
            store.close()
        return [key.removeprefix("data/") for key in found]

    def expire(self, later_ms: int) -> None:
        mounts = self.sidecar.sidecar.namespace.pending_mounts
        now_ms = max(e.committed_ms for e in self.sidecar.control.persists("/").entries)
        mounts.expire(now_ms + later_ms)


@pytest.fixture(scope="module")
def shared(s3_gateway: S3Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopSite]:
    base = tmp_path_factory.mktemp("cache")
    with LoopSidecar(Settings(cache_dir=base / "cache", http_port=0)) as sidecar:
        site = LoopSite(sidecar, s3_gateway, base, options=OPTIONS)
        yield site
        site.close()


@pytest.fixture
def site(shared: LoopSite) -> Iterator[LoopSite]:
    yield shared
    for path in ("/s3", "/local"):
        for name in shared.names(path):
            shared.client.delete(f"{path}/{name}", recursive=True)
    assert shared.sidecar.control.persists("/").files == 0
    assert shared.sidecar.sidecar.namespace.pending.room.bytes == 0


@pytest.mark.parametrize("mount", ["/s3", "/local"])
@pytest.mark.parametrize("size", [0, 700, len(CONTENT)])
def test_it_is_seen_here_and_in_no_store_until_it_expires(
    site: LoopSite, mount: str, size: int
) -> None:
    path = f"{mount}/d/f"
    info = site.write(path, CONTENT[:size])
    assert (info.length, site.read(path)) == (size, CONTENT[:size])
    assert site.names(mount) == ["d"]
    assert site.names(mount, recursive=True) == ["d/f"]
    with pytest.raises(AlreadyExists):
        site.write(path, b"", overwrite=False)
    [entry] = site.sidecar.control.persists("/").entries
    assert (entry.path, entry.state) == (path, "kept")
    assert entry.expires_ms == entry.committed_ms + HOUR_MS
    assert site.sidecar.control.persist_wait("/", timeout_s=5).files == 0, "it waits for nothing"
    site.write(path, CONTENT[: size // 2])
    assert site.read(path) == CONTENT[: size // 2]
    site.expire(HOUR_MS - 1)
    assert site.read(path) == CONTENT[: size // 2]
    assert (site.objects(), list(site.base.iterdir())) == ([], [])
    site.expire(HOUR_MS)
    assert site.names(mount) == []
    with pytest.raises(PathNotFound):
        site.client.stat(path)
    assert site.sidecar.sidecar.namespace.pending.room.bytes == 0


@pytest.mark.parametrize("mount", ["/s3", "/local"])
def test_what_the_store_has_is_hidden_until_then(site: LoopSite, mount: str) -> None:
    site.write(f"{mount}/f", OLD, write_type="through")
    assert site.read(f"{mount}/f") == OLD
    site.write(f"{mount}/f", CONTENT)
    assert site.read(f"{mount}/f") == CONTENT
    assert site.names(mount) == ["f"]
    site.expire(HOUR_MS)
    assert site.read(f"{mount}/f") == OLD
    site.write(f"{mount}/f", CONTENT)
    site.client.delete(f"{mount}/f")
    assert site.names(mount) == [], "deleted is deleted, in the store too"
    assert (site.objects(), list(site.base.iterdir())) == ([], [])


@pytest.mark.parametrize("write_type", ["through", "async", "around"])
def test_a_write_of_another_type_takes_its_place(site: LoopSite, write_type: str) -> None:
    site.write("/s3/f", OLD, write_type="through")
    site.write("/s3/f", CONTENT)
    site.write("/s3/f", b"newer", write_type=write_type)
    assert site.read("/s3/f") == b"newer"
    site.persisted()
    assert stored(site, "f") == b"newer"
    site.write("/s3/g", CONTENT)
    site.write("/s3/g", b"newer", write_type=write_type)
    site.persisted()
    assert stored(site, "g") == site.read("/s3/g") == b"newer"


def test_what_was_pending_is_persisted_all_the_same(site: LoopSite) -> None:
    site.write("/s3/f", OLD, write_type="async")
    site.write("/s3/f", CONTENT)
    site.persisted()
    assert (stored(site, "f"), site.read("/s3/f")) == (OLD, CONTENT)
    site.expire(HOUR_MS)
    assert site.read("/s3/f") == OLD


@pytest.mark.parametrize("mount", ["/s3", "/local"])
def test_it_is_renamed_and_deleted_alone_and_in_trees(site: LoopSite, mount: str) -> None:
    site.write(f"{mount}/a/f", CONTENT)
    site.client.rename(f"{mount}/a/f", f"{mount}/a/g")
    assert site.read(f"{mount}/a/g") == CONTENT
    with pytest.raises(PathNotFound):
        site.client.stat(f"{mount}/a/f")
    site.client.rename(f"{mount}/a", f"{mount}/b")
    assert site.read(f"{mount}/b/g") == CONTENT
    assert site.names(mount, recursive=True) == ["b/g"]
    site.write(f"{mount}/b/h", OLD, write_type="through")
    site.client.rename(f"{mount}/b", f"{mount}/c")
    assert site.names(mount, recursive=True) == ["c/g", "c/h"]
    assert (site.read(f"{mount}/c/g"), site.read(f"{mount}/c/h")) == (CONTENT, OLD)
    with pytest.raises(AlreadyExists):
        site.client.rename(f"{mount}/c/g", f"{mount}/c/h")
    site.client.delete(f"{mount}/c/h")
    with pytest.raises(DirectoryNotEmpty):
        site.client.delete(f"{mount}/c")
    site.client.delete(f"{mount}/c", recursive=True)
    assert site.names(mount) == []
    assert not [key for key in site.objects() if not key.endswith("/")]


def test_a_batch_expires_as_one_and_hides_what_it_replaced(site: LoopSite) -> None:
    site.write("/s3/d/old", OLD, write_type="through")
    for number in range(2):
        begun = site.client.batch_begin("/s3/d", write_type="cache")
        site.client.batch_replace(begun.batch, "/s3/d")
        for name in ("x", "y"):
            site.write(f"/s3/d/{begun.staging}/0/{name}", CONTENT[number:])
        site.client.batch_commit(begun.batch)
        assert site.names("/s3/d") == ["x", "y"]
        assert site.read("/s3/d/y") == CONTENT[number:]
    assert site.objects() == ["d/old"]
    site.expire(HOUR_MS)
    assert site.names("/s3/d") == ["old"]
    assert site.read("/s3/d/old") == OLD
    assert all(b.state == "expired" for b in site.sidecar.control.batches(ended=True))


def test_what_a_committer_renames_out_of_staging_is_kept(site: LoopSite) -> None:
    site.client.mkdirs("/s3/out/_temporary/0")
    site.write("/s3/out/_temporary/0/part", CONTENT)
    site.client.rename("/s3/out/_temporary/0/part", "/s3/out/part")
    assert site.read("/s3/out/part") == CONTENT
    site.client.delete("/s3/out/_temporary", recursive=True)
    assert not [key for key in site.objects() if not key.endswith("/")]


def test_what_can_not_be_done_is_said(site: LoopSite) -> None:
    site.write("/s3/t/part-0", CONTENT)
    with pytest.raises(NotSupported, match="no table"):
        site.write("/s3/t/_delta_log/00000000000000000000.json", b"{}", overwrite=False)
    with pytest.raises(NotSupported, match="times"):
        site.client.set_times("/s3/t/part-0", 5, 5)
    with pytest.raises(MountConflict, match="kept here alone"):
        site.sidecar.control.mount_remove("/s3")
    assert not [key for key in site.objects() if not key.endswith("/")]


def test_it_counts_as_pending_room(site: LoopSite) -> None:
    pending = site.sidecar.sidecar.namespace.pending
    bound, wait = pending.room.at_most, pending.room._wait_s
    site.write("/s3/f", CONTENT)
    try:
        pending.room.at_most = lambda: len(CONTENT) + 100
        pending.room._wait_s = 0.1
        with pytest.raises(NoSpace):
            site.write("/s3/g", CONTENT)
    finally:
        pending.room.at_most, pending.room._wait_s = bound, wait
    assert site.names("/s3") == ["f"]


def test_the_jvm_writes_and_reads_it(s3_gateway: S3Gateway, tmp_path: Path) -> None:
    with ProcessSidecar(tmp_path / "cache", tmp_path / "log") as sidecar:
        sidecar.await_client().close()
        site = Site(sidecar, s3_gateway, tmp_path, options={"write": "through:s/**, cache"})
        for conf, path in (({}, "/local/f"), ({"fs.cache.write.type": "cache"}, "/local/s/f")):
            with Probe(tmp_path / "jvm.log", {"fs.cache.dir": str(site.directory)} | conf) as jvm:
                jvm.write(path, CONTENT)
                jvm.open(path)
                assert jvm.read(len(CONTENT)) == CONTENT
                assert site.read(path) == CONTENT
                jvm.ask("rename", path, f"{path}2")
                assert jvm.status(f"{path}2").length == len(CONTENT)
                assert site.client.locate(f"{path}2", 0, len(CONTENT)), "hints name this node"
                jvm.ask("delete", f"{path}2")
                if conf:
                    sidecar.process.kill()
                    sidecar.process.wait()
                    with pytest.raises(ProbeError, match="PendingUnreachable"):
                        jvm.write(path, CONTENT)
            assert not [p for p in site.base.rglob("*") if p.is_file()]
        site.close()


def test_it_outlives_the_sidecar(s3_gateway: S3Gateway, tmp_path: Path) -> None:
    with ProcessSidecar(tmp_path / "cache", tmp_path / "log") as sidecar:
        sidecar.await_client().close()
        site = Site(sidecar, s3_gateway, tmp_path, options=OPTIONS)
        site.write("/s3/f", CONTENT)
        site.write("/s3/small", b"small")
        site.restart(tmp_path / "log")
        assert site.read("/s3/f") == CONTENT
        fs = site.fs()
        site.sidecar.process.kill()
        site.sidecar.process.wait()
        for reader in (fs, site.fs()):
            assert reader.cat_file("/s3/f") == CONTENT
            assert reader.cat_file("/s3/small") == b"small"
        with pytest.raises(PendingUnreachable):
            fs.ls("/s3")
        with pytest.raises(PendingUnreachable):
            site.fs("/local").pipe("/local/f", b"no store is to get it")
        assert list(site.base.iterdir()) == []
        site.restart(tmp_path / "log")
        assert site.names("/s3") == ["f", "small"]
        brief = {"write": "cache", "cache_ttl": "100ms"}
        site.sidecar.control.mount_add("/brief", f"file://{site.base}/brief", brief, check=False)
        site.write("/brief/f", CONTENT)
        eventually("it expires by itself", lambda: not listed(site.client, "/brief"), 10)
        site.close()
        site.sidecar.__exit__()
