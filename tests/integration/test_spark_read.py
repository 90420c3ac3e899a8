"""A real Spark job through ``cache://``: a real S3 server, a real sidecar, the real jar."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import crc32c
import pytest

pytest.importorskip("pyspark", reason="Spark is not installed: millpond[spark]")

from millpond.model.records import Lease
from millpond_spark.demo import data, job
from millpond_spark.demo.site import Site
from millpond_spark.demo.spark import session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

    from millpond_spark.demo.job import Answers

# The first run on a machine fetches S3A by Maven.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    assert len(list(data.write(data.load(), folder))) == 16
    return folder


@pytest.fixture(scope="module")
def expected(tables: Path) -> Answers:
    answers = job.with_arrow(data.read(tables))
    assert {name: len(rows) for name, rows in answers.items()} == {
        "carriers": 16, "wind": 15, "makers": 35, "airports": 1065,
    }  # fmt: skip
    return answers


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site"), first_byte_ms=1, mb_per_s=1000) as site:
        yield site


@pytest.fixture(scope="module")
def spark(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    with session(site, tmp_path_factory.mktemp("spark") / "spark.log") as spark:
        yield spark


@pytest.fixture
def copy(site: Site, tables: Path, request: pytest.FixtureRequest) -> str:
    """The name of a copy of the tables in the store that only this test reads."""
    name = request.node.name
    site.upload(tables, [name])
    return str(name)


@pytest.fixture
def revived(site: Site) -> Iterator[None]:
    """Ends the test with a sidecar that runs, whatever the test did to it."""
    yield
    site.sidecar.kill()
    site.sidecar.start()


def test_cold_and_warm_answers_are_right(
    site: Site, spark: SparkSession, copy: str, expected: Answers
) -> None:
    before = site.requests()
    assert job.with_spark(spark, site.cached(copy)) == expected
    cold = site.requests().since(before)
    assert cold.get > 0

    before = site.requests()
    assert job.with_spark(spark, site.cached(copy)) == expected
    warm = site.requests().since(before)
    assert warm.get == 0
    assert warm.list > 0, "a listing that a query plans on is validated"


def test_s3a_reads_the_same(site: Site, spark: SparkSession, copy: str, expected: Answers) -> None:
    assert job.with_spark(spark, site.direct(copy)) == expected


def test_a_killed_sidecar_costs_neither_the_job_nor_the_blocks(
    site: Site, spark: SparkSession, copy: str, expected: Answers, revived: None
) -> None:
    assert job.with_spark(spark, site.cached(copy)) == expected
    site.sidecar.kill()
    before = site.requests()
    assert job.with_spark(spark, site.cached(copy)) == expected
    assert site.requests().since(before).get == 0

    # Once more without a lease to lean on: versions are asked of the store, blocks are ours.
    wait_for_lease_to_end(site)
    before = site.requests()
    assert job.with_spark(spark, site.cached(copy)) == expected
    assert site.requests().since(before).get == 0


def test_a_killed_sidecar_and_nothing_cached_is_a_direct_read(
    site: Site, spark: SparkSession, copy: str, expected: Answers, revived: None
) -> None:
    site.sidecar.kill()
    assert job.with_spark(spark, site.cached(copy)) == expected


def test_a_stopped_sidecar_costs_the_job_nothing(
    site: Site, spark: SparkSession, copy: str, expected: Answers, revived: None
) -> None:
    os.kill(site.sidecar.pid, signal.SIGSTOP)
    assert job.with_spark(spark, site.cached(copy)) == expected


def test_a_restarted_sidecar_still_has_its_blocks(
    site: Site, spark: SparkSession, copy: str, expected: Answers
) -> None:
    assert job.with_spark(spark, site.cached(copy)) == expected
    site.sidecar.kill()
    site.sidecar.start()
    before = site.requests()
    assert job.with_spark(spark, site.cached(copy)) == expected
    assert site.requests().since(before).get == 0


def test_a_replaced_file_is_never_served_from_the_old_one(
    site: Site, spark: SparkSession, copy: str, tables: Path, tmp_path: Path
) -> None:
    flights = spark.read.parquet(f"{site.cached(copy)}/flights")
    assert flights.where("month = 1").count() == 27004

    partition = "flights/month=1/part-0.parquet"
    (tmp_path / partition).parent.mkdir(parents=True)
    replace_with_first_rows(tables / partition, tmp_path / partition, 7)
    site.upload(tmp_path, [copy])
    flights = spark.read.parquet(f"{site.cached(copy)}/flights")
    assert flights.where("month = 1").count() == 7
    assert flights.where("month = 1").agg({"distance": "sum"}).first() is not None


def test_bad_names_are_told_apart(site: Site, spark: SparkSession, copy: str) -> None:
    from pyspark.errors import AnalysisException

    with pytest.raises(AnalysisException, match="PATH_NOT_FOUND"):
        spark.read.parquet(f"{site.cached(copy)}/absent")
    with pytest.raises(Exception, match="MountNotFound") as raised:
        spark.read.parquet("cache:///nowhere/at/all")
    assert "millpond mount add" in str(raised.value)


def test_what_spark_writes_is_read_back(site: Site, spark: SparkSession, copy: str) -> None:
    """Hadoop's own committer, which renames; then no block is fetched to read it."""
    source = spark.read.parquet(f"{site.direct(copy)}/flights").select("month", "carrier", "hour")
    target = site.cached(f"{copy}-written")
    wanted = sorted(map(tuple, source.collect()))
    for _ in range(2):
        source.write.mode("overwrite").partitionBy("month").parquet(f"{target}/parts")
    source.write.parquet(f"{target}/plain")
    with pytest.raises(Exception, match="PATH_ALREADY_EXISTS"):
        source.write.parquet(f"{target}/plain")
    source.limit(7).write.mode("append").parquet(f"{target}/plain")
    parts = spark.read.parquet(f"{target}/parts").select("month", "carrier", "hour")
    assert sorted(map(tuple, parts.collect())) == wanted
    assert spark.read.parquet(f"{target}/plain").count() == len(wanted) + 7
    stored = spark.read.parquet(f"{site.direct(f'{copy}-written')}/parts")
    assert stored.count() == len(wanted)


def wait_for_lease_to_end(site: Site) -> None:
    file = site.sidecar.cache_dir / "lease"
    while file.exists():
        lease = Lease.parse(file.read_bytes(), crc32c.crc32c)
        if lease.renewed_ns + lease.valid_for_ns < time.monotonic_ns():
            break
        time.sleep(0.05)


def replace_with_first_rows(source: Path, target: Path, rows: int) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(source, partitioning=None)
    pq.write_table(table.slice(0, rows), target, coerce_timestamps="us")
