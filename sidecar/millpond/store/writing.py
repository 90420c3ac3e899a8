"""The writer of one block file: data, then CRCs, then bits; see the essay in ``model/block.py``."""

from __future__ import annotations

import threading
from array import array
from typing import TYPE_CHECKING, Protocol

from crc32c import crc32c

from millpond.errors import Corrupt, Internal, InvalidRequest
from millpond.model.block import (
    MAP_AT,
    PAGE_CRCS_AT,
    Header,
    page_crc,
    page_offset,
)
from millpond.model.sizes import PAGE_BYTES, page_count, page_mask, page_valid_bytes, runs
from millpond.store.disk import is_full

if TYPE_CHECKING:
    from collections.abc import Callable

    from millpond.errors import MillpondError
    from millpond.store.disk import Disk

FULL_DISK_TRIES = 4


class Keeper(Protocol):
    """What a writer needs of the store around it."""

    disk: Disk

    def reserve(self, size: int) -> None: ...
    def release(self, size: int) -> None: ...
    def make_room(self, size: int) -> int: ...
    def grown(self, writer: BlockWriter, size: int) -> None: ...
    def lost(self, writer: BlockWriter) -> None: ...
    def found_bad(self, writer: BlockWriter) -> None: ...
    def write_failed(self, writer: BlockWriter, error: OSError) -> MillpondError: ...
    def give_back(self, writer: BlockWriter) -> None: ...


class BlockWriter:
    """The one object through which this process writes a block; shared by all who fill it.

    While it is open the block is not evicted. ``present`` is the page map, an int that any thread
    may read. ``linked`` turns False when the block was unlinked meanwhile: what is put then reaches
    nobody, harmlessly, and the next ``BlockStore.writer`` makes a new block.
    """

    def __init__(
        self, keeper: Keeper, header: Header, fd: int, present: int, crcs: array[int]
    ) -> None:
        self.file_id = header.file_id
        self.block = header.block
        self.valid_bytes = header.valid_bytes
        self.generation = header.generation
        self.present = present
        self.linked = True
        self.references = 1  # the keeper's
        self._keeper = keeper
        self._header = header
        self._fd = fd
        self._crcs = crcs
        self._lock = threading.Lock()

    def put(self, first_page: int, data: bytes | memoryview) -> int:
        """Store whole pages from ``first_page`` on; the map of those that were not there before.

        Only the last page of the block may be short. Pages that are present are skipped. When it
        returns the pages are visible to every reader. Raises NoSpace when nothing can be evicted;
        then pages before the one that found no room may have become present.
        """
        view = memoryview(data).cast("B")
        last_page = first_page + page_count(len(view))
        end = first_page * PAGE_BYTES + len(view)
        whole = len(view) % PAGE_BYTES == 0 or end == self.valid_bytes
        if not len(view) or first_page < 0 or end > self.valid_bytes or not whole:
            raise InvalidRequest(
                f"{len(view)} bytes from page {first_page} on are not pages of this block",
                cause=f"it has {self.valid_bytes} bytes",
            )
        with self._lock:
            if self._fd < 0:
                raise Internal("a block writer was used after its last close")
            missing = page_mask(first_page, last_page) & ~self.present
            for first, last in runs(missing):
                start, stop = (page - first_page for page in (first, last))
                part = view[start * PAGE_BYTES : stop * PAGE_BYTES]
                self._run(lambda f=first, p=part: self._put_run(f, p), len(part))  # type: ignore[misc]
        return missing

    def _run(self, write: Callable[[], None], size: int) -> None:
        """Do a write within the space accounted for it; a full disk is retried after evicting."""
        keeper = self._keeper
        keeper.reserve(size)
        try:
            for attempt in range(1, FULL_DISK_TRIES + 1):
                try:
                    write()
                    break
                except OSError as e:
                    room = is_full(e) and attempt < FULL_DISK_TRIES
                    if not (room and keeper.make_room(size * attempt)):
                        raise keeper.write_failed(self, e) from e
        finally:
            self._account()
            keeper.release(size)

    def _put_run(self, first: int, data: memoryview) -> None:
        disk, fd = self._keeper.disk, self._fd
        count = page_count(len(data))
        at = page_offset(first)
        disk.reserve(fd, at, len(data))
        disk.pwrite(fd, data, at)
        crcs = array(
            "I",
            (
                page_crc(
                    crc32c, self.file_id, self.block, first + i,
                    data[i * PAGE_BYTES : (i + 1) * PAGE_BYTES],
                )
                for i in range(count)
            ),
        )  # fmt: skip
        disk.pwrite(fd, crcs.tobytes(), PAGE_CRCS_AT + 4 * first)
        self._crcs[first : first + count] = crcs
        self._set_bits(first, first + count)

    def _set_bits(self, first: int, last: int) -> None:
        present = self.present | page_mask(first, last)
        low, high = first // 8, -(-last // 8)
        bits = (present >> 8 * low) & ((1 << 8 * (high - low)) - 1)
        self._keeper.disk.pwrite(self._fd, bits.to_bytes(high - low, "little"), MAP_AT + low)
        self.present = present

    def _account(self) -> None:
        info = self._keeper.disk.stat(self._fd)
        if info.st_nlink:
            self._keeper.grown(self, info.st_blocks * 512)
        elif self.linked:
            self._keeper.lost(self)

    def still_linked(self) -> bool:
        """Whether the block still has its name; asks the file system.

        For a holder of the writer. Takes no lock: a put that waits for room must not be waited for.
        """
        return self.linked and self._keeper.disk.stat(self._fd).st_nlink > 0

    def disk_bytes(self) -> int:
        """What the block takes on disk, as the file system counts."""
        return self._keeper.disk.stat(self._fd).st_blocks * 512

    def read(self, start: int, end: int) -> bytes:
        """Bytes [start, end) of the block, proven by their CRCs.

        Raises Corrupt where a page is absent or bad; a bad one unlinks the block.
        """
        first, last = start // PAGE_BYTES, page_count(end)
        wanted = page_mask(first, last)
        if not 0 <= start <= end <= self.valid_bytes:
            raise InvalidRequest(f"[{start}, {end}) is outside the block's {self.valid_bytes}")
        with self._lock:
            if self._fd < 0:
                raise Internal("a block writer was used after its last close")
            if self.present & wanted != wanted:
                raise Corrupt("a page to be read is absent")
            data = read_pages(self._keeper.disk, self._fd, self._header, self._crcs, first, last)
        if data is None:
            self._keeper.found_bad(self)
            raise Corrupt("a page fails its checksum", cause="its block is evicted")
        at = first * PAGE_BYTES
        return data[start - at : end - at]

    def close(self) -> None:
        """Give this hold on the block back; the last one closes the file."""
        self._keeper.give_back(self)

    def release_file(self) -> None:
        """For the keeper alone: the last holder has gone."""
        with self._lock:
            fd, self._fd = self._fd, -1
        if fd >= 0:
            self._keeper.disk.close(fd)


def read_pages(
    disk: Disk, fd: int, header: Header, crcs: array[int] | memoryview, first: int, last: int
) -> bytes | None:
    """The bytes of pages [first, last), or None if one of them fails its CRC."""
    size = min(last * PAGE_BYTES, header.valid_bytes) - first * PAGE_BYTES
    data = disk.pread(fd, size, page_offset(first))
    return data if bad_page(memoryview(data), header, crcs, first, last) is None else None


def bad_page(
    data: memoryview, header: Header, crcs: array[int] | memoryview, first: int, last: int
) -> int | None:
    """The first of the pages [first, last) that fails its CRC; ``data`` is theirs."""
    for page in range(first, last):
        at = (page - first) * PAGE_BYTES
        part = data[at : at + page_valid_bytes(header.valid_bytes, page)]
        if page_crc(crc32c, header.file_id, header.block, page, part) != crcs[page]:
            return page
    return None
