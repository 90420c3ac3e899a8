"""``millpond tpcds``: ``generate`` makes the data, ``run`` measures, ``queries`` lists."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from datetime import datetime, timedelta
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millpond.cli.output import Json, Mode, print_json

if TYPE_CHECKING:
    from millpond_tpcds.run import Options
    from millpond_tpcds.state import Sample, Step

tpcds = typer.Typer(
    help="TPC-DS: make its data, run its queries with and without the cache.", no_args_is_help=True
)
_NEEDED = ("duckdb", "matplotlib", "pyarrow", "pyspark", "sqlglot")


class Layout(StrEnum):
    """How the tables lie in their folders."""

    plain = "plain"
    partitioned = "partitioned"


_Data = Annotated[Path, typer.Option(help="The folder of the data sets.")]
_Scale = Annotated[float, typer.Option(help="The scale factor: about GB before compression.")]
_Layout = Annotated[Layout, typer.Option(help="Facts in few files, or one folder a day.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    app.add_typer(tpcds, name="tpcds")


def main() -> None:
    """``python -m millpond_tpcds``."""
    from millpond.cli.app import main as millpond

    sys.argv[1:1] = ["tpcds"]
    millpond()


@tpcds.command()
def generate(
    scale: _Scale = 1.0,
    layout: _Layout = Layout.plain,
    data: _Data = Path("build/tpcds/data"),
    to: Annotated[
        str | None,
        typer.Option(help="Copy it there too: s3://bucket/prefix or hdfs://host:port/directory."),
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="Of an S3 server; keys come from the AWS environment.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make the tables as Parquet; what is complete is not made again."""
    _check_installed()
    from millpond_tpcds import destination
    from millpond_tpcds import generate as maker

    store = destination.destination(to, endpoint) if to else None
    began = time.monotonic()
    done = maker.generate(
        data.absolute(), scale, layout.value,
        lambda table, note, made: _say(
            f"{table:24} {note.rows:>12,} rows {note.bytes / 1e6:>9.1f} MB "
            f"{len(note.files):>5} files{'' if made else '  (was there)'}"
        ),
    )  # fmt: skip
    tables = done.complete()
    size = sum(note.bytes for note in tables.values())
    _say(f"{size / 1e6:.1f} MB in {done.folder}, {time.monotonic() - began:.0f} s")
    copied = 0
    if store is not None:
        copied = destination.copy(done, store, _copied)
        _say(f"{copied} files copied to {to}")
    if Mode.json:
        rows = {name: note.rows for name, note in tables.items()}
        print_json({"folder": str(done.folder), "bytes": size, "rows": rows, "copied": copied})


@tpcds.command()
def queries(as_json: Json = False) -> None:
    """List the statements of the 99 queries."""
    _check_installed()
    from millpond_tpcds import queries as source

    names = [q.name for q in source.load()]
    if Mode.json:
        print_json(names)
    else:
        typer.echo(" ".join(names))


@tpcds.command()
def run(
    scale: _Scale = 1.0,
    layout: _Layout = Layout.plain,
    data: _Data = Path("build/tpcds/data"),
    work: Annotated[
        Path, typer.Option(help="Store, caches, logs, and the state of unfinished runs.")
    ] = Path("build/tpcds/work"),
    out: Annotated[Path, typer.Option(help="Where the figures go.")] = Path("tpcds/results"),
    targets: Annotated[
        str | None, typer.Option(help="With commas between; default: all of Spark's.")
    ] = None,
    names: Annotated[
        str | None, typer.Option("--queries", help="q3,q14,…; default: all 99.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Ten queries instead of 99.")] = False,
    rounds: Annotated[int, typer.Option(min=0, max=100, help="Timed; 0: check results.")] = 3,
    first_byte_ms: Annotated[
        float, typer.Option(min=0, help="Milliseconds from a request to the store's first byte.")
    ] = 15.0,
    mb_per_s: Annotated[
        float, typer.Option(min=0.1, help="MB/s of one connection to the store.")
    ] = 100.0,
    cores: Annotated[int | None, typer.Option(min=1, help="Threads of each engine.")] = None,
    memory: Annotated[str, typer.Option(help="Heap of each engine.")] = "3g",
    seed: Annotated[int, typer.Option(help="Of the random order.")] = 1,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over, don't resume.")] = False,
    as_json: Json = False,
) -> None:
    """Run the queries on every target, in rounds; the same command resumes an interrupted run.

    Ends with 1 where a result differs from DuckDB's on the same files.
    """
    _check_installed()
    from millpond.testing.service import terminated_like_interrupted, workplace
    from millpond.testing.store_model import Model
    from millpond_tpcds import dataset, queries, report, show
    from millpond_tpcds import targets as known
    from millpond_tpcds.run import Options
    from millpond_tpcds.run import run as execute
    from millpond_tpcds.state import State
    from millpond_tpcds.targets import EngineOptions

    wanted = names.split(",") if names else list(queries.QUICK) if quick else None
    spark = EngineOptions(memory=memory) if cores is None else EngineOptions(cores, memory)
    options = Options(
        data=dataset.DataSet(data.absolute(), scale, layout.value),
        queries=queries.load(wanted),
        targets=known.chosen(targets.split(",") if targets else None),
        model=Model(first_byte_ms, mb_per_s),
        spark=spark, rounds=rounds, seed=seed, work=work.absolute(),
    )  # fmt: skip
    file = _state_file(options)
    with terminated_like_interrupted(), workplace(options.work):
        if fresh:
            file.unlink(missing_ok=True)
        with State(file, options.about()) as state:
            _say(f"state: {file}" + (f", {len(state.samples)} steps done" if state.samples else ""))
            try:
                about = execute(options, state, _Progress())
            except KeyboardInterrupt:
                _say(f"interrupted after {len(state.samples)} steps; the same command resumes")
                raise
        document = report.document(options, state.samples, about)
    kind = "full" if wanted is None else "quick"
    out.mkdir(parents=True, exist_ok=True)
    target = out / f"{_result_name(document, kind)}.json"
    target.write_text(json.dumps(document, indent=1) + "\n")
    target.with_suffix(".md").write_text(show.markdown(document))
    show.chart(document, target.with_suffix(".png"))
    if Mode.json:
        print_json(document["summary"])
    else:
        for name, value in document["summary"].items():
            typer.echo(f"{name}: {value}")
    _say(f"written: {target}, and .md and .png beside it")
    if not document["summary"]["results_equal_duckdb"]:
        raise typer.Exit(1)


class _Progress:
    """A ``run.Listener``: a line for each step, with the time at which the run will have ended."""

    def says(self, text: str) -> None:
        _say(text)

    def step(self, step: Step, sample: Sample, left: int, left_s: float) -> None:
        end = datetime.now() + timedelta(seconds=left_s)
        took = f"{sample['seconds']:7.2f} s" if "seconds" in sample else "  failed "
        wrong = str(sample.get("difference", sample.get("error", ""))).partition("\n")[0]
        what = "warm-up" if step.round == 0 else f"round {step.round}"
        _say(
            f"{what} {step.query:5} {step.target:17}{took} {sample['requests']['GET']:5} GETs "
            f"{sample['bytes'] / 1e6:7.1f} MB; {left} left, ends about {end:%H:%M}"
            + (f"  NOT AS DUCKDB: {wrong}" if wrong else "")
        )


def _result_name(document: dict[str, Any], kind: str) -> str:
    """``<date>-<quick|full>``, and what of engines, scale, layout, distance is not the default."""
    options = document["options"]
    said = {
        "-".join(document["engines"]): "spark",
        f"sf{options['scale']:g}": "sf1",
        options["layout"]: "plain",
        f"{options['model']['first_byte_ms']:g}ms": "15ms",
        f"{options['model']['mb_per_s']:g}mbs": "100mbs",
    }
    more = [now for now, usual in said.items() if now != usual]
    return "-".join([document["machine"]["date"], kind, *more])


def _state_file(options: Options) -> Path:
    """One for each set of options, so that different runs don't meet."""
    digest = hashlib.sha256(json.dumps(options.about(), sort_keys=True).encode()).hexdigest()[:12]
    return options.work / "state" / f"{digest}.jsonl"


def _copied(name: str, size: int, copied: bool) -> None:
    if copied:
        _say(f"copied {name}, {size / 1e6:.1f} MB")


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _check_installed() -> None:
    from millpond.errors import NotSupported

    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise NotSupported(
            "TPC-DS can't run here",
            cause=f"not installed: {', '.join(missing)}",
            remedy="Install millpond[tpcds]",
        )
