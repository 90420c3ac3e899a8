"""The namespace: mounts, what a path is, what a directory holds, where a file's bytes come from."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from millpond.errors import (
    FileChanged,
    InvalidSetting,
    IsADirectory,
    MillpondError,
    NotADirectory,
    PathNotFound,
)
from millpond.model.paths import check_path, file_id, join
from millpond.model.records import Meta
from millpond.namespace.mounting import Mounts, OpenStore, check_apart
from millpond.namespace.mounts import Mount, MountTable
from millpond.namespace.pending.data import PendingData
from millpond.namespace.pending.mounts import PendingMounts, check_removable
from millpond.namespace.pending.overlay import OverlayStore
from millpond.namespace.pins import Pin, Pins
from millpond.namespace.places import At, cacheable
from millpond.namespace.validation import Validation
from millpond.store.files import FileVersion
from millpond.store.parts import NO_LIMITS
from millpond.under.base import ObjectStat
from millpond.under.registry import open_store as open_registered
from millpond.units import format_size
from millpond.wire.millpond_pb2 import FileInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from millpond.namespace.listings import Listing
    from millpond.store import BlockStore
    from millpond.under.base import Buffer, RequestCounters, UnderStore

PAGE_ENTRIES = 1000
MAX_PATH_CHARS = 4096
WRITTEN = "written"
"""No scan of a reader: rules that name scans do not match what is written."""
Infos = list[FileInfo]
Pages = Iterator[tuple[FileInfo, Infos]]
MountList = list[Mount]


@dataclass(frozen=True, slots=True)
class LocatedFile:
    """One version of a file and where its bytes come from: what a fill needs.

    ``meta`` is unstamped: it says what the file is, not when that was true.
    """

    path: str
    store: UnderStore
    key: str
    version: str
    length: int
    file_id: bytes
    meta: Meta
    part: str = ""
    """The mount whose part of the cache it belongs to."""

    def read(self, start: int, end: int) -> Generator[Buffer, None, None]:
        """As ``UnderStore.read``; errors that a reader acts on name the path he knows."""
        try:
            yield from self.store.read(self.key, start, end, self.version)
        except FileChanged as e:
            raise FileChanged(
                f"{self.path} has changed since it was opened",
                cause=_told(e),
                remedy="Open the file again",
            ) from e
        except PathNotFound as e:
            raise PathNotFound(f"{self.path} does not exist", cause=_told(e)) from e


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path lies: what a write goes to."""

    mount: Mount
    store: UnderStore
    key: str
    below: str
    """The path relative to its mount."""
    part: str

    @property
    def store_path(self) -> str:
        return self.mount.store_path(self.key)

    def admits(self, length: int) -> bool:
        """Whether the mount's rules let a file of this length be cached as it is written."""
        rules = self.mount.control.admission
        return rules.bypassed_by(self.below, length, WRITTEN) is None


class Namespace:
    """All paths of this node. Thread-safe; what is not marked [loop] blocks."""

    def __init__(
        self,
        store: BlockStore,
        database: Path,
        *,
        open_store: OpenStore = open_registered,
        clock: Callable[[], int] = time.monotonic_ns,
        freshness_ms: int = 30_000,
        list_freshness_ms: int = 0,
        pending_share: float = 0.5,
        hot_bytes: int = 24 << 20,
        listing_bytes: int = 24 << 20,
    ) -> None:
        """The defaults of bounds hold for mounts whose options do not say."""
        self._store = store
        self._clock = clock
        self._mounts = Mounts(
            database, open_store, store.publish_mounts,
            freshness_ms=freshness_ms, list_freshness_ms=list_freshness_ms,
        )  # fmt: skip
        self.pending = PendingData(self._mounts.database, store, pending_share)
        self._mounts.over = lambda under: OverlayStore(under, self.pending)
        self._set_parts()
        self.pins = Pins(self._mounts.database, store)
        store.also_heal(self._mounts.heal)
        self._validation = Validation(
            store, self._mounts.store, lambda: self._mounts.table, clock, self.pending.origin,
            hot_bytes=hot_bytes, listing_bytes=listing_bytes,
        )  # fmt: skip
        self.pending_mounts = PendingMounts(self._mounts, self._validation, self.pending)
        self._mounts.publish()
        self._hot = self._validation.hot

    @property
    def table(self) -> MountTable:
        return self._mounts.table

    def mounts(self) -> MountList:
        """All mounts, by path."""
        return self.table.mounts

    def add_mount(
        self, path: str, store_uri: str, options: Mapping[str, str], *, check: bool = True
    ) -> Mount:
        """See ``Mounts.add``."""
        check_apart(path, store_uri, self._store.directory)
        mount = self._mounts.add(path, store_uri, options, check=check, may_keep=self._may_keep)
        self._set_parts()
        self._hot.clear()
        return mount

    def _may_keep(self, mounts: Iterable[Mount]) -> None:
        """Raises InvalidSetting where reserves and pins exceed what eviction leaves."""
        reserved = sum(m.control.limits.reserve_bytes for m in mounts)
        keepable = self._store.keepable_bytes
        if reserved and reserved + self.pins.length > keepable:
            raise InvalidSetting(
                f"the reserves of all mounts would be {format_size(reserved)}",
                cause=f"with {format_size(self.pins.length)} pinned they exceed the "
                f"{format_size(keepable)} that eviction leaves (evict_low of the capacity)",
                remedy="Lower a reserve, or raise cache_capacity_bytes",
            )

    def _set_parts(self) -> None:
        limits = {m.path: m.control.limits for m in self.table.mounts}
        own = {path: said for path, said in limits.items() if said != NO_LIMITS}
        self._store.set_parts(own, lambda store_path: self.table.part_of(store_path))

    def remove_mount(self, path: str) -> Mount:
        """See ``Mounts.remove``."""
        check_removable(self.pending.view, self.pending.areas, check_path(path))
        mount = self._mounts.remove(path)
        self._set_parts()
        self._hot.clear()
        self.pins.release(mount.path, [m.path for m in self.table.nested(mount.path)])
        return mount

    def set_bounds(self, freshness_ms: int, list_freshness_ms: int) -> None:
        """Other bounds for mounts whose options do not say."""
        self._mounts.set_defaults(freshness_ms, list_freshness_ms)
        self._hot.clear()

    def under_counters(self) -> dict[str, RequestCounters]:
        """What each mount asked of its store so far, by mount path."""
        return self._mounts.counters()

    def unconditional(self) -> set[str]:
        """Mounts whose stores were found to ignore conditions: see ``UnderStore.conditional``."""
        return self._mounts.unconditional()

    def left_out(self) -> dict[str, int]:
        """How many names that are not UTF-8 each mount does not show, by mount path."""
        return self._mounts.left_out()

    def close(self) -> None:
        """Close the stores and the database."""
        self._mounts.close()

    def stat_cached(self, path: str) -> FileInfo | None:
        """[loop] What memory alone can answer within the bound; ``path`` is already checked."""
        packed = self.stat_cached_bytes(path)
        return None if packed is None else FileInfo.FromString(packed)

    def stat_cached_bytes(self, path: str) -> bytes | None:
        """[loop] The same, serialised: it can be put into a Reply as it is."""
        hot = self._hot.get(path)
        return hot.packed if hot is not None and hot.good(self._clock()) else None

    def store_of(self, path: str) -> str:
        """[loop] The store that a path, checked or not, is asked of; "" where none is."""
        if not path.startswith("/") or len(path) > MAX_PATH_CHARS:
            return ""
        mount = self.table.find(path)
        return "" if mount is None else mount.store_id

    def stat(self, path: str, *, force: bool = False) -> FileInfo:
        """What ``path`` is, within its mount's bound; with ``force`` asked of the store now.

        Meta of a cacheable file is on disk when this returns (``meta_on_disk``). Raises
        InvalidPath, MountNotFound, PathNotFound, PermissionDenied, StoreUnavailable.
        """
        path = check_path(path)
        if not force and (known := self.stat_cached(path)) is not None:
            return known
        table = self.table
        if table.is_synthetic(path):
            return FileInfo(path=path, directory=True)
        try:
            return self._validation.stat(_at(table, path), force=force)
        except PathNotFound as e:
            if table.mount_points(path):
                return FileInfo(path=path, directory=True)
            raise _absent(table, path, e) from None

    def place(self, path: str) -> Place:
        """Where ``path`` lies. Raises MountNotFound, and what opening its store raises."""
        at = _at(self.table, check_path(path))
        part = self.table.part_of(at.store_path)
        below = at.mount.below(at.path)
        return Place(at.mount, self._mounts.store(at.mount), at.key, below, part)

    def recall(self, path: str, file_id: bytes) -> FileInfo | None:
        """What is known of this version of ``path``, however old; None when nothing is.

        Who reads it under its version need not ask whether it is the latest.
        """
        path = check_path(path)
        table = self.table
        if table.find(path) is None:
            return None
        return self._validation.recall(_at(table, path), file_id)

    def locate(self, info: FileInfo) -> LocatedFile:
        """Where a file's bytes come from. Raises IsADirectory, MountNotFound."""
        if info.directory:
            raise IsADirectory(f"{info.path} is a directory", remedy="Name a file in it")
        at = _at(self.table, info.path)
        store_path = at.store_path
        ident = info.file_id or file_id(store_path, info.version)
        meta = Meta(
            store_path, ident, info.version, info.length, info.mtime_ms, 0, self._store.boot_id,
            weak=not info.file_id,
        )  # fmt: skip
        store = self._mounts.store(at.mount)
        part = self.table.part_of(store_path)
        return LocatedFile(info.path, store, at.key, info.version, info.length, ident, meta, part)

    def inlined(self, info: FileInfo, content: bytes) -> None:
        """The whole of a small file goes into its meta, unless that changed meanwhile."""
        self._validation.inlined(_at(self.table, info.path), info.file_id, content)

    def changed(self, path: str) -> None:
        """The store has another version than we said: forget what is known of ``path``."""
        at = _at(self.table, check_path(path))
        self._validation.forget(at)
        self._validation.changes.note(at.store_path)

    def last_change_ms(self, store_path: str) -> int | None:
        """When a file was last seen to have another version, as far as that is remembered."""
        return self._validation.changes.last_ms(store_path)

    def refresh(self, path: str, *, recursive: bool) -> int:
        """Ask the stores now what a file, a directory or a whole tree is; the files compared.

        With ``recursive`` mounts below it too. Raises as ``list`` does.
        """
        path = check_path(path)
        table = self.table
        files = 0
        if not table.is_synthetic(path):
            try:
                files = self._validation.refresh(_at(table, path), recursive=recursive)
            except PathNotFound as e:
                if not table.mount_points(path):
                    raise _absent(table, path, e) from None
        nested = table.nested(path) if recursive else []
        return files + sum(self.refresh(m.path, recursive=True) for m in nested)

    def invalidate(self, paths: Iterable[str], *, tree: bool) -> None:
        """The store has changed at these paths, with ``tree`` also anywhere below them.

        Who asks after this returns learns what the store has; blocks stay. A path that no mount
        covers is left out. Raises InvalidPath.
        """
        table = self.table
        for path in map(check_path, paths):
            if table.find(path) is not None:
                self._validation.invalidate(_at(table, path), tree=tree)

    def evict(self, path: str) -> tuple[int, int]:
        """Forget what is cached of a file or a tree, mounts below it included.

        What the root evicts is all: also blocks that no meta and no store knows any more.
        (files, bytes on disk) that were. Raises as ``list`` does.
        """
        path = check_path(path)
        files, freed = self._evict_tree(path)
        if path == "/":
            strays, more = self._store.drop_all_blocks()
            files, freed = files + strays, freed + more
        return files, freed

    def _evict_tree(self, path: str) -> tuple[int, int]:
        table = self.table
        done = [] if table.is_synthetic(path) else [self._evict(table, path)]
        done += [self._evict_tree(m.path) for m in table.nested(path)]
        return sum(f for f, _ in done), sum(b for _, b in done)

    def _evict(self, table: MountTable, path: str) -> tuple[int, int]:
        at = _at(table, path)
        files = freed = 0
        for key, version in self._found(table, at):
            store_path = at.mount.store_path(key)
            # Meta may be gone by hand while the blocks are there: the version leads to them too.
            versions = {file_id(store_path, version)}
            meta = self._store.get_meta(store_path)
            if meta is not None:
                versions.add(meta.file_id)
                inside = at.mount.path_of(key) or path
                self._validation.forget(At(inside, at.mount, key))
            dropped = self._store.evict(versions)
            files += meta is not None or dropped > 0
            freed += dropped
        return files, freed

    def _found(self, table: MountTable, at: At) -> list[tuple[str, str]]:
        """(key, version) of the file or of all files below the directory ``at``."""
        try:
            try:
                listing = self._validation.list(at, recursive=True)
                return [(at.inside + e.key, e.version) for e in listing]
            except NotADirectory:
                return [(at.key, self._mounts.store(at.mount).stat(at.key).version)]
        except PathNotFound as e:
            if not table.mount_points(at.path):
                raise _absent(table, at.path, e) from None
            return []

    def pin(self, path: str, *, recursive: bool = False) -> Pin:
        """Keep what is and will be cached of a file, or of all below a directory, from eviction.

        Raises IsADirectory (without ``recursive``), NoSpace, InvalidRequest, and as ``list`` does.
        """
        path = check_path(path)
        info = self.stat(path)
        if not info.directory:
            found = [info]
        elif recursive:
            found = [_full(path, e) for _, page in self.list(path, recursive=True) for e in page]
        else:
            raise IsADirectory(
                f"{path} is a directory", remedy=f"`millpond pin -r {path}` pins all below it"
            )
        files = [self._pinned(f) for f in found if f.file_id]
        return self.pins.add(path, info.directory, files)

    def unpin(self, path: str) -> Pin:
        """What the pin was. Raises PathNotFound."""
        return self.pins.remove(check_path(path))

    def follow_pin(self, info: FileInfo) -> None:
        """A version of a file is about to be filled: pinned, if its path is."""
        if info.file_id and self.pins.covers(info.path):
            self.pins.follow(self._pinned(info))

    def _pinned(self, info: FileInfo) -> FileVersion:
        store_path = info.store_path or _at(self.table, info.path).store_path
        return FileVersion(info.path, store_path, info.file_id, info.length)

    def list(self, path: str, *, recursive: bool = False) -> Pages:
        """What is in directory ``path``, in pages of (the directory, entries by relative name).

        Validated within the mount's bound for listings: with bound 0 by a LIST that began after
        this call. Meta that the listing contradicts is gone when this returns. With ``recursive``
        every file at any depth and no directories; those of nested mounts come last. There is
        at least one page. Raises MountNotFound, PathNotFound, NotADirectory, PermissionDenied,
        StoreUnavailable.
        """
        path = check_path(path)
        table = self.table
        points = table.mount_points(path)
        nested = table.nested(path) if recursive else []
        head = FileInfo(path=path, directory=True)
        listed: Iterator[FileInfo] = iter(())
        if not table.is_synthetic(path):
            at = _at(table, path)
            try:
                listing = self._validation.list(at, recursive=recursive)
            except PathNotFound as e:
                if not points:
                    raise _absent(table, path, e) from None
            else:
                head = at.info(ObjectStat("", 0, 0, is_dir=True))
                listed = _entries(at, listing)
        if recursive:
            hidden = tuple(f"{_inside(path, m.path)}/" for m in nested)
            listed = (e for e in listed if not hidden or not e.path.startswith(hidden))
        elif points:
            kept = (e for e in listed if e.path not in points)
            listed = iter(sorted([*kept, *_synthetic(points)], key=lambda e: e.path.encode()))
        inner = [(_inside(path, m.path), self.list(m.path, recursive=True)) for m in nested]
        return _pages(head, listed, inner)


def _told(error: MillpondError) -> str:
    return f"{error.problem}: {error.cause}" if error.cause else error.problem


def _inside(directory: str, path: str) -> str:
    return path[len(directory) :].lstrip("/")


def _full(directory: str, entry: FileInfo) -> FileInfo:
    entry.path = join(directory, entry.path)
    return entry


def _absent(table: MountTable, path: str, error: PathNotFound) -> PathNotFound:
    at = _at(table, path)
    uri = at.mount.uri(at.key)
    cause = f"{uri}: {error.cause}" if error.cause else f"the store has no {uri}"
    return PathNotFound(f"{path} does not exist", cause=cause, remedy=error.remedy)


def _at(table: MountTable, path: str) -> At:
    resolved = table.resolve(path)
    return At(path, resolved.mount, resolved.key)


def _entries(at: At, listing: Listing) -> Iterator[FileInfo]:
    mount, inside = at.mount, at.inside
    for entry in listing:
        info = FileInfo(
            path=entry.key, directory=entry.is_dir, length=entry.length, mtime_ms=entry.mtime_ms,
            version=entry.version,
        )  # fmt: skip
        if cacheable(key := inside + entry.key, entry):
            info.file_id = file_id(mount.store_path(key), entry.version)
        yield info


def _synthetic(names: frozenset[str]) -> Infos:
    return [FileInfo(path=n, directory=True) for n in sorted(names, key=str.encode)]


def _pages(head: FileInfo, entries: Iterator[FileInfo], nested: list[tuple[str, Pages]]) -> Pages:
    yield head, list(islice(entries, PAGE_ENTRIES))
    while page := list(islice(entries, PAGE_ENTRIES)):
        yield head, page
    for above, pages in nested:
        for _, infos in pages:
            for info in infos:
                info.path = f"{above}/{info.path}"
            if infos:
                yield head, infos
