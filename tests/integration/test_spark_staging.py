"""Jobs of real PySpark by Hadoop's own committers, which rename: the store sees the last names."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("pyspark", reason="Spark is not installed: millpond[spark]")

from py4j.protocol import Py4JJavaError
from pyspark.sql import functions as F

from millpond.control import Control
from tests.fixtures.commit_site import TYPES, CommitSite
from tests.fixtures.waiting import eventually
from tests.fixtures.write_site import listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

    from millpond.testing.s3_gateway import S3Gateway
    from millpond.wire.local_client import LocalClient

pytestmark = pytest.mark.timeout(600)
ROWS = 1000
TASKS = 4
PROTOCOL = "spark.sql.sources.commitProtocolClass"
HADOOPS = "org.apache.spark.sql.execution.datasources.SQLHadoopMapReduceCommitProtocol"
ALGORITHM = "mapreduce.fileoutputcommitter.algorithm.version"


@pytest.fixture(scope="module")
def site(s3_gateway: S3Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommitSite]:
    with CommitSite(tmp_path_factory.mktemp("staging"), s3_gateway) as site:
        yield site


@pytest.fixture(scope="module")
def spark(site: CommitSite) -> Iterator[SparkSession]:
    with site.spark("local[2,4]", {PROTOCOL: HADOOPS}) as spark:
        yield spark


@pytest.fixture
def client(site: CommitSite) -> Iterator[LocalClient]:
    with site.client() as client:
        yield client


@pytest.fixture(params=["1", "2"])
def algorithm(spark: SparkSession, request: pytest.FixtureRequest) -> str:
    spark.sparkContext._jsc.hadoopConfiguration().set(ALGORITHM, str(request.param))
    return str(request.param)


@pytest.fixture(params=TYPES)
def mount(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def table(request: pytest.FixtureRequest, mount: str) -> str:
    name = str(request.node.name).translate(str.maketrans("[]-", "___"))
    return f"{mount}/{name}"


def test_the_store_sees_each_file_once(
    site: CommitSite, spark: SparkSession, client: LocalClient, mount: str, algorithm: str,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    place = table(request, mount)
    texts, parquet = f"{place}/texts", f"{place}/parquet"
    with site.requests() as asked:
        spark.sparkContext.range(ROWS, numSlices=TASKS).saveAsTextFile(f"cache:///{texts}")
        data = spark.range(0, ROWS, 1, TASKS).withColumn("p", F.col("id") % 3)
        data.write.partitionBy("p").parquet(f"cache:///{parquet}")
        site.persisted(f"/{mount}")
    keys = site.keys(place)
    assert len(keys) == TASKS + 1 + 3 * TASKS + 1
    # The second makes each partition's directory, as an object, by each task that finds none.
    directories = range(1 if algorithm == "1" else 3 * TASKS + 1)
    assert asked["PUT"] - len(keys) in directories, "each file once, and nothing is copied"
    assert asked["DELETE"] + asked["POST"] == 0
    assert listed(client, f"/{place}") == sorted(k.removeprefix(f"{place}/") for k in keys)
    found = spark.read.text(f"cache:///{texts}").collect()
    assert sorted(int(row[0]) for row in found) == list(range(ROWS))
    rows = spark.read.parquet(f"cache:///{parquet}").select("id").collect()
    assert sorted(row["id"] for row in rows) == list(range(ROWS))
    assert not [name for name in areas(site) if place in name]


@pytest.mark.usefixtures("algorithm")
def test_failed_attempts_leave_nothing(
    site: CommitSite, spark: SparkSession, request: pytest.FixtureRequest
) -> None:
    place = table(request, "async")

    def fails_at_first(index: int, numbers: Iterable[int]) -> Iterable[int]:
        from pyspark import TaskContext

        context = TaskContext.get()
        assert context is not None
        for n in numbers:
            if index == 1 and context.attemptNumber() < 2 and n % 7 == 0:
                raise RuntimeError("on purpose")
            yield n

    numbers = spark.sparkContext.range(ROWS, numSlices=TASKS)
    numbers.mapPartitionsWithIndex(fails_at_first).saveAsTextFile(f"cache:///{place}/good")
    found = spark.read.text(f"cache:///{place}/good").collect()
    assert sorted(int(row[0]) for row in found) == list(range(ROWS))

    bad = numbers.map(lambda n: 1 // (ROWS - 1 - n))
    with pytest.raises(Py4JJavaError, match="ZeroDivisionError"):
        bad.saveAsTextFile(f"cache:///{place}/bad")
    site.persisted("/async")
    assert not any("_temporary" in key for key in site.keys("async"))
    assert not [name for name in areas(site) if place in name]


@pytest.mark.parametrize(("algorithm", "mount"), [("1", "through"), ("2", "async")], indirect=True)
@pytest.mark.usefixtures("algorithm")
def test_a_sidecar_killed_in_mid_job(
    site: CommitSite, spark: SparkSession, tmp_path: Path, request: pytest.FixtureRequest,
    mount: str,
) -> None:  # fmt: skip
    place, go, begun = table(request, mount), tmp_path / "go", tmp_path / "begun"

    def waits(index: int, numbers: Iterable[int]) -> Iterable[int]:
        import time

        for at, n in enumerate(numbers):
            if index == 2 and at == 5:
                begun.touch()
                while not go.exists():
                    time.sleep(0.02)
            yield n

    numbers = spark.sparkContext.range(ROWS, numSlices=TASKS).mapPartitionsWithIndex(waits)
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(numbers.saveAsTextFile, f"cache:///{place}")
        eventually("two tasks are done, another writes", begun.exists)
        site.sidecar.kill()
        site.sidecar.start()
        go.touch()
        job.result()
    found = spark.read.text(f"cache:///{place}").collect()
    assert sorted(int(row[0]) for row in found) == list(range(ROWS))
    site.persisted(f"/{mount}")
    assert sorted(site.keys(place)) == sorted(
        [f"{place}/_SUCCESS", *(f"{place}/part-0000{n}" for n in range(TASKS))]
    )


def areas(site: CommitSite) -> list[str]:
    with Control(site.sidecar.cache_dir) as control:
        return [b.name for b in control.batches() if b.state == "staging"]
