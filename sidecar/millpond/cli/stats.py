"""``millpond stats``: what the cache does for its money."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millpond.cli.link import CacheDir, Config, control, load_settings
from millpond.cli.output import Json, Mode, note, print_json, print_table, stdout
from millpond.metrics import hit_ratio
from millpond.units import format_duration_ms, format_percent, format_size

if TYPE_CHECKING:
    from millpond.wire import millpond_pb2 as wire

BAD_PAGES = "{} cached pages were bad since the sidecar's start, and were removed"
BAD_PAGES_REMEDY = (
    "Check the disk's health (`smartctl -a <device>`, `dmesg`); the sidecar's log names the files"
)


def register(app: typer.Typer) -> None:
    app.command("stats")(stats)


def stats(
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Again every two seconds, until Ctrl-C.")
    ] = False,
    cache_dir: CacheDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show hits, space, and what the stores were asked, since the sidecar started.

    Hits are counted by the readers and told about once a second. Bytes saved are those that
    readers took from this node's disk and not from a store.
    """
    settings = load_settings(cache_dir, config)
    with control(settings) as sidecar:
        while True:
            reply = sidecar.stats()
            summary = summarise(reply)
            if watch and not Mode.json:
                stdout().clear()
            _show(summary)
            if not watch:
                return
            time.sleep(2)


def summarise(reply: wire.StatsReply) -> dict[str, Any]:
    """The figures and what follows from them. A ratio of nothing is null."""
    counters = dict(reply.counters)
    hit_bytes, hit_reads = counters.get("hit_bytes", 0), counters.get("hit_reads", 0)
    other_bytes = counters.get("miss_bytes", 0) + counters.get("direct_bytes", 0)
    other_reads = counters.get("miss_reads", 0) + counters.get("direct_reads", 0)
    bad_pages = counters.get("corrupt_pages", 0)
    mounts = {
        m.path: {
            "head": m.head, "list": m.list, "get": m.get, "retries": m.retries,
            "bytes_read": m.bytes_read,
        }
        for m in reply.mounts
    }  # fmt: skip
    return {
        "version": reply.version,
        "uptime_s": round(reply.uptime_s, 1),
        "hit_ratio_bytes": _ratio(hit_bytes, other_bytes),
        "hit_ratio_reads": _ratio(hit_reads, other_reads),
        "saved_bytes": hit_bytes,
        "store_requests": sum(m.head + m.list + m.get for m in reply.mounts),
        "store_bytes_read": sum(m.bytes_read for m in reply.mounts),
        "capacity_bytes": reply.capacity_bytes,
        "used_bytes": reply.used_bytes,
        "free_disk_bytes": reply.free_disk_bytes,
        "blocks": reply.blocks,
        "files": reply.metas,
        "policy": reply.policy,
        "bad_pages": bad_pages,
        "warnings": [f"{BAD_PAGES.format(bad_pages)}. {BAD_PAGES_REMEDY}."] if bad_pages else [],
        "counters": counters,
        "mounts": mounts,
        "part_bytes": dict(reply.part_bytes),
    }


def _ratio(hits: int, others: int) -> float | None:
    ratio = hit_ratio(hits, others)
    return None if ratio is None else round(ratio, 4)


def _show(said: dict[str, Any]) -> None:
    if Mode.json:
        print_json(said)
        return
    used = said["used_bytes"] / said["capacity_bytes"] if said["capacity_bytes"] else None
    uptime = format_duration_ms(int(said["uptime_s"]) * 1000)
    rows = [
        ["hits by bytes", format_percent(said["hit_ratio_bytes"])],
        ["hits by reads", format_percent(said["hit_ratio_reads"])],
        ["bytes saved", format_size(said["saved_bytes"])],
        ["read from stores", format_size(said["store_bytes_read"])],
        ["store requests", str(said["store_requests"])],
        ["used", f"{format_size(said['used_bytes'])} of {format_size(said['capacity_bytes'])}"
                 f" ({format_percent(used)})"],
        ["free on disk", format_size(said["free_disk_bytes"])],
        ["blocks, files", f"{said['blocks']}, {said['files']}"],
        ["bad pages", str(said["bad_pages"])],
        ["policy", said["policy"]],
        ["sidecar", f"{said['version']}, up {uptime}"],
    ]  # fmt: skip
    print_table(["", ""], rows)
    for warning in said["warnings"]:
        note(f"warning: {warning}")
    if said["mounts"]:
        print()
        columns = ["MOUNT", "HEAD", "LIST", "GET", "RETRIES", "READ"]
        print_table(
            columns,
            [
                [path, *(str(m[k]) for k in ("head", "list", "get", "retries")),
                 format_size(m["bytes_read"])]
                for path, m in said["mounts"].items()
            ],
            right=columns[1:],
        )  # fmt: skip
    fallbacks = {k: v for k, v in said["counters"].items() if k.startswith("fallback_") and v}
    if fallbacks:
        print()
        rows = [[k.removeprefix("fallback_"), str(v)] for k, v in sorted(fallbacks.items())]
        print_table(["READ DIRECTLY BECAUSE", "TIMES"], rows, right=["TIMES"])
