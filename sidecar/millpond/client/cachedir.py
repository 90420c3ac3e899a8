"""One cache directory as a reader sees it: lease, mounts, meta and stamps, all read from files."""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from crc32c import crc32c
from google.protobuf.message import DecodeError

from millpond.errors import CacheDirUnusable, Corrupt, MillpondError, MountNotFound, UnknownFormat
from millpond.model.globs import Globs, commit_files
from millpond.model.paths import dir_name, meta_name, parent, path_hash, store_path
from millpond.model.records import DirStamp, Lease, Meta, parse_mounts
from millpond.wire import millpond_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Callable

    Record = TypeVar("Record", Meta, DirStamp, Lease)

LOOK_EVERY_NS = 250_000_000
MS_NS = 1_000_000


def find_directory(named: str | os.PathLike[str] | None) -> Path:
    """The directory named, or MILLPOND_DIR, /var/lib/millpond, ~/.cache/millpond."""
    chosen = named or os.environ.get("MILLPOND_DIR")
    if chosen:
        return Path(chosen).expanduser().absolute()
    system = Path("/var/lib/millpond")
    return system if system.is_dir() else Path.home() / ".cache/millpond"


@dataclass(frozen=True)
class ClientMount:
    """One mount of the ``mounts`` file."""

    wire: wire.Mount

    @property
    def path(self) -> str:
        return self.wire.path

    def key(self, path: str) -> str:
        """The store's key of a path at or below this mount."""
        below, prefix = self.below(path), self.wire.prefix
        return f"{prefix}/{below}" if prefix and below else prefix or below

    def below(self, path: str) -> str:
        return path[1:] if self.path == "/" else path[len(self.path) :].removeprefix("/")

    def path_of(self, key: str) -> str:
        """The path of a key that a listing of this mount named."""
        below = key[len(self.wire.prefix) :].removeprefix("/") if self.wire.prefix else key
        return f"{self.path.rstrip('/')}/{below}"

    def store_path(self, path: str) -> str:
        return store_path(self.wire.store_id, self.wire.root, self.key(path))

    def uri(self, path: str) -> str:
        """Where the store has this path: what a writer writes to."""
        return f"{self.wire.store_uri.partition(':')[0]}://{self.wire.root}/{self.key(path)}"

    @cached_property
    def _immutable(self) -> Globs:
        return Globs(self.wire.immutable)

    def holds(self, path: str) -> bool:
        """Whether a path lies in a staging area: the sidecar alone knows what is there."""
        return any(f"{path}/".startswith(f"{each}/") for each in self.wire.held)

    def is_immutable(self, path: str) -> bool:
        return self._immutable.match(self.below(path))

    def keeps(self, path: str) -> bool:
        """Whether no store gets a file at a path, its writer saying nothing."""
        return Globs(self.wire.kept).match(self.below(path))

    def is_commit_file(self, path: str) -> bool:
        """Whether a table format commits by this file."""
        return commit_files(tuple(self.wire.commit_files)).match(self.below(path))


class Mounts:
    """The mount table as a reader sees it, and what is recorded beside it: here nothing."""

    def pending(self, path: str) -> bool:
        """Whether the mount of a path, or a staging area, holds what its store does not have."""
        mount = self.find_mount(path)
        return mount is not None and (mount.wire.pending or mount.holds(path))

    def mounts(self) -> dict[str, ClientMount]:
        """By path."""
        raise NotImplementedError

    def meta(self, path: str) -> Meta | None:
        """What is recorded of a store path."""
        return None

    def trusted(self, mount: ClientMount, path: str) -> Meta | None:
        """The meta of a path where it may be believed without asking: the lease is the caller's."""
        return None

    def find_mount(self, path: str) -> ClientMount | None:
        """The innermost mount that covers ``path``."""
        mounts, at = self.mounts(), path
        while at not in mounts and at != "/":
            at = parent(at)
        return mounts.get(at)

    def mount(self, path: str) -> ClientMount:
        """As ``find_mount``. Raises MountNotFound."""
        found = self.find_mount(path)
        if found is None:
            names = ", ".join(sorted(self.mounts())[:3])
            raise MountNotFound(
                f"no mount covers {path}",
                cause=f"mounted: {names}" if names else "nothing is mounted",
                remedy=f"'millpond mount add {path} <store URI>' adds one",
            )
        return found

    def mount_points(self, path: str) -> list[str]:
        """Names that the mount table itself puts into a directory."""
        inside = path.rstrip("/") + "/"
        below = (m[len(inside) :] for m in self.mounts() if m.startswith(inside) and m != path)
        return sorted({name.partition("/")[0] for name in below if name})


class CacheDir(Mounts):
    """The directory of this node's sidecar. What is damaged or unknown counts as absent.

    Raises CacheDirUnusable where there is none.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise CacheDirUnusable(
                "no cache directory on this node",
                cause=f"{path} is no directory",
                remedy="Start 'millpond serve' here, set MILLPOND_DIR, or pass cache_dir=",
            )
        self.path = path
        self.boot_id = uuid.UUID(Path("/proc/sys/kernel/random/boot_id").read_text().strip()).bytes
        self._lease: Lease | None = None
        self._lease_at = self._mounts_at = -LOOK_EVERY_NS
        self._mounts: dict[str, ClientMount] | None = None

    def lease_good(self) -> bool:
        now = time.monotonic_ns()
        if now - self._lease_at >= LOOK_EVERY_NS:
            self._lease = self._read("lease", Lease.parse)
            self._lease_at = now
        return self._lease is not None and self._lease.good(now, self.boot_id)

    def mounts(self) -> dict[str, ClientMount]:
        """By path, as they stood within the last 250 ms; the last ones known if unreadable.

        Raises CacheDirUnusable where none were ever read: that a file is not there can't be said.
        """
        now = time.monotonic_ns()
        if now - self._mounts_at >= LOOK_EVERY_NS:
            try:
                table = wire.MountTable.FromString(
                    parse_mounts((self.path / "mounts").read_bytes(), crc32c)
                )
                self._mounts = {each.path: ClientMount(each) for each in table.mounts}
            except (OSError, MillpondError, DecodeError) as e:
                if self._mounts is None:
                    raise CacheDirUnusable(
                        f"{self.path}/mounts can't be read",
                        cause=(isinstance(e, OSError) and e.strerror) or str(e),
                        remedy="Start or restart 'millpond serve': it writes it anew",
                    ) from e
            self._mounts_at = now
        return self._mounts or {}

    def pending(self, path: str) -> bool:
        self._mounts_at = -LOOK_EVERY_NS
        return super().pending(path)

    def meta(self, path: str) -> Meta | None:
        meta = self._read(meta_name(path_hash(path)), Meta.parse)
        return meta if meta is not None and meta.store_path == path else None

    def trusted(self, mount: ClientMount, path: str) -> Meta | None:
        name = mount.store_path(path)
        meta = self.meta(name)
        if meta is None or meta.weak or meta.boot_id != self.boot_id:
            return None
        now, bound = time.monotonic_ns(), mount.wire.freshness_ms * MS_NS
        if 0 <= now - meta.validated_ns <= bound or mount.is_immutable(path):
            return meta
        directory = _directory(name)
        stamp = self._read(dir_name(path_hash(directory)), DirStamp.parse) if directory else None
        if (
            stamp is None
            or stamp.store_path != directory
            or stamp.boot_id != self.boot_id
            or meta.validated_ns < stamp.covers_from_ns
            or not 0 <= now - stamp.validated_ns <= bound
        ):
            return None
        # A LIST voids what it found changed before it writes its stamp: the meta counts only if it
        # is seen standing after the stamp was read.
        again = self.meta(name)
        return again if again is not None and again.file_id == meta.file_id else None

    def _read(
        self, name: str, parse: Callable[[bytes, Callable[[bytes | memoryview, int], int]], Record]
    ) -> Record | None:
        try:
            return parse((self.path / name).read_bytes(), crc32c)
        except (OSError, Corrupt, UnknownFormat):
            return None


def _directory(path: str) -> str | None:
    """The store path of the directory that holds a file; None where none has that name."""
    root = path.index("/", path.index("/") + 1)
    last = path.rindex("/")
    if last == root:
        return path[: last + 1]
    return None if path[last - 1] == "/" else path[:last]
