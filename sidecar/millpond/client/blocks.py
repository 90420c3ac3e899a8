"""Block files as a reader sees them; the protocol stands in ``model/block.py``."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from crc32c import crc32c

from millpond.errors import MillpondError
from millpond.model.block import DATA_OFFSET, READ_BYTES, Header, page_crc, page_offset
from millpond.model.paths import block_name
from millpond.model.sizes import BLOCK_BYTES, PAGE_BYTES, block_valid_bytes, page_valid_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAX_OPEN = 256


class OpenBlock:
    """One open inode of a block; a page is served only after its CRC was proven once."""

    def __init__(self, fd: int, file_id: bytes, block: int) -> None:
        self._fd = fd
        self._file_id, self._block = file_id, block
        self._proven = self._bad = 0
        self.refresh()

    def __del__(self) -> None:
        os.close(self._fd)

    @property
    def generation(self) -> int:
        return self.header.generation

    @property
    def valid_bytes(self) -> int:
        return self.header.valid_bytes

    def is_for(self, file_id: bytes, block: int, valid_bytes: int) -> bool:
        header = self.header
        return (header.file_id, header.block, header.valid_bytes) == (file_id, block, valid_bytes)

    def linked(self) -> bool:
        return os.fstat(self._fd).st_nlink > 0

    def refresh(self) -> None:
        """Read map and CRCs again. Raises Corrupt or UnknownFormat."""
        self.header, self._map, self._crcs = Header.parse(os.pread(self._fd, READ_BYTES, 0), crc32c)

    def proven(self, at: int, size: int, bad: Callable[[int], object]) -> int:
        """How many of ``size`` bytes lie in proven pages, up to the first that is absent.

        ``bad`` is told each page that its CRC refutes.
        """
        end = min(self.valid_bytes, at + size)
        page, last = at // PAGE_BYTES, -(-end // PAGE_BYTES)
        if ((1 << last) - (1 << page)) & ~self._proven:
            while page < last and self._usable(page, bad):
                page += 1
            end = min(end, page * PAGE_BYTES)
        return max(0, end - at)

    def read(self, at: int, size: int) -> bytes:
        """Proven bytes; fewer where the file was cut by hand."""
        return os.pread(self._fd, size, DATA_OFFSET + at)

    def readinto(self, at: int, view: memoryview) -> int:
        """The same into ``view``; returns how many."""
        return os.preadv(self._fd, [view], DATA_OFFSET + at)

    def _usable(self, page: int, bad: Callable[[int], object]) -> bool:
        bit = 1 << page
        if self._proven & bit:
            return True
        if not self._map & bit or self._bad & bit:
            return False
        size = page_valid_bytes(self.valid_bytes, page)
        data = os.pread(self._fd, size, page_offset(page))
        crc = page_crc(crc32c, self._file_id, self._block, page, data)
        if crc != self._crcs[page]:
            self.refresh()  # bit and CRC may have come while the header was read
        if len(data) != size or crc != self._crcs[page]:
            self._bad |= bit
            bad(page)
            return False
        self._proven |= bit
        return True


class BlockPool:
    """Open blocks of this process, the least recently used given up first. Thread-safe."""

    def __init__(
        self,
        directory: Path,
        touched: Callable[[bytes, int], None],
        bad_page: Callable[[bytes, int, int, int], None],
    ) -> None:
        self._directory = directory
        self._touched = touched
        self._bad_page = bad_page
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[bytes, int], OpenBlock] = OrderedDict()

    def find(
        self, file_id: bytes, length: int, position: int, size: int
    ) -> tuple[OpenBlock, int, int] | None:
        """The block that has the bytes, where in it, and how many of them; None: not the first.

        Raises OSError.
        """
        number, at = divmod(position, BLOCK_BYTES)
        block = self._get(file_id, number, block_valid_bytes(length, number))
        if block is None:
            return None

        def bad(page: int) -> None:
            self._bad_page(file_id, number, page, block.generation)

        count = block.proven(at, size, bad)
        if count == 0:
            # Filled, or evicted and made anew, since the header was read.
            try:
                if block.linked():
                    block.refresh()
                    count = block.proven(at, size, bad)
            except MillpondError:
                pass
            if count == 0:
                self.drop(file_id, number)
                return None
        self._touched(file_id, number)
        return block, at, count

    def expect(self, file_id: bytes, number: int, generation: int) -> None:
        """Give up the open inode of a block if it is another than the sidecar filled."""
        with self._lock:
            known = self._open.get((file_id, number))
            if known is not None and known.generation != generation:
                del self._open[file_id, number]

    def drop(self, file_id: bytes, number: int) -> None:
        with self._lock:
            self._open.pop((file_id, number), None)

    def _get(self, file_id: bytes, number: int, valid_bytes: int) -> OpenBlock | None:
        key = (file_id, number)
        with self._lock:
            known = self._open.get(key)
            if known is not None:
                self._open.move_to_end(key)
                return known
        try:
            fd = os.open(self._directory / block_name(file_id, number), os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            fresh = OpenBlock(fd, file_id, number)
        except MillpondError:
            return None
        if not fresh.is_for(file_id, number, valid_bytes):
            return None
        with self._lock:
            self._open[key] = fresh
            while len(self._open) > MAX_OPEN:
                self._open.popitem(last=False)
        return fresh
