"""A Delta table on ``cache://``: two drivers that share nothing but the store commit at once.

For a scheme that it does not know, Delta takes its HDFSLogStore: a commit is a rename by Hadoop's
FileContext, which must not replace anything.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from millpond.maven import jars_folder
from millpond_spark import conf
from millpond_spark.session import as_properties
from tests.fixtures.pypi import SPARK_35, packages
from tests.fixtures.sidecar import ProcessSidecar
from tests.fixtures.write_site import WriteSite, stored
from tests.integration.spark_scripts import SparkScripts

if TYPE_CHECKING:
    from millpond.testing.s3proxy import S3Proxy

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

POM = Path(__file__).parents[1] / "fixtures/delta_pom.xml"
ROUNDS = 5
"""Of each: the tenth commit makes a checkpoint."""
TABLE = "delta.`cache:///s3/table`"


def properties(cache_dir: Path) -> str:
    settings = conf(cache_dir, s3a="none")
    jars = [str(each) for each in jars_folder(POM, "delta-3.3.3").glob("*.jar")]
    return as_properties(
        settings
        | {
            "spark.jars": ",".join([settings["spark.jars"], *jars]),
            "spark.master": "local[1]",
            "spark.driver.memory": "700m",
            "spark.ui.enabled": "false",
            "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
            "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
            "spark.hadoop.fs.cache.silence.ms": "10000",
        }
    )


def rows(site: WriteSite) -> Counter[tuple[int, int]]:
    """The table as who knows the store alone reads it: the log from its first commit."""
    files: dict[str, None] = {}
    for version in range(2 * ROUNDS + 1):
        log = stored(site, f"table/_delta_log/{version:020}.json")
        assert log, f"version {version}"
        for action in map(json.loads, log.splitlines()):
            if "add" in action:
                files[action["add"]["path"]] = None
            if "remove" in action:
                del files[action["remove"]["path"]]
    tables = [pq.read_table(io.BytesIO(stored(site, f"table/{name}") or b"")) for name in files]
    return Counter((row["id"], row["who"]) for table in tables for row in table.to_pylist())


def test_of_two_drivers_no_commit_is_lost(conditional_s3: S3Proxy, tmp_path: Path) -> None:
    pyspark = packages(SPARK_35)
    environment = {"PYTHONPATH": str(pyspark), "SPARK_HOME": str(pyspark / "pyspark")}
    with ProcessSidecar(tmp_path / "cache", tmp_path / "log") as sidecar, ExitStack() as stack:
        sidecar.await_client().close()
        site = WriteSite(sidecar, conditional_s3, tmp_path, options={"write": "async"})
        stack.callback(site.close)
        text = properties(sidecar.directory)
        drivers = [
            stack.enter_context(SparkScripts(tmp_path / name, text, environment)) for name in "ab"
        ]
        drivers[0].run("sql.py", f"CREATE TABLE {TABLE} (id bigint, who bigint) USING delta")

        def insert(who: int) -> None:
            for number in range(ROUNDS):
                drivers[who].run("sql.py", f"INSERT INTO {TABLE} VALUES ({number}, {who})")

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(insert, range(2)))
        expected = Counter((number, who) for number in range(ROUNDS) for who in range(2))
        for driver in drivers:
            seen = driver.run("sql.py", f"SELECT id, who FROM {TABLE}")
            assert Counter(map(tuple, seen)) == expected
        assert rows(site) == expected
        last = json.loads(stored(site, "table/_delta_log/_last_checkpoint") or b"")
        assert last["version"] == 2 * ROUNDS
        checkpoint = stored(site, f"table/_delta_log/{2 * ROUNDS:020}.checkpoint.parquet")
        added = pq.read_table(io.BytesIO(checkpoint or b"")).column("add").to_pylist()
        assert sum(each is not None for each in added) == 2 * ROUNDS
