"""Hadoop's own contract suites, on ``cache://`` over S3, HDFS and a local folder.

Those about reading write what they read: ``StoreWritingFileSystem`` sends these writes past
Millpond to the store, and asks the sidecar anew about what they changed.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import pytest

import millpond_jars
import millpond_spark
from millpond_spark.demo.sidecar import SidecarProcess
from tests.bench.jvm import COMPILE_HADOOP, ROOT, compiled, find_java, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from millpond.testing.hdfs_cluster import HdfsCluster
    from millpond.testing.s3_gateway import S3Gateway

SUITES = (
    "Open", "Seek", "GetFileStatus", "VectoredRead", "ContentSummary", "StreamIOStatistics",
    "Etag", "Unbuffer",
)  # fmt: skip
WRITE_SUITES = ("Append", "Create", "Delete", "Mkdir", "Rename", "SetTimes")
SOURCES = ROOT / "tests/contract/hadoop"
SUITE_S = 400.0
SKIPPED = {
    "Etag.testEtagConsistencyAcrossRename",
    "StreamIOStatistics.testOutputStreamStatisticKeys",
    "StreamIOStatistics.testWriteByteArrays",
    "StreamIOStatistics.testWriteSingleByte",
}
"""Each with its reason in docs/testing.md."""
UNSEEN_BEFORE_CLOSE = {
    "Create.testCreatedFileIsImmediatelyVisible",
    "Create.testCreatedFileIsVisibleOnFlush",
}
pytestmark = pytest.mark.timeout(900)  # the first run on a machine fetches the suites by Maven


class Site:
    """A sidecar with one mount of each kind, and what a JVM needs to read and write them."""

    def __init__(self, sidecar: SidecarProcess, directory: Path, conf: Mapping[str, str]) -> None:
        self._sidecar = sidecar
        self._directory = directory
        self._conf = directory / "conf.xml"
        settings = {
            "fs.cache.impl": "${millpond.fs}",
            "fs.cache.silence.ms": "10000",  # a busy machine is no reason to read the store
            "hadoop.tmp.dir": str(directory / "tmp"),
            **conf,
        }
        rows = (
            f"<property><name>{escape(k)}</name><value>{escape(v)}</value></property>"
            for k, v in settings.items()
        )
        self._conf.write_text(f"<configuration>{''.join(rows)}</configuration>")

    def run(self, mount: str, suites: tuple[str, ...] = SUITES, *properties: str) -> dict[str, str]:
        """How each test of the suites ended: ``passed``, ``skipped: why`` or ``failed: why``."""
        jars = [millpond_jars.client(), *resolve(SOURCES / "pom.xml", COMPILE_HADOOP)]
        classes = compiled("contract", sorted(SOURCES.glob("io/**/*.java")), jars)
        log = self._directory / f"{mount.strip('/')}-{suites[0]}.log"
        with log.open("wb") as errors:
            done = subprocess.run(
                [find_java().path, "-Xmx512m", "-cp", ":".join(map(str, [classes, SOURCES, *jars])),
                 "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", f"-Dmillpond.conf={self._conf}",
                 f"-Dmillpond.mount={mount}", f"-Dtest.build.data={self._directory / 'build'}",
                 *properties, "io.millpond.contract.Main", *suites],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True,
                timeout=SUITE_S, check=False,
            )  # fmt: skip
        assert done.returncode == 0, log.read_text()[-2000:]
        ended = {}
        for line in done.stdout.splitlines():
            name, how, why = line.split("\t")
            ended[name] = f"{how}: {why}" if why else how
        return ended


@pytest.fixture(scope="module")
def site(
    s3_gateway: S3Gateway, hdfs_cluster: HdfsCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("hadoop-contract")
    (directory / "data").mkdir()
    bucket = s3_gateway.new_bucket()
    options = [w for k, v in s3_gateway.mount_options().items() for w in ("-o", f"{k}={v}")]
    settings = {"MILLPOND_HTTP_PORT": "0", "MILLPOND_CACHE_CAPACITY_BYTES": "1GiB"}
    with SidecarProcess(directory / "cache", directory / "sidecar.log", settings) as sidecar:
        for mount, uri, more in (
            ("/s3", f"s3://{bucket}/data", options),
            ("/hdfs", f"{hdfs_cluster.uri}/contract", []),
            ("/local", f"file://{directory / 'data'}", []),
        ):
            sidecar.run("mount", "add", mount, uri, *more, "-o", "freshness=1h", "--no-check")
        told = millpond_spark.conf(sidecar.cache_dir, s3a="none")
        conf = {k.removeprefix("spark.hadoop."): v for k, v in told.items() if "hadoop" in k}
        conf |= {"fs.s3a.access.key": s3_gateway.access_key}
        conf |= {"fs.s3a.secret.key": s3_gateway.secret_key}
        # Deleted in one request, directories of this gateway outlive what was in them.
        conf |= {"fs.s3a.multiobjectdelete.enable": "false"}
        conf.pop("fs.cache.impl")
        yield Site(sidecar, directory, conf)


@pytest.mark.parametrize("mount", ["/s3", "/hdfs", "/local"])
def test_reads_keep_hadoops_contract(site: Site, mount: str) -> None:
    ended = site.run(mount, SUITES, "-Dmillpond.fs=io.millpond.fs.StoreWritingFileSystem")
    assert {name.split(".")[0] for name in ended} == set(SUITES)
    assert {n: how for n, how in ended.items() if how.startswith("failed")} == {}
    assert {n for n, how in ended.items() if how.startswith("skipped")} == SKIPPED


@pytest.mark.parametrize("mount", ["/s3", "/hdfs", "/local"])
def test_writes_keep_hadoops_contract(site: Site, mount: str) -> None:
    times = "false" if mount == "/s3" else "true"
    ended = site.run(
        mount, WRITE_SUITES, "-Dmillpond.fs=io.millpond.fs.CacheFileSystem",
        f"-Dmillpond.settimes={times}",
    )  # fmt: skip
    assert {name.split(".")[0] for name in ended} == set(WRITE_SUITES)
    assert {n: how for n, how in ended.items() if how.startswith("failed")} == {}
    skipped = {n for n, how in ended.items() if how.startswith("skipped")}
    told = {"SetTimes.testSetTimesNonexistentFile"} if mount == "/s3" else set()
    assert {n for n in skipped if not n.startswith("Append.")} == UNSEEN_BEFORE_CLOSE | told
