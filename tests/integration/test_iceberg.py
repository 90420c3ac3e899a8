"""Iceberg tables on ``cache://``, in a Hadoop catalog: Spark and Presto commit to them at once.

In the short run it is two sessions of Presto.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("prestodb", reason="Presto's client is not installed: presto-python-client")

from millpond.errors import SidecarUnavailable
from millpond.testing.s3proxy import S3Proxy
from millpond_spark.demo.site import BUCKET
from tests.fixtures.iceberg import RETRIES, Table, iceberg_spark
from tests.fixtures.presto import LATER, WAREHOUSE, PrestoNode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Sql = Callable[[str], list[list[Any]]]

# The first run on a machine fetches Presto (2 GB), the metastore, Iceberg and S3Proxy.
pytestmark = pytest.mark.timeout(3600)

ROUNDS, MANY_ROUNDS = 4, 250
CATALOGS = {"iceberg": WAREHOUSE, LATER: LATER}
"""Warehouses by catalog: in the second files are written async."""
STORE = f"s3a://{BUCKET}/"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrestoNode]:
    folder = tmp_path_factory.mktemp("iceberg")
    options = {"write": f"async:{LATER}/**, through"}
    with PrestoNode(folder, "lake", *CATALOGS, store=S3Proxy, options=options) as node:
        yield node


def stored(node: PrestoNode, table: str, root: str) -> Table:
    """A table as who knows the store alone sees it."""
    catalog, _, name = table.split(".")
    place = f"{CATALOGS[catalog]}/db/{name}"
    return Table(node.objects(place), root, place)


def retarget(node: PrestoNode, table: str, *options: str) -> Any:
    catalog, _, name = table.split(".")
    place = node.site.cached(f"{CATALOGS[catalog]}/db/{name}")
    return json.loads(node.site.sidecar.run("retarget", "iceberg", place, "--json", *options))[0]


def compete(table: str, rounds: int, writers: dict[str, Sql]) -> tuple[Counter[Any], list[str]]:
    """Each inserts one row after the other: the rows that were acknowledged, and failures."""
    failures: list[str] = []

    def insert(who: str) -> list[tuple[int, str]]:
        acknowledged = []
        for number in range(rounds):
            try:
                writers[who](f"INSERT INTO {table} VALUES ({number}, '{who}')")
            except Exception as e:
                failures.append(f"{who} {number}: {e}")
            else:
                acknowledged.append((number, who))
        return acknowledged

    with ThreadPoolExecutor(len(writers)) as pool:
        rows = Counter(row for each in pool.map(insert, writers) for row in each)
    return rows, failures


def check(node: PrestoNode, table: str, rounds: int, writers: dict[str, Sql]) -> None:
    acknowledged, failures = compete(table, rounds, writers)
    print(f"{len(acknowledged)} commits acknowledged, {len(failures)} failed")
    seen = [
        Counter(tuple(row) for row in read(f"SELECT id, who FROM {table}"))
        for read in {id(w): w for w in writers.values()}.values()
    ]
    found = seen[0]
    assert all(each == found for each in seen)
    assert set(found.values()) == {1}, "nothing is there twice"
    assert acknowledged.keys() <= found.keys(), "nothing is lost"
    assert all("Commit" in each or "Failed to commit" in each for each in failures), failures
    before = stored(node, table, node.site.cached(""))
    assert len(before.history()) >= len(found)
    assert retarget(node, table, "--apply")["files"] >= len(found)
    after = stored(node, table, STORE)
    assert after.versions == before.versions + 1
    assert Counter(zip(after.rows("id"), after.rows("who"), strict=True)) == found


@pytest.mark.parametrize("catalog", CATALOGS)
def test_of_commits_at_once_none_is_lost(node: PrestoNode, catalog: str) -> None:
    table = f"{catalog}.db.shared"
    node.presto.query(f"CREATE TABLE {table} (id bigint, who varchar)")
    check(node, table, ROUNDS, {"one": node.presto.query, "two": node.presto.query})


def test_a_table_is_retargeted_and_back(node: PrestoNode) -> None:
    table = "iceberg.db.moved"
    node.presto.query(f"CREATE TABLE {table} (id bigint, who varchar)")
    for number in range(3):
        node.presto.query(f"INSERT INTO {table} VALUES ({number}, 's')")
    before = node.objects(f"{WAREHOUSE}/db/moved")
    version = stored(node, table, node.site.cached("")).versions
    said = retarget(node, table)
    assert (said["files"], said["manifests"], said["metadata"]) == (3, 3, "")
    assert node.objects(f"{WAREHOUSE}/db/moved") == before, "nothing was done"

    said = retarget(node, table, "--apply")
    new = f"{WAREHOUSE}/db/moved/metadata/v{version + 1}.metadata.json"
    assert said["metadata"] == f"{STORE}{new}"
    after = node.objects(f"{WAREHOUSE}/db/moved")
    hint = f"{WAREHOUSE}/db/moved/metadata/version-hint.text"
    assert [k for k, v in before.items() if k != hint and after[k] != v] == [], "edited in place"
    plain = stored(node, table, STORE)
    assert sorted(plain.rows("id")) == [0, 1, 2]
    assert plain.metadata["location"] == f"{STORE}{WAREHOUSE}/db/moved"
    assert retarget(node, table, "--apply")["metadata"] == "", "there is nothing more to do"
    assert sorted(r[0] for r in node.presto.query(f"SELECT id FROM {table}")) == [0, 1, 2]

    retarget(node, table, "--apply", "--to", "cache")
    node.presto.query(f"INSERT INTO {table} VALUES (3, 's')")
    assert sorted(stored(node, table, node.site.cached("")).rows("id")) == [0, 1, 2, 3]


# With Spark.


@pytest.fixture(scope="module")
def spark(node: PrestoNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sql]:
    folder = tmp_path_factory.mktemp("spark") / "session"
    warehouses = {name: node.site.cached(place) for name, place in CATALOGS.items()}
    with iceberg_spark(node.site, folder, warehouses) as sql:
        yield sql


def made(spark: Sql, catalog: str, name: str, **properties: str) -> str:
    """A new table."""
    said = ", ".join(f"'{k}' = '{v}'" for k, v in (RETRIES | properties).items())
    table = f"{catalog}.db.{name}"
    spark(f"CREATE TABLE {table} (id bigint, who string) USING iceberg TBLPROPERTIES ({said})")
    return table


@pytest.mark.full
@pytest.mark.parametrize("catalog", CATALOGS)
def test_what_spark_commits_presto_reads_and_the_store_has(
    node: PrestoNode, spark: Sql, catalog: str
) -> None:
    table = made(spark, catalog, "changed")
    root = node.site.cached("")
    steps: list[tuple[Sql, str, list[int]]] = [
        (spark, f"INSERT INTO {table} VALUES (1, 's'), (2, 's')", [1, 2]),
        (node.presto.query, f"INSERT INTO {table} VALUES (3, 'p')", [1, 2, 3]),
        (spark, f"DELETE FROM {table} WHERE id = 2", [1, 3]),
        (spark, f"INSERT OVERWRITE {table} VALUES (7, 's')", [7]),
        (node.presto.query, f"INSERT INTO {table} VALUES (8, 'p')", [7, 8]),
    ]
    for run, text, expected in steps:
        run(text)
        assert sorted(stored(node, table, root).rows("id")) == expected, "at once, and its data"
        for read in (spark, node.presto.query):
            assert sorted(row[0] for row in read(f"SELECT id FROM {table}")) == expected
    retarget(node, table, "--apply")
    versions = [row[0] for row in spark(f"SELECT snapshot_id FROM {table}.snapshots")]
    counts = [spark(f"SELECT count(*) FROM {table} VERSION AS OF {v}")[0][0] for v in versions]
    assert sorted(counts) == [1, 2, 2, 2, 3], "time travel works"


@pytest.mark.full
@pytest.mark.parametrize("catalog", CATALOGS)
def test_of_commits_of_both_none_is_lost(node: PrestoNode, spark: Sql, catalog: str) -> None:
    rounds = int(os.environ.get("MILLPOND_TEST_ROUNDS", MANY_ROUNDS))
    writers = {"spark": spark, "presto": node.presto.query}
    check(node, made(spark, catalog, "campaign"), rounds, writers)


@pytest.mark.full
def test_what_cannot_be_retargeted_is_said(node: PrestoNode, spark: Sql) -> None:
    table = made(
        spark, "iceberg", "deleted",
        **{"write.delete.mode": "merge-on-read", "format-version": "2"},
    )  # fmt: skip
    spark(f"INSERT INTO {table} SELECT id, 's' FROM range(0, 10, 1, 1)")
    spark(f"DELETE FROM {table} WHERE id = 3")
    before = node.objects(f"{WAREHOUSE}/db/deleted")
    with pytest.raises(SidecarUnavailable, match="has position deletes"):
        retarget(node, table, "--apply")
    assert node.objects(f"{WAREHOUSE}/db/deleted") == before
