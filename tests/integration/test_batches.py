"""Batches by the local protocol: real stores, a real sidecar, and one that is killed."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from millpond import metrics as m
from millpond.client import CacheFileSystem
from millpond.client.writer import StagedWriter
from millpond.errors import (
    BatchEnded,
    Conflict,
    InvalidPath,
    MountReadOnly,
    NotSupported,
    PathNotFound,
)
from millpond.model.sizes import MIB
from millpond.server import sidecar as server
from millpond.settings import Settings
from millpond.testing.store_model import StoreModel
from millpond.wire.local_client import LocalClient
from tests.fixtures.sidecar import LoopSidecar, ProcessSidecar
from tests.fixtures.waiting import eventually
from tests.fixtures.write_site import listed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from millpond.testing.s3_gateway import S3Gateway

TYPES = ("through", "async")
SILENT_MS = 8_000
BIG = bytes(range(256)) * (17 * MIB // 256)


class Site:
    """Mounts /through and /async on one bucket, /read_only beside them."""

    def __init__(self, sidecar: LoopSidecar | ProcessSidecar, gateway: S3Gateway) -> None:
        self.sidecar, self.gateway, self.bucket = sidecar, gateway, gateway.new_bucket()
        options = gateway.mount_options()
        for name in TYPES:
            gateway.put_object(self.bucket, f"{name}/")
            uri = f"s3://{self.bucket}/{name}"
            sidecar.control.mount_add(f"/{name}", uri, options | {"write": name})
        uri = f"s3://{self.bucket}/async"
        sidecar.control.mount_add("/read_only", uri, options | {"read_only": "true"})

    def client(self) -> LocalClient:
        return LocalClient.connect(self.sidecar.directory, silence_s=20.0)

    def stage(self, path: str, data: bytes) -> None:
        """One file, by a connection of its own, which is gone afterwards."""
        with self.client() as client:
            writer = StagedWriter(client, self.sidecar.directory, path, overwrite=False)
            try:
                writer.write(data)
                writer.commit()
            finally:
                writer.close()


@pytest.fixture(scope="module")
def site(s3_gateway: S3Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    base = tmp_path_factory.mktemp("batches")
    settings = Settings(cache_dir=base / "cache", http_port=0, cache_capacity_bytes=512 * MIB)
    with LoopSidecar(settings) as sidecar:
        yield Site(sidecar, s3_gateway)


@pytest.fixture
def client(site: Site) -> Iterator[LocalClient]:
    with site.client() as client:
        yield client


@pytest.fixture(params=TYPES)
def mount(request: pytest.FixtureRequest) -> str:
    return f"/{request.param}"


def read(site: Site, path: str) -> bytes:
    fs = CacheFileSystem(cache_dir=site.sidecar.directory, skip_instance_cache=True)
    data = fs.cat_file(path)
    assert isinstance(data, bytes)
    return data


def test_files_appear_together_and_only_those_of_the_attempts_named(
    site: Site, client: LocalClient, mount: str
) -> None:
    begun = client.batch_begin(mount, name="a job")
    staging = f"{mount}/t/{begun.staging}"
    site.stage(f"{staging}/a1/p=1/f", b"one")
    site.stage(f"{staging}/a2/p=1/f", b"another attempt's")
    site.stage(f"{staging}/a3/p=2/g", BIG)
    site.stage(f"{mount}/elsewhere/{begun.staging}/a3/h", b"")
    assert listed(client, mount) == [] or "t/p=1/f" not in listed(client, mount)
    assert client.stat(f"{staging}/a1/p=1/f").length == 3
    assert client.stat(f"{staging}/a1").directory

    client.batch_commit(begun.batch, ["a1", "a3"])
    assert listed(client, f"{mount}/t") == ["p=1/f", "p=2/g"]
    assert listed(client, f"{mount}/elsewhere") == ["h"]
    assert read(site, f"{mount}/t/p=1/f") == b"one"
    assert read(site, f"{mount}/t/p=2/g") == BIG
    assert read(site, f"{mount}/elsewhere/h") == b""
    client.batch_commit(begun.batch, ["a3", "a1"])
    with pytest.raises(BatchEnded):
        site.stage(f"{staging}/a1/late", b"")


def test_an_aborted_batch_leaves_nothing(site: Site, client: LocalClient, mount: str) -> None:
    begun = client.batch_begin(f"{mount}/gone")
    site.stage(f"{mount}/gone/{begun.staging}/a1/f", BIG)
    client.batch_abort(begun.batch)
    client.batch_abort(begun.batch)
    assert listed(client, f"{mount}/gone") == []
    with pytest.raises(BatchEnded):
        client.batch_commit(begun.batch)
    assert list((site.sidecar.directory / "staging").glob("*/*")) == []


@pytest.mark.parametrize("commit", [True, False])
def test_under_through_a_file_is_sent_before_the_commit_and_appears_by_it(
    site: Site, client: LocalClient, commit: bool
) -> None:
    begun = client.batch_begin("/through")
    site.stage(f"/through/ahead/{begun.staging}/a1/f-{commit}", BIG)
    key = f"through/ahead/f-{commit}"
    assert site.gateway.uploads(site.bucket) == [key]
    assert f"f-{commit}" not in listed(client, "/through/ahead")
    if commit:
        client.batch_commit(begun.batch)
        assert read(site, f"/{key}") == BIG
    else:
        client.batch_abort(begun.batch)
    assert site.gateway.uploads(site.bucket) == []


def test_an_attempt_can_be_taken_back(site: Site, client: LocalClient, mount: str) -> None:
    begun = client.batch_begin(mount)
    staging = f"{mount}/back/{begun.staging}"
    site.stage(f"{staging}/a1/f", b"1")
    site.stage(f"{mount}/back/other/{begun.staging}/a1/f", b"1")
    site.stage(f"{staging}/a2/f", b"22")
    client.delete(f"{staging}/a1", recursive=True)
    with pytest.raises(PathNotFound):
        client.stat(f"{staging}/a1/f")
    client.batch_commit(begun.batch)
    assert listed(client, f"{mount}/back") == ["f"]
    assert client.stat(f"{mount}/back/f").length == 2


def test_a_replacement_is_one_step(site: Site, client: LocalClient, mount: str) -> None:
    old = client.batch_begin(mount)
    for name in ("a", "b/c", "b/d"):
        site.stage(f"{mount}/table/{old.staging}/a1/{name}", b"old")
    client.batch_commit(old.batch, ["a1"])

    new = client.batch_begin(mount)
    client.batch_replace(new.batch, f"{mount}/table")
    client.batch_replace(new.batch)
    site.stage(f"{mount}/table/{new.staging}/a1/n", b"new")
    appended = client.batch_begin(mount)
    site.stage(f"{mount}/table/{appended.staging}/a1/appended", b"")
    client.batch_commit(appended.batch, ["a1"])
    assert listed(client, f"{mount}/table") == ["a", "appended", "b/c", "b/d"]
    client.batch_commit(new.batch, ["a1"])
    assert listed(client, f"{mount}/table") == ["appended", "n"], "appends never conflict"


@pytest.mark.parametrize("by", ["store", "batch"])
def test_a_replacement_of_what_changed_is_a_conflict_and_stays_open(
    site: Site, client: LocalClient, mount: str, by: str
) -> None:
    path = f"{mount}/changed-{by}"
    key = path.removeprefix("/") + "/f"
    site.gateway.put_object(site.bucket, key, b"old")
    begun = client.batch_begin(mount)
    client.batch_replace(begun.batch, path)
    site.stage(f"{path}/{begun.staging}/a1/n", b"new")
    if by == "store":
        site.gateway.put_object(site.bucket, key, b"changed")
    else:
        other = client.batch_begin(mount)
        client.batch_replace(other.batch, path)
        client.batch_commit(other.batch)
    with pytest.raises(Conflict):
        client.batch_commit(begun.batch, ["a1"])
    assert listed(client, path) == (["f"] if by == "store" else [])
    client.batch_abort(begun.batch)


def test_a_dynamic_commit_replaces_the_directories_of_its_files(
    site: Site, client: LocalClient, mount: str
) -> None:
    path = f"{mount}/dynamic"
    for name in ("p=1/old", "p=1/deep/old", "p=2/old", "_marker"):
        site.gateway.put_object(site.bucket, f"{path}/{name}".removeprefix("/"), b"old")
    begun = client.batch_begin(mount)
    site.stage(f"{path}/{begun.staging}/a1/p=1/new", b"new")
    site.stage(f"{path}/{begun.staging}/a1/p=3/new", b"new")
    site.stage(f"{path}/{begun.staging}/a1/_SUCCESS", b"")
    client.batch_commit(begun.batch, ["a1"], dynamic=True)
    assert listed(client, path) == ["_SUCCESS", "_marker", "p=1/new", "p=2/old", "p=3/new"]


def test_a_file_that_another_made_meanwhile_is_kept(
    site: Site, client: LocalClient, mount: str
) -> None:
    first, second = client.batch_begin(mount), client.batch_begin(mount)
    for begun in (first, second):
        site.stage(f"{mount}/same/{begun.staging}/a1/f", begun.batch.encode())
    client.batch_commit(first.batch)
    with pytest.raises(Conflict):
        client.batch_commit(second.batch)
    client.batch_abort(second.batch)
    assert read(site, f"{mount}/same/f") == first.batch.encode()


def test_what_can_be_no_batch_is_refused(site: Site, client: LocalClient) -> None:
    with pytest.raises(MountReadOnly):
        client.batch_begin("/read_only")
    with pytest.raises(NotSupported):
        client.batch_begin("/async", write_type="around")
    begun = client.batch_begin("/async")
    staging = f"/async/x/{begun.staging}"
    with pytest.raises(InvalidPath):
        site.stage(f"{staging}/no name/f", b"")
    with pytest.raises(NotSupported):
        client.rename(f"{staging}/a1/f", "/async/x/f")
    with pytest.raises(BatchEnded):
        site.stage(f"/async/.millpond-{'0' * 32}/a1/f", b"")
    client.batch_abort(begun.batch)


def test_one_commit_wins_over_an_abort(site: Site, client: LocalClient) -> None:
    for number in range(20):
        begun = client.batch_begin("/async")
        site.stage(f"/async/raced/{begun.staging}/a1/{number}", b"1")
        failed: list[str] = []

        def commit(batch: str = begun.batch, failed: list[str] = failed) -> None:
            with site.client() as other:
                try:
                    other.batch_commit(batch)
                except BatchEnded:
                    failed.append("commit")

        thread = threading.Thread(target=commit)
        thread.start()
        try:
            client.batch_abort(begun.batch)
        except Conflict:
            failed.append("abort")
        thread.join()
        assert len(failed) == 1
        assert (str(number) in listed(client, "/async/raced")) == (failed == ["abort"])


def test_an_open_batch_outlives_a_sidecar_that_is_killed(
    s3_gateway: S3Gateway, tmp_path: Path
) -> None:
    cache, log = tmp_path / "cache", tmp_path / "log"
    with ProcessSidecar(cache, log) as sidecar:
        sidecar.await_client().close()
        site = Site(sidecar, s3_gateway)
        s3_gateway.put_object(site.bucket, "async/t/old", b"old")
        with site.client() as client:
            begun = client.batch_begin("/async")
            client.batch_replace(begun.batch, "/async/t")
            site.stage(f"/async/t/{begun.staging}/a1/f", BIG)
        sidecar.process.kill()
        sidecar.process.wait()
    with ProcessSidecar(cache, log) as sidecar:
        with sidecar.await_client() as client:
            site.sidecar = sidecar
            assert listed(client, "/async/t") == ["old"]
            site.stage(f"/async/t/{begun.staging}/a2/g", b"g")
            client.batch_commit(begun.batch, ["a1", "a2"])
        sidecar.process.kill()
        sidecar.process.wait()
    with ProcessSidecar(cache, log) as sidecar, sidecar.await_client() as client:
        site.sidecar = sidecar
        client.batch_commit(begun.batch, ["a1", "a2"])
        assert listed(client, "/async/t") == ["f", "g"]
        assert read(site, "/async/t/f") == BIG


@pytest.mark.parametrize("verb", ["commit", "replace"])
def test_a_store_that_falls_silent_holds_up_its_own_batches(
    s3_gateway: S3Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    for name, size in (("UPLOAD", 4), ("LOOKUP", 4)):
        monkeypatch.setattr(server, f"{name}_THREADS", size)
        monkeypatch.setattr(server, f"{name}S_PER_STORE", size // 2)
    settings = Settings(cache_dir=tmp_path / "cache", http_port=0, cache_capacity_bytes=512 * MIB)
    with StoreModel(s3_gateway.endpoint) as model, LoopSidecar(settings) as sidecar:
        site = Site(sidecar, s3_gateway)
        uri = f"s3://{site.bucket}/silent"
        add = sidecar.control.mount_add
        add("/silent", uri, s3_gateway.mount_options(model.endpoint), check=False)
        begun = []
        for mount in ["/silent"] * 5 + ["/through"]:
            with site.client() as client:
                begun.append(client.batch_begin(mount).batch)
            site.stage(f"{mount}/d/.millpond-{begun[-1]}/a1/{len(begun)}", b"1")
        model.set(latency_ms=SILENT_MS)

        def call(batch: str, mount: str) -> None:
            with site.client() as client:
                if verb == "commit":
                    client.batch_commit(batch)
                else:
                    client.batch_replace(batch, f"{mount}/d")

        callers = [threading.Thread(target=call, args=(b, "/silent")) for b in begun[:5]]
        for caller in callers:
            caller.start()
        counted = sidecar.sidecar.metrics.value
        asked = partial(counted, m.REQUESTS, f"batch_{verb}")
        eventually("all were asked", lambda: asked() == 5)
        began = time.monotonic()
        call(begun[5], "/through")
        assert time.monotonic() - began < SILENT_MS / 2000
        model.set(latency_ms=0)
        for caller in callers:
            caller.join()


def test_a_batch_that_nobody_calls_for_is_dropped(s3_gateway: S3Gateway, tmp_path: Path) -> None:
    settings = Settings(cache_dir=tmp_path / "cache", http_port=0, batch_idle_ms=1500)
    with LoopSidecar(settings) as sidecar:
        site = Site(sidecar, s3_gateway)
        with site.client() as client:
            begun = client.batch_begin("/async")
            site.stage(f"/async/t/{begun.staging}/a1/f", BIG)
            blocks = settings.cache_dir / "blocks"
            assert list(blocks.glob("*/*/*"))
            eventually("its blocks stay", lambda: not list(blocks.glob("*/*/*")))
            with pytest.raises(BatchEnded):
                client.batch_commit(begun.batch)
