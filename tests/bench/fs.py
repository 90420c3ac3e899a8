"""File system calls through Hadoop's interface, target against target.

Two groups share a JVM each: what is warm (``raw_local``, ``cache_hit``) and what asks a store
behind the model (``s3a_classic``, ``s3a_analytics``, ``cache_cold``). docs/benchmarks.md says how
to read the figures.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from millpond.testing.proc import machine
from millpond.testing.service import workplace
from millpond.testing.store_model import Model
from tests.bench import report
from tests.bench.data import Files, make
from tests.bench.jvm import BUILD, Agent, Java, find_java
from tests.bench.measures import MEASURES, Measure
from tests.bench.rounds import Sampler, Series, Target, interleaved
from tests.bench.site import Site, Store
from tests.bench.targets import REMOTE, WARM, agent_for, declared, reference_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RPC_COUNTERS = ("fills", "stats", "lists")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of what is measured."""

    targets: tuple[str, ...]
    measures: tuple[Measure, ...]
    threads: tuple[int, ...]
    rounds: int
    forks: int
    big_bytes: int
    sample_s: float  # length of a warm sample
    warm_up_s: float  # of each measure and target, in each fork
    remote_share: float  # of each measure's remote_ops
    seed: int
    model: Model


def rows(plan: Plan, java: Java, work: Path) -> list[report.Row]:
    """All rows."""
    files = make(work, plan.big_bytes)
    with ExitStack() as stack:
        needs_store = any(t != "raw_local" for t in plan.targets)
        site = None
        if needs_store:
            store = stack.enter_context(Store(work / "store", files.root))
            site = stack.enter_context(Site(work / "site", store, plan.model))
        out: list[report.Row] = []
        for group in (WARM, REMOTE):
            names = [t for t in plan.targets if t in group]
            if names:
                targets = [declared(name, files, site) for name in names]
                out += list(_group_rows(plan, java, files, targets, site, warm=group is WARM))
        return out


def _group_rows(
    plan: Plan,
    java: Java,
    files: Files,
    targets: Sequence[Target],
    site: Site | None,
    *,
    warm: bool,
) -> Iterator[report.Row]:
    """Rows of targets that share a JVM; in each fork a fresh one, so that no one JIT decides."""
    gathered: dict[tuple[str, int], list[Series]] = {}
    for fork in range(plan.forks):
        with agent_for(java, targets, f"{'warm' if warm else 'remote'}-{fork}") as agent:
            if warm and site is not None:
                site.load(site.HIT)
            if warm:
                _fill_and_compare(agent, targets, files)
            sampler = Sampler(agent, files, site.pids if site else {})
            for key, series in _fork(plan, sampler, targets, files, fork, warm=warm):
                for kept, more in zip(gathered.setdefault(key, series), series, strict=True):
                    if kept is not more:
                        kept.samples += more.samples
    for series in gathered.values():
        reference = reference_of(series)
        for one in series:
            row = report.row(one, None if one is reference else reference)
            if one.target == "cache_hit":
                row |= _calls(one)
            yield row


def _fork(
    plan: Plan, sampler: Sampler, targets: Sequence[Target], files: Files, fork: int, *, warm: bool
) -> Iterator[tuple[tuple[str, int], list[Series]]]:
    rounds = len(range(fork, plan.rounds, plan.forks))
    for measure in plan.measures:
        for threads in plan.threads:
            if warm:
                ops = _warm_up(plan, sampler, targets, measure, files, threads)
            else:
                ops = max(1, round(measure.remote_ops * plan.remote_share))
                _once(sampler, targets, measure, ops)
            if measure.kind == "sequential":
                limit = files.big_bytes // measure.size
                ops = limit if warm else min(ops, limit)
            yield (measure.name, threads), interleaved(
                sampler, targets, measure,
                ops=ops, rounds=rounds, seed=plan.seed + 1000 * fork, threads=threads,
            )  # fmt: skip


def _once(sampler: Sampler, targets: Sequence[Target], measure: Measure, ops: int) -> None:
    """Connections open, classes loaded: one short untimed sample each."""
    for t in targets:
        sampler.sample(t, measure, ops=max(1, ops // 8), seed=0, threads=1)


def _warm_up(
    plan: Plan,
    sampler: Sampler,
    targets: Sequence[Target],
    measure: Measure,
    files: Files,
    threads: int,
) -> int:
    """Runs all targets in turns until each has run ``warm_up_s``; the operations of a sample."""
    ops, spent, seed = 8, 0.0, 0
    if measure.kind == "sequential":
        ops = files.big_bytes // measure.size
    while spent < plan.warm_up_s * len(targets):
        for t in targets:
            told = sampler.sample(t, measure, ops=ops, seed=-seed, threads=threads)
            seconds = told["elapsed_ns"] / 1e9
            spent += seconds
            if t is targets[0] and measure.kind != "sequential":
                ops = max(8, min(4 * ops, round(ops * plan.sample_s / seconds)))
            seed += 1
    return ops


def _fill_and_compare(agent: Agent, targets: Sequence[Target], files: Files) -> None:
    """Every target reads every file once: fills what is to be warm; all must see the same bytes."""
    for relative, names in ((files.big, None), (files.small, files.names_file)):
        fields: dict[str, object] = {} if names is None else {"names": names}
        seen = {
            t.name: agent.ask("digest", {"fs": t.name, "path": f"{t.base}/{relative}"} | fields)
            for t in targets
        }
        if len({(d["crc32c"], d["bytes"]) for d in seen.values()}) != 1:
            raise AssertionError(f"targets do not hold the same bytes in {relative}: {seen}")


def _calls(series: Series) -> report.Row:
    """Calls to the sidecar per operation, by verb, and the share of bytes that were local."""
    ops, read = sum(series.column("ops")), sum(series.column("bytes"))
    calls = {name: sum(s["counters"].get(name, 0) for s in series.samples) for name in RPC_COUNTERS}
    hit_bytes = sum(s["counters"].get("hit_bytes", 0) for s in series.samples)
    return {
        "calls_per_op": sum(calls.values()) / ops,
        "calls": calls,
        "hit_share": hit_bytes / read if read else None,
    }


def broken_promises(rows: Sequence[report.Row]) -> list[str]:
    """Hits in blocks that called the sidecar, or that were none."""
    blocks = {m.name for m in MEASURES if m.blocks}
    hits = [r for r in rows if r["target"] == "cache_hit" and r["measure"] in blocks]
    return [
        f"{r['measure']} on {r['threads']} threads: {r['calls']} calls to the sidecar, "
        f"{r['hit_share']:.0%} of the bytes were local"
        for r in hits
        if r["calls_per_op"] > 0 or r["hit_share"] < 1
    ]


def parse(argv: Sequence[str]) -> tuple[argparse.Namespace, Plan]:
    parser = argparse.ArgumentParser(prog="make bench BENCH=fs", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="few short rounds on little data: does it run at all")
    add("--targets", default=",".join((*WARM, *REMOTE)), help="default: %(default)s")
    add("--measures", default=",".join(m.name for m in MEASURES), help="default: %(default)s")
    add("--threads", default="1", help="thread counts, such as 1,2; default: %(default)s")
    add("--rounds", type=int, help="interleaved rounds in all, at least 7 for 95 %%; default: 15")
    add("--forks", type=int, help="fresh JVMs that share the rounds; default: 3")
    add("--size-mib", type=int, help="of the large file; default: 1024")
    add("--sample-s", type=float, help="seconds of a warm sample; default: 0.5")
    add("--seed", type=int, default=1)
    add("--java", help="a Java runtime; below 17 only the warm targets, on Hadoop 3.4.1")
    add(
        "--first-byte-ms", type=float, default=15.0, help="of the store model; default: %(default)s"
    )
    add("--mb-per-s", type=float, default=100.0, help="per connection; default: %(default)s")
    add("--work", type=Path, default=BUILD / "work", help="data and servers; default: %(default)s")
    add("--out", type=Path, default=BUILD / "fs.json")
    args = parser.parse_args(argv)
    quick = args.quick
    wanted = args.measures.split(",")
    unknown = set(wanted) - {m.name for m in MEASURES}
    if unknown:
        parser.error(f"no measure {', '.join(sorted(unknown))}")
    plan = Plan(
        targets=tuple(args.targets.split(",")),
        measures=tuple(m for m in MEASURES if m.name in wanted),
        threads=tuple(int(n) for n in args.threads.split(",")),
        rounds=args.rounds or (2 if quick else 15),
        forks=args.forks or (1 if quick else 3),
        big_bytes=(args.size_mib or (32 if quick else 1024)) << 20,
        sample_s=args.sample_s or (0.02 if quick else 0.5),
        warm_up_s=0.05 if quick else 3.0,
        remote_share=0.1 if quick else 1.0,
        seed=args.seed,
        model=Model(args.first_byte_ms, args.mb_per_s),
    )
    return args, plan


def main(argv: Sequence[str] | None = None) -> int:
    args, plan = parse(sys.argv[1:] if argv is None else argv)
    java = find_java(args.java)
    if java.hadoop != "3.5.0":
        plan = _only_warm(plan)
    about = machine(BUILD) | {
        "java": java.version,
        "hadoop": java.hadoop,
        "quick": args.quick,
        "page_cache": "warm for local targets",
        "store_model": plan.model.describe(),
        "interval": "order statistics of the median of paired ratios, 95 %",
        "forks": plan.forks,
        "big_file_mib": plan.big_bytes >> 20,
    }
    with workplace(args.work) as work:
        found = rows(plan, java, work)
    report.save(args.out, about, found, f"fs on Java {java.version}, Hadoop {java.hadoop}")
    broken = broken_promises(found)
    for line in broken:
        print(f"hits that are none: {line}", file=sys.stderr)
    return 1 if broken else 0


def _only_warm(plan: Plan) -> Plan:
    return replace(plan, targets=tuple(t for t in plan.targets if t in WARM))


if __name__ == "__main__":
    sys.exit(main())
