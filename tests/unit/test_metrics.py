"""What is rendered is what Prometheus reads, and no peer can make it grow."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from millpond import metrics as m
from millpond.metrics import (
    DECLARED,
    FALLBACKS,
    FILL_RESULTS,
    MAX_CLIENT_COUNTERS,
    MISS_REASONS,
    Metrics,
)
from millpond.store.history import Loss


def parsed(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (s.name, tuple(sorted(s.labels.items()))): s.value
        for family in text_string_to_metric_families(metrics.render())
        for s in family.samples
    }


def test_every_declared_metric_is_rendered_with_type_and_help() -> None:
    families = {f.name: f for f in text_string_to_metric_families(Metrics().render())}
    for metric in DECLARED.values():
        family = families[metric.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.kind, metric.help)


def test_values_and_hostile_labels_survive_the_round_trip() -> None:
    metrics = Metrics()
    metrics.add(m.REQUESTS, 2, "stat")
    metrics.add(m.REQUESTS, 3, "stat")
    metrics.set(m.STORE_BYTES, 1.5, '/m"\\\n,}')
    got = parsed(metrics)
    assert got["millpond_requests_total", (("verb", "stat"),)] == 5
    assert got["millpond_store_bytes_total", (("mount", '/m"\\\n,}'),)] == 1.5


def test_histograms_are_cumulative() -> None:
    metrics = Metrics()
    for seconds in (0.0004, 0.0005, 0.003, 99):
        metrics.observe(m.REQUEST_SECONDS, seconds, "fill")
    got = parsed(metrics)

    def bucket(le: str) -> float:
        return got["millpond_request_seconds_bucket", (("le", le), ("verb", "fill"))]

    assert [bucket(le) for le in ("0.0005", "0.005", "30", "+Inf")] == [2, 3, 3, 4]
    assert got["millpond_request_seconds_count", (("verb", "fill"),)] == 4


def test_names_that_clients_send_are_bounded_and_nothing_is_lost() -> None:
    metrics = Metrics()
    metrics.add_client_counters({"hit_bytes": 7, "Bad name\n": 2, "x" * 65: 1, "": 4})
    for i in range(1000):
        metrics.add_client_counters({f"name_{i}": 1})
    sums = metrics.client_counters()
    assert len(sums) <= MAX_CLIENT_COUNTERS + 1
    assert sums["hit_bytes"] == 7
    assert sum(sums.values()) == 7 + 2 + 1 + 4 + 1000


def test_every_reason_of_a_client_is_explained() -> None:
    root = Path(__file__).parents[2]
    java = root / "jars/client/src/main/java/io/millpond/fs/rpc/Fallback.java"
    of_java = {n.lower() for n in re.findall(r"^    ([A-Z_]+)[,;]$", java.read_text(), re.M)}
    python = "".join(p.read_text() for p in (root / "sidecar/millpond/client").glob("*.py"))
    of_python = set(re.findall(r'(?:Trouble\(|fallback\(|direct(?:: str)? ?= ?)"(\w+)"', python))
    of_python |= set(re.findall(r'^    [A-Z]\w+: "(\w+)",$', python, re.M))
    assert len(of_java) > 10
    assert len(of_python) > 10
    assert of_java | of_python <= FALLBACKS.keys()


def test_every_reason_of_a_miss_is_explained() -> None:
    assert {loss.name.lower() for loss in Loss} <= MISS_REASONS.keys()


def test_every_answer_to_a_fill_is_explained() -> None:
    server = Path(__file__).parents[2] / "sidecar/millpond/server"
    calls = [
        node
        for path in server.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and re.search(r"[dD]irect$", ast.unparse(node.func))
    ]
    constants = (a for call in calls for a in call.args if isinstance(a, ast.Constant))
    direct = {str(a.value) for a in constants}
    assert len(direct) > 3
    assert {f"direct_{reason}" for reason in direct} <= FILL_RESULTS.keys()


def test_the_page_says_what_the_declaration_says() -> None:
    page = Path(__file__).parents[2] / "docs/metrics.md"
    assert page.read_text() == m.document(), "run: python -m millpond.metrics > docs/metrics.md"
