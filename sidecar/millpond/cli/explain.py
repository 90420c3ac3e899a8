"""``millpond explain``: why the blocks of a file are here, or are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from millpond.cli.link import CacheDir, Config, control, load_settings
from millpond.cli.output import Json, Mode, note, print_json, print_table, when
from millpond.metrics import FILL_RESULTS
from millpond.model.paths import parse_uri
from millpond.model.sizes import BLOCK_BYTES, PAGE_BYTES, block_valid_bytes
from millpond.units import format_size
from millpond.wire import millpond_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Iterable

MEANINGS = {
    wire.HERE: ("here", ""),
    wire.PARTLY_HERE: ("partly here", "the rest was not read"),
    wire.NEVER_READ: ("never read", "nobody asked for it since the history begins"),
    wire.EVICTED: ("evicted", "space was needed"),
    wire.EXPIRED: ("expired", "nobody read it within the mount's TTL"),
    wire.DROPPED: ("dropped", "by `millpond evict`, or deleted in the cache directory"),
    wire.BAD: ("bad", "a page failed its checksum"),
    wire.VERSION_CHANGED: ("version changed", "not read since the file changed"),
    wire.NOT_ADMITTED: ("not admitted", "by the mount's rule"),
    wire.BYPASSED: ("bypassed", "its last read"),
    wire.NOT_CACHEABLE: ("not cacheable", ""),
}


def register(app: typer.Typer) -> None:
    app.command("explain")(explain)


def explain(
    path: Annotated[str, typer.Argument(help="A file.")],
    blocks: Annotated[
        bool, typer.Option("--blocks", help="Every block, not the sum by state.")
    ] = False,
    cache_dir: CacheDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Say why each block of a file is in the cache, or is not.

    Absent blocks: never read; evicted or expired, and when; dropped by hand; bad; not read since
    the file changed; not admitted and by which rule; bypassed and why. What happened is
    remembered in memory, from the sidecar's start on: the last 65,536 losses of blocks, the last
    4,096 files that changed, and as many that were bypassed. The answer says since when.
    """
    path = parse_uri(path)
    with control(load_settings(cache_dir, config)) as sidecar:
        told = sidecar.explain(path)
    if Mode.json:
        print_json(_document(told, blocks))
        return
    runs = list(told.runs)
    here = sum(_present_bytes(told.info, run) for run in runs)
    count = sum(run.count for run in runs)
    print(
        f"{told.info.path}: {count} blocks of {format_size(BLOCK_BYTES)}, "
        f"{format_size(here)} of {format_size(told.info.length)} here"
    )
    rows = [_block_row(run) for run in runs] if blocks else _summary_rows(runs)
    if rows:
        print_table(["BLOCKS" if blocks else "COUNT", "STATE", "WHEN", "WHY"], rows)
    note(
        f"History: since {when(told.history_since_ms)}, {told.history_events} losses "
        f"(the last {told.history_bound} are kept)"
    )


def _block_row(run: wire.BlockRun) -> list[str]:
    last = run.first + run.count - 1
    name, why = MEANINGS[run.state]
    if run.state == wire.PARTLY_HERE:
        name += f" ({run.pages} pages)"
    numbers = str(run.first) if run.count == 1 else f"{run.first}-{last}"
    return [numbers, name, when(run.at_ms), _why(why, run.detail)]


def _summary_rows(runs: Iterable[wire.BlockRun]) -> list[list[str]]:
    rows = []
    for state, detail, group in _grouped(runs):
        name, why = MEANINGS[state]
        times = [run.at_ms for run in group if run.at_ms]
        first, last = when(min(times, default=0)), when(max(times, default=0))
        span = first if first == last else f"{first} to {last}"
        rows.append([str(sum(run.count for run in group)), name, span, _why(why, detail)])
    return rows


def _grouped(
    runs: Iterable[wire.BlockRun],
) -> list[tuple[wire.BlockState, str, list[wire.BlockRun]]]:
    """By state and detail, in the order of their first blocks."""
    groups: dict[tuple[wire.BlockState, str], list[wire.BlockRun]] = {}
    for run in runs:
        groups.setdefault((run.state, run.detail), []).append(run)
    return [(state, detail, group) for (state, detail), group in groups.items()]


def _why(why: str, detail: str) -> str:
    told = FILL_RESULTS.get(f"direct_{detail}", detail)
    return ": ".join(part for part in (why, told) if part)


def _present_bytes(info: wire.FileInfo, run: wire.BlockRun) -> int:
    if run.state == wire.HERE:
        end = min(info.length, (run.first + run.count) * BLOCK_BYTES)
        return end - run.first * BLOCK_BYTES
    return min(run.pages * PAGE_BYTES, block_valid_bytes(info.length, run.first))


def _document(told: wire.ExplainReply, blocks: bool) -> dict[str, Any]:
    states = [
        {
            "state": _name(state),
            "blocks": sum(run.count for run in group),
            "bytes": sum(_present_bytes(told.info, run) for run in group),
            "detail": detail,
            "first_at_ms": min((run.at_ms for run in group if run.at_ms), default=None),
            "last_at_ms": max((run.at_ms for run in group if run.at_ms), default=None),
        }
        for state, detail, group in _grouped(told.runs)
    ]
    runs = [
        {
            "first": run.first, "count": run.count, "state": _name(run.state),
            "pages": run.pages, "at_ms": run.at_ms or None, "detail": run.detail,
        }
        for run in told.runs
    ]  # fmt: skip
    return {
        "path": told.info.path,
        "mount": told.mount,
        "length": told.info.length,
        "version": told.info.version,
        "cacheable": bool(told.info.file_id),
        "states": states,
        **({"blocks": runs} if blocks else {}),
        "history": {
            "since_ms": told.history_since_ms,
            "losses": told.history_events,
            "kept": told.history_bound,
        },
    }


def _name(state: wire.BlockState) -> str:
    return wire.BlockState.Name(state).lower()
