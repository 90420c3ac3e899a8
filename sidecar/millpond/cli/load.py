"""``millpond load``: bring a tree into the cache before it is needed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.progress import TransferSpeedColumn as RateColumn

from millpond.cli.link import CacheDir, Config, connect, load_settings
from millpond.cli.output import (
    EXIT_ERROR,
    Json,
    Mode,
    note,
    print_error,
    print_json,
    print_table,
    stderr,
)
from millpond.control.loading import files_below, load_tree, present_bytes
from millpond.errors import MillpondError
from millpond.model.paths import parse_uri
from millpond.units import format_size

if TYPE_CHECKING:
    from millpond.control import Loaded
    from millpond.settings import Settings
    from millpond.wire import millpond_pb2 as wire
    from millpond.wire.local_client import LocalClient


DEFAULT_JOBS = 4


def register(app: typer.Typer) -> None:
    app.command("load")(load)


def load(
    path: Annotated[str, typer.Argument(help="A file, or a directory with all below it.")],
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=1, max=64, help="Files at once.")
    ] = DEFAULT_JOBS,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Say what is missing; load nothing.")
    ] = False,
    cache_dir: CacheDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Load files into the cache, in parallel; what is present is not fetched again.

    So a load that was interrupted goes on where it stopped. These reads count neither as hits nor
    as misses. Exits 1 where a file could not be cached, and says why.
    """
    path = parse_uri(path)
    settings = load_settings(cache_dir, config)
    began = time.monotonic()
    if dry_run:
        with connect(settings) as client:
            _plan(client, list(files_below(client, path)))
        return
    summary = load_all(settings, path, jobs)
    seconds = time.monotonic() - began
    if Mode.json:
        print_json(report(summary, seconds))
    else:
        show(summary, seconds)
    if summary.errors or summary.skipped:
        raise typer.Exit(EXIT_ERROR)


def _plan(client: LocalClient, files: list[wire.FileInfo]) -> None:
    missing: list[tuple[wire.FileInfo, int]] = []
    errors: list[MillpondError] = []
    for info in files:
        try:
            missing.append((info, info.length - present_bytes(client, info)))
        except MillpondError as e:  # such as a name that no path can have
            errors.append(e)
            missing.append((info, 0))
    to_load = [(f, absent) for f, absent in missing if absent or not f.file_id]
    total = sum(absent for _, absent in to_load)
    if Mode.json:
        print_json(
            {
                "files": [
                    {"path": f.path, "length": f.length, "missing_bytes": absent}
                    for f, absent in to_load
                ],
                "missing_bytes": total,
                "present_bytes": sum(f.length for f in files) - total,
            }
        )
    else:
        _show_plan(files, to_load, total)
    for error in errors:
        print_error(error)
    if errors:
        raise typer.Exit(EXIT_ERROR)


def _show_plan(
    files: list[wire.FileInfo], to_load: list[tuple[wire.FileInfo, int]], total: int
) -> None:
    rows = [[format_size(absent), format_size(f.length), f.path] for f, absent in to_load]
    print_table(["MISSING", "LENGTH", "FILE"], rows, right=["MISSING", "LENGTH"])
    note(f"{len(to_load)} of {len(files)} files, {format_size(total)} would be loaded.")


def load_all(settings: Settings, path: str, jobs: int = DEFAULT_JOBS) -> Loaded:
    """Load a file, or all below a directory, with a bar that shows it."""
    bar = Progress(
        TextColumn("loading"), BarColumn(), DownloadColumn(binary_units=True), RateColumn(),
        TimeRemainingColumn(), console=stderr(), disable=Mode.json or not stderr().is_terminal,
    )  # fmt: skip
    with bar:
        task = bar.add_task("load", total=None)

        def told(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        return load_tree(lambda: connect(settings), path, jobs, told)


def report(summary: Loaded, seconds: float) -> dict[str, object]:
    """What a load did, for ``--json``."""
    return {
        "files": summary.files,
        "loaded_bytes": summary.loaded_bytes,
        "present_bytes": summary.present_bytes,
        "seconds": round(seconds, 3),
        "bytes_per_s": round(_rate(summary, seconds)),
        "skipped": summary.skipped,
        "errors": [{"path": p, "error": e.name, "problem": str(e)} for p, e in summary.errors],
    }


def show(summary: Loaded, seconds: float) -> None:
    """What a load did, for people."""
    print(
        f"{summary.files} files: {format_size(summary.loaded_bytes)} loaded in {seconds:.1f} s "
        f"({format_size(_rate(summary, seconds))}/s), {format_size(summary.present_bytes)} were "
        "present"
    )
    for reason, count in sorted(summary.skipped.items()):
        note(f"{count} files are not cached: {reason}")
    for path, error in summary.errors:
        note(f"{path}:")
        print_error(error)


def _rate(summary: Loaded, seconds: float) -> float:
    return summary.loaded_bytes / seconds if seconds else 0.0
