"""A real standalone cluster of two hosts: the plugin, locality, and a session attached to late."""

from __future__ import annotations

import csv
import json
import re
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("pyspark", reason="Spark is not installed: millpond[spark]")

import millpond_jars
import millpond_spark
from millpond_spark.demo.spark import launched
from millpond_spark.session import PLUGIN
from tests.fixtures.spark_cluster import HOSTS, SparkCluster
from tests.fixtures.spark_site import FILES, LINES_URI, ROWS, SparkSite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

pytestmark = pytest.mark.timeout(900)

SETTINGS = {
    "spark.hadoop.fs.cache.silence.ms": "10000",  # six JVMs start on few cores
    "spark.executor.memory": "512m",
    "spark.executor.cores": "1",
    "spark.cores.max": "2",
    "spark.scheduler.minRegisteredResourcesRatio": "1.0",
    "spark.sql.files.maxPartitionBytes": "1m",
    "spark.sql.files.openCostInBytes": "1m",
}
METRIC = f"plugin.{PLUGIN}."


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    with SparkCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSite]:
    folder = tmp_path_factory.mktemp("cluster-site")
    with SparkSite(folder, MILLPOND_NODE_ALIASES=HOSTS[0]) as site:
        yield site


def test_metrics_are_seen_in_sparks_own_system_and_tasks_go_to_the_data(
    cluster: SparkCluster, site: SparkSite, tmp_path: Path
) -> None:
    (tmp_path / "events").mkdir()
    (tmp_path / "csv").mkdir()
    sink = "spark.metrics.conf.*.sink."
    settings = millpond_spark.conf(site.cache_dir, plugin=True, s3a="none") | {
        **SETTINGS,
        f"{sink}csv.class": "org.apache.spark.metrics.sink.CsvSink",
        f"{sink}csv.directory": str(tmp_path / "csv"),
        f"{sink}csv.period": "1",
        f"{sink}prometheusServlet.class": "org.apache.spark.metrics.sink.PrometheusServlet",
        f"{sink}prometheusServlet.path": "/metrics/prometheus",
        "spark.ui.enabled": "true",
        "spark.ui.port": "0",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": (tmp_path / "events").as_uri(),
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
    }
    with launched(cluster.url, settings, tmp_path / "driver.log") as spark:
        await_executors(spark)
        frame = spark.read.text(LINES_URI)
        spark.sparkContext.setJobDescription("cold")
        assert frame.count() == ROWS
        cold = await_read(spark, site.size_bytes)
        spark.sparkContext.setJobDescription("warm")
        assert frame.count() == ROWS
        warm = await_read(spark, 2 * site.size_bytes)
        assert warm["hit_bytes"] - cold["hit_bytes"] >= site.size_bytes
        assert warm["notes"] == []
        assert "answers" in warm["sidecar"]
        with urllib.request.urlopen(f"{ui(spark)}/metrics/prometheus") as answer:
            metrics = answer.read().decode()
        (seen,) = re.findall(r"\w+_executors_hit_bytes_Count\S* (\d+)", metrics)
        assert int(seen) == warm["hit_bytes"]
    told = sum(last_value(f) for f in (tmp_path / "csv").glob(f"*.[01].{METRIC}hit_bytes.csv"))
    assert told == warm["hit_bytes"], "each executor's own sink"

    scan = [t for t in tasks(tmp_path / "events", "warm") if t["of"] == FILES]
    assert len(scan) == FILES
    local = [t for t in scan if t["locality"] in ("NODE_LOCAL", "PROCESS_LOCAL")]
    assert len(local) >= FILES / 2, scan
    assert {t["host"] for t in local} == {HOSTS[0]}
    assert {t["locality"] for t in scan if t["host"] == HOSTS[1]} <= {"ANY"}


def test_a_broken_configuration_ends_no_executor_and_attach_repairs_the_session(
    cluster: SparkCluster, site: SparkSite, tmp_path: Path
) -> None:
    """The plugin without the jar it needs, and with a setting that says nothing."""
    before = set(cluster.executor_logs())
    settings = SETTINGS | {
        "spark.plugins": PLUGIN,
        "spark.jars": str(millpond_jars.spark()),
        "spark.millpond.sidecar": "nonsense",
    }
    with launched(cluster.url, settings, tmp_path / "driver.log") as spark:
        await_executors(spark)
        assert spark.range(0, 1000, 1, 8).distinct().count() == 1000

        status = millpond_spark.attach(spark, site.cache_dir, s3a="none")
        assert "millpond_spark.conf(plugin=True)" in str(status)
        assert spark.read.text(LINES_URI).count() == ROWS
    logs = sorted(set(cluster.executor_logs()) - before)
    assert len(logs) == len(HOSTS), "no executor was started again"
    for log in logs:
        assert log.read_text().count("Millpond goes on without metrics of this executor") == 1
    assert "Millpond goes on without its embedded sidecar" in (tmp_path / "driver.log").read_text()


def ui(spark: SparkSession) -> str:
    port = str(spark.sparkContext.uiWebUrl).rpartition(":")[2]
    return f"http://127.0.0.1:{port}"


def await_executors(spark: SparkSession) -> None:
    """Both have registered: the driver counts as one more."""
    sc = spark.sparkContext._jsc.sc()
    until = time.monotonic() + 60
    while sc.getExecutorMemoryStatus().size() < len(HOSTS) + 1:
        assert time.monotonic() < until, "the executors do not come"
        time.sleep(0.05)


def await_read(spark: SparkSession, size_bytes: int) -> millpond_spark.Status:
    """Executors tell every two seconds."""
    until = time.monotonic() + 90
    while True:
        status = millpond_spark.status(spark)
        if status["hit_bytes"] + status["filled_bytes"] + status["direct_bytes"] >= size_bytes:
            return status
        assert time.monotonic() < until, status
        time.sleep(0.1)


def last_value(file: Path) -> int:
    with file.open() as lines:
        return int(list(csv.DictReader(lines))[-1]["count"])


def tasks(folder: Path, description: str) -> list[dict[str, Any]]:
    """Where each task of a job ran, how close Spark says that was, and how many its stage had."""
    (file,) = (f for f in folder.rglob("*") if f.is_file() and not f.name.endswith(".crc"))
    events = [json.loads(line) for line in file.read_text().splitlines()]
    sizes = {
        e["Stage Info"]["Stage ID"]: e["Stage Info"]["Number of Tasks"]
        for e in events
        if e["Event"] == "SparkListenerStageSubmitted"
        and e["Properties"].get("spark.job.description") == description
    }
    return [
        {
            "host": e["Task Info"]["Host"],
            "locality": e["Task Info"]["Locality"],
            "of": sizes[e["Stage ID"]],
        }
        for e in events
        if e["Event"] == "SparkListenerTaskEnd" and e["Stage ID"] in sizes
    ]
