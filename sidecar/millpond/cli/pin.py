"""``millpond pin | unpin | pins``: what is kept from eviction."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from millpond.cli.link import CacheDir, Config, control, load_settings
from millpond.cli.load import load_all, report, show
from millpond.cli.output import EXIT_ERROR, Json, Mode, note, print_json, print_table
from millpond.model.paths import parse_uri
from millpond.units import format_size

if TYPE_CHECKING:
    from millpond.wire import millpond_pb2 as wire


def register(app: typer.Typer) -> None:
    app.command("pin")(pin)
    app.command("unpin")(unpin)
    app.command("pins")(pins)


def pin(
    path: Annotated[str, typer.Argument(help="A file, or with -r a directory.")],
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="A directory with all below it.")
    ] = False,
    load: Annotated[bool, typer.Option("--load", help="Load it into the cache now.")] = False,
    cache_dir: CacheDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Keep files in the cache: what is and will be cached of them is never evicted.

    New versions and new files below a directory are pinned when they are first read. Pins may
    hold at most the share pin_share of the capacity. They last until `millpond unpin`.
    """
    path = parse_uri(path)
    settings = load_settings(cache_dir, config)
    with control(settings) as sidecar:
        pinned = sidecar.pin(path, recursive=recursive)
    told = _described(pinned)
    if not Mode.json:
        print(f"{pinned.path} is pinned: {pinned.files} files, {format_size(pinned.length)}")
    if not load:
        if Mode.json:
            print_json(told)
        return
    began = time.monotonic()
    summary = load_all(settings, path)
    seconds = time.monotonic() - began
    if Mode.json:
        print_json({**told, "load": report(summary, seconds)})
    else:
        show(summary, seconds)
    if summary.errors or summary.skipped:
        raise typer.Exit(EXIT_ERROR)


def unpin(
    path: Annotated[str, typer.Argument(help="As it was pinned.")],
    cache_dir: CacheDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Let files be evicted again. They stay in the cache until space is needed."""
    path = parse_uri(path)
    with control(load_settings(cache_dir, config)) as sidecar:
        was = sidecar.unpin(path)
    if Mode.json:
        print_json(_described(was))
    else:
        print(f"{was.path} is pinned no more ({was.files} files, {format_size(was.length)})")


def pins(cache_dir: CacheDir = None, config: Config = None, as_json: Json = False) -> None:
    """List what is pinned, and how much of the pins' share it takes."""
    with control(load_settings(cache_dir, config)) as sidecar:
        reply = sidecar.pins()
    if Mode.json:
        print_json(
            {
                "pins": [_described(p) for p in reply.pins],
                "pinned_bytes": reply.pinned_bytes,
                "at_most_bytes": reply.at_most_bytes,
            }
        )
        return
    rows = [
        [str(p.files), format_size(p.length), "all below" if p.recursive else "", p.path]
        for p in reply.pins
    ]
    if rows:
        print_table(["FILES", "LENGTH", "", "PATH"], rows, right=["FILES", "LENGTH"])
    note(
        f"{len(rows)} pins; {format_size(reply.pinned_bytes)} on disk are pinned, of "
        f"{format_size(reply.at_most_bytes)} that pins may hold."
    )


def _described(pin: wire.PinInfo) -> dict[str, object]:
    return {
        "path": pin.path, "recursive": pin.recursive, "files": pin.files, "length": pin.length,
    }  # fmt: skip
