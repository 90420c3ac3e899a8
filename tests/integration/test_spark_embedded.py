"""``spark.millpond.sidecar=embedded``: the driver starts a sidecar, shares one, ends its own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("pyspark", reason="Spark is not installed: millpond[spark]")

import millpond_spark
from millpond_spark.demo.spark import launched
from tests.fixtures.spark_site import LINES_URI, ROWS, SparkSite
from tests.fixtures.spark_submit import Submitted

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.timeout(600)


def test_a_sidecar_is_shared_taken_over_and_ends_with_a_killed_driver(tmp_path: Path) -> None:
    site = SparkSite(tmp_path)
    site.sidecar.start()  # as another driver has: with nothing mounted
    try:
        with Submitted(tmp_path, site.cache_dir, f"/data={site.uri}") as job:
            first = job.ask(LINES_URI)
            assert first["rows"] == ROWS
            assert first["sidecar"] == f"shared, on {site.cache_dir}"

            site.sidecar.stop()
            pid = await_value(lambda: pid_of(job.ask()["sidecar"]))
            second = job.ask(LINES_URI)
            assert second["rows"] == ROWS
            assert second["hit_bytes"] - first["hit_bytes"] >= site.size_bytes
            assert running(pid)

            job.process.kill()
            await_value(lambda: not running(pid) or None)
    finally:
        site.sidecar.stop()


def test_what_keeps_it_from_starting_is_told_and_the_job_reads_directly(tmp_path: Path) -> None:
    site = SparkSite(tmp_path)
    settings = millpond_spark.conf(
        site.cache_dir,
        {"/data": site.uri},
        embedded=True,
        s3a="none",
        **{"spark.millpond.command": str(tmp_path / "nowhere")},
    )
    log = tmp_path / "spark.log"
    with launched("local[2]", settings, log) as spark:
        assert spark.read.text(LINES_URI).count() == ROWS
        status = millpond_spark.status(spark)
    assert status["direct_bytes"] == site.size_bytes
    assert set(status["fallbacks"]) == {"no_cache_dir"}
    for said in (status["sidecar"], log.read_text()):
        assert f"no program '{tmp_path / 'nowhere'}'" in said
        assert "spark.millpond.command" in said


def pid_of(sidecar: str) -> int | None:
    return int(sidecar.split()[2].rstrip(",")) if sidecar.startswith("running, pid ") else None


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def await_value(look: Callable[[], Any]) -> Any:
    until = time.monotonic() + 90
    while (value := look()) is None:
        assert time.monotonic() < until
        time.sleep(0.1)
    return value
