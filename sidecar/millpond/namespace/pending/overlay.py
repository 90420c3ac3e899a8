"""A store as if everything committed on this node were in it.

What stands above it asks it as it asks any store. A file born here has the version that it was
given here, before its store has it and after; its bytes come from its own blocks until then.
Changes wait until what is pending at their keys has been persisted, and are then made in the store.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from millpond.errors import (
    DataLost,
    DirectoryNotEmpty,
    FileChanged,
    MillpondError,
    NotADirectory,
    NotSupported,
    PathNotFound,
)
from millpond.model.paths import block_name
from millpond.model.records import is_born
from millpond.model.sizes import BLOCK_BYTES, MIB, block_count
from millpond.namespace.pending.records import Op
from millpond.namespace.pending.view import merged, stat_of
from millpond.under.base import ABSENT, ObjectStat, UnderStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from millpond.namespace.pending.data import PendingData
    from millpond.namespace.pending.records import Entry
    from millpond.namespace.pending.view import Snapshot
    from millpond.under.base import Buffer, Source

log = logging.getLogger(__name__)
CHUNK_BYTES = MIB
Pages = Iterator[list[ObjectStat]]


class PendingSource:
    """The bytes of a pending file, out of its own blocks, each page proved by its CRC."""

    def __init__(
        self, read: Callable[[bytes, int, int, int], bytes | None], entry: Entry, path: str
    ) -> None:
        self._read, self._entry, self._path = read, entry, path
        self._ident = entry.file_id
        self.length = entry.length

    def read(self, start: int, end: int) -> bytes:
        """Raises DataLost where a block, or a page of it, is gone."""
        parts = []
        for block in range(start // BLOCK_BYTES, block_count(end)):
            base = block * BLOCK_BYTES
            first, last = max(0, start - base), min(BLOCK_BYTES, end - base)
            part = self._read(self._ident, block, first, last)
            if part is None:
                raise DataLost(
                    f"{self._path} is lost: the store never got it, and block {block} is gone",
                    cause=f"{block_name(self._ident, block)} is absent or fails its checksums",
                    remedy="Write it again; `millpond persist ls` shows what else is pending",
                )
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


class OverlayStore(UnderStore):
    """``real`` with the pending data of its place applied."""

    def __init__(self, real: UnderStore, pending: PendingData) -> None:
        self.real = real
        self.scheme, self.store_id, self.root = real.scheme, real.store_id, real.root
        self.counters, self.distant = real.counters, real.distant
        self.atomic_rename = real.atomic_rename
        self.place = f"{real.store_id}/{real.root}"
        self._pending = pending

    # -- looking

    def stat(self, key: str) -> ObjectStat:
        view = self._pending.view
        entry = view.seen(self.place, key)
        if entry is not None and entry.op is Op.PUT:
            return stat_of(entry)
        if view.is_directory(self.place, key):
            return ObjectStat(key, 0, 0, is_dir=True)
        mark = self._pending.aliases.mark()
        try:
            found = self.real.stat(key)
        except PathNotFound:
            self._pending.disproved(self.place, key, mark)
            raise
        if entry is None or found.is_dir:
            return self._seen_as(found, mark)
        try:
            next(iter(self.real.list(key)), None)
        except (PathNotFound, NotADirectory):
            raise PathNotFound(f"{key} does not exist", cause="it is deleted") from None
        return ObjectStat(key, 0, 0, is_dir=True)

    def list(self, key: str, *, recursive: bool = False) -> Pages:
        view = self._pending.view
        mark = self._pending.aliases.mark()
        entry = view.seen(self.place, key)
        shown = view.snapshot(self.place, key, recursive=recursive)
        if entry is not None and entry.op is Op.PUT and not shown.shown:
            raise NotADirectory(f"{key} is a file")
        gone = entry is not None and entry.op is Op.DELETE
        return self._listed(key, recursive, mark, shown, gone=gone)

    def _listed(
        self, key: str, recursive: bool, mark: int, shown: Snapshot, *, gone: bool
    ) -> Pages:
        def real() -> Pages:
            try:
                for page in self.real.list(key, recursive=recursive):
                    yield [self._seen_as(each, mark) for each in page]
            except PathNotFound:
                if not shown.shown:
                    raise
            except NotADirectory:
                if not shown.shown and gone:
                    raise PathNotFound(f"{key} does not exist", cause="it is deleted") from None
                if not shown.shown:
                    raise

        if shown.shown or shown.hidden:
            yield from merged(real(), shown)
        else:
            yield from real()

    def _seen_as(self, entry: ObjectStat, mark: int) -> ObjectStat:
        seen, wrong = self._pending.aliases.seen_as(self.place, entry)
        if wrong:
            self._pending.disproved(self.place, entry.key, mark)
        return seen

    def read(self, key: str, start: int, end: int, version: str) -> Iterator[Buffer]:
        if not is_born(version):
            return self.real.read(key, start, end, version)
        for entry in self._pending.view.of(self.place, key):
            if entry.version == version:
                return self._own(entry, start, end)
        alias = self._pending.aliases.get(self.place, key)
        if alias is None or alias.version != version:
            raise FileChanged(f"{key} has another version", cause=f"{version} was replaced")
        return self.real.read(key, start, end, alias.store_version)

    def _own(self, entry: Entry, start: int, end: int) -> Iterator[Buffer]:
        source = self._pending.source(entry)
        for at in range(start, end, CHUNK_BYTES):
            yield source.read(at, min(at + CHUNK_BYTES, end))

    # -- changing

    def put(self, key: str, source: Source, *, expect: str | None = None) -> str:
        with self._changing(key):
            self._pending.view.check_above(self.place, key)
            there = self._pending.real_version(self.place, key, expect)
            kept = self._pending.kept(self.place, key)
            made = self.real.put(key, source, expect=there)
            self._pending.forgo(kept)
            self._pending.changed(self.place, key, made)
            if not made:
                self._made(key)
        return made

    def delete(self, key: str, *, recursive: bool = False) -> None:
        with self._changing(key):
            kept = self._pending.kept(self.place, key)
            if not recursive and any(e.op is Op.PUT and e.key != key for e in kept):
                raise DirectoryNotEmpty(f"{key} is not empty", remedy="Delete it recursively")
            try:
                self.real.delete(key, recursive=recursive)
            except PathNotFound:
                if not _shown(kept):
                    raise
            self._pending.forgo(kept)
            self._pending.removed(self.place, key)

    def mkdirs(self, key: str) -> None:
        with self._changing(key, shallow=True):
            self._pending.view.check_above(self.place, key)
            self.real.mkdirs(key)
            self._pending.under_way.made_directory(self.place, key)

    def rename(self, source: str, target: str) -> None:
        with self._changing(source, target):
            self._pending.view.check_above(self.place, target)
            kept = self._pending.kept(self.place, source)
            if not _shown(kept) or self.real.find(source) is not None:
                above = target.rpartition("/")[0]
                if above and _shown(self._pending.kept(self.place, above)):
                    self.real.mkdirs(above)
                self.real.rename(source, target)
            self._pending.move(kept, source, target)
            self._pending.removed(self.place, source)
            self._pending.forget_below(self.place, target)
            self._made(target)

    def try_conditions(self, directory: str) -> bool:
        return self.real.try_conditions(directory)

    def set_times(self, key: str, mtime_ms: int, atime_ms: int) -> None:
        with self._changing(key):
            if _shown(self._pending.kept(self.place, key)):
                raise NotSupported(
                    f"the times of {key} can't be set", cause="no store has it: it is kept here"
                )
            self.real.set_times(key, mtime_ms, atime_ms)
            self._pending.changed(self.place, key, "")
            self._made(key)

    @contextmanager
    def _changing(self, *keys: str, shallow: bool = False) -> Iterator[None]:
        """What is made of these keys in it is this node's, also where it fails."""
        with self._pending.changing(self.place, *keys, shallow=shallow):
            try:
                yield
            except BaseException:
                for key in keys:
                    for each in self._pending.under_way.keys(self.place, key):
                        self._look_again(each)
                raise

    def _look_again(self, key: str) -> None:
        """A change of a key has failed: it may have been done."""
        under_way = self._pending.under_way
        try:
            found = self.find(key)
        except MillpondError:
            under_way.unknown(self.place, key)
        else:
            under_way.looked(self.place, key, ABSENT if found is None else found.version)

    def _made(self, key: str) -> None:
        """This node has made what is at a key now, and below it: tell those who write there."""
        under_way = self._pending.under_way
        if not under_way.concerned(self.place, key):
            return
        for each in {key, *under_way.keys(self.place, key)}:
            try:
                found = self.real.find(each)
            except MillpondError as e:  # the change itself is done
                log.warning("what is written to %s can't be committed: %s", each, e)
                under_way.unknown(self.place, each)
                continue
            if found is None:
                continue
            if found.is_dir:
                under_way.made_directory(self.place, each)
            else:
                under_way.made(self.place, each, found.version)

    def left_out(self) -> int:
        return self.real.left_out()

    def close(self) -> None:
        self.real.close()


def _shown(kept: Iterable[Entry]) -> bool:
    """Whether any of these is a file."""
    return any(e.op is Op.PUT for e in kept)
