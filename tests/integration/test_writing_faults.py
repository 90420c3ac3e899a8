"""A sidecar that is killed, a store that fails, a disk that is full, in the middle of a write."""

from __future__ import annotations

import random
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from millpond.errors import MillpondError, NoSpace, PathNotFound, SidecarUnavailable
from millpond.model.sizes import MIB
from millpond.testing.store_model import Fault, StoreModel
from millpond.wire.local_client import LocalClient
from tests.fixtures.sidecar import ProcessSidecar
from tests.fixtures.waiting import eventually
from tests.fixtures.write_site import WriteSite, stored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from millpond.testing.s3_gateway import S3Gateway

CONTENT = random.Random(6).randbytes(35 * MIB)
OLD = random.Random(7).randbytes(MIB)


@pytest.fixture
def model(s3_gateway: S3Gateway) -> Iterator[StoreModel]:
    with StoreModel(s3_gateway.endpoint) as model:
        yield model


@pytest.fixture
def site(tmp_path: Path, s3_gateway: S3Gateway, model: StoreModel) -> Iterator[WriteSite]:
    with ProcessSidecar(tmp_path / "cache", tmp_path / "log") as sidecar:
        sidecar.await_client().close()
        site = WriteSite(sidecar, s3_gateway, tmp_path, endpoint=model.endpoint)
        yield site
        site.close()


class Commit(threading.Thread):
    """A commit in the background, and how it ended."""

    def __init__(self, site: WriteSite, path: str, data: bytes) -> None:
        super().__init__()
        self._site, self._path, self._data = site, path, data
        self.error: MillpondError | None = None

    def run(self) -> None:
        try:
            self._site.write(self._path, self._data)
        except MillpondError as e:
            self.error = e


@pytest.mark.parametrize("old", [None, OLD])
def test_killed_in_mid_upload(
    site: WriteSite, model: StoreModel, tmp_path: Path, old: bytes | None
) -> None:
    if old is not None:
        site.write("/s3/f", old)
    model.set(latency_ms=1500)
    commit = Commit(site, "/s3/f", CONTENT)
    commit.start()
    eventually("an upload is under way", lambda: site.gateway.uploads(site.bucket), 30)
    site.sidecar.process.kill()
    commit.join()
    assert isinstance(commit.error, SidecarUnavailable)
    assert stored(site, "f") == old
    model.set(latency_ms=0)
    with ProcessSidecar(site.directory, tmp_path / "log") as again:
        client = again.await_client()
        assert site.staged() == []
        if old is None:
            with pytest.raises(PathNotFound):
                client.stat("/s3/f")
        else:
            assert site.read("/s3/f") == old
        client.close()
        assert site.write("/s3/f", CONTENT).length == len(CONTENT)
        assert site.read("/s3/f") == CONTENT


def test_killed_between_upload_and_publish(
    site: WriteSite, model: StoreModel, tmp_path: Path
) -> None:
    """The store has it, and nobody was told: the old file is not served again."""
    new = CONTENT[: 5 * MIB]
    site.write("/s3/f", OLD)
    assert site.read("/s3/f") == OLD
    model.set(latency_ms=3000)
    commit = Commit(site, "/s3/f", new)
    commit.start()
    eventually("the store has it", lambda: stored(site, "f") == new, 30)
    site.sidecar.process.kill()
    commit.join()
    assert isinstance(commit.error, SidecarUnavailable)
    model.set(latency_ms=0)
    assert site.read("/s3/f") == new
    with ProcessSidecar(site.directory, tmp_path / "log") as again:
        again.await_client().close()
        assert site.read("/s3/f") == new


@pytest.mark.parametrize("size", [MIB, len(CONTENT)])
def test_a_store_that_fails(site: WriteSite, model: StoreModel, size: int) -> None:
    site.write("/s3/f", OLD)
    model.set(fault=Fault("status", on="PUT", status=500))
    with pytest.raises(MillpondError) as raised:
        site.write("/s3/f", CONTENT[:size])
    assert raised.value.name == "StoreUnavailable"
    model.clear_faults()
    assert site.read("/s3/f") == OLD
    assert site.gateway.uploads(site.bucket) == []
    assert site.staged() == []
    site.write("/s3/f", CONTENT[:size])
    assert site.read("/s3/f") == CONTENT[:size]


def test_a_silent_store_holds_up_its_own_writers_alone(site: WriteSite, model: StoreModel) -> None:
    """More changes than there are threads wait for one store; another's are made meanwhile."""
    answered: list[int] = []

    def change(number: int) -> None:
        with LocalClient.connect(site.directory, silence_s=60) as client:
            if number % 2:
                client.mkdirs(f"/s3/d{number}")
            else:
                with suppress(PathNotFound):
                    client.delete(f"/s3/absent{number}")
        answered.append(number)

    model.set(latency_ms=8000)
    before = sum(model.counters().requests.values())
    writers = [threading.Thread(target=change, args=[number]) for number in range(160)]
    for writer in writers:
        writer.start()
    eventually(
        "all threads for the store wait",
        lambda: sum(model.counters().requests.values()) >= before + 32,
        30,
    )
    site.client.mkdirs("/local/d")
    site.client.rename("/local/d", "/local/e")
    site.client.delete("/local/e")
    assert not answered
    model.set(latency_ms=0)
    for writer in writers:
        writer.join()
    assert len(answered) == 160


def test_a_writer_that_dies(site: WriteSite) -> None:
    with site.writer("/s3/f") as writer:
        writer.write(CONTENT)
        assert site.staged()
    eventually("staging is empty", lambda: site.staged() == [], 30)
    assert stored(site, "f") is None


def test_a_file_larger_than_the_cache(tmp_path: Path, s3_gateway: S3Gateway) -> None:
    """A file larger than the cache can't be staged: NoSpace, and nothing of it remains."""
    more = {"MILLPOND_CACHE_CAPACITY_BYTES": "64MiB"}
    with ProcessSidecar(tmp_path / "cache", tmp_path / "log", **more) as sidecar:
        sidecar.await_client().close()
        site = WriteSite(sidecar, s3_gateway, tmp_path)
        site.write("/s3/kept", CONTENT)
        with pytest.raises(NoSpace):
            site.write("/s3/large", CONTENT * 3)
        eventually("staging is empty", lambda: site.staged() == [], 30)
        assert stored(site, "large") is None
        assert stored(site, "kept") == CONTENT
        site.write("/s3/after", CONTENT)
        assert site.read("/s3/after") == CONTENT
        site.close()
