"""The units of the cache, in bytes, and the arithmetic between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30

PAGE_BYTES = 64 * KIB  # unit of fill and of checksum
BLOCK_BYTES = 16 * MIB  # one file on disk
SECTION_BYTES = 128 * MIB  # unit of placement, the "block size" shown to engines
PAGES_PER_BLOCK = BLOCK_BYTES // PAGE_BYTES  # 256
INLINE_FILE_BYTES = 64 * KIB  # files up to this live whole inside their meta
INLINE_REPLY_BYTES = MIB  # results up to this travel inside the reply


def block_count(length: int) -> int:
    """Blocks of a file of ``length`` bytes."""
    return -(-length // BLOCK_BYTES)


def block_valid_bytes(length: int, block: int) -> int:
    """Bytes of the file that fall into ``block``: BLOCK_BYTES but for the last block."""
    return max(0, min(BLOCK_BYTES, length - block * BLOCK_BYTES))


def page_count(valid_bytes: int) -> int:
    """Pages of a block with ``valid_bytes``; the last may be short."""
    return -(-valid_bytes // PAGE_BYTES)


def page_valid_bytes(valid_bytes: int, page: int) -> int:
    """Bytes of page ``page`` in a block with ``valid_bytes``."""
    return max(0, min(PAGE_BYTES, valid_bytes - page * PAGE_BYTES))


def page_mask(first: int, last: int) -> int:
    """A page map with the bits [first, last) set."""
    return ((1 << (last - first)) - 1) << first


def runs(page_map: int) -> Iterator[tuple[int, int]]:
    """The runs of set bits as [first, last) pairs, ascending."""
    at = 0
    while page_map:
        skip = (page_map & -page_map).bit_length() - 1
        page_map >>= skip
        at += skip
        count = (~page_map & (page_map + 1)).bit_length() - 1
        yield at, at + count
        page_map >>= count
        at += count


def coalesce(ranges: Iterable[tuple[int, int]], gap: int = 0) -> list[tuple[int, int]]:
    """[start, end) ranges sorted and merged where they overlap or lie ≤ ``gap`` bytes apart."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if start >= end:
            continue
        if merged and start <= merged[-1][1] + gap:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged
