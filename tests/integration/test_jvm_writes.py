"""Each call that changes a file of ``s3a://`` or ``hdfs://``, with the old version cached.

The mounts are fresh for an hour: what is right within it is right because the sidecar was told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hdfs_native import Client, WriteOptions

import millpond_jars
from millpond_spark.demo.sidecar import SidecarProcess
from tests.integration.jvm_probe import Probe, ProbeError
from tests.integration.test_jvm_client import S3A_KEYS, Bucket

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from millpond.testing.hdfs_cluster import HdfsCluster
    from millpond.testing.s3_gateway import S3Gateway

pytestmark = pytest.mark.timeout(600)  # the first run on a machine fetches S3A by Maven

OLD, NEW, OTHER = b"the old version", b"and a newer one", b"what is moved"
LONG_AGO_MS = 1_700_000_000_000
ABSTRACT = "io.millpond.fs.TransparentFs"
SUBCLASSES = {
    "fs.s3a.impl": "io.millpond.fs.s3a.TransparentS3AFileSystem",
    "fs.hdfs.impl": "io.millpond.fs.hdfs.TransparentHdfsFileSystem",
    "fs.AbstractFileSystem.s3a.impl": ABSTRACT,
    "fs.AbstractFileSystem.hdfs.impl": ABSTRACT,
}
WRAPPER = SUBCLASSES | {
    "fs.s3a.impl": "io.millpond.fs.TransparentFileSystem",
    "fs.cache.delegate.s3a": "org.apache.hadoop.fs.s3a.S3AFileSystem",
}
# What a reader sees afterwards; None: that there is no such file.
BOTH: dict[str, bytes | None] = {
    "create": NEW, "nonrecursive": NEW, "builder": NEW, "copy": NEW,
    "rename": OTHER, "rename over": OTHER, "delete": None, "delete folder": None,
    "bulk delete": None, "upload": NEW,
    "context create": NEW, "context rename over": OTHER, "context delete": None,
}  # fmt: skip
S3 = BOTH | {"late builder": NEW}
# S3A of 3.4 copies by a library that is not here, and, on the SDK that is, deletes several objects
# by requests that the gateway refuses.
S3_BEFORE = {how: seen for how, seen in S3.items() if how != "copy"}
ONE_BY_ONE = {"fs.s3a.multiobjectdelete.enable": "false"}
HDFS = BOTH | {
    "append": OLD + NEW, "append builder": OLD + NEW, "truncate": OLD[: len(NEW) - 1],
    "concat": OLD + OTHER, "context append": OLD + NEW, "context truncate": OLD[: len(NEW) - 1],
}  # fmt: skip


class Stores:
    """A bucket and a folder of an HDFS, each mounted and fresh for an hour."""

    def __init__(self, bucket: Bucket, hdfs: HdfsCluster, folder: Path) -> None:
        self.bucket = bucket
        self.hdfs = hdfs
        self._client = Client(hdfs.uri)
        self.log = folder / "jvm.log"
        settings = {"MILLPOND_HTTP_PORT": "0", "MILLPOND_CACHE_CAPACITY_BYTES": "1GiB"}
        self.sidecar = SidecarProcess(folder / "cache", folder / "sidecar.log", settings)

    def uri(self, scheme: str, name: str = "") -> str:
        base = f"s3a://{self.bucket.name}/data" if scheme == "s3a" else f"{self.hdfs.uri}/changed"
        return f"{base}/{name}"

    def put(self, scheme: str, name: str, data: bytes) -> None:
        """Past Millpond, and old enough for HDFS's versions to be cached."""
        if scheme == "s3a":
            self.bucket.put(name, data)
            return
        path = f"/changed/{name}"
        self._client.mkdirs(path.rpartition("/")[0], 0o777, True)
        with self._client.create(path, WriteOptions(overwrite=True)) as writer:
            writer.write(data)
        self._client.set_times(path, LONG_AGO_MS + len(data), LONG_AGO_MS - 1)

    def probe(self, scheme: str, conf: dict[str, str], hadoop: str) -> Probe:
        own = {
            "fs.cache.dir": str(self.sidecar.cache_dir),
            "fs.s3a.endpoint": self.bucket.gateway.endpoint,
            "fs.s3a.endpoint.region": "us-east-1",
            "fs.s3a.path.style.access": "true",
            "fs.s3a.connection.ssl.enabled": "false",
            # A busy machine is no silent sidecar.
            "fs.cache.silence.ms": "10000",
        }
        jars = [millpond_jars.client(), millpond_jars.s3a(), millpond_jars.hdfs()]
        own |= S3A_KEYS
        return Probe(
            self.log, own | conf, self.uri(scheme), s3a=scheme == "s3a", hadoop=hadoop, jars=jars
        )


@pytest.fixture(scope="module")
def stores(
    tmp_path_factory: pytest.TempPathFactory, s3_gateway: S3Gateway, hdfs_cluster: HdfsCluster
) -> Iterator[Stores]:
    made = Stores(
        Bucket(s3_gateway, s3_gateway.new_bucket()), hdfs_cluster, tmp_path_factory.mktemp("writes")
    )
    for scheme in ("s3a", "hdfs"):
        made.put(scheme, "present", OLD)
    with made.sidecar as sidecar:
        fresh = ("-o", "freshness=1h")
        sidecar.run("mount", "add", "/s3", made.bucket.uri, *made.bucket.options, *fresh)
        sidecar.run("mount", "add", "/hdfs", f"{hdfs_cluster.uri}/changed", *fresh)
        yield made
    Client(hdfs_cluster.uri).delete("/changed", recursive=True)


def text(jvm: Probe, uri: str) -> bytes | None:
    try:
        jvm.open(uri)
    except ProbeError as e:
        if "FileNotFoundException" in str(e):
            return None
        raise
    return jvm.read(1 << 20)


@pytest.mark.parametrize(
    ("scheme", "conf", "hadoop"),
    [
        ("s3a", SUBCLASSES, "3.5.0"), ("hdfs", SUBCLASSES, "3.5.0"),
        pytest.param("s3a", WRAPPER, "3.5.0", marks=pytest.mark.full),
        ("s3a", SUBCLASSES | ONE_BY_ONE, "3.4.1"),
        pytest.param("hdfs", SUBCLASSES, "3.4.1", marks=pytest.mark.full),
    ],
    ids=["s3a-3.5", "hdfs-3.5", "delegate-3.5", "s3a-3.4", "hdfs-3.4"],
)  # fmt: skip
def test_each_change_is_seen_at_once(
    stores: Stores, scheme: str, conf: dict[str, str], hadoop: str, request: pytest.FixtureRequest
) -> None:
    ways = HDFS if scheme == "hdfs" else S3 if hadoop == "3.5.0" else S3_BEFORE
    base = request.node.callspec.id
    seen: dict[str, bytes | None] = {}
    with stores.probe(scheme, conf, hadoop) as jvm:
        for how in ways:
            name = f"{base}/{how}/file"
            stores.put(scheme, name, OLD)
            stores.put(scheme, f"{base}/{how}/other", OTHER)
            uri = stores.uri(scheme, name)
            assert text(jvm, uri) == OLD
            jvm.ask("close", "s")
        stores.put(scheme, f"{base}/create/file", OTHER)
        uri = stores.uri(scheme, f"{base}/create/file")
        assert text(jvm, uri) == OLD, "the cache is not in use"
        for how in ways:
            uri = stores.uri(scheme, f"{base}/{how}/file")
            data = NEW[:-1] if "truncate" in how else NEW
            try:
                jvm.change(how, uri, data, other=stores.uri(scheme, f"{base}/{how}/other"))
                seen[how] = text(jvm, uri)
            except ProbeError as e:
                seen[how] = str(e).encode()
    assert seen == ways
