"""How the figures are shown: Markdown, and a chart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

PROCESSES = ("engine", "sidecar", "store", "model")
INK, FAINT = "#1f2933", "#7b8794"
COLOURS = {
    "local": "#cbd2d9", "s3a": "#9aa5b1", "s3a_analytics": "#7b8794", "cache_cold": "#5fa8d3",
    "cache_warm": "#1b6ca8", "transparent_warm": "#0b3c5d", "presto_s3": "#b8a9c9",
    "presto_cache_warm": "#622569",
}  # fmt: skip


def markdown(document: Mapping[str, Any]) -> str:
    """The figures as tables, with the conditions they were taken under."""
    return "\n".join(_lines(document)) + "\n"


def conditions(document: Mapping[str, Any]) -> str:
    """One line: what was run, on what machine, before what store."""
    o, m = document["options"], document["machine"]
    engines = ", ".join(f"{name.capitalize()} {v}" for name, v in document["engines"].items())
    return (
        f"TPC-DS SF{o['scale']:g} {o['layout']}, {o['bytes'] / 1e6:.0f} MB in {o['files']} files "
        f"({o['generator']}), {len(o['queries'])} statements, {o['rounds']} rounds; "
        f"{engines}, {o['spark']['cores']} threads, {o['spark']['memory']} heap; "
        f"{m['cpu']}, {m['cores']} cores, {m['memory_gib']} GiB, kernel {m['kernel']}, "
        f"load at start {m['load_at_start']}; store: {document['store_model']}; "
        f"commit {document['commit']}, {m['date']}"
    )


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    yield f"# TPC-DS, {document['machine']['date']}\n"
    yield conditions(document) + "\n"
    yield "| figure | value |\n|---|---|"
    for key, value in document["summary"].items():
        yield f"| `{key}` | {value} |"
    yield "\n## Ratios of times\n"
    yield "| queries | times of / times of | suite | 95 % | typical query | 95 % |"
    yield "|---|---|--:|---|--:|---|"
    for name, group in document["groups"].items():
        for pair, found in group["ratios"].items():
            s, t = found["suite"], found["typical"]
            interval = f"{t['low']:.2f}-{t['high']:.2f}"
            if t["coverage"] < 0.95:
                interval += f" ({t['coverage']:.0%})"
            yield (
                f"| {name} ({group['queries']}) | {pair.replace('/', ' / ')} | {s['value']:.2f} | "
                f"{s['low']:.2f}-{s['high']:.2f} | {t['value']:.2f} | {interval} |"
            )
    yield f"\n{document['statistics']}\n"
    yield "## A round of the suite\n"
    yield from _suites(document)
    yield "\n## Queries: median seconds\n"
    yield from _queries(document)
    if document["differences"]:
        yield "\n## Results that differ from DuckDB's\n"
        for d in document["differences"]:
            text = str(d.get("error", d.get("difference", ""))).partition("\n")[0]
            yield f"- {d['query']} on {d['target']}, round {d['round']}: {text}"


def _suites(document: Mapping[str, Any]) -> Iterator[str]:
    """A row a target: sums of medians over the queries."""
    groups = document["groups"]
    yield _row(["target", *(f"{name}, s" for name in groups), "LIST", "HEAD", "GET", "MB",
                *(f"{p} CPU s" for p in PROCESSES)])  # fmt: skip
    yield "|---" + "|--:" * (len(groups) + 4 + len(PROCESSES)) + "|"
    for name, costs in document["targets"].items():
        seconds = [f"{g['seconds'][name]:.1f}" for g in groups.values()]
        asked = [str(costs["requests"][kind]) for kind in ("LIST", "HEAD", "GET")]
        cpu = [f"{costs['cpu_s'][p]:.1f}" if p in costs["cpu_s"] else "" for p in PROCESSES]
        yield _row([costs["label"], *seconds, *asked, f"{costs['bytes'] / 1e6:.0f}", *cpu])


def _queries(document: Mapping[str, Any]) -> Iterator[str]:
    names = list(document["targets"])
    yield _row(["query", "kind", "names, MB", *names, "as DuckDB"])
    yield "|---|---" + "|--:" * (len(names) + 1) + "|---|"
    for q in document["queries"]:
        medians = [f"{q['targets'][t]['median_s']:.2f}" if t in q["targets"] else "" for t in names]
        size = f"{q['projected_bytes'] / 1e6:.1f}"
        yield _row([q["name"], q["kind"], size, *medians, "yes" if q["equal"] else "**no**"])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def chart(document: Mapping[str, Any], file: Path) -> None:
    """A PNG: the suite's time by target, what the store sent, and each query's ratio to S3A."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    style = {
        "font.family": "DejaVu Sans", "font.size": 9, "text.color": INK, "axes.grid": True,
        "axes.labelcolor": FAINT, "xtick.color": FAINT, "ytick.color": INK, "axes.axisbelow": True,
        "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False,
        "axes.spines.bottom": False, "grid.color": "#e4e7eb", "ytick.left": False,
        "xtick.bottom": False,
    }  # fmt: skip
    names = list(document["targets"])
    with plt.rc_context(style):
        figure, ((left, right), (below, unused)) = plt.subplots(
            2, 2, figsize=(11, 0.35 * len(names) + 5), width_ratios=(3, 2), height_ratios=(2, 3)
        )
        unused.remove()
        below.set_subplotspec(below.get_gridspec()[1, :])
        seconds = document["groups"]["all"]["seconds"] if document["groups"] else {}
        _bars(left, document, {n: seconds.get(n, 0.0) for n in names}, "{:.1f} s",
              "seconds for all queries: sum of medians")  # fmt: skip
        sent = {n: document["targets"][n]["bytes"] / 1e6 for n in names}
        _bars(right, document, sent, "{:.0f} MB", "sent by the store for them")
        right.set_yticks([])
        _ratios(below, document)
        figure.suptitle("TPC-DS, where the data comes from", x=0.01, ha="left", fontsize=14,
                        fontweight="bold")  # fmt: skip
        text = conditions(document)
        half = text.find("; ", len(text) // 2) + 1
        figure.text(0.01, 0.01, f"{text[:half]}\n{text[half:].strip()}", color=FAINT, fontsize=6.5)
        figure.tight_layout(rect=(0, 0.05, 1, 0.98), w_pad=2, h_pad=2)
        figure.savefig(file, dpi=150)
        plt.close(figure)


def _bars(
    axes: Any, document: Mapping[str, Any], values: Mapping[str, float], form: str, title: str
) -> None:
    labels = [document["targets"][n]["label"] for n in values]
    axes.barh(range(len(values)), list(values.values()), height=0.62,
              color=[COLOURS.get(n, INK) for n in values])  # fmt: skip
    for row, value in enumerate(values.values()):
        axes.text(value, row, "  " + form.format(value), va="center", fontweight="bold")
    axes.set_yticks(range(len(values)), labels)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.25 * max([*values.values(), 1e-9]))
    axes.set_title(title, loc="left", fontsize=9, color=FAINT)


def _ratios(axes: Any, document: Mapping[str, Any]) -> None:
    """Each query's time relative to the store's own reader, in the order of the warm ratio."""
    names = list(document["targets"])
    base, first = ("s3a", "cache_warm") if "s3a" in names else ("presto_s3", "presto_cache_warm")
    shown = [n for n in names if n != base]
    queries = [q for q in document["queries"] if set(q["targets"]) == set(names)]
    if base not in names or not shown or not queries:
        axes.remove()
        return

    def relative(query: Mapping[str, Any], target: str) -> float:
        medians = query["targets"]
        return float(medians[target]["median_s"] / medians[base]["median_s"])

    leading = first if first in shown else shown[0]
    queries.sort(key=lambda q: relative(q, leading))
    for target in shown:
        label, colour = document["targets"][target]["label"], COLOURS.get(target, INK)
        ratios = [relative(q, target) for q in queries]
        axes.plot(range(len(queries)), ratios, "o", ms=4, color=colour, label=label)
    axes.axhline(1.0, color=INK, lw=0.8)
    axes.set_xticks(range(len(queries)), [q["name"] for q in queries], rotation=90, fontsize=6)
    axes.set_ylim(bottom=0)
    title = f"time of each query, {document['targets'][base]['label']} = 1"
    axes.set_title(title, loc="left", fontsize=9, color=FAINT)
    axes.legend(frameon=False, ncols=len(shown), fontsize=7, loc="upper left")
