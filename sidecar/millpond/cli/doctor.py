"""``millpond doctor``: what is wrong here, and what to do about it."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from itertools import chain
from pathlib import Path  # noqa: TC003 (Typer reads the annotations)
from typing import TYPE_CHECKING, Annotated

import typer

from millpond.cli import checks, engine_checks
from millpond.cli.findings import Finding, Level, problem
from millpond.cli.link import CacheDir, Config, load_settings
from millpond.cli.output import EXIT_ERROR, Json, Mode, print_json, print_table
from millpond.settings import unknown_environment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from millpond.settings import Settings

# An engine's plug-in looks at that engine: ``check(home, settings)`` yields findings.
ENGINES = "millpond.checks"
MARKS = {Level.ok: "ok", Level.warning: "warning", Level.problem: "PROBLEM"}


def register(app: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor(
    spark_jars: Annotated[
        Path | None,
        typer.Option(help="Spark's jars directory: is the connector for direct reads there?"),
    ] = None,
    presto: Annotated[
        Path | None,
        typer.Option(
            help="Presto's home: jar, catalogs and scheduling of this node.", metavar="HOME"
        ),
    ] = None,
    cache_dir: CacheDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Look for trouble: directory, disk, sidecar, lease, mounts, Java, jar.

    Run it where an engine runs, in its container and as its user: it also says whether directory,
    group, socket, clock and host names are within the engine's reach.

    Exit code 1 when there is a problem; warnings are not problems.
    """
    settings = load_settings(cache_dir, config)
    findings = list(
        chain(
            (
                Finding("settings", Level.warning, f"{name} is no setting", "Correct or unset it")
                for name in unknown_environment(os.environ)
            ),
            engine_checks.place(settings),
            checks.cache_dir(settings),
            checks.disk(settings),
            checks.sidecar(settings),
            checks.records(settings),
            engine_checks.reach(settings),
            checks.mounts(settings),
            checks.java(),
            checks.spark_jars(spark_jars) if spark_jars is not None else (),
            _engine("presto", presto, settings) if presto is not None else (),
        )
    )
    problems = [f for f in findings if f.level is Level.problem]
    if Mode.json:
        print_json(
            {
                "healthy": not problems,
                "findings": [
                    {"check": f.check, "level": f.level.value, "text": f.text, "remedy": f.remedy}
                    for f in findings
                ],
            }
        )
    else:
        print_table(
            ["", "CHECK", "FOUND", "REMEDY"],
            [[MARKS[f.level], f.check, f.text, f.remedy] for f in findings],
        )
    if problems:
        raise typer.Exit(EXIT_ERROR)


def _engine(name: str, home: Path, settings: Settings) -> Iterable[Finding]:
    for plugin in entry_points(group=ENGINES, name=name):
        found: Iterable[Finding] = plugin.load()(home, settings)
        return found
    return [problem(name, "its plug-in is not installed", "Install Millpond's wheel whole")]
