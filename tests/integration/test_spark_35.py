"""The same jars on Spark 3.5: Hadoop 3.3.4, Scala 2.12. It is fetched once, 320 MB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fixtures.pypi import packages
from tests.fixtures.spark_site import LINES_URI, ROWS, SparkSite
from tests.fixtures.spark_submit import Submitted

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

PYSPARK = "pyspark==3.5.7"


def test_an_embedded_sidecar_and_the_plugin_on_spark_35(tmp_path: Path) -> None:
    pyspark = packages(PYSPARK)
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
