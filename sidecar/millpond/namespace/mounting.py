"""Adding and removing mounts: database, table, opened stores, and the ``mounts`` file."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from millpond.errors import (
    InvalidSetting,
    MillpondError,
    MountConflict,
    MountNotFound,
    PathNotFound,
)
from millpond.model.paths import check_path
from millpond.namespace.database import Database, MountRow
from millpond.namespace.mounts import (
    NOTHING,
    Mount,
    MountTable,
    Ours,
    canonical_uri,
    check_new,
    direct_conf,
)
from millpond.namespace.options import MountOptions, check_units, parse_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from millpond.under.base import RequestCounters, UnderStore

log = logging.getLogger(__name__)


class OpenStore(Protocol):
    """``millpond.under.registry.open_store``: the store, and the key of the URI's path."""

    def __call__(self, uri: str, options: Mapping[str, str], /) -> tuple[UnderStore, str]: ...


class Publish(Protocol):
    """Puts a serialised ``wire.MountTable`` where clients read it."""

    def __call__(self, table: bytes, *, durable: bool = False) -> None: ...


class Mounts:
    """The mounts of this node. Thread-safe.

    Stores open at first use, so that one with a secret that is gone harms no other mount.
    """

    def __init__(
        self,
        database: Path,
        open_store: OpenStore,
        publish: Publish,
        *,
        freshness_ms: int,
        list_freshness_ms: int,
    ) -> None:
        self._open_store = open_store
        self._publish = publish
        self._defaults = (freshness_ms, list_freshness_ms)
        self._lock = threading.Lock()
        self._stores: dict[str, UnderStore] = {}
        self._seen: dict[str, UnderStore] = {}
        self._ours = NOTHING
        self.over: Callable[[UnderStore], UnderStore] = lambda store: store
        """What stands above each store, for who asks for it."""
        self.database = Database(database)
        self.table = MountTable(self._mount(row) for row in self.database.mounts())

    def publish(self) -> None:
        """Tell clients what is mounted."""
        with self._lock:
            self._replace(self.table.mounts)

    def set_ours(self, ours: Ours) -> None:
        """What the stores do not have: clients know it from now on, and after a power loss."""
        if ours == self._ours:
            return
        with self._lock:
            if ours != self._ours:
                self._ours = ours
                self._replace(self.table.mounts)

    def add(
        self,
        path: str,
        store_uri: str,
        options: Mapping[str, str],
        *,
        check: bool = True,
        may_keep: Callable[[Iterable[Mount]], None] = lambda mounts: None,
    ) -> Mount:
        """Mount a store. On disk and published when this returns.

        ``may_keep`` is asked whether the mounts' reserves fit, and raises where they don't. Raises
        MountConflict, InvalidSetting, InvalidPath, and with ``check`` what the store says to a
        listing of the mounted place.
        """
        path, uri = check_path(path), canonical_uri(store_uri)
        check_new(self.table, path, uri)
        check_units(path, options)
        self._parse(path, options)
        store, prefix = self._open(path, uri, options)
        try:
            if check:
                _check_readable(path, uri, store, prefix)
            row = MountRow(path, uri, store.store_id, store.root, prefix, dict(options))
            with self._lock:
                check_new(self.table, path, uri)
                mount = self._mount(row)
                mounts = [*self.table.mounts, mount]
                may_keep(mounts)
                self.database.add(row)
                try:
                    self._replace(mounts)
                except BaseException:
                    self.database.remove(path)
                    raise
                self._stores[path] = store
        except BaseException:
            store.close()
            raise
        return mount

    def remove(self, path: str) -> Mount:
        """Unmount. What is cached stays until space is needed, and serves a later mount."""
        path = check_path(path)
        with self._lock:
            mounts = self.table.mounts
            mount = next((m for m in mounts if m.path == path), None)
            if mount is None:
                names = ", ".join(m.path for m in mounts) or "none"
                raise MountNotFound(f"{path} is not a mount", remedy=f"Mounts: {names}")
            self._replace([m for m in mounts if m.path != path])
            self.database.remove(path)
            store = self._stores.pop(path, None)
            self._seen.pop(path, None)
        if store is not None:
            store.close()
        return mount

    def set_defaults(self, freshness_ms: int, list_freshness_ms: int) -> None:
        """Other bounds for mounts whose options do not say."""
        with self._lock:
            self._defaults = (freshness_ms, list_freshness_ms)
            self._replace([self._mount(_row(m)) for m in self.table.mounts])

    def heal(self) -> None:
        """Write the database again where it was deleted by hand: the mounts live on."""
        with self._lock:
            if self.database.heal(_row(m) for m in self.table.mounts):
                log.warning("%s was deleted; written again", self.database.file)

    def store(self, mount: Mount) -> UnderStore:
        """A mount's store as it is seen here. Raises what opening it raises."""
        store = self._seen.get(mount.path)
        if store is None:
            store = self._seen[mount.path] = self.over(self.real_store(mount))
        return store

    def real_store(self, mount: Mount) -> UnderStore:
        """The opened store of a mount. Raises what opening it raises."""
        store = self._stores.get(mount.path)
        if store is not None:
            return store
        with self._lock:
            store = self._stores.get(mount.path)
            if store is None:
                store, _ = self._open(mount.path, mount.store_uri, mount.options)
                self._stores[mount.path] = store
            return store

    def counters(self) -> dict[str, RequestCounters]:
        """Requests sent since each store was opened, by mount path."""
        return {path: store.counters for path, store in list(self._stores.items())}

    def left_out(self) -> dict[str, int]:
        """Names that listings of each mount leave out: see ``UnderStore.left_out``."""
        return {path: store.left_out() for path, store in list(self._stores.items())}

    def unconditional(self) -> set[str]:
        """Mounts whose stores were found to ignore conditions."""
        return {p for p, store in list(self._stores.items()) if store.conditional is False}

    def close(self) -> None:
        with self._lock:
            for store in self._stores.values():
                try:
                    store.close()
                except MillpondError as e:
                    log.warning("closing a store: %s", e)
            self._stores.clear()
            self._seen.clear()
            self.database.close()

    def _replace(self, mounts: list[Mount]) -> None:
        table = MountTable(mounts)
        data = table.to_wire(self._ours).SerializeToString()
        self._publish(data, durable=bool(self._ours))
        self.table = table

    def _open(self, path: str, uri: str, options: Mapping[str, str]) -> tuple[UnderStore, str]:
        given = self._parse(path, options).store
        try:
            return self._open_store(uri, given)
        except InvalidSetting as e:
            problem = f"mount {path}: {e.problem}"
            raise InvalidSetting(problem, cause=e.cause, remedy=e.remedy) from None

    def _parse(self, path: str, options: Mapping[str, str]) -> MountOptions:
        freshness_ms, list_freshness_ms = self._defaults
        return parse_options(
            path, options, freshness_ms=freshness_ms, list_freshness_ms=list_freshness_ms
        )

    def _mount(self, row: MountRow) -> Mount:
        return mount_of(row, *self._defaults)


def _row(m: Mount) -> MountRow:
    return MountRow(m.path, m.store_uri, m.store_id, m.root, m.prefix, dict(m.options))


def mount_of(row: MountRow, freshness_ms: int, list_freshness_ms: int) -> Mount:
    """The mount of a row of the database; the bounds hold where its options do not say."""
    said = parse_options(
        row.path, row.options, freshness_ms=freshness_ms, list_freshness_ms=list_freshness_ms
    )
    return Mount(
        path=row.path,
        store_uri=row.store_uri,
        store_id=row.store_id,
        root=row.root,
        prefix=row.prefix,
        read_only=said.read_only,
        freshness_ms=said.freshness_ms,
        list_freshness_ms=said.list_freshness_ms,
        immutable=said.immutable,
        control=said.control,
        writes=said.writes,
        commit_files=said.commit_files,
        writers=said.writers,
        staging=said.staging,
        cache_ttl_ms=said.cache_ttl_ms,
        direct_conf=direct_conf(row.store_uri, row.root, row.options),
        options=row.options,
    )


def open_mount(mount: Mount, open_store: OpenStore) -> UnderStore:
    """A store of one's own for a mount, with the mount's credentials."""
    said = parse_options(mount.path, mount.options, freshness_ms=0, list_freshness_ms=0)
    return open_store(mount.store_uri, said.store)[0]


def _check_readable(path: str, uri: str, store: UnderStore, prefix: str) -> None:
    try:
        next(iter(store.list(prefix)), None)
    except PathNotFound as e:
        raise PathNotFound(
            f"{uri} does not exist",
            cause=e.cause or "nothing is stored there",
            remedy=f"Correct the URI, or mount it unchecked: `millpond mount add {path} {uri}"
            " --no-check`",
        ) from None


def check_apart(path: str, store_uri: str, cache_dir: Path) -> None:
    """Raises MountConflict for a folder in or around the cache directory: it would feed on itself
    and show its database."""
    uri = canonical_uri(store_uri)
    if not uri.startswith("file://"):
        return
    folder, cache = Path(uri.removeprefix("file://") or "/").resolve(), cache_dir.resolve()
    if folder == cache or folder in cache.parents or cache in folder.parents:
        raise MountConflict(
            f"{uri} can't be mounted at {path}",
            cause=f"the cache directory {cache} lies in it or around it",
            remedy="Mount a folder beside the cache directory, or move the cache (cache_dir)",
        )
