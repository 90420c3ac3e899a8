"""Presto's own TPC-DS generator as the judge of what is read through the cache.

Its tables are written into the store by Presto's own S3 class, and read back by ``cache://``: each
column has the generator's count, checksum and sum. Generators differ: none but this one is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("prestodb", reason="Presto's client is not installed: presto-python-client")

from millpond_tpcds import presto, queries
from tests.fixtures.presto import PrestoNode

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.full, pytest.mark.timeout(3600)]

SOURCE, SCHEMA, CACHED = "tpcds.tiny", "direct.tpcds", "hive.default"
NUMBERS = ("integer", "bigint", "decimal", "double")
# Hive has no type for a time of day, which this table of the generator's own run has.
LEFT_OUT = "dbgen_version"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrestoNode]:
    with PrestoNode(tmp_path_factory.mktemp("node"), "direct", "tpcds") as node:
        yield node


@pytest.fixture(scope="module")
def tables(node: PrestoNode) -> list[str]:
    """Every table, in the store and known to ``hive`` by its ``cache://`` location."""
    names = [name for [name] in node.presto.query(f"SHOW TABLES FROM {SOURCE}")]
    names.remove(LEFT_OUT)
    stored = f"{SCHEMA} WITH (location = '{node.site.direct('tpcds')}')"
    node.presto.query(f"CREATE SCHEMA {stored}")
    for name in names:
        made = f"{SCHEMA}.{name} WITH (format = 'PARQUET')"
        node.presto.query(f"CREATE TABLE {made} AS SELECT * FROM {SOURCE}.{name}")
        columns = ", ".join(f"{column} {kind}" for column, kind in described(node, name))
        node.create(name, columns, node.site.cached(f"tpcds/{name}"))
    return names


def test_every_column_is_the_generators(node: PrestoNode, tables: list[str]) -> None:
    assert {"store_sales", "web_sales", "catalog_sales", "customer", "item"} <= set(tables)
    before = node.site.requests()
    for table in tables:
        assert measured(node, CACHED, table) == measured(node, SOURCE, table), table
    assert node.site.requests().since(before).get >= len(tables)


def test_warm_they_cost_no_get_and_no_call_for_a_block(node: PrestoNode, tables: list[str]) -> None:
    found = {table: measured(node, CACHED, table) for table in tables}
    requests, calls = node.site.requests(), node.calls()
    again = {table: measured(node, CACHED, table) for table in tables}
    assert again == found
    assert node.site.requests().since(requests).get == 0
    assert node.calls()["fill"] == calls["fill"]


def test_joins_answer_as_on_the_generator(node: PrestoNode, tables: list[str]) -> None:
    assert len(tables) > len(queries.QUICK)
    for query in queries.load(queries.QUICK):
        sql = presto.translated(query.sql)
        cached, generated = (
            sorted(map(repr, node.presto.query(sql, *schema.split("."))))
            for schema in (CACHED, SOURCE)
        )
        assert cached == generated, query.name


def described(node: PrestoNode, table: str) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in node.presto.query(f"DESCRIBE {SOURCE}.{table}")]


def measured(node: PrestoNode, schema: str, table: str) -> list[Any]:
    """Count and checksum of each column, sums of those that are numbers."""
    said = ["count(*)"]
    for column, kind in described(node, table):
        said += [f"count({column})", f"to_hex(checksum({column}))"]
        if kind.startswith(NUMBERS):
            said.append(f"sum({column})")
    [row] = node.presto.query(f"SELECT {', '.join(said)} FROM {schema}.{table}")
    return list(row)
