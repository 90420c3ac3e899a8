"""Jobs of real PySpark that write to ``cache://``: all of a job becomes visible in one step."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("pyspark", reason="Spark is not installed: millpond[spark]")

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import functions as F

from tests.fixtures.commit_site import TYPES, CommitSite
from tests.fixtures.waiting import eventually
from tests.fixtures.write_site import listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

    from millpond.testing.s3_gateway import S3Gateway
    from millpond.wire.local_client import LocalClient

pytestmark = pytest.mark.timeout(600)
ROWS = 1000
PARTITIONS = 4
ASYNC = pytest.mark.parametrize("mount", ["async"])
"""Under ``through`` a commit is the same, and answered later."""


@pytest.fixture(scope="module")
def site(s3_gateway: S3Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommitSite]:
    with CommitSite(tmp_path_factory.mktemp("commit"), s3_gateway) as site:
        yield site


@pytest.fixture(scope="module")
def spark(site: CommitSite) -> Iterator[SparkSession]:
    with site.spark() as spark:
        yield spark


@pytest.fixture
def client(site: CommitSite) -> Iterator[LocalClient]:
    with site.client() as client:
        yield client


@pytest.fixture(params=TYPES)
def mount(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def rows(spark: SparkSession, first: int = 0, count: int = ROWS) -> DataFrame:
    """Numbers in two tasks, of which each has every partition."""
    ids = spark.range(first, first + count, 1, 2)
    return ids.withColumn("p", F.col("id") % PARTITIONS)


def read(spark: SparkSession, table: str) -> list[int]:
    return sorted(row["id"] for row in spark.read.parquet(table).select("id").collect())


def test_append_and_overwrite_of_partitions(
    site: CommitSite, spark: SparkSession, client: LocalClient, mount: str
) -> None:
    table = f"cache:///{mount}/sales"
    with site.requests() as asked:
        rows(spark).write.partitionBy("p").parquet(table)
        site.persisted(f"/{mount}")
    first = site.keys(f"{mount}/sales")
    data = {key for key in first if key.endswith(".parquet")}
    assert len(data) == 2 * PARTITIONS
    assert set(first) == data | {f"{mount}/sales/_SUCCESS"}
    assert asked["PUT"] == len(first), "each file once, and nothing is copied"
    assert asked["POST"] + asked["DELETE"] == 0
    assert read(spark, table) == list(range(ROWS))

    rows(spark, ROWS).write.mode("append").partitionBy("p").parquet(table)
    assert read(spark, table) == list(range(2 * ROWS))

    with site.requests() as asked:
        rows(spark, 7, 50).write.mode("overwrite").partitionBy("p").parquet(table)
        assert read(spark, table) == list(range(7, 57))
        site.persisted(f"/{mount}")
    left = site.keys(f"{mount}/sales")
    assert not data & set(left)
    assert asked["PUT"] == len(left)
    assert asked["DELETE"] == 4 * PARTITIONS
    assert listed(client, f"/{mount}/sales") == sorted(
        key.removeprefix(f"{mount}/sales/") for key in left
    )
    assert read(spark, table) == list(range(7, 57))


def test_a_failed_job_leaves_nothing(
    site: CommitSite, spark: SparkSession, client: LocalClient, mount: str
) -> None:
    table = f"cache:///{mount}/failed"
    bad = F.when(F.col("id") == ROWS - 1, F.raise_error(F.lit("on purpose"))).otherwise(F.col("p"))
    with site.requests() as asked, pytest.raises(PySparkException, match="on purpose"):
        rows(spark).withColumn("v", bad).write.partitionBy("p").parquet(table)
    assert listed(client, f"/{mount}/failed") == []
    assert site.keys(f"{mount}/failed") == {}
    assert asked["PUT"] == asked["DELETE"] == 0

    rows(spark, 0, 10).write.parquet(table)
    with pytest.raises(PySparkException, match="on purpose"):
        rows(spark).withColumn("v", bad).write.mode("overwrite").parquet(table)
    assert read(spark, table) == list(range(10))


@ASYNC
def test_a_reader_sees_all_or_nothing(
    spark: SparkSession, client: LocalClient, mount: str, site: CommitSite
) -> None:
    seen: set[tuple[str, ...]] = set()
    over = threading.Event()

    def look() -> None:
        with site.client() as other:
            while not over.is_set():
                seen.add(tuple(listed(other, f"/{mount}/seen")))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        states: list[Any] = [()]
        for n in range(3):
            job = rows(spark, n * ROWS).write.mode("overwrite" if n == 1 else "append")
            job.partitionBy("p").parquet(f"cache:///{mount}/seen")
            states.append(tuple(listed(client, f"/{mount}/seen")))
    finally:
        over.set()
        watcher.join()
    assert len(seen) >= 3
    assert seen <= set(states), "a state between two jobs"


@ASYNC
def test_dynamic_overwrite_replaces_the_partitions_it_wrote(
    site: CommitSite, spark: SparkSession, client: LocalClient, mount: str
) -> None:
    table = f"cache:///{mount}/dynamic"
    rows(spark).write.partitionBy("p").parquet(table)
    before = listed(client, f"/{mount}/dynamic")
    new = rows(spark, ROWS, 10).filter("p in (1, 2)").withColumn("p", F.col("p") + 1)
    overwrite = new.write.mode("overwrite").option("partitionOverwriteMode", "dynamic")
    overwrite.partitionBy("p").parquet(table)
    kept = [i for i in range(ROWS) if i % PARTITIONS in (0, 1)]
    assert read(spark, table) == kept + [i for i in range(ROWS, ROWS + 10) if i % 4 in (1, 2)]
    site.persisted(f"/{mount}")
    after = [key.removeprefix(f"{mount}/dynamic/") for key in site.keys(f"{mount}/dynamic")]
    assert sorted(after) == listed(client, f"/{mount}/dynamic")
    assert set(before) & set(after) == {
        name for name in before if name.startswith(("p=0/", "p=1/", "_"))
    }


@ASYNC
def test_tables(spark: SparkSession, client: LocalClient, mount: str) -> None:
    """A bucketed and partitioned table: created, inserted into, overwritten in parts and whole."""
    name = f"bucketed_{mount}"
    table = (
        rows(spark)
        .write.partitionBy("p")
        .bucketBy(2, "id")
        .option("path", f"cache:///{mount}/table")
    )
    table.saveAsTable(name)

    def there() -> list[int]:
        return sorted(row["id"] for row in spark.table(name).collect())

    assert there() == list(range(ROWS))
    rows(spark, ROWS, 100).createOrReplaceTempView("more")
    spark.sql(f"INSERT INTO {name} SELECT id, p FROM more")
    assert there() == list(range(ROWS + 100))
    spark.sql(f"INSERT OVERWRITE {name} PARTITION (p = 1) SELECT id FROM more WHERE p = 1")
    kept = [i for i in range(ROWS + 100) if i % PARTITIONS != 1 or i >= ROWS]
    assert there() == kept
    spark.sql(f"INSERT OVERWRITE {name} SELECT id, p FROM more")
    assert there() == list(range(ROWS, ROWS + 100))
    assert {f.split("/")[0] for f in listed(client, f"/{mount}/table")} == {
        "_SUCCESS", *(f"p={n}" for n in range(PARTITIONS))
    }  # fmt: skip
    spark.sql(f"DROP TABLE {name}")
    spark.sql(f"CREATE TABLE {name} USING parquet LOCATION 'cache:///{mount}/ctas' AS TABLE more")
    assert there() == list(range(ROWS, ROWS + 100))
    spark.sql(f"DROP TABLE {name}")


@ASYNC
def test_partitions_at_locations_of_their_own(
    spark: SparkSession, client: LocalClient, mount: str
) -> None:
    name = f"spread_{mount}"
    at = f"cache:///{mount}/spread"
    spark.sql(
        f"CREATE TABLE {name} (id BIGINT, p BIGINT) USING parquet PARTITIONED BY (p) "
        f"LOCATION '{at}'"
    )
    spark.sql(f"ALTER TABLE {name} ADD PARTITION (p = 1) LOCATION '{at}-elsewhere/one'")
    rows(spark).createOrReplaceTempView("source")

    def there() -> list[int]:
        return sorted(row["id"] for row in spark.table(name).collect())

    spark.sql(f"INSERT INTO {name} SELECT id, p FROM source")
    assert there() == list(range(ROWS))
    assert len(listed(client, f"/{mount}/spread-elsewhere/one")) == 2
    assert not any(f.startswith("p=1/") for f in listed(client, f"/{mount}/spread"))
    spark.sql(f"INSERT OVERWRITE {name} SELECT id + 1000, p FROM source WHERE p < 2")
    assert there() == [i + 1000 for i in range(ROWS) if i % PARTITIONS < 2]
    spark.sql("SET spark.sql.sources.partitionOverwriteMode=dynamic")
    try:
        spark.sql(f"INSERT OVERWRITE {name} SELECT id, p FROM source WHERE p = 1")
    finally:
        spark.sql("RESET spark.sql.sources.partitionOverwriteMode")
    assert there() == sorted(
        i + 1000 * (i % PARTITIONS == 0) for i in range(ROWS) if i % PARTITIONS < 2
    )

    spark.sql(f"DROP TABLE {name}")


@ASYNC
def test_streams(spark: SparkSession, mount: str, tmp_path: Path) -> None:
    """``foreachBatch`` by batches; the file sink and checkpoints by Spark's own means."""
    rows(spark).write.parquet(tmp_path.as_uri() + "/in")
    source = spark.readStream.schema("id BIGINT, p BIGINT").parquet(tmp_path.as_uri() + "/in")

    def write(batch: DataFrame, _: int) -> None:
        batch.write.mode("append").partitionBy("p").parquet(f"cache:///{mount}/each")

    checkpoint = f"cache:///{mount}/checkpoints"
    each = source.writeStream.foreachBatch(write).option("checkpointLocation", f"{checkpoint}/1")
    sink = source.writeStream.option("checkpointLocation", f"{checkpoint}/2").format("parquet")
    for query in (each.trigger(availableNow=True).start(),
                  sink.trigger(availableNow=True).start(f"cache:///{mount}/sink")):  # fmt: skip
        assert query.awaitTermination(120)
        assert query.exception() is None
    assert read(spark, f"cache:///{mount}/each") == list(range(ROWS))
    assert read(spark, f"cache:///{mount}/sink") == list(range(ROWS))


@ASYNC
def test_an_overwrite_of_what_another_changed_is_a_conflict(
    site: CommitSite, spark: SparkSession, mount: str
) -> None:
    table = f"cache:///{mount}/contested"
    rows(spark).write.parquet(table)
    site.persisted(f"/{mount}")
    victim = next(k for k in site.keys(f"{mount}/contested") if k.endswith(".parquet"))
    began = site.folder / f"began-{mount}"
    go = site.folder / f"go-{mount}"

    def waiting(numbers: Iterable[int]) -> Iterator[tuple[int]]:
        began.touch()
        while not go.exists():
            time.sleep(0.01)
        yield from ((n,) for n in numbers)

    new = spark.sparkContext.parallelize(range(10), 1).mapPartitions(waiting).toDF("id BIGINT")
    with ThreadPoolExecutor(1) as other:
        job = other.submit(new.write.mode("overwrite").parquet, table)
        try:
            eventually("the job does not begin", lambda: began.exists() or job.done())
            site.gateway.put_object(site.bucket, victim, b"another's")
        finally:
            go.touch()
        with pytest.raises(Py4JJavaError, match="ConflictException"):
            job.result()
    assert site.keys(f"{mount}/contested")[victim].endswith(":9"), "and nobody's data is lost"
