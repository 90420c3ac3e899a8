"""PySpark jobs on ``cache://`` while their store is in trouble."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("pyspark", reason="Spark is not installed: millpond[spark]")

from hdfs_native import WriteOptions

from millpond.testing.s3_gateway import S3Gateway
from millpond.testing.store_model import Fault, StoreModel
from millpond_spark import conf
from millpond_spark.demo.spark import launched
from tests.fixtures.fault_site import FaultSite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

    from millpond.testing.hdfs_cluster import HdfsCluster

# The first run on a machine fetches S3A by Maven.
pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

FILES, ROWS = 16, 100_000
ANSWER = (FILES * ROWS, sum(range(FILES * ROWS)))
STORM_S = 10.0
LONG_AGO_MS = 1_700_000_000_000


def table(folder: Path) -> dict[str, bytes]:
    """The files of a table by name."""
    found = {}
    for i in range(FILES):
        path = folder / f"part-{i}.parquet"
        pq.write_table(pa.table({"n": range(i * ROWS, (i + 1) * ROWS)}), path)
        found[path.name] = path.read_bytes()
    return found


def answer(spark: SparkSession, uri: str) -> tuple[int, int]:
    from pyspark.sql import functions as f

    row = spark.read.parquet(uri).agg(f.count("n"), f.sum("n")).first()
    assert row is not None
    return int(row[0]), int(row[1])


def end_of_storm(model: StoreModel) -> None:
    """Some time after the first request that it met: a busy machine plans for long."""
    while not model.counters().faults:
        time.sleep(0.05)
    time.sleep(STORM_S)
    model.clear_faults()


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_storm_of_503(tmp_path: Path, share: float) -> None:
    with (
        S3Gateway(tmp_path / "s3") as gateway,
        StoreModel(gateway.endpoint) as model,
    ):
        bucket = gateway.new_bucket()
        for name, data in table(tmp_path).items():
            gateway.put_object(bucket, f"t/{name}", data)
        keys = {"fs.s3a.access.key": gateway.access_key, "fs.s3a.secret.key": gateway.secret_key}
        with FaultSite(tmp_path, {}, keys, s3a=True) as site:
            place = site.mount(f"s3://{bucket}", gateway.mount_options(model.endpoint))
            known = {f"spark.hadoop.{key}": value for key, value in keys.items()}
            settings = conf(site.directory, s3a="fetch", **known)
            with launched("local[2]", settings, tmp_path / "spark.log") as spark:
                spark.range(1).count()
                model.set(fault=Fault("status", on="ALL", status=503, probability=share))
                model.reset_counters()
                end = threading.Thread(target=end_of_storm, args=[model], daemon=True)
                end.start()
                assert answer(spark, f"cache://{place.now}/t") == ANSWER
                counted = model.counters()
                assert counted.faults > 0
                # A list, then of each file a stat, a footer and a column, by the sidecar and S3A.
                assert sum(counted.requests.values()) <= 100 + 40 * FILES
                end.join()
                model.reset_counters()
                assert answer(spark, f"cache://{place.now}/t") == ANSWER
                assert sum(model.counters().requests.values()) <= 10 * FILES


def test_a_restart_of_hdfs(tmp_path: Path, own_table: str, hdfs_cluster: HdfsCluster) -> None:
    with FaultSite(tmp_path, {}, {}, s3a=False) as site:
        place = site.mount(f"{hdfs_cluster.uri}{own_table}", {})
        settings = conf(site.directory, s3a="none")
        with launched("local[2]", settings, tmp_path / "spark.log") as spark:
            spark.range(1).count()
            found: list[tuple[int, int]] = []
            job = threading.Thread(
                target=lambda: found.append(answer(spark, f"cache://{place.now}"))
            )
            with hdfs_cluster.without_namenode():
                job.start()
            job.join()
            assert found == [ANSWER]
            with hdfs_cluster.safe_mode():
                assert answer(spark, f"cache://{place.now}") == ANSWER


@pytest.fixture
def own_table(tmp_path: Path, hdfs_cluster: HdfsCluster) -> Iterator[str]:
    client = hdfs_cluster.client()
    for name, data in table(tmp_path).items():
        with client.create(f"/spark-table/{name}", WriteOptions(overwrite=True)) as writer:
            writer.write(data)
        client.set_times(f"/spark-table/{name}", LONG_AGO_MS, LONG_AGO_MS - 1)
    yield "/spark-table"
    client.delete("/spark-table", recursive=True)
