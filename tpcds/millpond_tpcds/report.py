"""Figures of a run: medians, their ratios with an interval, and what each query cost."""

from __future__ import annotations

import random
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING, Any

from millpond.testing.stats import estimate
from millpond_tpcds.dataset import projected_bytes
from millpond_tpcds.state import WARM_UP
from millpond_tpcds.targets import (
    ANALYTICS,
    COLD,
    LOCAL,
    PRESTO,
    PRESTO_S3,
    PRESTO_WARM,
    S3A,
    SPARK,
    TARGETS,
    TRANSPARENT,
    WARM,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from millpond_tpcds.run import Options
    from millpond_tpcds.state import Sample

SELECTIVE, SCAN = "selective", "scan"
# A query is a scan when the columns it names are at least this share of the data set.
SCAN_SHARE = 0.1
RESAMPLES = 2000
_LOW, _HIGH = 0.025, 0.975
STATISTICS = (
    "suite: a target's time is the sum over the queries of the median over the rounds; the "
    f"interval is the 2.5 and 97.5 percentile of {RESAMPLES} bootstrap samples that draw rounds "
    "anew for each query, the same ones for both targets. typical: the median over the queries of "
    "the ratio of medians, with the order statistics that enclose it with 95 %."
)

Times = dict[str, dict[str, list[float]]]  # target → query → seconds, round by round


def document(
    options: Options, samples: Sequence[Sample], machine: Mapping[str, object]
) -> dict[str, Any]:
    """All figures of a run, as JSON keeps them."""
    kinds = kinds_of(options)
    times = _times(samples)
    whole = [q.name for q in options.queries if all(q.name in times[t] for t in times)]
    groups = {"all": whole}
    groups |= {kind: [q for q in whole if kinds[q] == kind] for kind in (SELECTIVE, SCAN)}
    compared = {name: _group(times, queries) for name, queries in groups.items() if queries}
    return {
        "summary": summary(compared.get("all", {}), samples),
        "store_model": options.model.describe(),
        "machine": dict(machine),
        "engines": {name: _all(samples, name) for name in _engines(options)},
        "commit": _all(samples, "commit"),
        "options": options.about() | {"spark_settings": options.spark.settings()},
        "statistics": STATISTICS,
        "groups": compared,
        "targets": {t.name: _costs(samples, t.name, whole) for t in options.targets},
        "queries": [_query(q.name, kinds[q.name], samples, options) for q in options.queries],
        "differences": [
            {k: s[k] for k in ("query", "target", "round", "difference", "error") if k in s}
            for s in samples
            if not s["equal"]
        ],
    }


def _engines(options: Options) -> list[str]:
    return [name for name in (SPARK, PRESTO) if any(t.engine == name for t in options.targets)]


def _all(samples: Sequence[Sample], key: str) -> str:
    """Every value that samples have of what should be one: a resumed run may have met two."""
    return ", ".join(sorted({str(s[key]) for s in samples if key in s}))


def summary(everything: Mapping[str, Any], samples: Sequence[Sample]) -> dict[str, Any]:
    """The figures that say what the run is about; None for what was not run of Spark's."""
    ratios = everything.get("ratios", {})

    def suite(name: str) -> float | None:
        return ratios[name]["suite"]["value"] if name in ratios else None

    of_presto = f"{PRESTO_S3}/{PRESTO_WARM}"
    return {
        "speedup_warm_vs_s3a": suite(f"{S3A}/{WARM}"),
        "cold_time_vs_s3a": suite(f"{COLD}/{S3A}"),
        **({"speedup_presto_warm_vs_s3": suite(of_presto)} if of_presto in ratios else {}),
        "results_equal_duckdb": bool(samples) and all(s["equal"] for s in samples),
    }


def kinds_of(options: Options) -> dict[str, str]:
    """Which queries are scans and which selective, by the bytes of the columns they name."""
    total = sum(note.bytes for note in options.data.complete().values())
    return {
        q.name: SCAN if projected_bytes(options.data, q.sql) >= SCAN_SHARE * total else SELECTIVE
        for q in options.queries
    }


def _times(samples: Sequence[Sample]) -> Times:
    """Seconds of the timed samples in the order of their rounds; queries with an error left out."""
    times: Times = {s["target"]: {} for s in samples}
    failed = {(s["target"], s["query"]) for s in samples if "error" in s}
    for s in sorted(samples, key=lambda s: int(s["round"])):
        if s["round"] != WARM_UP and (s["target"], s["query"]) not in failed:
            times[s["target"]].setdefault(s["query"], []).append(s["seconds"])
    return times


# Numerator and denominator: times of the first over times of the second.
RATIOS = (
    (S3A, WARM), (ANALYTICS, WARM), (LOCAL, WARM), (S3A, TRANSPARENT), (COLD, S3A),
    (COLD, ANALYTICS), (PRESTO_S3, PRESTO_WARM),
)  # fmt: skip


def _group(times: Times, queries: Sequence[str]) -> dict[str, Any]:
    """Suite times of some queries, and the ratios between targets."""
    pairs = [(a, b) for a, b in RATIOS if a in times and b in times]
    return {
        "queries": len(queries),
        "seconds": {t: round(_suite(times[t], queries), 3) for t in times},
        "ratios": {f"{a}/{b}": ratio(times[a], times[b], queries) for a, b in pairs},
    }


def _suite(times: Mapping[str, Sequence[float]], queries: Sequence[str]) -> float:
    return sum(median(times[q]) for q in queries)


def ratio(
    a: Mapping[str, Sequence[float]], b: Mapping[str, Sequence[float]], queries: Sequence[str]
) -> dict[str, Any]:
    """The ratio of suite times with a bootstrap interval, and that of a typical query."""
    rng = random.Random(0)
    drawn = []
    for _ in range(RESAMPLES):
        top = bottom = 0.0
        for q in queries:
            rounds = range(min(len(a[q]), len(b[q])))
            chosen = rng.choices(rounds, k=len(rounds))
            top += median(a[q][i] for i in chosen)
            bottom += median(b[q][i] for i in chosen)
        drawn.append(top / bottom)
    drawn.sort()
    typical = estimate([median(a[q]) / median(b[q]) for q in queries])
    return {
        "suite": {
            "value": round(_suite(a, queries) / _suite(b, queries), 3),
            "low": round(drawn[int(_LOW * RESAMPLES)], 3),
            "high": round(drawn[int(_HIGH * RESAMPLES)], 3),
        },
        "typical": {k: round(v, 3) for k, v in asdict(typical).items()},
    }


def _costs(samples: Sequence[Sample], target: str, queries: Sequence[str]) -> dict[str, Any]:
    """What one round of the suite asked of the store and of each process: sums of medians."""
    mine = [s for s in samples if s["target"] == target and s["round"] != WARM_UP]
    by_query = [[s for s in mine if s["query"] == q] for q in queries]

    def total(key: str, name: str | None = None) -> float:
        values = [
            [float(s[key] if name is None else s[key].get(name, 0)) for s in one]
            for one in by_query
        ]
        return sum(median(one) for one in values if one)

    processes = sorted({name for s in mine for name in s["cpu_s"]})
    return {
        "label": TARGETS[target].label,
        "requests": {kind: int(total("requests", kind)) for kind in ("LIST", "HEAD", "GET")},
        "bytes": int(total("bytes")),
        "cpu_s": {name: round(total("cpu_s", name), 2) for name in processes},
    }


def _query(name: str, kind: str, samples: Sequence[Sample], options: Options) -> dict[str, Any]:
    mine = [s for s in samples if s["query"] == name]
    sql = next(q.sql for q in options.queries if q.name == name)
    found = {}
    for target in options.targets:
        timed = [s for s in mine if s["target"] == target.name and s["round"] != WARM_UP]
        right = [s for s in timed if "error" not in s]
        if right:
            found[target.name] = {
                "median_s": round(median(s["seconds"] for s in right), 4),
                "seconds": [s["seconds"] for s in right],
                "gets": [s["requests"]["GET"] for s in right],
                "bytes": [s["bytes"] for s in right],
                "cpu_s": [s["cpu_s"] for s in right],
                "counters": right[-1]["counters"],
            }
    return {
        "name": name,
        "kind": kind,
        "projected_bytes": projected_bytes(options.data, sql),
        "equal": bool(mine) and all(s["equal"] for s in mine),
        "targets": found,
    }
