"""What a Fill needs before anything is fetched: the file, its blocks, and what they hold."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from millpond.errors import FileChanged, InvalidRequest, NoSpace
from millpond.model.sizes import (
    BLOCK_BYTES,
    INLINE_FILE_BYTES,
    MIB,
    block_count,
    block_valid_bytes,
)
from millpond.wire import millpond_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from millpond.namespace import LocatedFile, Namespace
    from millpond.namespace.mounts import MountTable
    from millpond.store import BlockStore, BlockWriter
    from millpond.wire.millpond_pb2 import FileInfo, FillRequest

MAX_RANGES = 4096
MAX_FILL_BYTES = 256 * MIB
MAX_WINDOW_BYTES = 256 * MIB
KNOWN_FILES = 4096


@dataclass(frozen=True, slots=True)
class Located:
    """A file version: where its bytes come from, and what the namespace calls it."""

    file: LocatedFile
    info: FileInfo


@dataclass(slots=True)
class Prepared:
    """``content``: of a file that is whole in its meta. ``writers``: one per block asked for.

    ``bypass``: the mount and the rule of it that keeps the file out of the cache; then no more is
    said.
    """

    located: Located
    bypass: tuple[str, str] | None = None
    content: bytes | None = None
    full_disk: bool = False
    writers: list[BlockWriter] = field(default_factory=list)
    window_present: dict[int, int] = field(default_factory=dict)


def check_ranges(request: FillRequest) -> list[tuple[int, int]]:
    """The ranges as [start, end), or InvalidRequest."""
    ranges = [(r.offset, r.offset + r.length) for r in request.ranges]
    total = sum(end - start for start, end in ranges)
    if len(ranges) > MAX_RANGES or total > MAX_FILL_BYTES:
        raise InvalidRequest(
            f"a Fill of {len(ranges)} ranges and {total} bytes",
            cause=f"at most {MAX_RANGES} ranges and {MAX_FILL_BYTES} bytes",
            remedy="Ask for the rest in a later call, or as its window",
        )
    if any(start >= end for start, end in ranges):
        raise InvalidRequest("a Fill with an empty range", remedy="Leave empty ranges out")
    return ranges


class Preparer:
    """Finds files and opens their blocks. Remembers where the last files asked for come from."""

    def __init__(self, store: BlockStore, namespace: Namespace) -> None:
        self._store = store
        self._namespace = namespace
        self._known: OrderedDict[tuple[str, bytes], Located] = OrderedDict()
        self._table: MountTable = namespace.table
        self._lock = threading.Lock()

    def known(self, path: str, file_id: bytes) -> Located | None:
        """[loop] A file version located before, under today's mounts."""
        with self._lock:
            if self._table is not self._namespace.table:
                self._known.clear()
                self._table = self._namespace.table
            return self._known.get((path, file_id))

    def remember(self, located: Located) -> None:
        """[loop]"""
        with self._lock:
            key = (located.info.path, located.file.file_id)
            self._known[key] = located
            self._known.move_to_end(key)
            while len(self._known) > KNOWN_FILES:
                self._known.popitem(last=False)

    def forget(self, path: str, file_id: bytes) -> None:
        """[loop] The store has another version."""
        with self._lock:
            self._known.pop((path, file_id), None)

    def prepare(
        self, request: FillRequest, ranges: list[tuple[int, int]], located: Located | None
    ) -> Prepared:
        """Raises InvalidRequest, FileChanged, and what the namespace raises."""
        if located is None:
            located = self._locate(request.path, request.file_id)
        length = located.file.length
        beyond = max(end for _, end in ranges)
        if beyond > length:
            raise InvalidRequest(
                f"a Fill up to byte {beyond} of {request.path!r}",
                cause=f"the file has {length} bytes",
                remedy="Ask within the length that Stat told",
            )
        if bypass := self._bypass(request, length):
            return Prepared(located, bypass=bypass)
        self._namespace.follow_pin(located.info)
        if length <= INLINE_FILE_BYTES:
            meta = self._store.get_meta(located.file.meta.store_path)
            same = meta is not None and meta.file_id == located.file.file_id
            return Prepared(located, content=meta.content if meta is not None and same else None)
        prepared = Prepared(located)
        blocks = _blocks(ranges)
        try:
            for block in blocks:
                valid = block_valid_bytes(length, block)
                prepared.writers.append(
                    self._store.writer(located.file.file_id, block, valid, located.file.part)
                )  # fmt: skip
        except NoSpace:
            prepared.full_disk = True
        except BaseException:
            for writer in prepared.writers:
                writer.close()
            raise
        window = min(request.window, MAX_WINDOW_BYTES)
        if window:
            first = ranges[-1][1]
            last = min(first + window, length)
            for block in range(first // BLOCK_BYTES, block_count(last)):
                if block not in blocks:
                    bits = self._store.page_map(located.file.file_id, block)
                    prepared.window_present[block] = bits
        return prepared

    def _bypass(self, request: FillRequest, length: int) -> tuple[str, str] | None:
        mount = self._namespace.table.find(request.path)
        if mount is None or not mount.control.admission.rules:
            return None
        scan = wire.Intent.Name(request.intent).lower()
        below = mount.below(request.path)
        rule = mount.control.admission.bypassed_by(below, length, scan)
        if rule is None or self._namespace.pins.covers(request.path):
            return None
        return mount.path, rule.text

    def _locate(self, path: str, file_id: bytes) -> Located:
        """The version asked for, if the store still has it as far as we know."""
        info = self._namespace.recall(path, file_id)
        if info is None:
            info = self._namespace.stat(path)
        if info.file_id != file_id:
            info = self._namespace.stat(path, force=True)
        if info.file_id != file_id:
            raise FileChanged(
                f"{path} has another version than the one that was opened",
                cause=f"the store now has version {info.version!r}",
                remedy="Open the file again",
            )
        return Located(self._namespace.locate(info), info)


def _blocks(ranges: Iterable[tuple[int, int]]) -> list[int]:
    return sorted(
        {b for start, end in ranges for b in range(start // BLOCK_BYTES, block_count(end))}
    )


def read_ranges(
    store: BlockStore, file: LocatedFile, ranges: Iterable[tuple[int, int]]
) -> bytes | None:
    """The bytes of the ranges, verified, from block files; None when a page is absent or rotten."""
    parts = []
    for start, end in ranges:
        at = start
        while at < end:
            block, begin = divmod(at, BLOCK_BYTES)
            stop = min(BLOCK_BYTES, begin + end - at)
            part = store.read(file.file_id, block, begin, stop)
            if part is None:
                return None
            parts.append(part)
            at += stop - begin
    return b"".join(parts)
