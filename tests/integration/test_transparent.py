"""Unedited PySpark scripts on ``s3a://`` and ``hdfs://`` through the cache: real servers all."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("pyspark", reason="Spark is not installed: millpond[spark]")

from hdfs_native import Client

from millpond_spark.demo.site import Site
from millpond_spark.demo.spark import SETTINGS
from tests.integration.spark_scripts import SparkScripts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from millpond.testing.hdfs_cluster import HdfsCluster

# The first run on a machine fetches S3A and HDFS by Maven.
pytestmark = pytest.mark.timeout(900)
ROWS = 300_000
FILES = 24
WEAK_S = 2.1


@dataclass
class Transparent:
    """A sidecar before two stores, and Spark as ``spark-conf --transparent`` sets it up."""

    site: Site
    hdfs: HdfsCluster
    folder: Path
    spark: SparkScripts

    def uri(self, scheme: str, name: str) -> str:
        if scheme == "s3a":
            return self.site.direct(name)
        return f"{self.hdfs.uri}/transparent/{name}"


@pytest.fixture(scope="module")
def transparent(
    hdfs_cluster: HdfsCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Transparent]:
    folder = tmp_path_factory.mktemp("transparent")
    with Site(folder / "site", first_byte_ms=1, mb_per_s=1000) as site:
        uri = f"{hdfs_cluster.uri}/transparent"
        Client(hdfs_cluster.uri).mkdirs("/transparent", 0o777, True)
        site.sidecar.run("mount", "add", "/hdfs", uri)
        options = ["--transparent", "--s3a", "fetch", "--set", "spark.master=local[2]"]
        options += ["--set", "spark.hadoop.validateOutputSpecs=false"]  # jobs may overwrite
        # A busy machine is no silent sidecar: what is read is to be cached.
        options += ["--set", "spark.hadoop.fs.cache.silence.ms=10000"]
        for key, value in SETTINGS.items():
            options += ["--set", f"{key}={value}"]
        cache_dir = str(site.sidecar.cache_dir)
        properties = site.sidecar.run("spark-conf", "--cache-dir", cache_dir, *options)
        with SparkScripts(folder / "spark", properties, site.credentials) as spark:
            yield Transparent(site, hdfs_cluster, folder, spark)
        Client(hdfs_cluster.uri).delete("/transparent", recursive=True)


@pytest.fixture
def revived(transparent: Transparent) -> Iterator[None]:
    yield
    transparent.site.sidecar.kill()
    transparent.site.sidecar.start()


def expected(rows: int, factor: int) -> list[list[int]]:
    groups = [range(k, rows, 3) for k in range(3)]
    return [[k, sum(ids) * factor, len(ids)] for k, ids in enumerate(groups)]


def settle(scheme: str) -> None:
    """HDFS has no entity tags: what is younger than 2 s is not cached."""
    if scheme == "hdfs":
        until = time.monotonic() + WEAK_S
        while (left := until - time.monotonic()) > 0:
            time.sleep(left)


@pytest.mark.parametrize("scheme", ["s3a", "hdfs"])
def test_the_second_run_reads_nothing_from_the_store(transparent: Transparent, scheme: str) -> None:
    table = transparent.uri(scheme, "warm")
    spark, site = transparent.spark, transparent.site
    spark.run("write.py", table, ROWS, 7)
    settle(scheme)
    assert spark.run("read.py", table) == expected(ROWS, 7)
    before = site.requests()
    with transparent.hdfs.without_blocks():
        assert spark.run("read.py", table) == expected(ROWS, 7)
    assert site.requests().since(before).get == 0


@pytest.mark.parametrize("scheme", ["s3a", "hdfs"])
def test_what_a_session_overwrites_it_reads_at_once(transparent: Transparent, scheme: str) -> None:
    table = transparent.uri(scheme, "overwritten")
    for factor in (2, 3):
        transparent.spark.run("write.py", table, 3000, factor)
        assert transparent.spark.run("read.py", table) == expected(3000, factor)
    seen = transparent.spark.run("replace.py", transparent.uri(scheme, "note.txt"))
    assert seen == [[f"version {n}"] for n in (0, 1, 2, 3, 4, 5, 5)]


@pytest.mark.parametrize(
    "committer", ["magic", "directory", pytest.param("partitioned", marks=pytest.mark.full)]
)
def test_s3a_committers_work(transparent: Transparent, committer: str) -> None:
    """The second job overwrites files that are cached, by others of the same names and lengths."""
    directory = transparent.uri("s3a", f"committed-{committer}")
    for line in ("line", "rows"):
        done = transparent.spark.run("commit.py", directory, committer, line)
        assert done == {"committer": committer, "lines": [f"{line} {i:02}" for i in range(20)]}


@pytest.mark.parametrize("scheme", ["s3a", "hdfs"])
@pytest.mark.parametrize("rounds", [1, pytest.param(15, marks=pytest.mark.full)])
def test_a_sidecar_killed_in_mid_job_costs_no_answer(
    transparent: Transparent, revived: None, scheme: str, rounds: int
) -> None:
    """Killed at random moments of cold jobs; and the job begun without one is right too."""
    site, spark = transparent.site, transparent.spark
    moments = random.Random(f"{scheme} {rounds}")
    for number in range(rounds):
        table = transparent.uri(scheme, f"killed-{rounds}-{number}")
        spark.run("write.py", table, ROWS, 5, FILES)
        settle(scheme)
        before = known_files(site)
        with ThreadPoolExecutor(1) as other:
            job = other.submit(spark.run, "read.py", table)
            enough = before + moments.randint(2, FILES // 2)
            while known_files(site) < enough:
                assert not job.done(), "the job ended before its sidecar was killed"
                time.sleep(0.005)
            site.sidecar.kill()
            killed_in_time = not job.done()
            assert job.result(timeout=300) == expected(ROWS, 5)
        assert killed_in_time, "the job ended before its sidecar was killed"
        assert spark.run("read.py", table) == expected(ROWS, 5)
        spark.run("write.py", table, 3000, 6)
        assert spark.run("read.py", table) == expected(3000, 6)
        site.sidecar.start()
        assert spark.run("read.py", table) == expected(3000, 6)
    seen = spark.run("replace.py", transparent.uri(scheme, f"killed-{rounds}.txt"))
    assert seen == [[f"version {n}"] for n in (0, 1, 2, 3, 4, 5, 5)]


def test_without_millpond_everything_is_readable(transparent: Transparent) -> None:
    """What was written with its jars and settings is read by an engine that has neither."""
    spark = transparent.spark
    tables = {scheme: transparent.uri(scheme, "left") for scheme in ("s3a", "hdfs")}
    for table in tables.values():
        spark.run("write.py", table, 3000, 9)
    committed = transparent.uri("s3a", "left-by-committer")
    lines = spark.run("commit.py", committed, "magic", "line")["lines"]
    with SparkScripts(
        transparent.folder / "plain",
        without_millpond(spark.properties),
        transparent.site.credentials,
    ) as plain:
        for table in tables.values():
            assert plain.run("read.py", table) == expected(3000, 9)
        assert plain.run("lines.py", committed) == lines


def without_millpond(properties: str) -> str:
    """The same settings of Spark without a jar, a class or a setting of Millpond's."""
    kept = []
    for line in properties.splitlines():
        key, _, value = line.partition(" ")
        if key == "spark.jars":
            value = ",".join(jar for jar in value.split(",") if "/millpond_jars/" not in jar)
        if "io.millpond" not in value and not key.startswith("spark.hadoop.fs.cache."):
            kept.append(f"{key} {value}")
    return "\n".join(kept)


def known_files(site: Site) -> int:
    """How many files the sidecar has heard of: what a cold job has opened so far."""
    return sum(1 for _ in (site.sidecar.cache_dir / "meta").glob("*/*"))
