"""Warm reads in Python: the fsspec client beside local files and fsspec's own block cache.

One process, every target over the same bytes, all in the page cache: what is compared is the path
of a hit. DuckDB and pyarrow also read the local file by their own code, without Python in between.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow.dataset as ds
from fsspec.implementations.cached import CachingFileSystem
from fsspec.implementations.local import LocalFileSystem

from millpond.client import CacheFileSystem
from millpond.testing.proc import CpuMeter, machine
from millpond.testing.service import workplace
from tests.bench import report
from tests.bench.data import Files, make
from tests.bench.jvm import BUILD
from tests.bench.measures import Measure
from tests.bench.rounds import Series
from tests.bench.site import Site, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_KIB, _MIB = 1 << 10, 1 << 20
_COLUMNS = ("c0", "c1", "c5")

SEQUENTIAL = Measure("py_seq_1MiB", "sequential", "MiB/s", "file.read(1 MiB) to the end")
POSITIONED = Measure("py_pread_64KiB", "positioned", "reads/s", "cat_file of 64 KiB at random")
ARROW = Measure("pyarrow_scan", "scan", "MiB/s", "a dataset's sum over 3 of 12 columns")
DUCKDB = Measure("duckdb_scan", "scan", "MiB/s", "SELECT sum(…) over 3 of 12 columns")
MEASURES = (SEQUENTIAL, POSITIONED, ARROW, DUCKDB)

LOCAL, NATIVE, HIT, BLOCKCACHE = "local_fsspec", "local_native", "cache_hit", "fsspec_blockcache"


@dataclass(frozen=True, slots=True)
class Reader:
    """A target: a file system and the URI prefix and folder under which it has the files."""

    name: str
    fs: Any  # None: the engine's own reading of local files
    base: str

    def run(self, measure: Measure, files: Files, ops: int, seed: int) -> dict[str, Any]:
        """One sample, as the JVM's agent tells it: elapsed_ns, cpu_ns, ops, bytes, percentiles."""
        work = _WORK[measure.name]
        cpu, began = time.process_time_ns(), time.perf_counter_ns()
        read, latencies = work(self, files, ops, seed)
        sample: dict[str, Any] = {
            "elapsed_ns": time.perf_counter_ns() - began,
            "cpu_ns": time.process_time_ns() - cpu,
            "ops": max(1, len(latencies)),
            "bytes": read,
        }
        cuts = quantiles(latencies, n=100) if len(latencies) > 1 else [0.0] * 99
        return sample | {"p50_ns": cuts[49], "p90_ns": cuts[89], "p99_ns": cuts[98]}


Work = tuple[int, list[float]]


def _sequential(reader: Reader, files: Files, ops: int, seed: int) -> Work:
    read = 0
    with reader.fs.open(f"{reader.base}/{files.big}", "rb") as file:
        while piece := file.read(_MIB):
            read += len(piece)
    return read, []


def _positioned(reader: Reader, files: Files, ops: int, seed: int) -> Work:
    rng, took, size = random.Random(seed), [], 64 * _KIB
    with reader.fs.open(f"{reader.base}/{files.big}", "rb") as file:
        for _ in range(ops):
            at = rng.randrange(files.big_bytes - size)
            began = time.perf_counter_ns()
            file.seek(at)
            if len(file.read(size)) != size:
                raise RuntimeError("short read")
            took.append(float(time.perf_counter_ns() - began))
    return ops * size, took


def _arrow(reader: Reader, files: Files, ops: int, seed: int) -> Work:
    path = f"{reader.base}/{files.parquet}"
    table = ds.dataset(path, filesystem=reader.fs, format="parquet").to_table(list(_COLUMNS))
    return table.nbytes, []


def _duckdb(reader: Reader, files: Files, ops: int, seed: int) -> Work:
    sums = ", ".join(f"sum({c}::HUGEINT), count({c})" for c in _COLUMNS)
    with duckdb.connect() as base:
        uri = f"{reader.base}/{files.parquet}"
        if reader.fs is not None:
            base.register_filesystem(reader.fs)
            uri = reader.fs.unstrip_protocol(uri)
        found = base.sql(f"SELECT {sums} FROM '{uri}'").fetchall()
    return 8 * int(found[0][1]) * len(_COLUMNS), []


_WORK: Mapping[str, Callable[[Reader, Files, int, int], Work]] = {
    SEQUENTIAL.name: _sequential,
    POSITIONED.name: _positioned,
    ARROW.name: _arrow,
    DUCKDB.name: _duckdb,
}


def readers(files: Files, site: Site, work: Path) -> dict[str, Reader]:
    """Every target by name."""
    local = LocalFileSystem(skip_instance_cache=True)
    blocks = CachingFileSystem(
        fs=local, cache_storage=str(work / "blockcache"), skip_instance_cache=True
    )
    hit = CacheFileSystem(cache_dir=site.cache_dir, skip_instance_cache=True)
    return {
        LOCAL: Reader(LOCAL, local, str(files.root)),
        NATIVE: Reader(NATIVE, None, str(files.root)),
        HIT: Reader(HIT, hit, Site.HIT),
        BLOCKCACHE: Reader(BLOCKCACHE, blocks, str(files.root)),
    }


def _targets(measure: Measure) -> tuple[str, ...]:
    """The reference first."""
    if measure.kind != "scan":
        return LOCAL, HIT, BLOCKCACHE
    # The block cache has no protocol that DuckDB could register beside the local one.
    return (NATIVE, LOCAL, HIT) if measure is DUCKDB else (NATIVE, LOCAL, HIT, BLOCKCACHE)


def rows(work: Path, *, big_bytes: int, rounds: int, ops: int) -> list[report.Row]:
    """The rows of all measures."""
    files = make(work, big_bytes)
    out: list[report.Row] = []
    with ExitStack() as stack:
        store = stack.enter_context(Store(work / "store", files.root))
        site = stack.enter_context(Site(work / "site", store, None))
        site.load(Site.HIT)
        known = readers(files, site, work)
        meter = CpuMeter(site.pids)
        for measure in MEASURES:
            series = [Series(measure, name, 1) for name in _targets(measure)]
            for i in range(rounds + 1):
                for one in series[i % len(series) :] + series[: i % len(series)]:
                    meter.start()
                    sample = known[one.target].run(measure, files, ops, i)
                    sample["other_cpu_s"] = meter.stop()
                    one.samples.append(sample)
            for one in series:
                del one.samples[0]  # imports, page cache, and the block cache's only fill
            references = [s for s in series if s.target in (NATIVE, LOCAL)]
            for one in series:
                reference = None if one is references[0] else references[0]
                out.append(report.row(one, reference))
            if len(references) > 1:
                hit = next(s for s in series if s.target == HIT)
                out.append(report.row(hit, references[1]))
        hits = known[HIT].fs.counters
        if hits["direct_bytes"] or hits["fills"]:
            raise RuntimeError(f"not all reads were hits: {dict(hits)}")
    return out


_SHOWN = (
    ("measure", "measure"), ("target", "target"), ("value", "median"), ("unit", "unit"),
    ("ratio", "ratio"), ("ratio_low", "low"), ("ratio_high", "high"), ("ratio_to", "to"),
    ("p50_us", "p50 µs"), ("p99_us", "p99 µs"), ("cpu_s_per_gib", "Python CPU s/GiB"),
    ("sidecar_cpu_s_per_gib", "sidecar CPU s/GiB"), ("rounds", "rounds"),
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make bench BENCH=python", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="one round on little data: does it run at all")
    add("--rounds", type=int, help="at least 7 for 95 %%; default: 15")
    add("--size-mib", type=int, help="default: 1024")
    add("--ops", type=int, default=4000, help="positioned reads a sample; default: %(default)s")
    add("--work", type=Path, default=BUILD / "work", help="data and servers; default: %(default)s")
    add("--out", type=Path, default=BUILD / "python.json")
    args = parser.parse_args(sys.argv[1:] if argv is None else argv)
    about = machine(BUILD) | {"python": sys.version.split()[0], "quick": args.quick}
    about |= {"interval": "order statistics of the median of paired ratios, 95 %"}
    with workplace(args.work) as work:
        found = rows(
            work,
            big_bytes=(args.size_mib or (32 if args.quick else 1024)) * _MIB,
            rounds=args.rounds or (1 if args.quick else 15),
            ops=64 if args.quick else args.ops,
        )
    report.save(args.out, about, found, "warm reads in Python", _SHOWN)
    return 0


if __name__ == "__main__":
    sys.exit(main())
