"""``attach`` and ``status``: a local session that runs already learns to read ``cache://``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("pyspark", reason="Spark is not installed: millpond[spark]")

import millpond_spark
from millpond.engine import FILE_SYSTEM
from millpond.errors import CacheDirUnusable, NotSupported
from millpond_spark.demo.spark import launched
from tests.fixtures.spark_site import LINES_URI, ROWS, SparkSite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSite]:
    with SparkSite(tmp_path_factory.mktemp("attach")) as site:
        yield site


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    log = tmp_path_factory.mktemp("attach-spark") / "spark.log"
    with launched("local[2]", {}, log) as spark:
        yield spark


def test_a_session_that_met_the_scheme_too_early(
    spark: SparkSession, site: SparkSite, tmp_path: Path
) -> None:
    with pytest.raises(Exception, match='No FileSystem for scheme "cache"'):
        spark.read.text(LINES_URI)
    with pytest.raises(NotSupported, match=r"millpond_spark\.attach"):
        millpond_spark.status(spark)
    # Hadoop remembers for a class loader that a class is absent.
    hadoop = spark.sparkContext._jsc.hadoopConfiguration()
    hadoop.set("fs.cache.impl", FILE_SYSTEM)
    with pytest.raises(Exception, match="ClassNotFoundException"):
        spark.read.text(LINES_URI)
    hadoop.unset("fs.cache.impl")

    with pytest.raises(CacheDirUnusable, match="millpond serve"):
        millpond_spark.attach(spark, tmp_path / "absent", s3a="none")
    with pytest.raises(NotSupported, match=r"millpond_spark\.attach"):
        millpond_spark.status(spark)

    status = millpond_spark.attach(spark, site.cache_dir, s3a="none")
    assert status["hit_ratio"] is None
    assert str(status).startswith("Millpond: nothing read yet")
    assert spark.read.text(LINES_URI).count() == ROWS
    assert spark.sparkContext.textFile(LINES_URI).count() == ROWS
    warm = millpond_spark.status(spark)
    assert warm["hit_bytes"] + warm["filled_bytes"] >= 2 * site.size_bytes
    assert warm["hit_bytes"] >= site.size_bytes
    assert warm["sidecar"] == f"answers, on {site.cache_dir}"
    assert warm["notes"] == []
    assert f"{warm['hit_ratio']:.1%} hits by bytes" in str(warm)

    again = millpond_spark.attach(spark, site.cache_dir, s3a="none")
    assert again["hit_bytes"] == warm["hit_bytes"], "the same file system"
    with pytest.raises(NotSupported, match="Start a new session"):
        millpond_spark.attach(spark, tmp_path / "another", s3a="none")
    assert spark.read.text(LINES_URI).count() == ROWS


def test_fallbacks_are_told_by_reason(spark: SparkSession, site: SparkSite) -> None:
    millpond_spark.attach(spark, site.cache_dir, s3a="none")
    site.sidecar.kill()
    try:
        (site.store / "new.txt").write_text("1\n2\n")
        assert spark.read.text("cache:///data/new.txt").count() == 2
        status = millpond_spark.status(spark)
    finally:
        site.sidecar.start()
    assert status["direct_bytes"] > 0
    assert set(status["fallbacks"]) & {"sidecar_absent", "sidecar_gone"}
    assert "none answers" in status["sidecar"]
