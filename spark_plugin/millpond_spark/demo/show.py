"""How the demo shows its measurements: a table, a chart, JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from pathlib import Path

    from millpond_spark.demo.measure import Phase

INK, FAINT = "#1f2933", "#7b8794"
PHASE_COLOURS = {"direct": "#9aa5b1", "cold": "#5fa8d3", "warm": "#1b6ca8", "killed": "#d1495b"}
REQUEST_COLOURS = {"get": "#1b6ca8", "head": "#5fa8d3", "list": "#cbd2d9"}
REQUEST_NAMES = {"get": "data GET", "head": "HEAD", "list": "LIST"}


def table(phases: list[Phase]) -> Table:
    """The figures of every phase: medians over its rounds."""
    view = Table(title="One job, four joins; medians", box=box.SIMPLE_HEAD)
    view.add_column("phase")
    for name in ("seconds", "min-max", "LIST", "HEAD", "GET", "MB"):
        view.add_column(name, justify="right", no_wrap=True)
    view.add_column("answers")
    for phase in phases:
        asked = phase.requests
        view.add_row(
            phase.label,
            f"[bold]{phase.median_s:.2f}[/]",
            f"{min(phase.times_s):.2f}-{max(phase.times_s):.2f}",
            *(str(n) for n in (asked.list, asked.head, asked.get)),
            f"{asked.bytes_sent / 1e6:.1f}",
            "[green]right[/]" if phase.right else "[bold red]WRONG[/]",
        )
    return view


def as_json(phases: list[Phase], conditions: dict[str, Any]) -> dict[str, Any]:
    """The document behind ``--json`` and ``demo.json``."""
    return {"conditions": conditions, "phases": [phase.as_json() for phase in phases]}


def chart(phases: list[Phase], subtitle: str, file: Path) -> None:
    """A PNG with two panels: how long the job took, and what the store was asked for."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    style = {
        "font.family": "DejaVu Sans", "font.size": 10, "text.color": INK,
        "axes.labelcolor": FAINT, "xtick.color": FAINT, "ytick.color": INK,
        "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False,
        "axes.spines.bottom": False, "axes.grid": True, "axes.grid.axis": "x",
        "grid.color": "#e4e7eb", "axes.axisbelow": True, "ytick.left": False,
        "xtick.bottom": False,
    }  # fmt: skip
    with plt.rc_context(style):
        figure, (left, right) = plt.subplots(
            1, 2, sharey=True, figsize=(11, 0.55 * len(phases) + 1.7), width_ratios=(3, 2)
        )
        _times(left, phases)
        _requests(right, phases)
        left.set_yticks(range(len(phases)), [phase.label for phase in phases])
        left.invert_yaxis()
        figure.suptitle(
            "The same Spark job, where the data comes from", x=0.01, y=0.98, ha="left",
            fontsize=14, fontweight="bold",
        )  # fmt: skip
        figure.legend(
            *right.get_legend_handles_labels(), loc="upper right", bbox_to_anchor=(0.99, 1.0),
            ncols=3, frameon=False, fontsize=8, handlelength=1, columnspacing=1,
        )  # fmt: skip
        figure.text(0.01, 0.02, subtitle, color=FAINT, fontsize=8)
        figure.tight_layout(rect=(0, 0.05, 1, 0.97), w_pad=3)
        figure.savefig(file, dpi=150)
        plt.close(figure)


def _times(axes: Any, phases: list[Phase]) -> None:
    for row, phase in enumerate(phases):
        axes.barh(row, phase.median_s, height=0.62, color=PHASE_COLOURS[phase.colour])
        axes.plot(
            [min(phase.times_s), max(phase.times_s)], [row, row], color=INK, lw=1.2,
            marker="|", ms=7,
        )  # fmt: skip
        axes.text(
            max(phase.times_s), row, f"   {phase.median_s:.2f} s", va="center", fontweight="bold"
        )
    axes.set_xlim(0, 1.18 * max(max(phase.times_s) for phase in phases))
    axes.set_title("seconds for the job: median, fastest to slowest", **_panel_title())


def _requests(axes: Any, phases: list[Phase]) -> None:
    start = [0] * len(phases)
    for kind, name in REQUEST_NAMES.items():
        counts = [getattr(phase.requests, kind) for phase in phases]
        axes.barh(
            range(len(phases)), counts, left=start, height=0.62, color=REQUEST_COLOURS[kind],
            label=name,
        )  # fmt: skip
        start = [a + b for a, b in zip(start, counts, strict=True)]
    for row, (phase, end) in enumerate(zip(phases, start, strict=True)):
        text = f"  {phase.requests.get} GETs, {phase.requests.bytes_sent / 1e6:.1f} MB"
        axes.text(end, row, text, va="center", fontsize=9)
    axes.set_xlim(0, 1.6 * max(*start, 1))
    axes.set_title("requests to the store", **_panel_title())


def _panel_title() -> dict[str, Any]:
    return {"loc": "left", "fontsize": 9, "color": FAINT, "pad": 8}
