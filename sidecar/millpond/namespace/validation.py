"""Asking stores and drawing the consequences: memory, meta and directory stamps.

Decisions are in ``freshness``; this performs them. Meta is written and removed only here, under
the lock of its directory, and always before the answer that says so.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from millpond.errors import MillpondError, NotADirectory, PathNotFound
from millpond.model.globs import is_log, is_pointer
from millpond.model.records import DirStamp, Meta
from millpond.namespace.changes import Changes
from millpond.namespace.directories import Directories
from millpond.namespace.flights import Flights
from millpond.namespace.freshness import FOREVER_NS, NEVER, fresh
from millpond.namespace.hot import Hot, HotAnswers
from millpond.namespace.listings import Listing
from millpond.namespace.places import NS_PER_MS, At, above, cacheable, split, stamp_path
from millpond.under.base import ObjectStat
from millpond.wire.millpond_pb2 import FileInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from millpond.namespace.freshness import Directory
    from millpond.namespace.mounts import Mount, MountTable
    from millpond.store import BlockStore
    from millpond.under.base import UnderStore

log = logging.getLogger(__name__)
_STATE = {"_delta_log", "metadata", ".hoodie"}
Names = list[str]


class Validation:
    """What is known of the stores, and the ways it is learnt. Thread-safe; all of it blocks."""

    def __init__(
        self,
        store: BlockStore,
        open_under: Callable[[Mount], UnderStore],
        table: Callable[[], MountTable],
        clock: Callable[[], int],
        origin: Callable[[str, str, str], tuple[bool, str]] = lambda place, key, version: (
            False,
            "",
        ),
        *,
        hot_bytes: int,
        listing_bytes: int,
    ) -> None:
        self._store = store
        self._under = open_under
        self._table = table
        self._clock = clock
        self._origin = origin
        self._flights = Flights(clock)
        self.hot = HotAnswers(hot_bytes)
        self.changes = Changes()
        self.directories = Directories(clock, listing_bytes)

    # One file.

    def stat(self, at: At, *, force: bool) -> FileInfo:
        """What is at ``at``: known within the bound, or asked of the store."""
        now = self._clock()
        if not force and (known := self._known(at, now)) is not None:
            return known
        directory = self.directories.get(at.directory)
        overtaken = directory.not_before(at.name) if directory is not None else NEVER
        not_before = max(now if force else now - at.bound_ns, overtaken)
        try:
            return self._flights.share(("stat", at.path), not_before, lambda: self._ask(at))
        finally:
            self.directories.trim()

    def forget(self, at: At) -> None:
        """What is known of the file is wrong from now on, and so is what is on its way."""
        with self.directories.lock(at.directory):
            self._void(at.mount, at.key)
            self.directories.ensure(at.directory).voided(at.name, self._clock())
        self.directories.account(at.directory)

    def invalidate(self, at: At, *, tree: bool) -> None:
        """The store has changed at ``at``, with ``tree`` also anywhere below it.

        What is known is forgotten, and no answer to a request that began before this is kept: who
        asks after this returns learns what the store has. Left alone is meta that nobody
        remembers, of a tree, from before this process or from memory that was needed: it goes on
        being read within the bound of its own stamp.
        """
        now = self._clock()
        if tree:
            self.directories.invalidated(now)
            self._invalidate_below(at, now)
        self.forget(at)
        for inside, name in above(at.key):
            directory = self.directories.ensure(at.mount.store_path(inside))
            directory.changed_ns = now
            self._drop_hot(at.mount, inside.removesuffix("/"))
            self._appeared(at.mount, inside, name, certain=True)
        self.directories.ensure(at.mount.store_path(at.inside)).changed_ns = now
        self.directories.trim()

    def _invalidate_below(self, at: At, now: int) -> None:
        start = len(at.mount.store_path(""))
        for path in self.directories.below(at.mount.store_path(at.inside)):
            with self.directories.lock(path):
                directory = self.directories.get(path)
                if directory is None:
                    continue
                for name in directory.names():
                    self._void(at.mount, path[start:] + name)
                directory.invalidated(now)
            self.directories.account(path)
        table, mount = self._table(), at.mount
        for path in table.paths_of(mount.store_id, mount.root, at.key):
            self.hot.drop_tree(path)
        for each in table.mounts:
            same = (each.store_id, each.root) == (mount.store_id, mount.root)
            if same and each.prefix.startswith(at.inside):  # what it mounts lies in this tree
                self.hot.drop_tree(each.path)

    def inlined(self, at: At, wanted: bytes, content: bytes) -> None:
        """The whole of a small file goes into its meta, unless that changed meanwhile."""
        with self.directories.lock(at.directory):
            meta = self._store.get_meta(at.store_path)
            if meta is not None and meta.file_id == wanted and meta.content is None:
                self._put(replace(meta, content=content))

    def persisted(self, at: At, wanted: bytes, store_version: str) -> None:
        """The store has this version of the file, and calls it so."""
        with self.directories.lock(at.directory):
            meta = self._store.get_meta(at.store_path)
            if meta is not None and meta.file_id == wanted:
                self._put(replace(meta, pending=False, store_version=store_version))

    def recall(self, at: At, wanted: bytes) -> FileInfo | None:
        """What is known of this version of the file, however old; None if nothing is."""
        hot = self.hot.get(at.path)
        if hot is not None and not hot.void:
            info = FileInfo.FromString(hot.packed)
            return info if info.file_id == wanted else None
        meta = self._store.get_meta(at.store_path)
        if meta is None or meta.file_id != wanted:
            return None
        return at.info(_entry(at.name, meta), on_disk=True)

    def _known(self, at: At, now: int) -> FileInfo | None:
        if not at.name or at.bound_ns == 0:
            return None
        with self.directories.lock(at.directory):
            directory = self.directories.get(at.directory)
            if directory is not None and fresh(now, directory.validated_ns, at.bound_ns):
                entry = directory.find(at.name)
                if entry is not None:
                    return self._from_listing(at, entry, directory)
            if directory is not None and self._remembers_absence(at):
                self._refuse_absent(at, directory.absent_ns(at.name), now)
            meta = self._store.get_meta(at.store_path)
            if meta is None or meta.weak:
                return None
            unknown_ns = self.directories.invalidated_ns
            if meta.validated_ns <= (directory.voided_ns if directory else unknown_ns):
                return None
            if at.bound_ns != FOREVER_NS and not (
                meta.boot_id == self._store.boot_id and fresh(now, meta.validated_ns, at.bound_ns)
            ):
                return None
            info = at.info(_entry(at.name, meta), on_disk=True)
            self._keep(at, info, meta.validated_ns, directory)
            return info

    def _remembers_absence(self, at: At) -> bool:
        """Not of an odd key, of which listings don't tell; nor where the reader of a table tries
        names to find out what was committed."""
        *above, _ = parts = at.key.split("/")
        odd = "" in parts or not _STATE.isdisjoint(above)
        return not odd and self._under(at.mount).distant

    def _refuse_absent(self, at: At, absent_ns: int, now: int) -> None:
        """What is immutable may well appear: the mount's own bound holds for absence."""
        if fresh(now, absent_ns, at.mount.freshness_ms * NS_PER_MS):
            raise PathNotFound(
                f"{at.path} does not exist",
                cause=f"the store had none {(now - absent_ns) / 1e9:.1f} s ago",
                remedy=f"'millpond refresh {at.path}' asks again",
            )

    def _from_listing(self, at: At, entry: ObjectStat, directory: Directory) -> FileInfo | None:
        if entry.is_dir:
            info = at.info(entry)
            self._keep(at, info, directory.validated_ns, None)
            return info
        if not cacheable(at.key, entry):
            return None
        return self._publish(at, entry, directory.validated_ns, directory)

    def _ask(self, at: At) -> FileInfo:
        began_ns = self._clock()
        try:
            entry = self._under(at.mount).stat(at.key)
        except PathNotFound:
            self._absent(at, began_ns)
            raise
        info = self._found(at, entry, began_ns)
        for inside, name in above(at.key):
            self._appeared(at.mount, inside, name)
        return info

    def _found(self, at: At, entry: ObjectStat, began_ns: int) -> FileInfo:
        with self.directories.lock(at.directory):
            if entry.is_dir:
                self._void(at.mount, at.key)
                info = at.info(entry)
                if not self._overtaken(at, began_ns):
                    self._keep(at, info, began_ns, None)
                return info
            known = self.directories.get(at.directory) is not None
            directory = self.directories.ensure(at.directory)
            if not known and began_ns <= self.directories.floor_ns:
                return at.info(entry)
            if not self._may_publish(at, entry, began_ns, directory):
                return at.info(entry)
            if not cacheable(at.key, entry):
                if self._store.get_meta(at.store_path) is not None:
                    self.changes.note(at.store_path)
                self._void(at.mount, at.key)
                directory.voided(at.name, self._clock())
                return at.info(entry)
            return self._publish(at, entry, began_ns, directory)

    def _overtaken(self, at: At, began_ns: int) -> bool:
        directory = self.directories.get(at.directory)
        if directory is None:
            return began_ns <= self.directories.floor_ns
        return began_ns <= directory.not_before(at.name)

    def _may_publish(self, at: At, entry: ObjectStat, began_ns: int, directory: Directory) -> bool:
        hot = self.hot.get(at.path)
        if hot is not None and not hot.void and hot.validated_ns >= began_ns:
            return False
        return directory.may_publish(at.name, entry.version, began_ns)

    def _absent(self, at: At, began_ns: int) -> None:
        keep = bool(at.name) and self._remembers_absence(at)
        with self.directories.lock(at.directory):
            self._void(at.mount, at.key)
            directory = self.directories.get(at.directory)
            if directory is None and keep and began_ns > self.directories.floor_ns:
                directory = self.directories.ensure(at.directory)
            if directory is not None and keep:
                directory.absent(at.name, began_ns, self._clock())
            elif directory is not None:
                directory.voided(at.name, self._clock())
        self.directories.account(at.directory)

    def _appeared(self, mount: Mount, inside: str, name: str, *, certain: bool = False) -> None:
        """Something is below ``name`` in that directory, or with ``certain`` was changed there."""
        path = mount.store_path(inside)
        with self.directories.lock(path):
            directory = self.directories.get(path)
            if directory is not None:
                directory.appeared(name, self._clock(), certain=certain)
        if certain:
            self.directories.account(path)

    def _publish(self, at: At, entry: ObjectStat, stamp_ns: int, directory: Directory) -> FileInfo:
        """Meta on disk says ``entry``, true at ``stamp_ns``; the directory's lock is held."""
        info = at.info(entry, on_disk=True)
        boot = self._store.boot_id
        old = self._store.get_meta(at.store_path)
        pointer = is_pointer(at.key)  # its meta is weak: so no client opens it unasked
        pending, store_version = self._origin(at.mount.place, at.key, entry.version)
        if old is None or old.file_id != info.file_id or old.weak != pointer:
            if old is not None:
                self.changes.note(info.store_path)
            self._drop_hot(at.mount, at.key)
            meta = Meta(
                info.store_path, info.file_id, entry.version, entry.length, entry.mtime_ms,
                stamp_ns, boot, weak=pointer, pending=pending, store_version=store_version,
            )  # fmt: skip
            info.meta_on_disk = self._put(meta)
        elif pointer:
            info.meta_on_disk = True
        elif old.boot_id != boot or old.validated_ns < stamp_ns:
            covered = (
                old.boot_id == boot
                and old.validated_ns >= directory.covers_from_ns
                and directory.validated_ns >= stamp_ns
            )
            if not covered:
                info.meta_on_disk = self._put(replace(old, validated_ns=stamp_ns, boot_id=boot))
        directory.published(at.name, entry.version, stamp_ns)
        self.directories.account(at.directory)
        self._keep(at, info, stamp_ns, directory if info.meta_on_disk else None)
        return info

    def _put(self, meta: Meta) -> bool:
        """Whether meta could be written. A full disk costs the client a call, not the answer."""
        try:
            self._store.put_meta(meta)
        except MillpondError as e:
            log.warning("meta of %s is not kept: %s", meta.store_path, e)
            self._store.drop_meta(meta.store_path)
            return False
        return True

    def _keep(self, at: At, info: FileInfo, stamp_ns: int, directory: Directory | None) -> None:
        if at.bound_ns == 0:
            return
        packed = info.SerializeToString()
        hot = Hot(packed, info.version, stamp_ns, at.bound_ns, directory)
        self.hot.put(at.path, hot)
        if self._table().find(at.path) is not at.mount:  # the mounts changed meanwhile
            self.hot.drop(at.path)

    def _void(self, mount: Mount, key: str) -> None:
        """Nobody may open what meta and memory say of this file any more."""
        self._store.drop_meta(mount.store_path(key))
        self._drop_hot(mount, key)

    def _drop_hot(self, mount: Mount, key: str) -> None:
        for path in self._table().paths_of(mount.store_id, mount.root, key):
            self.hot.drop(path)

    # Directories.

    def refresh(self, at: At, *, recursive: bool) -> int:
        """Ask the store now, whatever the bounds say; how many files were compared.

        Nothing of the tree that is known from before is used for who asks after this, but for
        meta, within its own bound, of files that are gone and that this process never met.
        """
        try:
            listing = self.list(at, recursive=recursive, force=True)
        except (NotADirectory, PathNotFound):
            if not at.name:
                raise
            return 0 if self.stat(at, force=True).directory else 1
        finally:
            self.hot.drop_tree(at.path)
        return sum(not entry.is_dir for entry in listing)

    def list(self, at: At, *, recursive: bool, force: bool = False) -> Listing:
        """The directory, or the whole tree below it, within the mount's bound for listings.

        With ``force`` as if that were 0. Meta that the listing contradicts is gone when this
        returns.
        """
        now = self._clock()
        bound_ns = 0 if force or is_log(at.key) else at.mount.list_freshness_ms * NS_PER_MS
        directory = self.directories.get(at.mount.store_path(at.inside))
        changed_ns = NEVER if directory is None else directory.changed_ns
        if not recursive and directory is not None:
            listing, validated_ns = directory.listing, directory.validated_ns
            known = fresh(now, validated_ns, bound_ns) and validated_ns > changed_ns
            if listing is not None and directory.complete and known:
                return listing
        work = self._list_tree if recursive else self._list_one
        try:
            return self._flights.share(
                ("list", at.store_path, recursive),
                max(now - bound_ns, changed_ns),
                lambda: work(at),
            )
        finally:
            self.directories.trim()

    def _list_one(self, at: At) -> Listing:
        under = self._under(at.mount)
        with self.directories.listing(at.mount.store_path(at.inside)) as directory:
            began_ns = self._clock()
            try:
                listing = Listing(_relative(under, at.key, recursive=False))
            except (PathNotFound, NotADirectory):
                self._accept(at.mount, at.inside, directory, Listing(()), began_ns, gone=True)
                raise
            self._accept(at.mount, at.inside, directory, listing, began_ns)
        if len(listing):
            for inside, name in above(at.key):
                self._appeared(at.mount, inside, name)
        self._keep(at, at.info(ObjectStat("", 0, 0, is_dir=True)), began_ns, None)
        return listing

    def _list_tree(self, at: At) -> Listing:
        """One flat LIST validates every directory of the tree."""
        under, mount = self._under(at.mount), at.mount
        parts: dict[str, list[ObjectStat]] = {}
        began_ns = self._clock()
        error: MillpondError | None = None
        try:
            listing = Listing(_relative(under, at.key, recursive=True))
        except (PathNotFound, NotADirectory) as e:
            listing, error = Listing(()), e
        for entry in listing:
            inside, name = split(at.inside + entry.key)
            parts.setdefault(inside, []).append(replace(entry, key=name))
        start = len(mount.store_path(""))
        known = (p[start:] for p in self.directories.below(mount.store_path(at.inside)))
        for inside in {*parts, *known}:
            with self.directories.listing(mount.store_path(inside)) as directory:
                part = Listing(parts.get(inside, ()))
                self._accept(mount, inside, directory, part, began_ns, flat=True)
        for inside, name in {each for part in parts for each in above(part.removesuffix("/"))}:
            self._appeared(mount, inside, name)
        if error is not None:
            raise error
        return listing

    def _accept(
        self, mount: Mount, inside: str, directory: Directory, listing: Listing, began_ns: int,
        *, flat: bool = False, gone: bool = False,
    ) -> None:  # fmt: skip
        """Draw the consequences of a LIST of what begins with ``inside``: void, then stamp."""
        path, stamped = mount.store_path(inside), stamp_path(mount, inside)
        suspects = self._loose_contradictions(mount, inside, directory, listing)
        with self.directories.lock(path):
            for name in {*directory.contradicted(listing), *suspects}:
                self._void(mount, inside + name)
                self.changes.note(mount.store_path(inside + name))
            if began_ns <= directory.voided_ns:
                return  # overtaken: true for who asked, and for nobody else
            directory.listed(listing, began_ns, self._clock(), complete=not (flat or gone))
            if gone and stamped is not None:
                self._store.drop_dir(stamped)
            elif stamped is not None:
                covers = directory.covers_from_ns
                self._stamp(DirStamp(stamped, began_ns, covers, self._store.boot_id))
        self.directories.account(path)

    def _stamp(self, stamp: DirStamp) -> None:
        try:
            self._store.put_dir(stamp)
        except MillpondError as e:
            log.warning("stamp of %s is not kept: %s", stamp.store_path, e)

    def _loose_contradictions(
        self, mount: Mount, inside: str, directory: Directory, listing: Listing
    ) -> Names:
        """Names whose meta on disk nobody remembers and the listing contradicts.

        Read without the lock: what is published meanwhile is remembered by ``directory``.
        """
        if directory.listing is not None:
            return []
        path = mount.store_path(inside)
        bound_ns = FOREVER_NS if mount.immutable else self._widest_bound_ns()
        if not self.directories.may_have_loose_meta(path, bound_ns):
            return []
        found = []
        for entry in listing:
            if not entry.is_dir:
                meta = self._store.get_meta(mount.store_path(inside + entry.key))
                if meta is not None and (entry.weak or meta.version != entry.version):
                    found.append(entry.key)
        return found

    def _widest_bound_ns(self) -> int:
        return max((m.freshness_ms for m in self._table().mounts), default=0) * NS_PER_MS


def _relative(under: UnderStore, key: str, *, recursive: bool) -> Iterator[ObjectStat]:
    """What the store lists, by names relative to ``key``."""
    start = len(key) + 1 if key else 0
    for page in under.list(key, recursive=recursive):
        for entry in page:
            name = entry.key[start:]
            if name.strip("/") or recursive:  # a//b shows an entry without a name
                yield replace(entry, key=name.removesuffix("/") if entry.is_dir else name)


def _entry(name: str, meta: Meta) -> ObjectStat:
    return ObjectStat(name, meta.length, meta.mtime_ms, meta.version, meta.weak)
