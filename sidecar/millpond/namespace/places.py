"""Paths of a mount and the keys of its store, as validation names them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from millpond.model.globs import is_pointer
from millpond.model.paths import file_id
from millpond.namespace.freshness import FOREVER_NS
from millpond.wire.millpond_pb2 import FileInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from millpond.namespace.mounts import Mount
    from millpond.under.base import ObjectStat

NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class At:
    """A path and where it lies.

    ``directory`` names what holds it, *with* its trailing slash (so that the odd keys ``a//b`` and
    ``/b`` have directories of their own): the key of ``Directories``. The store path in a
    directory stamp has none, but at the root.
    """

    path: str
    mount: Mount
    key: str

    @property
    def store_path(self) -> str:
        return self.mount.store_path(self.key)

    @property
    def directory(self) -> str:
        return self.mount.store_path(split(self.key)[0])

    @property
    def inside(self) -> str:
        """What this holds, being a directory, as keys begin."""
        return f"{self.key}/" if self.key else ""

    @property
    def name(self) -> str:
        return split(self.key)[1]

    @property
    def bound_ns(self) -> int:
        if is_pointer(self.key):
            return 0
        if self.mount.is_immutable(self.path):
            return FOREVER_NS
        return self.mount.freshness_ms * NS_PER_MS

    def info(self, entry: ObjectStat, *, on_disk: bool = False) -> FileInfo:
        info = FileInfo(
            path=self.path, directory=entry.is_dir, length=entry.length, mtime_ms=entry.mtime_ms,
            version=entry.version, store_path=self.store_path, store_uri=self.mount.uri(self.key),
            meta_on_disk=on_disk,
        )  # fmt: skip
        if cacheable(self.key, entry):
            info.file_id = file_id(info.store_path, entry.version)
        return info


def cacheable(key: str, entry: ObjectStat) -> bool:
    """Whether a file may have meta and blocks.

    Not with a weak version; nor where the key begins with a slash: clients would take the stamp of
    the root for the stamp of its directory.
    """
    return not entry.is_dir and not entry.weak and not key.startswith("/")


def split(key: str) -> tuple[str, str]:
    """(directory with its trailing slash, name): ``a/b`` is ``a/`` and ``b``."""
    at = key.rfind("/") + 1
    return key[:at], key[at:]


def above(key: str) -> Iterator[tuple[str, str]]:
    """(directory, name) that lead to ``key``, itself first: ``a/`` and b, then "" and a."""
    while key:
        inside, name = split(key)
        yield inside, name
        key = inside.removesuffix("/")


def stamp_path(mount: Mount, inside: str) -> str | None:
    """The store path in the stamp of a directory; None for one that can't be listed alone."""
    if inside == "/" or inside.endswith("//"):
        return None
    return mount.store_path(inside[:-1])
