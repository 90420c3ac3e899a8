"""Real Trino over ``cache://``, with the jar that Presto and Spark have."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("prestodb", reason="Presto's client is not installed: presto-python-client")

from tests.fixtures.presto import PrestoNode
from tests.fixtures.presto_sales import COLUMNS, SUMS, Sales
from tests.fixtures.trino import TrinoServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The first run on a machine fetches Trino (0.8 GB) and a Java 25 for it.
pytestmark = [pytest.mark.full, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrestoNode]:
    with PrestoNode(tmp_path_factory.mktemp("node"), server=TrinoServer) as node:
        yield node


def test_trino_reads_through_the_cache_and_without_it(node: PrestoNode, tmp_path: Path) -> None:
    sales = Sales.made(tmp_path)
    node.site.upload(sales.folder, ["sales"])
    node.create("sales", COLUMNS, node.site.cached("sales"))
    before = node.site.requests()
    assert sums(node) == sales.sums
    assert node.site.requests().since(before).get > 0
    before, calls = node.site.requests(), node.calls()
    assert sums(node) == sales.sums
    assert node.site.requests().since(before).get == 0
    assert node.calls()["fill"] == calls["fill"]
    node.site.sidecar.kill()
    assert sums(node) == sales.sums


def sums(node: PrestoNode) -> list[int | Decimal]:
    [row] = node.presto.query(f"SELECT {SUMS} FROM sales")
    return [Decimal(v) if isinstance(v, str) else v for v in row]
