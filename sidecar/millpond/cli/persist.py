"""``millpond persist ls | wait | retry`` and ``millpond batch ls | show | abort``: pending data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from millpond.cli.link import CacheDir, Config, control, load_settings
from millpond.cli.output import EXIT_ERROR, Json, Mode, note, print_json, print_table, when
from millpond.errors import InvalidRequest
from millpond.units import format_size, lacks_unit, parse_duration_ms

if TYPE_CHECKING:
    from millpond.wire import pending_pb2 as wire

persist = typer.Typer(
    help="What is committed on this node and not in its store yet.", no_args_is_help=True
)
batch = typer.Typer(help="Batches: files that become visible together.", no_args_is_help=True)
Below = Annotated[str, typer.Argument(help="A file or directory; without it, all.")]
Ident = Annotated[str, typer.Argument(help="The batch's id, or the start of it.")]
Limit = Annotated[int, typer.Option(help="How many to show, the oldest first.")]


def register(parent: typer.Typer) -> None:
    parent.add_typer(persist, name="persist")
    parent.add_typer(batch, name="batch")


@persist.command("ls")
def persist_ls(
    path: Below = "/", limit: Limit = 1000, cache_dir: CacheDir = None, config: Config = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """List what waits for its store, how far each is, and why one does not get on.

    dirty, uploading and completing end by themselves. A conflict waits for you: the store has
    something else than what was to be replaced. Both are kept; `persist retry` ends it. What is
    kept (write type cache) waits for nothing: no store gets it, and it expires.
    """
    with control(load_settings(cache_dir, config)) as sidecar:
        reply = sidecar.persists(path, limit=limit)
    _show(reply)


@persist.command("wait")
def persist_wait(
    path: Below = "/",
    timeout: Annotated[str, typer.Option(help="How long: 90s, 10m.")] = "1h",
    cache_dir: CacheDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Wait until the store has all that is committed now. Exit code 1 where a conflict stays.

    After this the data is safe without this node, and readers elsewhere see it.
    """
    try:
        if lacks_unit(timeout):
            raise ValueError(f"a number with its unit, {timeout}s")
        timeout_s = parse_duration_ms(timeout) / 1000
    except ValueError as e:
        raise InvalidRequest(f"--timeout is {timeout!r}", cause=f"allowed: {e}") from None
    with control(load_settings(cache_dir, config)) as sidecar:
        left = sidecar.persist_wait(path, timeout_s=timeout_s)
        if left.conflicts:
            left = sidecar.persists(path)
    if left.files or Mode.json:
        _show(left)
    if left.conflicts:
        raise typer.Exit(EXIT_ERROR)


@persist.command("retry")
def persist_retry(
    path: Annotated[str, typer.Argument(help="A file, or a directory with all below it.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what the store has by what was written.")
    ] = False,
    discard: Annotated[
        bool, typer.Option("--discard", help="Keep what the store has; what was written is lost.")
    ] = False,
    cache_dir: CacheDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """End conflicts: try again as before, or say which side wins.

    Without an option it succeeds where the store has again what was to be replaced. What waits
    after an error of the store is tried at once, too.
    """
    if overwrite and discard:
        raise InvalidRequest("--overwrite and --discard contradict each other")
    with control(load_settings(cache_dir, config)) as sidecar:
        were = sidecar.persist_retry(path, overwrite=overwrite, discard=discard)
    if Mode.json:
        _show(were)
    else:
        done = "discarded" if discard else "tried again"
        print(f"{were.files} conflicts at {path} are {done}")


@batch.command("ls")
def batch_ls(
    ended: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    cache_dir: CacheDir = None, config: Config = None, as_json: Json = False,
) -> None:  # fmt: skip
    """List staging areas, and batches that are open, or committed and not in the store yet."""
    with control(load_settings(cache_dir, config)) as sidecar:
        batches = sidecar.batches(ended=ended)
    if Mode.json:
        print_json([_batch(b) for b in batches])
        return
    rows = [
        [b.batch[:12], b.state, str(b.files), format_size(b.bytes), when(b.created_ms), b.name]
        for b in batches
    ]
    if rows:
        print_table(
            ["BATCH", "STATE", "FILES", "BYTES", "BEGUN", "NAME"], rows, right=["FILES", "BYTES"]
        )
    note(f"{len(rows)} batches.")


@batch.command("show")
def batch_show(
    ident: Ident, limit: Limit = 1000, cache_dir: CacheDir = None, config: Config = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Show a batch: what it is, and the files that no store has yet."""
    with control(load_settings(cache_dir, config)) as sidecar:
        shown = sidecar.batch_show(ident, limit=limit)
    if Mode.json:
        print_json({**_batch(shown.batch), "entries": [_entry(e) for e in shown.entries]})
        return
    for name, value in _batch(shown.batch).items():
        if value:
            print(f"{name:12} {value}")
    _table(list(shown.entries))


@batch.command("abort")
def batch_abort(
    ident: Ident, cache_dir: CacheDir = None, config: Config = None, as_json: Json = False
) -> None:
    """Drop an open batch, or a staging area, with its files. Its job's commit fails then."""
    with control(load_settings(cache_dir, config)) as sidecar:
        dropped = sidecar.batch_abort(ident)
    if Mode.json:
        print_json(_batch(dropped))
    else:
        print(f"{dropped.batch} is aborted")


def _show(reply: wire.PersistsReply) -> None:
    if Mode.json:
        print_json(
            {
                "entries": [_entry(e) for e in reply.entries],
                "files": reply.files,
                "bytes": reply.bytes,
                "conflicts": reply.conflicts,
                "kept": reply.kept,
            }
        )
        return
    _table(list(reply.entries))
    more = f", {len(reply.entries)} shown" if len(reply.entries) < reply.files else ""
    kept = f", {reply.kept} kept here" if reply.kept else ""
    note(
        f"{reply.files - reply.kept} changes wait for their store{kept}, "
        f"{format_size(reply.bytes)}; {reply.conflicts} in conflict{more}."
    )


def _table(entries: list[wire.PersistInfo]) -> None:
    rows = [
        [e.state, "delete" if e.removal else format_size(e.length), e.path, _why(e)]
        for e in entries
    ]
    if rows:
        print_table(["STATE", "BYTES", "PATH", "WHY"], rows, right=["BYTES"])


def _why(entry: wire.PersistInfo) -> str:
    return f"expires {when(entry.expires_ms)}" if entry.expires_ms else entry.detail


def _entry(entry: wire.PersistInfo) -> dict[str, object]:
    return {
        "path": entry.path, "state": entry.state, "removal": entry.removal,
        "length": entry.length, "batch": entry.batch, "detail": entry.detail,
        "committed_ms": entry.committed_ms, "expires_ms": entry.expires_ms or None,
    }  # fmt: skip


def _batch(batch: wire.BatchInfo) -> dict[str, object]:
    return {
        "batch": batch.batch, "state": batch.state, "name": batch.name, "mount": batch.mount,
        "write_type": batch.write_type, "files": batch.files, "bytes": batch.bytes,
        "created_ms": batch.created_ms, "detail": batch.detail,
    }  # fmt: skip
