"""Charts as numbers for an SVG: columns and lines over bins of time. Pure.

Shapes are in a box of ``WIDTH`` x ``HEIGHT`` that the page stretches to what room it has; labels
are text of the page, so that they stay readable at every width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millpond.units import format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDTH, HEIGHT = 960, 100
GAP_SHARE = 0.2
Values = list[float | None]


@dataclass(frozen=True, slots=True)
class Series:
    """One colour of a chart; ``said`` is its figure for the whole window."""

    name: str
    colour: str
    values: Values
    said: str


@dataclass(frozen=True, slots=True)
class Shape:
    colour: str
    path: str
    kind: str


@dataclass(frozen=True, slots=True)
class Tip:
    x: float
    width: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """What the page draws. ``summary`` says it in words, for who does not see it."""

    title: str
    legend: list[Series]
    top: str
    middle: str
    shapes: list[Shape]
    tips: list[Tip]
    summary: str


def columns(
    title: str,
    series: Sequence[Series],
    show: Callable[[float], str],
    nice: Callable[[float], float],
    times: Sequence[str],
) -> Chart:
    """The series stacked, a column a bin."""
    count = len(times)
    heights = [sum(s.values[i] or 0 for s in series) for i in range(count)]
    top = nice(max(heights, default=0))
    step = WIDTH / count
    paths = {s.colour: "" for s in series}
    for i in range(count):
        below = 0.0
        for s in series:
            value = s.values[i] or 0
            if value:
                y, high = HEIGHT * (1 - (below + value) / top), HEIGHT * value / top
                width = step * (1 - GAP_SHARE)
                paths[s.colour] += f"M{step * i:.1f} {y:.2f}h{width:.1f}v{high:.2f}h-{width:.1f}z"
                below += value
    shapes = [Shape(colour, path, "area") for colour, path in paths.items() if path]
    return _chart(title, series, show, top, shapes, times)


def lines(
    title: str,
    series: Sequence[Series],
    show: Callable[[float], str],
    top: float,
    times: Sequence[str],
) -> Chart:
    """A line each, broken where there is no value; a value alone is a dot."""
    step = WIDTH / len(times)
    shapes = []
    for s in series:
        path, before = "", None
        for i, value in enumerate(s.values):
            if value is not None:
                x, y = step * (i + 0.5), HEIGHT * (1 - value / top)
                # A line of no length with round ends is a dot.
                path += f"{'L' if before is not None else 'M'}{x:.1f} {y:.2f}"
                path += "h0" if before is None else ""
            before = value
        if path:
            shapes.append(Shape(s.colour, path, "line"))
    return _chart(title, series, show, top, shapes, times)


def _chart(
    title: str,
    series: Sequence[Series],
    show: Callable[[float], str],
    top: float,
    shapes: list[Shape],
    times: Sequence[str],
) -> Chart:
    step = WIDTH / len(times)
    tips = []
    for i, when in enumerate(times):
        said = [f"{s.name} {show(v)}" for s in series if (v := s.values[i]) is not None]
        if said:
            tips.append(Tip(round(step * i, 1), round(step, 1), f"{when}: {', '.join(said)}"))
    summary = f"{title}: " + ", ".join(f"{s.name} {s.said}" for s in series)
    return Chart(title, list(series), show(top), show(top / 2), shapes, tips, summary)


def nice_count(value: float) -> float:
    """1, 2 or 5 times a power of ten, at or above; 1 for nothing."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return float(next(n * power for n in (1, 2, 5, 10) if n * power >= value * (1 - 1e-9)))


def nice_bytes(value: float) -> float:
    """A power of two, at or above; 1 KiB at least."""
    return float(2 ** max(10, math.ceil(math.log2(value)))) if value > 0 else 1024.0


def show_count(value: float) -> str:
    """``1,234``, ``12.5``, ``0.05``."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2g}"


def show_rate(value: float) -> str:
    return f"{format_size(value)}/s"
