"""The ``millpond`` commands that Spark brings: ``spark-conf`` and ``demo``."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """How settings are printed."""

    properties = "properties"
    args = "args"
    json = "json"


class S3A(StrEnum):
    """Where the S3A connector comes from when Spark ships without."""

    present = "present"
    fetch = "fetch"
    none = "none"


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    app.command("spark-conf")(spark_conf)
    app.command("demo")(demo)


def spark_conf(
    form: Annotated[
        Format,
        typer.Option("--format", help="spark-defaults.conf, spark-submit arguments, or JSON."),
    ] = Format.properties,
    cache_dir: Annotated[
        Path | None, typer.Option(help="The sidecar's cache directory, the same on every node.")
    ] = None,
    mount: Annotated[
        list[str] | None,
        typer.Option(
            help="A mount whose store may be read directly; repeatable. Default: all. With "
            "--embedded /path=URI: what the sidecar has to have mounted."
        ),
    ] = None,
    fallback: Annotated[
        bool, typer.Option(help="Set up direct reads of the stores, for when the cache can't help.")
    ] = True,
    plugin: Annotated[
        bool, typer.Option("--plugin", help="Load the plugin: counters in Spark's metrics system.")
    ] = False,
    embedded: Annotated[
        bool,
        typer.Option("--embedded", help="In local mode the driver starts a sidecar and ends it."),
    ] = False,
    batches: Annotated[
        bool, typer.Option(help="Commit what Spark SQL writes to cache:// in one step.")
    ] = True,
    s3a: Annotated[
        S3A, typer.Option(help="The S3A connector, where Spark ships without one.")
    ] = S3A.present,
    transparent: Annotated[
        bool,
        typer.Option(
            "--transparent", help="Read s3a:// and hdfs:// URIs that a mount covers through it too."
        ),
    ] = False,
    include: Annotated[
        list[str] | None,
        typer.Option(help="With --transparent: a glob of the URIs to cache; repeatable."),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="With --transparent: a glob of the URIs not to cache; repeatable."),
    ] = None,
    extra: Annotated[
        list[str] | None, typer.Option("--set", help="A further setting, key=value; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Print the settings with which Spark reads the cache. They hold no secret of Millpond's."""
    from millpond import engine
    from millpond_spark import session

    mounts = mount or None
    settings = session.conf(
        cache_dir,
        dict(map(_mount, mounts)) if embedded and mounts else mounts,
        fallback,
        plugin=plugin,
        embedded=embedded,
        batches=batches,
        s3a=s3a.value,
        transparent=transparent,
        include=include or (),
        exclude=exclude or (),
        **engine.settings_from(extra or []),
    )
    if as_json or form is Format.json:
        text = json.dumps(settings, indent=2)
    elif form is Format.args:
        text = session.as_arguments(settings)
    else:
        text = session.as_properties(settings)
    typer.echo(text)
    if fallback or transparent:
        for line in session.advice(settings):
            typer.echo(f"note: {line}", err=True)


def demo(
    out: Annotated[
        Path, typer.Option(help="Where the chart, the figures and Spark's log go.")
    ] = Path("build/demo"),
    directory: Annotated[
        Path | None,
        typer.Option("--dir", help="An empty folder to work in. Default: a temporary one."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave that folder when done.")] = False,
    rounds: Annotated[int, typer.Option(help="Runs of each phase; medians are shown.")] = 3,
    latency_ms: Annotated[
        float, typer.Option(help="Milliseconds from a request to the store's first byte.")
    ] = 15.0,
    mb_per_s: Annotated[float, typer.Option(help="MB/s of one connection to the store.")] = 100.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")] = False,
) -> None:
    """Run a PySpark job on real data: S3A beside cache://, cold, warm, and with the sidecar killed.

    Ends with 1 where an answer was wrong.
    """
    from millpond_spark.demo import check_installed

    check_installed()
    from millpond_spark.demo import run

    options = run.Options(out, directory, keep, rounds, latency_ms, mb_per_s, as_json)
    if not run.run(options):
        raise typer.Exit(1)


def _mount(text: str) -> tuple[str, str]:
    """Path and URI; the path itself may have a '='."""
    from millpond.errors import InvalidSetting

    path, equals, uri = text.partition("://")[0].rpartition("=")
    if not equals or not path:
        raise InvalidSetting(
            f"--mount {text!r} names no store",
            cause="an embedded sidecar is told what to mount",
            remedy="Write --mount /path=s3a://bucket/prefix",
        )
    return path, uri + text[len(path) + 1 + len(uri) :]
