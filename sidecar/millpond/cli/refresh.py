"""``millpond refresh``: ask the store now what is there."""

from __future__ import annotations

from typing import Annotated

import typer

from millpond.cli.link import CacheDir, Config, control, load_settings
from millpond.cli.output import Json, Mode, print_json
from millpond.model.paths import parse_uri


def register(app: typer.Typer) -> None:
    app.command("refresh")(refresh)


def refresh(
    path: Annotated[str, typer.Argument(help="A file or a directory.")],
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="All files at any depth below it too.")
    ] = False,
    cache_dir: CacheDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Ask the store now, whatever freshness the mount allows: one request, or one LIST.

    What has changed since is forgotten, so whoever opens or lists from now on gets what the store
    has. Blocks of versions that are still there stay, and nothing is fetched. Globs of
    [b]--immutable[/] are asked about too. A store that does not answer is an error, and changes
    nothing.
    """
    path = parse_uri(path)
    with control(load_settings(cache_dir, config)) as sidecar:
        reply = sidecar.refresh(path, recursive=recursive)
    if Mode.json:
        print_json({"path": path, "files": reply.files})
    else:
        print(f"{reply.files} files compared with the store")
