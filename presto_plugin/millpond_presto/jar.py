"""The client jar in a Presto's plug-ins: Presto loads what lies in a plug-in's folder, and no more.

Trino's plug-ins keep Hadoop in a folder ``hdfs`` of their own: there it goes.
"""

from __future__ import annotations

import filecmp
import os
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millpond import engine
from millpond.errors import InvalidSetting, NotSupported, PermissionDenied

if TYPE_CHECKING:
    from pathlib import Path

PLUGINS = ("hive-hadoop2", "hive", "iceberg")
_JAR = re.compile(r"millpond-client-(.+)\.jar\Z")


@dataclass(frozen=True, slots=True)
class Change:
    """What was done in one plug-in's folder: ``installed``, ``replaced``, ``removed``, ``kept``."""

    folder: Path
    done: str
    removed: tuple[str, ...] = ()


def plugin_folders(home: Path) -> list[Path]:
    """The folders of a Presto that the jar belongs into.

    Raises InvalidSetting for what is no Presto, NotSupported for one without Hive and Iceberg.
    """
    plugins = home / "plugin"
    if not plugins.is_dir():
        raise InvalidSetting(
            f"{home} is no home of Presto's",
            cause=f"there is no folder {plugins}",
            remedy="Name the folder that holds bin, lib and plugin",
        )
    found = [plugins / name for name in PLUGINS if (plugins / name).is_dir()]
    if not found:
        raise NotSupported(
            f"{home} has no plug-in that reads files",
            cause=f"none of {', '.join(PLUGINS)} is in {plugins}",
            remedy="Install Presto whole",
        )
    return [folder / "hdfs" if (folder / "hdfs").is_dir() else folder for folder in found]


def installed(folder: Path) -> dict[str, Path]:
    """The client jars in one folder, by version."""
    return {m[1]: p for p in sorted(folder.iterdir()) if (m := _JAR.match(p.name))}


def install(home: Path) -> list[Change]:
    """Puts this release's jar into every plug-in that can use it; other releases' are removed.

    A running Presto is not disturbed, and takes it at its next start. Doing it again changes
    nothing. Raises as ``plugin_folders``, NotSupported without a jar, PermissionDenied.
    """
    folders, jar = plugin_folders(home), engine.client_jar()
    return [_change(folder, jar) for folder in folders]


def remove(home: Path) -> list[Change]:
    """Takes the jars of every release away. Raises as ``plugin_folders``, PermissionDenied."""
    return [_change(folder, None) for folder in plugin_folders(home)]


def _change(folder: Path, jar: Path | None) -> Change:
    try:
        others = {v: p for v, p in installed(folder).items() if jar is None or p.name != jar.name}
        fresh = jar is not None and not _is_there(folder / jar.name, jar)
        if jar is not None and fresh:
            _copy(jar, folder / jar.name)
        for path in others.values():
            path.unlink()
    except OSError as e:
        raise PermissionDenied(
            f"{folder} can't be changed",
            cause=e.strerror or str(e),
            remedy="Run this as the owner of Presto's files",
        ) from e
    if others:
        return Change(folder, "removed" if jar is None else "replaced", tuple(others))
    return Change(folder, "installed" if fresh else "kept")


def _is_there(target: Path, jar: Path) -> bool:
    return target.is_file() and filecmp.cmp(target, jar, shallow=False)


def _copy(jar: Path, target: Path) -> None:
    """By a rename, so that a Presto that starts meanwhile sees a whole jar or none."""
    staging = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        shutil.copyfile(jar, staging)
        staging.chmod(0o644)
        staging.replace(target)
    finally:
        staging.unlink(missing_ok=True)
