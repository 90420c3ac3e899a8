"""Readers without a sidecar, beside data that the store does not have: what the cache directory
says of it, and what nobody can know. The states are made here, of files that a sidecar wrote.
"""

from __future__ import annotations

import dataclasses
import random
from typing import TYPE_CHECKING

import crc32c
import pytest

from millpond.client.writer import StagedWriter
from millpond.model.paths import BORN, meta_name, path_hash
from millpond.model.records import pack_mounts, parse_mounts
from millpond.testing.store_model import StoreModel
from millpond.wire import millpond_pb2 as wire
from millpond.wire.local_client import LocalClient
from tests.fixtures.pending_site import ALREADY, UNREACHABLE, Client, Jvm, PendingSite, Python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from millpond.testing.s3_gateway import S3Gateway

# The first run on a machine fetches S3A by Maven.
pytestmark = pytest.mark.timeout(600)

OURS = random.Random(1).randbytes((18 << 20) + 77)
SMALL = OURS[:1000]
OLDER = random.Random(2).randbytes(len(OURS))
STAGED = f"/free/t/.millpond-{'0123456789abcdef' * 2}/0/part"


class Site(PendingSite):
    """/held is marked as the mount of pending data. The sidecar is killed."""

    def __init__(self, base: Path, gateway: S3Gateway, model: StoreModel) -> None:
        super().__init__(base, gateway, model)
        for name in ("pending", "gone", "persisted", "evicted", "replaced", "known"):
            self._write(f"/held/{name}", OURS)
        self._write("/held/small", SMALL)
        self._write("/free/known", OURS)
        self.kill()
        for name in ("pending", "small", "gone", "replaced"):
            gateway.put_object(self.bucket, f"held/{name}", OLDER)
        self._set_pending("/held")
        for name in ("pending", "small", "gone"):
            self._born(f"/held/{name}", pending=True)
        for name in ("persisted", "evicted", "replaced"):
            self._born(f"/held/{name}", pending=False)
        self.evict("/held/gone")
        model.reset_counters()

    def _write(self, path: str, data: bytes) -> None:
        client = LocalClient.connect(self.directory, silence_s=20.0)
        writer = StagedWriter(client, self.directory, path)
        writer.write(data)
        writer.commit()
        writer.close()

    def _born(self, path: str, *, pending: bool) -> None:
        """Have meta say that the file was written here, and blocks bear the id of that."""
        was = self.meta(path)
        version = f"{BORN}{random.Random(path).randbytes(16).hex()}"
        meta = dataclasses.replace(
            was, version=version, pending=pending, mtime_ms=was.mtime_ms - 5000,
            store_version="" if pending else was.version,
        )  # fmt: skip
        self._meta_path(path).write_bytes(meta.pack(crc32c.crc32c))

    def _meta_path(self, path: str) -> Path:
        return self.directory / meta_name(path_hash(self.dir.mount(path).store_path(path)))

    def _set_pending(self, path: str) -> None:
        file = self.directory / "mounts"
        table = wire.MountTable.FromString(parse_mounts(file.read_bytes(), crc32c.crc32c))
        for each in table.mounts:
            each.pending = each.path == path
        file.write_bytes(pack_mounts(table.SerializeToString(), crc32c.crc32c))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, s3_gateway: S3Gateway) -> Iterator[Site]:
    with StoreModel(s3_gateway.endpoint) as model:
        site = Site(tmp_path_factory.mktemp("site"), s3_gateway, model)
        yield site
        site.close()


@pytest.fixture(scope="module", params=[Python, Jvm])
def client(request: pytest.FixtureRequest, site: Site) -> Client:
    made: Client = request.param(site)
    return made


def test_what_is_pending_is_read_here_and_nobody_is_asked(site: Site, client: Client) -> None:
    site.asked()
    for path, data in (("/held/pending", OURS), ("/held/small", SMALL)):
        assert client.length(path) == len(data)
        assert client.read(path) == data
    assert site.asked() == 0


def test_a_pending_block_that_is_gone_is_not_the_older_object(site: Site, client: Client) -> None:
    site.asked()
    assert client.length("/held/gone") == len(OURS)
    assert client.refusal(lambda: client.read("/held/gone")) == UNREACHABLE
    assert site.asked() == 0


def test_what_is_persisted_is_known_by_its_name_in_the_store(site: Site, client: Client) -> None:
    site.asked()
    assert client.length("/held/persisted") == len(OURS)
    assert site.asked() == 1
    assert client.read("/held/persisted") == OURS
    assert client.read("/held/known") == OURS
    assert client.refusal(lambda: client.read("/held/replaced")) == UNREACHABLE


def test_a_page_that_is_gone_is_read_by_the_name_in_the_store(site: Site) -> None:
    path = "/held/evicted"
    before = site.jvm.counters()["direct_bytes"]
    site.jvm.open(path)
    with site.fs().open(path) as file:
        assert file.read(100) == OURS[:100]
        assert site.jvm.read(100) == OURS[:100]
        site.evict(path)
        assert file.read() == OURS[100:]
    assert site.jvm.skim() == (len(OURS) - 100, crc32c.crc32c(OURS[100:]))
    assert 0 < site.jvm.counters()["direct_bytes"] - before < len(OURS)


def test_all_else_of_that_mount_can_not_be_known(site: Site, client: Client) -> None:
    site.asked()
    asks: list[Callable[[], object]] = [
        lambda: client.length("/held/never"),
        lambda: client.length("/held"),
        lambda: client.length("/held/absent"),
        lambda: client.read("/held/never"),
        lambda: client.list("/held"),
        lambda: client.write("/held/new"),
        lambda: client.delete("/held/never"),
        lambda: client.rename("/held/never", "/held/other"),
        lambda: client.mkdirs("/held/dir"),
    ]
    assert [client.refusal(ask) for ask in asks] == [UNREACHABLE] * len(asks)
    assert site.asked() == 0


def test_a_mount_without_such_data_is_read_as_ever(site: Site, client: Client) -> None:
    assert client.read("/free/known") == OURS
    assert client.read("/free/never") == ALREADY
    assert client.list("/free") >= 2
    client.write("/free/new")
    assert client.read("/free/new") == b"new"


def test_the_staging_of_a_batch_means_nothing_to_a_store(site: Site, client: Client) -> None:
    site.asked()
    asks: list[Callable[[], object]] = [
        lambda: client.read(STAGED),
        lambda: client.length(STAGED),
        lambda: client.list(STAGED.rpartition("/")[0]),
        lambda: client.rename(STAGED, "/free/t/part"),
        lambda: client.rename("/free/new", STAGED),
        lambda: client.delete(STAGED),
        lambda: client.mkdirs(STAGED),
    ]
    if isinstance(client, Python):  # the JVM waits for a sidecar that may come back
        asks.append(lambda: client.write(STAGED))
    assert [client.refusal(ask) for ask in asks] == [UNREACHABLE] * len(asks)
    assert site.asked() == 0


def test_a_plan_made_with_the_sidecar_names_what_was_born_here(site: Site) -> None:
    """A stage of Spark whose files were listed before: their statuses bear our own versions."""
    site.asked()
    for path in ("/held/pending", "/held/persisted"):
        site.jvm.ask("planned", "s", path, "status")
        assert site.jvm.skim() == (len(OURS), crc32c.crc32c(OURS))
    assert site.asked() == 1, "the store is asked when it is planned, and not again"
