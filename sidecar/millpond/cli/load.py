"""``millpond load``: bring a tree into the cache before it is needed."""

from __future__ import annotations

import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
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
from millpond.errors import MillpondError, NotADirectory
from millpond.model.paths import parse_uri
from millpond.model.sizes import BLOCK_BYTES
from millpond.namespace.mounts import join
from millpond.units import format_size
from millpond.wire import millpond_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from millpond.settings import Settings
    from millpond.wire.local_client import LocalClient


def register(app: typer.Typer) -> None:
    app.command("load")(load)


STEP_BYTES = 2 * BLOCK_BYTES
"""What one Fill asks for: little beside the smallest cache, since blocks being filled stay."""


class _Stopped(Exception):
    """The load was interrupted."""


@dataclass(slots=True)
class Summary:
    """What one load did."""

    files: int = 0
    bytes: int = 0
    present_bytes: int = 0
    loaded_bytes: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    """Files that are not cached, by reason."""
    errors: list[tuple[str, MillpondError]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def load(
    path: Annotated[str, typer.Argument(help="A file, or a directory with all below it.")],
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, max=64, help="Files at once.")] = 4,
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
    with connect(settings) as client:
        files = list(_files(client, path))
        if dry_run:
            _plan(client, files)
            return
        summary = Summary(len(files), sum(f.length for f in files))
        _load_all(settings, files, summary, jobs)
    _tell(summary, time.monotonic() - began)
    if summary.errors or summary.skipped:
        raise typer.Exit(EXIT_ERROR)


def _files(client: LocalClient, path: str) -> Iterator[wire.FileInfo]:
    """Every file at or below ``path``, by its full path."""
    info = client.stat(path)
    if not info.directory:
        yield info
        return
    try:
        for page in client.list(path, recursive=True):
            for entry in page.entries:
                entry.path = join(path, entry.path)
                yield entry
    except NotADirectory:
        yield client.stat(path)


def _present(client: LocalClient, info: wire.FileInfo) -> int:
    if not info.file_id or not info.length:
        return 0
    reply = client.locate(info.path, 0, info.length)
    return min(info.length, sum(place.cached_bytes for place in reply.locations))


def _plan(client: LocalClient, files: list[wire.FileInfo]) -> None:
    missing: list[tuple[wire.FileInfo, int]] = []
    errors: list[MillpondError] = []
    for info in files:
        try:
            missing.append((info, info.length - _present(client, info)))
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


def _load_all(settings: Settings, files: list[wire.FileInfo], summary: Summary, jobs: int) -> None:
    stop = threading.Event()
    local = threading.local()
    clients: list[LocalClient] = []

    def one(info: wire.FileInfo, bar_told: Callable[[int], None]) -> None:
        if stop.is_set():
            return

        def told(count: int) -> None:
            if stop.is_set():
                raise _Stopped
            bar_told(count)

        if not hasattr(local, "client"):
            local.client = connect(settings)
            clients.append(local.client)
        try:
            _load_one(local.client, info, summary, told)
        except _Stopped:
            return
        except MillpondError as e:
            with summary.lock:
                summary.errors.append((info.path, e))

    bar = Progress(
        TextColumn("loading"), BarColumn(), DownloadColumn(binary_units=True), RateColumn(),
        TimeRemainingColumn(), console=stderr(), disable=Mode.json or not stderr().is_terminal,
    )  # fmt: skip
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="load")
    try:
        with bar:
            task = bar.add_task("load", total=summary.bytes)

            def told(count: int) -> None:
                bar.advance(task, count)

            _drain({pool.submit(one, info, told) for info in files})
    finally:
        # Reached by Ctrl-C too: who waits for a fill hears of it with its next frame, 100 ms at
        # most, and the sidecar keeps every page that has arrived.
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
        for client in clients:
            client.close()


def _drain(futures: set[Future[None]]) -> None:
    while futures:
        done, futures = wait(futures, timeout=0.5, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()


def _load_one(
    client: LocalClient, info: wire.FileInfo, summary: Summary, told: Callable[[int], None]
) -> None:
    if not info.file_id:
        with summary.lock:
            summary.skipped["changing"] = summary.skipped.get("changing", 0) + 1
        told(info.length)
        return
    present = _present(client, info)
    if present >= info.length:
        with summary.lock:
            summary.present_bytes += info.length
        told(info.length)
        return
    for start in range(0, info.length, STEP_BYTES):
        count = min(STEP_BYTES, info.length - start)
        ready = 0

        def heard(now_ready: int) -> None:
            nonlocal ready
            told(max(0, now_ready - ready))
            ready = max(ready, now_ready)

        reply = client.fill(
            info.path, info.file_id, [(start, count)], intent=wire.WARM_UP, on_progress=heard
        )
        heard(count)
        if reply.result == wire.DIRECT:
            with summary.lock:
                reason = reply.reason or "direct"
                summary.skipped[reason] = summary.skipped.get(reason, 0) + 1
            told(info.length - start - count)
            return
    with summary.lock:
        summary.present_bytes += present
        summary.loaded_bytes += info.length - present


def _tell(summary: Summary, seconds: float) -> None:
    rate = summary.loaded_bytes / seconds if seconds else 0.0
    if Mode.json:
        print_json(
            {
                "files": summary.files,
                "loaded_bytes": summary.loaded_bytes,
                "present_bytes": summary.present_bytes,
                "seconds": round(seconds, 3),
                "bytes_per_s": round(rate),
                "skipped": summary.skipped,
                "errors": [
                    {"path": p, "error": e.name, "problem": str(e)} for p, e in summary.errors
                ],
            }
        )
        return
    print(
        f"{summary.files} files: {format_size(summary.loaded_bytes)} loaded in {seconds:.1f} s "
        f"({format_size(rate)}/s), {format_size(summary.present_bytes)} were present"
    )
    for reason, count in sorted(summary.skipped.items()):
        note(f"{count} files are not cached: {reason}")
    for path, error in summary.errors:
        note(f"{path}:")
        print_error(error)
