"""From a command to the sidecar of this node, or to what it left on disk."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from millpond import settings as declared
from millpond.errors import CacheDirUnusable, SidecarUnavailable
from millpond.wire.local_client import LocalClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from millpond.control import Control
    from millpond.settings import Settings

CacheDir = Annotated[
    Path | None,
    typer.Option("--cache-dir", help="The cache directory. Default: as the settings say."),
]
Config = Annotated[Path | None, typer.Option("--config", help="The TOML file with the settings.")]


def connect(settings: Settings) -> LocalClient:
    """A connection to this node's sidecar, as readers have it. Raises SidecarUnavailable."""
    return LocalClient.connect(settings.cache_dir)


def control(settings: Settings) -> Control:
    """The control service of this node's sidecar. Raises SidecarUnavailable, or its calls do."""
    from millpond.control import Control  # gRPC costs `--help` 0.1 s

    return Control(settings.cache_dir)


def load_settings(cache_dir: Path | None, config: Path | None = None) -> Settings:
    """The settings of this command."""
    flags = {"cache_dir": None if cache_dir is None else cache_dir.absolute()}
    return declared.load(flags, config=config)


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """No sidecar runs, and none starts meanwhile.

    Raises SidecarUnavailable when one holds the directory (it did not answer, or we would not be
    here), CacheDirUnusable when the directory can't be made or entered.
    """
    directory = settings.cache_dir
    try:
        if not directory.exists():
            directory.mkdir(mode=0o750, parents=True)
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as e:
        raise CacheDirUnusable(
            f"{directory} can't be used",
            cause=e.strerror or str(e),
            remedy="Run as its owner, or name another with --cache-dir",
        ) from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SidecarUnavailable(
                f"the sidecar of {directory} does not answer",
                cause="a process holds the directory but not its socket: starting, or stopped",
                remedy="Try again, or restart the sidecar; `millpond doctor` says more",
            ) from None
        give_to_owner(directory, directory / "lock")
        yield
    finally:
        os.close(lock)


def give_to_owner(directory: Path, *files: Path) -> None:
    """Files that root made belong to the directory's owner, whose sidecar must open them."""
    if os.geteuid() == 0:
        owner = directory.stat()
        for file in files:
            if file.exists():
                os.chown(file, owner.st_uid, owner.st_gid)
