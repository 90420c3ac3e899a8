"""A Fill that is not answered yet, and the bytes that its reply may carry."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from millpond.model.sizes import PAGE_BYTES, PAGES_PER_BLOCK, page_mask
from millpond.server.core.pages import PageMap, page_map, pages_of, remove

if TYPE_CHECKING:
    from millpond.server.calls import Call
    from millpond.server.prepare import Located
    from millpond.store import BlockWriter
    from millpond.wire import millpond_pb2 as wire


@dataclass(slots=True, eq=False)
class Pending:
    """One Fill. ``key`` is its number in the core; ``writers`` keep its blocks open.

    ``content`` collects the bytes of an inline reply as they come; ``lacking`` are the pages that
    it has not got from memory.
    """

    key: int
    call: Call
    request: wire.FillRequest
    ranges: list[tuple[int, int]]
    inline: bool
    located: Located | None = None
    writers: list[BlockWriter] = field(default_factory=list)
    demand: PageMap = field(default_factory=dict)
    window_present: PageMap = field(default_factory=dict)
    content: bytearray = field(default_factory=bytearray)
    lacking: PageMap = field(default_factory=dict)
    again: bool = False
    missed: bool = False

    @property
    def total(self) -> int:
        """Bytes asked for."""
        return sum(end - start for start, end in self.ranges)

    def begin(self) -> PageMap:
        """Note the demand; what is present of it, by the open blocks."""
        self.demand = page_map(pages_of(start, end) for start, end in self.ranges)
        if self.inline:
            self.content = bytearray(self.total)
            self.lacking = dict(self.demand)
        return dict.fromkeys(self.demand, 0) | {w.block: w.present for w in self.writers}

    def missing_bytes(self, present: PageMap) -> int:
        """Bytes asked for that are absent, in whole pages but no more than were asked for."""
        pages = sum((bits & ~present[block]).bit_count() for block, bits in self.demand.items())
        return min(self.total, pages * PAGE_BYTES)

    def take(self, block: int, first: int, last: int, data: bytes) -> None:
        """Pages [first, last) of a block came by: keep what the reply will carry of them."""
        bits = page_mask(first, last)
        if not self.lacking.get(block, 0) & bits:
            return
        start = (block * PAGES_PER_BLOCK + first) * PAGE_BYTES
        end = start + len(data)
        at = 0
        for low, high in self.ranges:
            begin, stop = max(low, start), min(high, end)
            if begin < stop:
                to = at + begin - low
                self.content[to : to + stop - begin] = data[begin - start : stop - start]
            at += high - low
        remove(self.lacking, block, bits)

    def lost(self) -> PageMap:
        """Demanded pages that no reader can find: absent, or in a block that was unlinked."""
        lost = {
            w.block: self.demand.get(w.block, 0) & ~(w.present if w.linked else 0)
            for w in self.writers
        }
        return {block: bits for block, bits in lost.items() if bits}

    def blocks(self) -> list[tuple[int, int]]:
        """(block, generation) of the open blocks."""
        return [(w.block, w.generation) for w in self.writers]
