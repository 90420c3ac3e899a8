"""Hadoop's own contract suites, on ``cache://`` over S3, HDFS and a local folder.

Those about reading write what they read: on mounts that are written through,
``StoreWritingFileSystem`` sends these writes past Millpond to the store, and asks the sidecar anew
about what they changed.
"""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
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

KINDS = ("s3", "hdfs", "local")
FULL = pytest.mark.full
READ_SUITES = (
    "Open", "Seek", "GetFileStatus", "VectoredRead", "ContentSummary", "StreamIOStatistics",
    "Etag", "Unbuffer",
)  # fmt: skip
WRITE_SUITES = (
    "Append", "BulkDelete", "CopyFromLocal", "Create", "Delete", "Mkdir", "Rename", "SetTimes",
)  # fmt: skip
ROOT_SUITES = (
    "RootDirectory", "FileSystemContract", "FsMain", "FcMain", "FcCreateMkdir", "FcUri", "FcUtil",
)  # fmt: skip
SOURCES = ROOT / "tests/contract/hadoop"
SUITE_S = 400.0
SKIPPED = {"Etag.testEtagConsistencyAcrossRename"}
"""Each with its reason in docs/testing.md."""
ONE_AT_A_TIME = {
    "BulkDelete.testChildPaths",
    "BulkDelete.testDeletePathsDirectory",
    "BulkDelete.testDeleteSamePathsMoreThanOnce",
}
UNSEEN_BEFORE_CLOSE = {
    "Create.testCreatedFileIsImmediatelyVisible",
    "Create.testCreatedFileIsVisibleOnFlush",
}
OUTPUT = {
    "StreamIOStatistics.testOutputStreamStatisticKeys",
    "StreamIOStatistics.testWriteByteArrays",
    "StreamIOStatistics.testWriteSingleByte",
}
LEFT_OUT = {
    "FcMain.testSetVerifyChecksum",
    "FcUri.testFileStatus",
    "FileSystemContract.testMkdirsWithUmask",
    "FsMain.testGlobStatusThrowsExceptionForUnreadableDir",
    "FsMain.testListStatusThrowsExceptionForUnreadableDir",
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

    def run(self, mount: str, suites: tuple[str, ...], *properties: str) -> dict[str, str]:
        """How each test of the suites ended: ``passed``, ``skipped: why`` or ``failed: why``."""
        jars = [millpond_jars.client(), *resolve(SOURCES / "pom.xml", COMPILE_HADOOP)]
        classes = compiled("contract", sorted(SOURCES.glob("io/**/*.java")), jars)
        log = self._directory / f"{mount.strip('/') or 'root'}-{suites[0]}.log"
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


class Stores:
    """What can be mounted: each kind of store with a place of its own, and its options."""

    def __init__(self, gateway: S3Gateway, hdfs: HdfsCluster, directory: Path) -> None:
        self.gateway = gateway
        options = [w for k, v in gateway.mount_options().items() for w in ("-o", f"{k}={v}")]
        self._kinds = {
            "s3": (f"s3://{gateway.new_bucket()}", options),
            "hdfs": (f"{hdfs.uri}/{directory.name}", []),
            "local": (f"file://{directory}", []),
        }
        self._directory = directory

    def mount(self, sidecar: SidecarProcess, path: str, kind: str) -> None:
        """``kind``: s3, or s3-async for one with pending data."""
        store, _, write = kind.partition("-")
        uri, options = self._kinds[store]
        place = f"{kind}-root" if path == "/" else kind
        (self._directory / place).mkdir(exist_ok=True)
        said = ["-o", f"write={write}"] if write else []
        sidecar.run(
            "mount", "add", path, f"{uri}/{place}", *options, *said, "-o", "freshness=1h",
            "--no-check",
        )  # fmt: skip


@contextmanager
def running(directory: Path, stores: Stores, mounts: Mapping[str, str]) -> Iterator[Site]:
    """A sidecar with these mounts: path to kind."""
    directory.mkdir()
    settings = {"MILLPOND_HTTP_PORT": "0", "MILLPOND_CACHE_CAPACITY_BYTES": "1GiB"}
    with SidecarProcess(directory / "cache", directory / "sidecar.log", settings) as sidecar:
        for path, kind in mounts.items():
            stores.mount(sidecar, path, kind)
        told = millpond_spark.conf(sidecar.cache_dir, s3a="none")
        conf = {k.removeprefix("spark.hadoop."): v for k, v in told.items() if "hadoop" in k}
        conf |= {"fs.s3a.access.key": stores.gateway.access_key}
        conf |= {"fs.s3a.secret.key": stores.gateway.secret_key}
        # Deleted in one request, directories of this gateway outlive what was in them.
        conf |= {"fs.s3a.multiobjectdelete.enable": "false"}
        conf.pop("fs.cache.impl")
        yield Site(sidecar, directory, conf)


@pytest.fixture(scope="module")
def stores(
    s3_gateway: S3Gateway, hdfs_cluster: HdfsCluster, tmp_path_factory: pytest.TempPathFactory
) -> Stores:
    return Stores(s3_gateway, hdfs_cluster, tmp_path_factory.mktemp("hadoop-contract"))


@pytest.fixture(scope="module")
def site(stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Each kind is mounted under its name."""
    kinds = [*KINDS, *(f"{kind}-async" for kind in KINDS)]
    directory = tmp_path_factory.mktemp("hadoop-contract") / "site"
    with running(directory, stores, {f"/{kind}": kind for kind in kinds}) as site:
        yield site


def failed(ended: Mapping[str, str]) -> dict[str, str]:
    return {name: how for name, how in ended.items() if how.startswith("failed")}


def skipped(ended: Mapping[str, str]) -> set[str]:
    """But for append."""
    names = {name for name, how in ended.items() if how.startswith("skipped")}
    return {name for name in names if not name.startswith("Append.") and "Append" not in name}


@pytest.mark.parametrize("kind", KINDS)
def test_reads_keep_hadoops_contract(site: Site, kind: str) -> None:
    past = "-Dmillpond.fs=io.millpond.fs.StoreWritingFileSystem"
    ended = site.run(f"/{kind}", READ_SUITES, past)
    assert {name.split(".")[0] for name in ended} == set(READ_SUITES)
    # The store's own streams wrote here; what ours tell of themselves is seen under async.
    assert set(failed(ended)) <= OUTPUT, failed(ended)
    assert skipped(ended) == SKIPPED


@pytest.mark.parametrize(
    "kind", [*KINDS, "s3-async", *(pytest.param(f"{k}-async", marks=FULL) for k in KINDS[1:])]
)
def test_writes_keep_hadoops_contract(site: Site, kind: str) -> None:
    """And under ``async`` the reads of what was written so."""
    reads = READ_SUITES if kind.endswith("-async") else ()
    timeless = kind.startswith("s3")
    ended = site.run(
        f"/{kind}", (*WRITE_SUITES, *reads), "-Dmillpond.fs=io.millpond.fs.CacheFileSystem",
        f"-Dmillpond.settimes={str(not timeless).lower()}",
    )  # fmt: skip
    assert {name.split(".")[0] for name in ended} == {*WRITE_SUITES, *reads}
    assert failed(ended) == {}
    told = {"SetTimes.testSetTimesNonexistentFile"} if timeless else set()
    told |= UNSEEN_BEFORE_CLOSE | ONE_AT_A_TIME
    assert skipped(ended) == told | (SKIPPED if reads else set())


@pytest.mark.parametrize(
    "kind", ["s3-async", *(pytest.param(kind, marks=FULL) for kind in (*KINDS, "hdfs-async"))]
)
def test_a_mount_at_the_root_keeps_hadoops_contract(
    stores: Stores, tmp_path: Path, kind: str
) -> None:
    with running(tmp_path / "site", stores, {"/": kind}) as site:
        ended = site.run("/", ROOT_SUITES, "-Dmillpond.fs=io.millpond.fs.CacheFileSystem")
    assert {name.split(".")[0] for name in ended} == set(ROOT_SUITES)
    assert failed(ended) == {}
    assert skipped(ended) == LEFT_OUT
