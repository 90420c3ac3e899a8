"""Rows of figures from series of samples; as JSON, as a table, as Markdown."""

from __future__ import annotations

import json
from statistics import median
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from millpond.testing.stats import estimate, paired_difference, paired_ratio

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.rounds import Series

Row = dict[str, Any]
_GIB = 1 << 30


def row(series: Series, reference: Series | None) -> Row:
    """One row: the median rate, its ratio to the reference's rounds, CPU by process, latencies."""
    value = estimate(series.values)
    out: Row = {
        "measure": series.measure.name,
        "target": series.target,
        "threads": series.threads,
        "value": _round(value.value),
        "unit": series.measure.unit,
        "rounds": len(series.samples),
        "ratio": None,
        "ratio_low": None,
        "ratio_high": None,
        "ratio_coverage": None,
        "ratio_to": None,
    }
    if reference is not None:
        ratio = paired_ratio(series.values, reference.values)
        out |= {
            "ratio": _round(ratio.value),
            "ratio_low": _round(ratio.low),
            "ratio_high": _round(ratio.high),
            "ratio_coverage": round(ratio.coverage, 3),
            "ratio_to": reference.target,
        }
    out |= _cpu(series) | _latencies(series, reference)
    return out


def _cpu(series: Series) -> Row:
    """CPU seconds per GiB read, and per operation, of the JVM and of each other process."""
    total_bytes = sum(series.column("bytes"))
    ops = sum(series.column("ops"))
    spent = {"": sum(series.column("cpu_ns", 1e-9))}
    for sample in series.samples:
        for name, seconds in sample["other_cpu_s"].items():
            spent[f"{name}_"] = spent.get(f"{name}_", 0.0) + seconds
    out: Row = {}
    for name, seconds in spent.items():
        per_gib = _round(seconds / (total_bytes / _GIB)) if total_bytes else None
        out[f"{name}cpu_s_per_gib"] = per_gib
        out[f"{name}cpu_us_per_op"] = _round(seconds / ops * 1e6)
    return out


def _latencies(series: Series, reference: Series | None) -> Row:
    if series.measure.kind == "sequential":
        return {}
    out: Row = {}
    for key in ("p50", "p90", "p99"):
        out[f"{key}_us"] = _round(median(series.column(f"{key}_ns", 1e-3)))
    if reference is not None:
        over = paired_difference(series.column("p50_ns", 1e-3), reference.column("p50_ns", 1e-3))
        out |= {"p50_over_us": _round(over.value), "p50_over_high_us": _round(over.high)}
    return out


def _round(value: float) -> float:
    """Four significant digits: more is noise."""
    return float(f"{value:.4g}")


def write_json(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, default=str) + "\n")


def save(
    path: Path,
    machine: dict[str, Any],
    rows: list[Row],
    title: str,
    columns: tuple[tuple[str, str], ...] | None = None,
) -> None:
    """The rows as JSON in ``path``, as Markdown beside it, and as a table on the screen."""
    columns = columns or _COLUMNS
    write_json(path, {"machine": machine, "rows": rows})
    path.with_suffix(".md").write_text(markdown(rows, columns))
    show(rows, title, columns)
    print(f"written: {path}")


_COLUMNS = (
    ("measure", "measure"), ("target", "target"), ("threads", "threads"), ("value", "median"),
    ("unit", "unit"), ("ratio", "ratio"), ("ratio_low", "low"), ("ratio_to", "to"),
    ("p50_us", "p50 µs"), ("p99_us", "p99 µs"), ("p50_over_us", "p50 over µs"),
    ("cpu_s_per_gib", "JVM CPU s/GiB"), ("sidecar_cpu_s_per_gib", "sidecar CPU s/GiB"),
    ("store_cpu_s_per_gib", "store CPU s/GiB"), ("rounds", "rounds"),
)  # fmt: skip


def _cell(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _used(rows: list[Row], columns: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    return [c for c in columns if any(r.get(c[0]) is not None for r in rows)]


def show(rows: list[Row], title: str, columns: tuple[tuple[str, str], ...] = _COLUMNS) -> None:
    """Prints a table."""
    table = Table(title=title, title_justify="left")
    used = _used(rows, columns)
    for key, name in used:
        text = any(isinstance(r.get(key), str) for r in rows)
        table.add_column(name, justify="left" if text else "right", no_wrap=True)
    for r in rows:
        table.add_row(*(_cell(r.get(key)) for key, _ in used))
    Console(width=320).print(table)


def markdown(rows: list[Row], columns: tuple[tuple[str, str], ...] = _COLUMNS) -> str:
    """The same table as Markdown."""
    used = _used(rows, columns)
    lines = ["| " + " | ".join(name for _, name in used) + " |", "|---" * len(used) + "|"]
    lines += ["| " + " | ".join(_cell(r.get(key)) for key, _ in used) + " |" for r in rows]
    return "\n".join(lines) + "\n"
