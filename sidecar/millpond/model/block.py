"""The block file: its layout, and the protocol that lets readers go without locks or calls.

Layout (little-endian; one file holds one 16 MiB block of one file version)::

    0      8  magic "MPONDBLK"
    8      4  format version (1)
    12     4  page bytes (65536)
    16     4  block bytes (16777216)
    20     4  data offset (65536)
    24    16  file id
    40     4  block number
    44     4  valid bytes: file bytes in this block, 1 to block bytes
    48     8  generation: random, one per inode
    56     4  CRC32C of bytes 0 to 56
    64    32  page map: bit ``i % 8`` of byte ``i // 8`` says page ``i`` is present
    1024 1024 CRC32C of each page, u32 by page number
    65536  …  data, sparse; page ``i`` at 65536 + i * 65536

The rest of the first 64 KiB is a hole. A page's CRC is seeded with file id (16), block (u32) and
page (u32), then its valid bytes: a hole under a set bit, a page of another file or of another
place in this one, all fail it.

Writer (the sidecar alone): create the whole file in staging, link it into place without replacing;
then for each run of pages **data first, then CRCs, then map bits**. Bits only go 0 → 1. A block is
never truncated and never rewritten; it is evicted by unlink, and an open descriptor keeps its
bytes. A page that fails its CRC is repaired by unlinking the block: it is never filled twice.

Reader (any process): open, read the first 2048 bytes, check ``Header.parse`` against what meta
says; a page whose bit is set may be read at its offset. At the first touch per open inode, check
the page's CRC; a failure means the page is absent (and is reported). When a page is absent, ask the
sidecar with ``Fill``, then read the header again; where the ``Fill`` reply names another generation
or the inode has no links, reopen. After two rounds go to the store. No step depends on what a crash
left: whatever the disk holds, a page is used only if its CRC proves it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from millpond.errors import Corrupt, UnknownFormat
from millpond.model.sizes import BLOCK_BYTES, PAGE_BYTES, PAGES_PER_BLOCK, page_count, page_mask

MAGIC = b"MPONDBLK"
FORMAT = 1
READABLE = frozenset({FORMAT})
"""Formats that are read; with those of the release before, whose clients write such blocks."""
DATA_OFFSET = 64 * 1024
HEADER_BYTES = 4096  # written at creation
READ_BYTES = 2048  # what a reader needs: fixed part, map and CRCs
CRC_AT = 56
MAP_AT = 64
MAP_BYTES = PAGES_PER_BLOCK // 8
PAGE_CRCS_AT = 1024

_FIXED = struct.Struct("<8sIIII16sIIQ")
_U32 = struct.Struct("<I")
_SEED = struct.Struct("<16sII")

Crc = Callable[[bytes | memoryview, int], int]
"""CRC32C of a buffer, continuing from a previous value (0 to start)."""


@dataclass(frozen=True, slots=True)
class Header:
    """The constant part of a block file."""

    file_id: bytes
    block: int
    valid_bytes: int
    generation: int

    @property
    def pages(self) -> int:
        return page_count(self.valid_bytes)

    @property
    def full_map(self) -> int:
        """The page map of a block that is completely filled."""
        return page_mask(0, self.pages)

    @property
    def file_bytes(self) -> int:
        """Apparent size of the block file from its creation on."""
        return DATA_OFFSET + self.valid_bytes

    def pack(self, crc: Crc) -> bytes:
        """The first HEADER_BYTES of a new block file: nothing present."""
        fixed = bytearray(
            _FIXED.pack(
                MAGIC, FORMAT, PAGE_BYTES, BLOCK_BYTES, DATA_OFFSET, self.file_id, self.block,
                self.valid_bytes, self.generation,
            )
        )  # fmt: skip
        fixed += _U32.pack(crc(bytes(fixed), 0))
        return bytes(fixed) + bytes(HEADER_BYTES - len(fixed))

    @staticmethod
    def parse(data: bytes, crc: Crc) -> tuple[Header, int, memoryview]:
        """(header, page map, page CRCs as 256 u32) of a block file's first READ_BYTES.

        Raises UnknownFormat for another format version, Corrupt for anything else that is wrong.
        Bits of the map beyond the last page are ignored.
        """
        if len(data) < READ_BYTES or data[:8] != MAGIC:
            raise Corrupt("not a block file", cause="short or wrong magic")
        if _U32.unpack_from(data, 8)[0] not in READABLE:
            raise UnknownFormat("block file of another format version")
        if _U32.unpack_from(data, CRC_AT)[0] != crc(data[:CRC_AT], 0):
            raise Corrupt("block header fails its checksum")
        _, _, page, block_bytes, at, fid, block, valid, generation = _FIXED.unpack_from(data)
        if (page, block_bytes, at) != (PAGE_BYTES, BLOCK_BYTES, DATA_OFFSET):
            raise UnknownFormat("block file with other unit sizes")
        if not 0 < valid <= BLOCK_BYTES:
            raise Corrupt("block header is out of range", cause=f"valid bytes {valid}")
        header = Header(fid, block, valid, generation)
        bits = int.from_bytes(data[MAP_AT : MAP_AT + MAP_BYTES], "little") & header.full_map
        crcs = memoryview(data)[PAGE_CRCS_AT : PAGE_CRCS_AT + 4 * PAGES_PER_BLOCK].cast("I")
        return header, bits, crcs


def page_crc(crc: Crc, file_id: bytes, block: int, page: int, data: bytes | memoryview) -> int:
    """The seeded CRC32C of one page's valid bytes."""
    return crc(data, crc(_SEED.pack(file_id, block, page), 0))


def page_offset(page: int) -> int:
    """Where page ``page`` begins in the block file."""
    return DATA_OFFSET + page * PAGE_BYTES
