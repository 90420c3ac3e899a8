"""The same jars on Spark 3.5: Hadoop 3.3.4, Scala 2.12. It is fetched once, 320 MB."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from millpond.maven import downloads_dir
from tests.fixtures.spark_site import LINES_URI, ROWS, SparkSite
from tests.fixtures.spark_submit import Submitted

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

PYSPARK = "pyspark==3.5.7"


@pytest.fixture(scope="module")
def packages() -> Path:
    """A folder with PySpark 3.5 and what it needs; complete when it is there."""
    folder = downloads_dir() / PYSPARK.replace("==", "-")
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as staging:
            made = Path(staging) / "made"
            uv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--no-cache", "-q"]
            command = [*uv, "--python", sys.executable, "--target", str(made), PYSPARK]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                pytest.skip(f"Spark 3.5 can't be fetched: {done.stderr[-300:]}")
            made.rename(folder)
    return folder


def test_an_embedded_sidecar_and_the_plugin_on_spark_35(packages: Path, tmp_path: Path) -> None:
    site = SparkSite(tmp_path)
    job = Submitted(
        tmp_path,
        site.cache_dir,
        f"/data={site.uri}",
        packages / "pyspark",
        PYTHONPATH=str(packages),
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
