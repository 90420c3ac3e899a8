"""What the settings of every engine are made from: cache directory, mounts, the client jar.

For the plug-ins that write such settings. Nothing here asks a sidecar: what it published on disk is
enough, and holds no secret.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import crc32c
from google.protobuf.message import DecodeError

from millpond import settings
from millpond.errors import (
    CacheDirUnusable,
    Corrupt,
    InvalidSetting,
    MountNotFound,
    NotSupported,
)
from millpond.model.paths import parse_uri
from millpond.model.records import parse_mounts
from millpond.wire import millpond_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FILE_SYSTEM = "io.millpond.fs.CacheFileSystem"


def cache_directory(named: str | Path | None) -> Path:
    """The cache directory as engines are to be told it; default: where the sidecar has it.

    Raises InvalidSetting for what is no directory.
    """
    if named is None:
        return settings.load().cache_dir
    path = Path(named).expanduser().absolute()
    if path.exists() and not path.is_dir():
        raise InvalidSetting(
            f"cache_dir is {str(named)!r}", cause="it is no directory", remedy="Name a directory"
        )
    return path


def client_jar() -> Path:
    """The jar that every engine loads. Raises NotSupported where it was not built."""
    import millpond_jars

    return built(millpond_jars.client)


def built(find: Callable[[], Path]) -> Path:
    """The jar that ``find`` finds. Raises NotSupported where it was not built."""
    try:
        return find()
    except FileNotFoundError as e:
        raise NotSupported("a jar is missing", cause=str(e)) from None


def chosen_mounts(directory: Path, names: Iterable[str] | None) -> list[wire.Mount]:
    """The mounts of these paths; all of them where ``names`` is None.

    Raises InvalidSetting, MountNotFound, and as ``read_mounts``.
    """
    if isinstance(names, str):
        raise InvalidSetting(
            f"mounts is {names!r}", cause="it is one text", remedy=f"Write mounts=[{names!r}]"
        )
    if names is None:
        return read_mounts(directory)
    table = {mount.path: mount for mount in read_mounts(directory)}
    chosen = []
    for name in map(parse_uri, names):
        if name not in table:
            raise MountNotFound(
                f"{name} is not mounted",
                cause=f"{directory / 'mounts'} has {', '.join(sorted(table)) or 'no mount'}",
                remedy=f"`millpond mount add {name} <store URI>` adds it",
            )
        chosen.append(table[name])
    return chosen


def read_mounts(directory: Path) -> list[wire.Mount]:
    """The mounts a sidecar published in its cache directory; none before its first start.

    Raises CacheDirUnusable, Corrupt.
    """
    file = directory / "mounts"
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as e:
        raise CacheDirUnusable(
            f"{file} can't be read",
            cause=e.strerror or str(e),
            remedy="Join the group that owns the cache directory",
        ) from None
    try:
        return list(wire.MountTable.FromString(parse_mounts(data, crc32c.crc32c)).mounts)
    except (DecodeError, Corrupt) as e:
        raise Corrupt(
            f"{file} does not parse", cause=str(e), remedy="Restart the sidecar: it is rewritten"
        ) from None


def mount_list(mounts: Iterable[wire.Mount]) -> str:
    """Mounts as the client's setting ``fs.cache.mounts`` takes them: ``/path=store URI,…``.

    What would end a path or a URI is escaped as ``%xx``, and so is all that a shell or Hadoop's
    ``${…}`` would take for its own: the text needs no quotes anywhere.
    """
    return ",".join(f"{_plain(mount.path)}={_plain(mount.store_uri)}" for mount in mounts)


def property_text(value: str) -> str:
    """A value as a Java properties file takes it: what it would swallow is escaped."""
    text = value.replace("\\", "\\\\").replace("\n", "\\n")
    return "\\" + text if text[:1].isspace() else text


def settings_from(texts: Iterable[str], option: str = "--set") -> dict[str, str]:
    """What an option ``key=value``, repeated, says. Raises InvalidSetting."""
    pairs = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InvalidSetting(
                f"{option} {text!r} has no '='", remedy=f"Write {option} key=value"
            )
        pairs[key] = value
    return pairs


def _plain(text: str) -> str:
    return quote(text, safe="/:@").replace("~", "%7E")
