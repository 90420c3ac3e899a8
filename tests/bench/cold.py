"""Cold reads of 1 GiB behind a distant store: Millpond against both S3A streams.

Sequential, and as a columnar reader makes them, at several distances; time to the first page; calls
to the sidecar per GiB; and on the bare local server, where only CPU counts.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from millpond.testing.proc import machine
from millpond.testing.service import workplace
from millpond.testing.store_model import Model
from tests.bench import report
from tests.bench.data import make
from tests.bench.jvm import BUILD, Java, find_java
from tests.bench.measures import COLD_MEASURES, FIRST_PAGE, Measure
from tests.bench.rounds import Sampler, Series, interleaved
from tests.bench.site import Site, Store
from tests.bench.targets import REMOTE, agent_for, declared, reference_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_GIB = 1 << 30
_WARM_UP_ROUNDS = 1


def rows(
    java: Java,
    work: Path,
    models: Sequence[Model | None],
    *,
    big_bytes: int,
    rounds: int,
    first_page_rounds: int,
    measures: Sequence[Measure] = COLD_MEASURES,
) -> Iterator[report.Row]:
    """The rows of each model in turn; None is the bare local server."""
    files = make(work, big_bytes)
    with Store(work / "store", files.root) as store:
        for model in models:
            with Site(work / "site", store, model) as site:
                targets = [declared(name, files, site) for name in REMOTE]
                with agent_for(java, targets, "cold") as agent:
                    sampler = Sampler(agent, files, site.pids)
                    for measure in measures:
                        count = first_page_rounds if measure.name == FIRST_PAGE else rounds
                        ops = 1 if measure.name == FIRST_PAGE else big_bytes // (1 << 20)
                        # The first round pays for connections and class loading of all three.
                        series = interleaved(
                            sampler, targets, measure,
                            ops=ops, rounds=count + _WARM_UP_ROUNDS, seed=0, threads=1,
                        )  # fmt: skip
                        for one in series:
                            del one.samples[:_WARM_UP_ROUNDS]
                        yield from _rows_of(series, model)


def _rows_of(series: Sequence[Series], model: Model | None) -> Iterator[report.Row]:
    reference = reference_of(series)
    for one in series:
        row = report.row(one, None if one is reference else reference)
        row["first_byte_ms"] = model.first_byte_ms if model else 0
        row["mb_per_s"] = model.mb_per_s if model else None
        if one.measure.name == FIRST_PAGE:
            row["first_page_ms"] = round(median(one.column("p50_ns", 1e-6)), 2)
        if one.target == "cache_cold" and one.measure.name != FIRST_PAGE:
            row |= _fills(one)
        yield row


def _fills(series: Series) -> report.Row:
    """Fill calls per GiB, and what the client did with fewer bytes from the cache than asked."""
    total = sum(series.column("bytes"))
    counted = [s["counters"] for s in series.samples]
    fills = sum(c.get("fills", 0) for c in counted)
    return {
        "fills_per_gib": round(fills / (total / _GIB), 1),
        "direct_bytes": sum(c.get("direct_bytes", 0) for c in counted),
    }


_COLUMNS = (
    ("measure", "measure"), ("first_byte_ms", "first byte ms"), ("target", "target"),
    ("value", "median"), ("unit", "unit"), ("ratio", "ratio"), ("ratio_low", "low"),
    ("ratio_to", "to"), ("first_page_ms", "first page ms"), ("fills_per_gib", "fills/GiB"),
    ("cpu_s_per_gib", "JVM CPU s/GiB"), ("sidecar_cpu_s_per_gib", "sidecar CPU s/GiB"),
    ("model_cpu_s_per_gib", "model CPU s/GiB"), ("store_cpu_s_per_gib", "store CPU s/GiB"),
    ("rounds", "rounds"),
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make bench BENCH=cold", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="one short round on little data: does it run at all")
    add("--rounds", type=int, help="at least 7 for 95 %%; default: 7")
    add("--size-mib", type=int, help="default: 1024")
    add("--first-byte-ms", default="0,5,15,40", help="0: the bare server; default: %(default)s")
    add("--mb-per-s", type=float, default=100.0, help="per connection; default: %(default)s")
    add("--measures", default=",".join(m.name for m in COLD_MEASURES), help="%(default)s")
    add("--java")
    add("--work", type=Path, default=BUILD / "work", help="data and servers; default: %(default)s")
    add("--out", type=Path, default=BUILD / "cold.json")
    args = parser.parse_args(sys.argv[1:] if argv is None else argv)
    java = find_java(args.java)
    distances = [float(ms) for ms in args.first_byte_ms.split(",")]
    measures = [m for m in COLD_MEASURES if m.name in args.measures.split(",")]
    models = [Model(ms, args.mb_per_s) if ms else None for ms in distances]
    rounds = args.rounds or (1 if args.quick else 7)
    about = machine(BUILD)
    with workplace(args.work) as work:
        found = list(
            rows(
                java,
                work,
                models,
                big_bytes=(args.size_mib or (32 if args.quick else 1024)) << 20,
                rounds=rounds,
                first_page_rounds=rounds if args.quick else max(rounds, 21),
                measures=measures,
            )
        )
    about |= {"java": java.version, "hadoop": java.hadoop, "quick": args.quick}
    about |= {"interval": "order statistics of the median of paired ratios, 95 %"}
    title = f"cold reads on Java {java.version}, Hadoop {java.hadoop}"
    report.save(args.out, about, found, title, _COLUMNS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
