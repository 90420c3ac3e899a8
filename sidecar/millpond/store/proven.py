"""Block files opened for sending as they are: each page is checked once before the first time."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from millpond.model.block import page_offset
from millpond.model.sizes import PAGE_BYTES, page_count, page_mask
from millpond.store.space import block_key
from millpond.store.writing import read_pages

if TYPE_CHECKING:
    from millpond.store.blocks import Blocks

KNOWN_BLOCKS = 4096
_AT_ONCE = 16
"""Pages checked by one read: 1 MiB of memory."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Bytes of an open file. Eviction does not touch them; who has it closes it."""

    file: BinaryIO
    offset: int
    size: int

    def close(self) -> None:
        self.file.close()


class ProvenReads:
    """Opens ranges of blocks whose pages are present and agree with their checksums. Thread-safe.

    What was proven is remembered by inode (its generation): a block file is never rewritten.
    """

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, tuple[int, int]] = OrderedDict()

    def open(self, file_id: bytes, block: int, start: int, end: int) -> Extent | None:
        """The range [start, end) within the block; None if any page is absent or bad."""
        key = block_key(file_id, block)
        first, last = start // PAGE_BYTES, page_count(end)
        wanted = page_mask(first, last)
        with self._blocks.looking(key) as found:
            if found is None:
                return None
            fd, header, present, crcs = found
            if not 0 <= start < end <= header.valid_bytes or present & wanted != wanted:
                return None
            proven = self._proven(key, header.generation)
            for at in range(first, last, _AT_ONCE):
                stop = min(last, at + _AT_ONCE)
                mask = page_mask(at, stop)
                if proven & mask == mask:
                    continue
                try:
                    data = read_pages(self._blocks.disk, fd, header, crcs, at, stop)
                except OSError:
                    return None  # the Fill that follows meets the disk's failure too
                if data is None:
                    break
                proven |= mask
            else:
                self._remember(key, header.generation, proven)
                # Pages lie one after the other, so a range of bytes is one of the file too.
                return Extent(os.fdopen(os.dup(fd), "rb"), page_offset(0) + start, end - start)
        self._blocks.remove_bad(key, header.generation)
        return None

    def _proven(self, key: bytes, generation: int) -> int:
        with self._lock:
            known = self._known.get(key)
        return known[1] if known is not None and known[0] == generation else 0

    def _remember(self, key: bytes, generation: int, pages: int) -> None:
        with self._lock:
            known = self._known.pop(key, None)
            if known is not None and known[0] == generation:
                pages |= known[1]
            self._known[key] = (generation, pages)
            while len(self._known) > KNOWN_BLOCKS:
                self._known.popitem(last=False)
