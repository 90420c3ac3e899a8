"""The same jars on Spark 3.5: Hadoop 3.3.4, Scala 2.12. It is fetched once, 320 MB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from millpond_spark.demo.spark import SETTINGS
from millpond_spark.session import as_properties
from tests.fixtures.commit_site import TYPES, CommitSite
from tests.fixtures.pypi import SPARK_35, packages
from tests.fixtures.spark_site import LINES_URI, ROWS, SparkSite
from tests.fixtures.spark_submit import Submitted
from tests.integration.spark_scripts import SparkScripts

if TYPE_CHECKING:
    from pathlib import Path

    from millpond.testing.s3_gateway import S3Gateway

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]


def test_an_embedded_sidecar_and_the_plugin_on_spark_35(tmp_path: Path) -> None:
    pyspark = packages(SPARK_35)
    site = SparkSite(tmp_path)
    job = Submitted(
        tmp_path,
        site.cache_dir,
        f"/data={site.uri}",
        pyspark / "pyspark",
        PYTHONPATH=str(pyspark),
    )
    with job:
        first = job.ask(LINES_URI)
        assert first["spark"].startswith("3.5.")
        assert first["rows"] == ROWS
        assert first["sidecar"].startswith("running, pid ")
        second = job.ask(LINES_URI)
        assert second["rows"] == ROWS
        assert second["hit_bytes"] - first["hit_bytes"] >= site.size_bytes
        assert second["direct_bytes"] == 0
        assert second["fallbacks"] == {}


def test_jobs_are_committed_as_batches_on_spark_35(s3_gateway: S3Gateway, tmp_path: Path) -> None:
    """Written, then overwritten, in two partitions each: nothing but these files is ever stored."""
    pyspark = packages(SPARK_35)
    environment = {"PYTHONPATH": str(pyspark), "SPARK_HOME": str(pyspark / "pyspark")}
    with CommitSite(tmp_path, s3_gateway) as site:
        properties = as_properties(site.conf(SETTINGS | {"spark.master": "local[2]"}))
        with SparkScripts(tmp_path / "spark", properties, environment) as spark:
            for mount in TYPES:
                table = f"cache:///{mount}/table"
                with site.requests() as asked:
                    for factor in (1, 2):
                        spark.run("write.py", table, 300, factor)
                    site.persisted(f"/{mount}")
                assert [row[1] for row in spark.run("read.py", table)] == [
                    2 * sum(range(k, 300, 3)) for k in range(3)
                ]
                assert len(site.keys(f"{mount}/table")) == 3
                assert asked["PUT"] <= 6, "each file once, and those that were replaced perhaps"
