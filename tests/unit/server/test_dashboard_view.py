"""What the dashboard says, before it is a page."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from millpond.metrics import FALLBACKS
from millpond.server.core.history import History, Totals
from millpond.server.core.visitors import Visitor
from millpond.server.dashboard import charts
from millpond.server.dashboard.charts import HEIGHT, WIDTH, Series
from millpond.server.dashboard.view import WINDOWS, Facts, Page, Table, build, show_ago
from millpond.store.stats import StoreStats

GIB = 1 << 30
KNOWN = {
    "capacity_bytes": 100 * GIB, "limit_bytes": 100 * GIB, "used_bytes": 25 * GIB, "blocks": 1600,
    "metas": 900, "evicted_bytes": GIB, "evicted_blocks": 64, "free_disk_bytes": 50 * GIB,
    "free_disk_inodes": 1_000_000, "policy": "s3fifo",
}  # fmt: skip


def stats(**changed: object) -> StoreStats:
    return StoreStats(**{f.name: 0 for f in fields(StoreStats)} | KNOWN | changed)  # type: ignore[arg-type]


def page(history: History | None = None, **changed: object) -> Page:
    facts: dict[str, object] = {
        "state": "ok", "name": "node", "at": "now", "uptime_s": 7200.0, "now_s": 10_000.0,
        "totals": Totals(), "stats": stats(), "mounts": [], "store_requests": {},
        "store_bytes": {}, "left_out": {}, "fills": {}, "misses": {}, "bypassed": {},
        "told": {}, "visitors": [], "users": {},
        "in_hand": 0, "fetching": 0, "flying_bytes": 0.0,
    }  # fmt: skip
    return build(Facts(**facts | changed), history or History(), WINDOWS["1h"])  # type: ignore[arg-type]


def table(made: Page, title: str) -> Table:
    return next(t for t in made.tables if t.title == title)


def test_a_sidecar_that_did_nothing_yet_has_a_page() -> None:
    made = page()
    assert [t.value for t in made.tiles] == ["-", "-", "0 B", "0", "0 B", "25 GiB"]
    assert [t.title for t in made.tables if not t.rows] == [
        "Mounts", "Who reads", "Misses, by reason", "Read directly because", "Fills, by answer",
    ]  # fmt: skip
    assert all(not c.tips or c.title == "Disk used" for c in made.charts)


def test_large_figures_are_of_the_window_and_notes_since_the_start() -> None:
    history = History()
    history.add(0, Totals())
    history.add(6000, Totals(hit_bytes=1000, miss_bytes=3000, store_requests=50))
    history.add(9990, Totals(hit_bytes=1900, miss_bytes=3100, store_requests=70))
    now = Totals(hit_bytes=1900, miss_bytes=3100, store_requests=70)
    tiles = {t.name: t for t in page(history, totals=now).tiles}
    assert (tiles["Hits by bytes"].value, tiles["Hits by bytes"].note) == (
        "90.0 %", "38.0 % since start",
    )  # fmt: skip
    assert (tiles["Store requests"].value, tiles["Store requests"].note) == (
        "20", "70 since start",
    )  # fmt: skip


def test_reasons_are_ordered_by_how_often() -> None:
    told = {"fallback_silence": 2, "fallback_breaker_open": 40, "fallback_x": 0, "hit_bytes": 5}
    found = table(page(told=told), "Read directly because")
    assert found.rows == [["breaker_open", "40"], ["silence", "2"]]
    assert found.bars == [1.0, 0.05]
    assert found.hints == [FALLBACKS["breaker_open"], FALLBACKS["silence"]]


def test_rules_that_sent_reads_past_the_cache_are_named_where_there_are_any() -> None:
    assert "Not admitted" not in [t.title for t in page().tables]
    found = table(page(bypassed={("/lake", "1: bypass"): 3}), "Not admitted")
    assert found.rows == [["/lake by 1: bypass", "3"]]


def test_who_reads_is_named() -> None:
    here = Visitor("jvm", 1000, 7, 0, 9000, connections=1, hit_bytes=GIB)
    gone = Visitor("python", None, None, 0, 9700, warm_up_bytes=1)
    rows = table(page(visitors=[here, gone], users={1000: "ada"}), "Who reads").rows
    assert rows[0][:5] == ["jvm", "ada", "7", "connected", "1 GiB"]
    assert rows[1][:4] == ["python", "over TCP", "", "5 min ago"]


def test_a_disk_in_trouble_says_so() -> None:
    bad = stats(corrupt_pages=3, limit_bytes=40 * GIB)
    note = table(page(stats=bad), "Disk").note
    assert "smartctl" in note
    assert "40 GiB may be used now" in note


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "now"), (40, "40 s ago"), (130, "2 min ago"), (7300, "2 h ago"), (200_000, "2 d ago")],
)
def test_times_are_said_in_words(seconds: float, said: str) -> None:
    assert show_ago(seconds) == said


@pytest.mark.parametrize(
    ("value", "nice"), [(0, 1), (0.03, 0.05), (1, 1), (1.01, 2), (4, 5), (70, 100), (100, 100)]
)
def test_counts_end_in_round_numbers(value: float, nice: float) -> None:
    assert charts.nice_count(value) == pytest.approx(nice)


@pytest.mark.parametrize(("value", "nice"), [(0, 1024), (1, 1024), (1025, 2048), (GIB, GIB)])
def test_bytes_end_in_powers_of_two(value: float, nice: float) -> None:
    assert charts.nice_bytes(value) == nice


def test_columns_stand_on_each_other_inside_the_box() -> None:
    values = [Series("x", "a", [1.0, None, 3.0], ""), Series("y", "b", [4.0, 2.0, None], "")]
    chart = charts.columns("t", values, str, charts.nice_count, ["2", "1", "now"])
    assert chart.top == "5.0"
    drawn: dict[float, list[tuple[float, float]]] = {}
    for shape in chart.shapes:
        for x, y, high in re.findall(r"M([\d.]+) ([\d.]+)h[\d.]+v([\d.]+)", shape.path):
            drawn.setdefault(float(x), []).append((float(y), float(high)))
    assert drawn == {
        0.0: [(80.0, 20.0), (0.0, 80.0)], WIDTH / 3: [(60.0, 40.0)], 2 * WIDTH / 3: [(40.0, 60.0)],
    }  # fmt: skip
    assert all(y + high <= HEIGHT for column in drawn.values() for y, high in column)
    assert [t.text for t in chart.tips] == ["2: x 1.0, y 4.0", "1: y 2.0", "now: x 3.0"]


def test_lines_break_where_there_is_nothing() -> None:
    only = [Series("x", "a", [0.0, 1.0, None, 0.5], "")]
    [shape] = charts.lines("t", only, str, 1.0, list("abcd")).shapes
    assert shape.path == "M120.0 100.00h0L360.0 0.00M840.0 50.00h0"
