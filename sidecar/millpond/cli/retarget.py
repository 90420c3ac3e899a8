"""``millpond retarget``: table metadata that names stores instead of ``cache://``, or back."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millpond.cli.link import CacheDir, Config, load_settings
from millpond.cli.output import EXIT_ERROR, Json, Mode, note, print_json, print_table

if TYPE_CHECKING:
    from pathlib import Path

    from millpond.retarget.locations import Locations
    from millpond.retarget.metastore import Counts

app = typer.Typer(
    help="Rewrite the locations in table metadata, between cache:// and the stores' own URIs.",
    no_args_is_help=True,
)


class To(StrEnum):
    store = "store"
    cache = "cache"


class S3(StrEnum):
    s3a = "s3a"
    s3 = "s3"


ToOption = Annotated[To, typer.Option(help="What the locations are to be.")]
S3Option = Annotated[S3, typer.Option(help="How store URIs of S3 begin: engines on Hadoop, s3a.")]
Apply = Annotated[bool, typer.Option("--apply", help="Do it. Default: say what would be done.")]


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="retarget")


@app.command("iceberg")
def tables(
    table: Annotated[list[str], typer.Argument(help="Directories of tables: cache:///lake/db/t.")],
    to: ToOption = To.store,
    s3: S3Option = S3.s3a,
    apply: Apply = False,
    cache_dir: CacheDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Tables of an Iceberg Hadoop catalog: a new commit that names the same data files by another
    location.

    Metadata, manifest lists and manifests are written anew; nothing is edited, no data is copied.
    Position deletes can't be rewritten so.
    """
    job = _job(load_settings(cache_dir, config).cache_dir, to, s3, apply)
    changes = [job.table(each) for each in table]
    if Mode.json:
        print_json([asdict(c) for c in changes])
        return
    print_table(
        ["TABLE", "SNAPSHOTS", "MANIFESTS", "FILES", "OTHERS", "NEW METADATA"],
        [
            [c.table, *map(str, (c.snapshots, c.manifests, c.files, c.locations)), c.metadata]
            for c in changes
        ],
        right=["SNAPSHOTS", "MANIFESTS", "FILES", "OTHERS"],
    )
    _remark(apply, [c.example for c in changes if c.any])


@app.command("metastore")
def metastore(
    uri: Annotated[str, typer.Argument(help="thrift://host:9083")],
    database: Annotated[
        list[str] | None, typer.Option("--database", "-d", help="This one alone; repeatable.")
    ] = None,
    table: Annotated[
        list[str] | None,
        typer.Option("--table", "-t", help="database.table, this one alone; repeatable."),
    ] = None,
    to: ToOption = To.store,
    s3: S3Option = S3.s3a,
    apply: Apply = False,
    cache_dir: CacheDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """A Hive metastore: databases, tables, partitions, and the metadata of its Iceberg tables."""
    from millpond.retarget.metastore import MetastoreJob, connected

    job = _job(load_settings(cache_dir, config).cache_dir, to, s3, apply)
    with connected(uri) as client:
        counts = MetastoreJob(client, job.where, job, apply, _progress()).run(
            database or [], table or []
        )
    if Mode.json:
        print_json(asdict(counts))
    else:
        _show(counts, apply)
    if counts.failed:
        raise typer.Exit(EXIT_ERROR)


def _show(counts: Counts, apply: bool) -> None:
    print_table(["OF", "LOCATION", "TO"], counts.examples)
    verb = "rewritten" if apply else "to be rewritten"
    print(
        f"{counts.databases} databases, {counts.tables} tables ({counts.iceberg} of Iceberg) and "
        f"{counts.partitions} partitions {verb}"
    )
    for name, why in counts.failed.items():
        note(f"{name} is left as it is: {why}")
    _remark(apply, [(before, after) for _, before, after in counts.examples])


def _remark(apply: bool, examples: list[Any]) -> None:
    if not examples:
        note("Nothing has to be changed.")
    elif not apply:
        before, after = examples[0]
        note(f"Nothing was changed. With --apply, {before} becomes {after}.")


def _progress() -> Any:
    """Tells how far it is, in every hundredth table."""
    done = 0

    def told(_: str) -> None:
        nonlocal done
        done += 1
        if done % 100 == 0:
            note(f"{done} tables looked at")

    return told


def _job(cache_dir: Path, to: To, s3: S3, apply: bool) -> Any:
    from millpond.retarget.extra import needed
    from millpond.retarget.iceberg import Retarget
    from millpond.retarget.locations import Locations

    needed("fsspec")
    from millpond.client import CacheFileSystem

    fs = CacheFileSystem(cache_dir=cache_dir, skip_instance_cache=True)
    mounts = fs.here().dir.mounts().values()
    where: Locations = Locations.of(
        ((m.path, m.wire.store_uri) for m in mounts), to_cache=to is To.cache, s3=s3
    )

    def told(table: str, done: int, of: int) -> None:
        if done % 100 == 0:
            note(f"{table}: {done} of {of} snapshots")

    return Retarget(fs, where, apply, told)
