"""Spark on a node without a cache directory: all of a job is read directly, by S3A."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("pyspark", reason="Spark is not installed: millpond[spark]")

import millpond_spark
from millpond_spark.demo import data, job
from millpond_spark.demo.site import Site
from millpond_spark.demo.spark import launched

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(900)  # the first run on a machine fetches S3A by Maven


def test_a_job_reads_by_the_mounts_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = tmp_path / "tables"
    assert len(list(data.write(data.load(), tables))) == 16
    expected = job.with_arrow(data.read(tables))
    absent = tmp_path / "absent"
    with Site(tmp_path, first_byte_ms=1, mb_per_s=1000) as site:
        site.upload(tables, ["copy"])
        settings = millpond_spark.conf(site.sidecar.cache_dir, s3a="fetch", plugin=True)
        assert settings["spark.hadoop.fs.cache.mounts"] == "/flights=s3a://flights"
        settings["spark.hadoop.fs.cache.dir"] = str(absent)
        for key, value in site.credentials.items():
            monkeypatch.setenv(key, value)
        log = tmp_path / "spark.log"
        with launched("local[2]", settings, log) as spark:
            before = site.requests()
            assert job.with_spark(spark, site.cached("copy")) == expected
            assert site.requests().since(before).get > 0
            status = millpond_spark.status(spark)
    assert status["hit_bytes"] + status["filled_bytes"] == 0
    assert status["direct_bytes"] > 0
    assert set(status["fallbacks"]) == {"no_cache_dir"}
    assert status["sidecar"] == f"none answers for {absent} on the driver's node"
    assert log.read_text().count("(no_cache_dir)") == 1, "logged once"
    assert not absent.exists()
