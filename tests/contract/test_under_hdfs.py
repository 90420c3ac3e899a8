"""HDFS against a real NameNode and DataNode."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, ClassVar

import pytest
from hdfs_native import Client, WriteOptions

from millpond.errors import (
    Conflict,
    InvalidSetting,
    NotSupported,
    PathNotFound,
    StoreAnswerInvalid,
    StoreUnavailable,
)
from millpond.testing.under_contract import MANY, StoreSite, UnderStoreContract, fetch, names
from millpond.under.base import ABSENT, BytesSource
from millpond.under.hdfs import HdfsStore
from millpond.under.retry import RetryPolicy
from tests.fixtures.lossy import LossyRelay

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from millpond.testing.hdfs_cluster import HdfsCluster
    from millpond.under.base import UnderStore

BLOCK_BYTES = 1 << 20
FAST = RetryPolicy(attempts=2, base_s=0.001, cap_s=0.01, deadline_s=5.0)
PATIENT = RetryPolicy(attempts=9, base_s=0.001, cap_s=0.01, deadline_s=20.0)
SERVICE = {
    "dfs.ha.namenodes.pond": "a,b",
    # Nothing listens on port 1: the other NameNode has to be tried.
    "dfs.namenode.rpc-address.pond.a": "127.0.0.1:1",
}


class HdfsSite(StoreSite):
    odd_keys = (
        "100%", "%41", "a b", " lead", "a+b", "é", "e\u0301", "c\tx", "a\nb", "h#h", "back\\slash",
        "date=2026/f", "…", "日本", "d_$folder$", "q?x", "st*r", "{x}", "[a]",
    )  # fmt: skip
    _numbers: ClassVar[itertools.count[int]] = itertools.count()

    def __init__(self, cluster: HdfsCluster) -> None:
        self._cluster = cluster
        self._client = Client(cluster.uri)
        self._times = itertools.count(1_700_000_000_000, 1_000)
        self.prefix = f"t{next(self._numbers)}"

    def open(self) -> HdfsStore:
        return HdfsStore(self._cluster.authority, {}, retry=FAST)

    def small_parts(self, store: UnderStore) -> None:
        assert isinstance(store, HdfsStore)
        store.block_bytes = BLOCK_BYTES

    def left_behind(self) -> list[str]:
        below = self._client.list_status(f"/{self.prefix}", recursive=True)
        return [f.path for f in below if "millpond" in f.path]

    def put(self, key: str, data: bytes) -> None:
        path = f"/{self.key(key)}"
        with self._client.create(path, WriteOptions(overwrite=True)) as writer:
            writer.write(data)
        self._settle(path)

    def put_blocks(self, key: str, data: bytes) -> None:
        """Create a file of blocks of 1 MiB. A block an append: the library doesn't wait until the
        NameNode has heard of the last one before it asks for the next."""
        path = f"/{self.key(key)}"
        self._client.create(path, WriteOptions(block_size=BLOCK_BYTES)).close()
        for at in range(0, len(data), BLOCK_BYTES):
            with self._client.append(path) as writer:
                writer.write(data[at : at + BLOCK_BYTES])
        self._settle(path)

    def _settle(self, path: str) -> None:
        # Long ago, so that the version is a strong one without waiting.
        at_ms = next(self._times)
        self._client.set_times(path, at_ms, at_ms - 1)

    def delete(self, key: str) -> None:
        self._client.delete(f"/{self.key(key)}")

    def make_directory(self, key: str) -> None:
        self._client.mkdirs(f"/{self.key(key)}", create_parent=True)

    def many(self) -> str:
        for i in range(MANY):
            path = f"/{self.key('many')}/{'d/' if i % 10 == 0 else ''}f{i:05}"
            self._client.create(path, WriteOptions()).close()
        return self.key("many")

    def refused(self, key: str) -> HdfsStore:
        self._client.set_permission(f"/{self.key(key)}", 0)
        with pytest.MonkeyPatch.context() as patch:
            # The library reads the user when it connects.
            patch.setenv("HADOOP_USER_NAME", "somebody-else")
            store = self.open()
            store.stat(self.prefix)
        return store


class TestHdfs(UnderStoreContract):
    exclusive = True

    @pytest.fixture
    def site(self, hdfs_cluster: HdfsCluster) -> HdfsSite:
        return HdfsSite(hdfs_cluster)

    @pytest.fixture
    def lossy(self, hdfs_cluster: HdfsCluster) -> Iterator[LossyRelay]:
        host, _, port = hdfs_cluster.authority.partition(":")
        with LossyRelay((host, int(port))) as relay:
            yield relay

    @pytest.mark.parametrize("times", [1, 5])
    def test_a_deletion_whose_answer_was_lost(
        self, site: HdfsSite, lossy: LossyRelay, times: int
    ) -> None:
        """Done once, it is done, whoever repeats the call: the library or the store."""
        site.put("f", b"1")
        store = HdfsStore(lossy.authority, {}, retry=PATIENT)
        lossy.lose(b"delete", times)
        store.delete(site.key("f"))
        assert lossy.lost == times
        assert names(store.list(site.prefix)) == []
        with pytest.raises(PathNotFound):
            store.delete(site.key("f"))

    @pytest.mark.parametrize("there", [False, True])
    @pytest.mark.parametrize("times", [1, 5])
    def test_a_completion_whose_answer_was_lost(
        self, site: HdfsSite, lossy: LossyRelay, times: int, there: bool
    ) -> None:
        if there:
            site.put("f", b"before")
        store = HdfsStore(lossy.authority, {}, retry=PATIENT)
        expect = store.stat(site.key("f")).version if there else ABSENT
        upload = store.upload(site.key("f"), BytesSource(b"ours"))
        lossy.lose(b"rename", times)
        upload.complete(expect)
        # Where a version was expected, the look before the second rename finds ours.
        assert lossy.lost == (1 if there else times)
        found = store.stat(site.key("f"))
        assert fetch(store, site.key("f"), 0, 4, found.version) == b"ours"
        with pytest.raises(Conflict):
            store.put(site.key("f"), BytesSource(b"late"), expect=expect)
        assert site.left_behind() == []

    def test_a_completion_that_gave_up_finds_out(self, site: HdfsSite, lossy: LossyRelay) -> None:
        store = HdfsStore(lossy.authority, {}, retry=FAST)
        upload = store.upload(site.key("f"), BytesSource(b"ours"))
        lossy.lose(b"rename", 1_000)
        with pytest.raises(StoreUnavailable):
            upload.complete(ABSENT)
        lossy.lose(b"", 0)
        upload.complete(ABSENT)
        assert site.left_behind() == []

    def test_range_over_blocks(self, site: HdfsSite) -> None:
        data = bytes(i * 7 % 251 for i in range((2 << 20) + 12_345))
        site.put_blocks("f", data)
        store = site.open()
        found = store.stat(site.key("f"))
        start, end = 1_000_001, (2 << 20) + 77
        buffers = [bytes(b) for b in store.read(found.key, start, end, found.version)]
        assert b"".join(buffers) == data[start:end]
        assert max(map(len, buffers)) <= 1 << 20

    def test_what_is_being_written_is_weak(self, site: HdfsSite, hdfs_cluster: HdfsCluster) -> None:
        later = HdfsStore(
            hdfs_cluster.authority, {}, retry=FAST,
            clock_ms=lambda: time.time_ns() // 1_000_000 + 3_600_000,
        )  # fmt: skip
        client = Client(hdfs_cluster.uri)
        writer = client.create(f"/{site.key('f')}", WriteOptions())
        writer.write(b"12345")
        writer.hsync()
        found = later.stat(site.key("f"))
        assert found.weak
        assert found.length == 5
        with pytest.raises(StoreAnswerInvalid, match="can be read"):
            fetch(later, found.key, 0, found.length, found.version)
        writer.close()
        closed = later.stat(site.key("f"))
        assert not closed.weak
        assert closed.version != found.version
        assert site.open().stat(site.key("f")).weak, "changed just now"
        assert len(fetch(later, closed.key, 0, closed.length, closed.version)) == closed.length

    def test_name_service(self, site: HdfsSite, hdfs_cluster: HdfsCluster) -> None:
        site.put("f", b"1")
        addresses = {"dfs.namenode.rpc-address.pond.b": hdfs_cluster.authority}
        store = HdfsStore("pond", SERVICE | addresses, retry=FAST)
        assert store.stat(site.key("f")).length == 1

    def test_encryption_zone(
        self, site: HdfsSite, hdfs_cluster: HdfsCluster, tmp_path: Path
    ) -> None:
        """Told by its name and length, and never read, whatever the site says of keys."""
        hdfs_cluster.ask("encrypt", f"/{site.key('zone')}")
        keys = "<property><name>hadoop.security.key.provider.path</name>"
        keys += "<value>kms://http@127.0.0.1:1/kms</value></property>"
        (tmp_path / "core-site.xml").write_text(f"<configuration>{keys}</configuration>")
        for options in ({}, {"conf_dir": str(tmp_path)}):
            store = HdfsStore(hdfs_cluster.authority, options, retry=FAST)
            found = store.stat(site.key("zone/f"))
            assert found.length == 1
            with pytest.raises(NotSupported, match=r"encryption zone.*plaintext=allow"):
                fetch(store, found.key, 0, 1, found.version)
        with pytest.raises(InvalidSetting, match="allowed: allow"):
            HdfsStore(hdfs_cluster.authority, {"plaintext": "yes"})

    def test_unknown_name_service(self) -> None:
        with pytest.raises(InvalidSetting, match=r"No NameNode hosts found\. Write host:port"):
            HdfsStore("nowhere", {})

    def test_nobody_answers(self) -> None:
        options = {"dfs.client.failover.max.attempts": "1"}
        with pytest.raises(StoreUnavailable):
            HdfsStore("127.0.0.1:1", options, retry=FAST).stat("f")
