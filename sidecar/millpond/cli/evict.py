"""``millpond evict``: forget what is cached of a path."""

from __future__ import annotations

from typing import Annotated

import typer

from millpond.cli.link import CacheDir, Config, control, load_settings
from millpond.cli.output import Json, Mode, print_json
from millpond.model.paths import parse_uri
from millpond.units import format_size


def register(app: typer.Typer) -> None:
    app.command("evict")(evict)


def evict(
    path: Annotated[str, typer.Argument(help="A file, or a directory with all below it.")],
    cache_dir: CacheDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Remove files from the cache. The store keeps all it has; open readers are not disturbed.

    `millpond evict /` removes all blocks, also those of files that no mount has any more.
    """
    path = parse_uri(path)
    with control(load_settings(cache_dir, config)) as sidecar:
        reply = sidecar.evict(path)
    if Mode.json:
        print_json({"path": path, "files": reply.files, "bytes": reply.bytes})
    else:
        print(f"{reply.files} files, {format_size(reply.bytes)} of blocks evicted")
