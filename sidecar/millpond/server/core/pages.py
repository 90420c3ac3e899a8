"""Sets of a file's pages, as one bit map per block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millpond.model.sizes import PAGE_BYTES, PAGES_PER_BLOCK, page_mask

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PageMap = dict[int, int]
"""Block number → bits of its pages; no block maps to 0."""


def by_block(first: int, last: int) -> Iterator[tuple[int, int]]:
    """The run of file pages [first, last) as (block, bits)."""
    while first < last:
        block, start = divmod(first, PAGES_PER_BLOCK)
        stop = min(PAGES_PER_BLOCK, start + last - first)
        yield block, page_mask(start, stop)
        first += stop - start


def pages_of(start: int, end: int) -> tuple[int, int]:
    """The pages [first, last) that hold the bytes [start, end)."""
    return start // PAGE_BYTES, -(-end // PAGE_BYTES)


def page_map(runs: Iterable[tuple[int, int]]) -> PageMap:
    """The union of runs of file pages."""
    pages: PageMap = {}
    for first, last in runs:
        for block, bits in by_block(first, last):
            pages[block] = pages.get(block, 0) | bits
    return pages


def remove(pages: PageMap, block: int, bits: int) -> None:
    """Take ``bits`` of ``block`` out of ``pages``."""
    left = pages.get(block, 0) & ~bits
    if left:
        pages[block] = left
    else:
        pages.pop(block, None)


def first_page(pages: PageMap, first: int, last: int) -> int:
    """The lowest page of the set in [first, last), or ``last``."""
    for block, bits in by_block(first, last):
        found = pages.get(block, 0) & bits
        if found:
            return block * PAGES_PER_BLOCK + lowest(found)
    return last


def lowest(bits: int) -> int:
    """The number of the lowest set bit of a map that is not empty."""
    return (bits & -bits).bit_length() - 1
