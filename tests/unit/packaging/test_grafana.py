"""The Grafana dashboard asks for metrics and labels that exist, in PromQL that parses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import promql_parser as promql
import pytest

from millpond.metrics import DECLARED, Metric

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = Path(__file__).parents[3] / "packaging/grafana/millpond.json"
DASHBOARD = json.loads(FILE.read_text())
PANELS = [p for p in DASHBOARD["panels"] if p["type"] != "row"]
ADDED_BY_PROMETHEUS = {"instance", "job"}
# What Grafana puts in before it asks.
VARIABLES = {"$__rate_interval": "5m", "$__range": "6h", "$instance": ".+"}


def expressions() -> list[tuple[str, str]]:
    return [(p["title"], t["expr"]) for p in PANELS for t in p["targets"]]


def parse(expression: str) -> Any:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    return promql.parse(expression)


def walk(node: Any) -> Iterator[Any]:
    yield node
    for name in ("lhs", "rhs", "expr", "vector_selector", "param"):
        child = getattr(node, name, None)
        if child is not None:
            yield from walk(child)
    for child in getattr(node, "args", ()):
        yield from walk(child)


def declared(name: str) -> tuple[Metric, set[str]]:
    """The metric behind a series' name, and the labels of that series."""
    base, _, suffix = name.rpartition("_")
    if suffix in ("bucket", "sum", "count") and base in DECLARED:
        metric = DECLARED[base]
        assert metric.kind == "histogram", name
        return metric, {*metric.labels, *(["le"] if suffix == "bucket" else [])}
    return DECLARED[name], set(DECLARED[name].labels)


@pytest.mark.parametrize(("title", "expression"), expressions())
def test_a_panel_asks_for_what_there_is(title: str, expression: str) -> None:
    nodes = list(walk(parse(expression)))
    selectors = [n for n in nodes if isinstance(n, promql.VectorSelector)]
    assert len(selectors) == expression.count("millpond_")
    known = set()
    for selector in selectors:
        _, labels = declared(selector.name)
        known |= labels
        used = {m.name for m in selector.matchers.matchers}
        assert used <= labels | ADDED_BY_PROMETHEUS, (selector.name, used)
    grouped = {
        label
        for n in nodes
        if isinstance(n, promql.AggregateExpr) and n.modifier
        for label in n.modifier.labels
    }
    assert grouped <= known | ADDED_BY_PROMETHEUS


@pytest.mark.parametrize(("title", "expression"), expressions())
def test_counters_are_asked_for_their_growth_and_gauges_for_their_level(
    title: str, expression: str
) -> None:
    for node in walk(parse(expression)):
        if isinstance(node, promql.MatrixSelector):
            metric, _ = declared(node.vector_selector.name)
            assert metric.kind != "gauge", title
    for name in re.findall(r"(millpond_\w+)\{[^}]*\}(?!\[)", expression):
        assert declared(name)[0].kind == "gauge", title


def test_legends_name_labels_that_the_expression_keeps() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
                kept = re.search(rf"by \([^)]*\b{label}\b", target["expr"])
                plain = label == "instance" and "sum" not in target["expr"]
                assert kept or plain, panel["title"]


def test_panels_have_ids_and_places_of_their_own() -> None:
    assert len({p["id"] for p in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not taken & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
