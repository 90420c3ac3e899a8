"""``millpond writer-secret``: what an engine shows to write where no Unix socket names its user."""

from __future__ import annotations

from typing import Annotated

import typer

from millpond.cli.link import CacheDir, Config, load_settings
from millpond.cli.output import Json, Mode, print_json
from millpond.errors import CacheDirUnusable
from millpond.model.secrets import writer_secret
from millpond.wire.service import CHANGE_TOKEN


def register(app: typer.Typer) -> None:
    app.command("writer-secret")(secret)


def secret(
    name: Annotated[str, typer.Argument(help="As option writers of a mount has it: presto.")],
    cache_dir: CacheDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Print the secret that proves NAME to this node's sidecar.

    Put it into a file that the engine alone can read (mode 0640), and name that file in the
    engine's Hadoop configuration: [b]fs.cache.secret.file[/]. Needed where a client has no Unix
    socket (Java 11, so Presto 0.287) and is not run by the sidecar's own user. The same name makes
    the same secret; a new control.token voids all.
    """
    directory = load_settings(cache_dir, config).cache_dir
    try:
        token = (directory / CHANGE_TOKEN).read_text().strip()
    except OSError as e:
        raise CacheDirUnusable(
            f"{directory / CHANGE_TOKEN} can't be read",
            cause=e.strerror or str(e),
            remedy="Run as the sidecar's user or root, after its first start",
        ) from None
    made = writer_secret(token, name)
    if Mode.json:
        print_json({"name": name, "secret": made})
    else:
        print(made)
