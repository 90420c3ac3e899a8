"""``millpond ls | stat | cat``: the namespace as the sidecar sees it."""

from __future__ import annotations

import errno
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from millpond.cli.link import CacheDir, Config, connect, load_settings
from millpond.cli.output import Json, Mode, note, print_json, print_table
from millpond.cli.reading import read_range
from millpond.errors import InvalidRequest, IsADirectory, NotADirectory
from millpond.model.paths import parse_uri
from millpond.units import format_size, parse_size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from millpond.wire.millpond_pb2 import FileInfo

CatPath = Annotated[str, typer.Argument(help="A file: /flights/a.parquet or cache:///flights/…")]


def register(app: typer.Typer) -> None:
    app.command("ls")(ls)
    app.command("stat")(stat)
    app.command("cat")(cat)


def ls(
    path: Annotated[str, typer.Argument(help="A directory or a file.")] = "/",
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Every file at any depth.")
    ] = False,
    exact: Annotated[
        bool, typer.Option("--bytes", "-b", help="Sizes as plain numbers of bytes.")
    ] = False,
    cache_dir: CacheDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List a directory: size, time of change (UTC) and name."""
    path = parse_uri(path)
    with connect(load_settings(cache_dir, config)) as client:
        try:
            entries = [e for page in client.list(path, recursive=recursive) for e in page.entries]
        except NotADirectory:
            entries = [client.stat(path)]
    if Mode.json:
        print_json([_entry(e) for e in entries])
        return
    rows = []
    for entry in entries:
        size = "" if entry.directory else _size(entry.length, exact)
        rows.append([size, _time(entry.mtime_ms), entry.path + "/" * entry.directory])
    print_table(["SIZE", "CHANGED", "NAME"], rows, right=["SIZE"])


def stat(
    path: Annotated[str, typer.Argument(help="A file or directory.")],
    force: Annotated[
        bool, typer.Option(help="Ask the store, however fresh what is known.")
    ] = False,
    cache_dir: CacheDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show what is known of one file, and how much of it is cached."""
    path = parse_uri(path)
    with connect(load_settings(cache_dir, config)) as client:
        info = client.stat(path, force=force)
        cached = 0 if info.directory else _cached(client.locate(path, 0, info.length).locations)
    document = {**_entry(info), "store_uri": info.store_uri, "cached_bytes": cached}
    document["file_id"] = info.file_id.hex()
    document["cacheable"] = bool(info.file_id)
    if Mode.json:
        print_json(document)
        return
    share = f" ({100 * cached // info.length} %)" if info.length else ""
    rows = [
        ["path", info.path],
        ["kind", "directory" if info.directory else "file"],
        ["store", info.store_uri],
    ]
    if not info.directory:
        rows += [
            ["length", f"{format_size(info.length)} ({info.length} bytes)"],
            ["changed", _time(info.mtime_ms)],
            ["version", info.version],
            ["file id", info.file_id.hex() or "none: this version is not cached"],
            ["cached", format_size(cached) + share],
        ]
    print_table(["", ""], rows)


def cat(
    path: CatPath,
    offset: Annotated[
        str, typer.Option(help="Where to begin: bytes, or 10MiB; -1KiB counts from the end.")
    ] = "0",
    length: Annotated[str | None, typer.Option(help="How much: bytes, or 10MiB.")] = None,
    cache_dir: CacheDir = None,
    config: Config = None,
) -> None:
    """Write a file, or a range of it, to stdout. What is read is cached as by any reader."""
    path = parse_uri(path)
    settings = load_settings(cache_dir, config)
    with connect(settings) as client:
        info = client.stat(path)
        if info.directory:
            raise IsADirectory(f"{path} is a directory", remedy=f"`millpond ls {path}` lists it")
        start, end = _range(info, offset, length)
        for chunk in read_range(client, settings, info, start, end):
            _write(chunk)


def _write(chunk: bytes | memoryview) -> None:
    try:
        if sys.stdout is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as e:
        raise InvalidRequest(
            "stdout can't be written",
            cause=e.strerror or str(e),
            remedy="Send it to a place that is open and has space",
        ) from None


def _range(info: FileInfo, offset: str, length: str | None) -> tuple[int, int]:
    try:
        at = parse_size(offset.removeprefix("-"))
        count = None if length is None else parse_size(length)
    except ValueError as e:
        raise InvalidRequest(
            f"--offset {offset}{f' --length {length}' if length else ''} is no range",
            cause=f"wanted {e}",
        ) from None
    start = max(0, info.length - at) if offset.startswith("-") else at
    if start > info.length:
        note(f"{info.path} ends at {info.length} bytes")
    end = info.length if count is None else min(info.length, start + count)
    return start, max(start, end)


def _cached(locations: Iterable[object]) -> int:
    return sum(int(getattr(location, "cached_bytes", 0)) for location in locations)


def _entry(info: FileInfo) -> dict[str, object]:
    return {
        "path": info.path,
        "directory": info.directory,
        "length": info.length,
        "mtime_ms": info.mtime_ms,
        "version": info.version,
    }


def _size(length: int, exact: bool) -> str:
    return str(length) if exact else format_size(length)


def _time(mtime_ms: int) -> str:
    if not mtime_ms:
        return ""
    try:
        return datetime.fromtimestamp(mtime_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return f"{mtime_ms} ms"
