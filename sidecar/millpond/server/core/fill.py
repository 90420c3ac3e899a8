"""The fill of one file: which pages are present, in flight and wanted, and what to fetch next.

A *waiter* is a request that has not been answered: it demands pages. A *window* is what a stream
will want soon; nobody waits for it. A *fetch* is one ranged read of the store inside one block; a
page is in at most one fetch. ``schedule.FillScheduler`` owns these objects and decides whose turn
it is.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

from millpond.model.sizes import KIB, MIB, PAGE_BYTES, PAGES_PER_BLOCK, page_mask, runs
from millpond.server.core.pages import (
    PageMap,
    by_block,
    first_page,
    lowest,
    page_map,
    pages_of,
    remove,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from millpond.errors import MillpondError

GAP_PAGES = 256 * KIB // PAGE_BYTES
"""Unwanted pages between two wanted ones that are fetched rather than a second request made.

At 100 MB/s a connection 256 KiB take 2.6 ms, a request of its own 5 to 40 ms.
"""
SPREAD_PAGES = 2 * MIB // PAGE_BYTES
"""A range is not cut smaller than this to have more of them: each costs a request."""
WHOLE_FILE_BYTES = MIB
"""Files up to this are fetched whole at the first miss."""
COALESCED_WAITERS = 64
"""Queued requests that are looked at for neighbours of the page to fetch."""
STREAMS_PER_OWNER = 4
"""Unnamed streams of one connection in one file that keep their windows."""

Owner = int
"""The connection that a request or window belongs to."""


@dataclass(frozen=True, slots=True)
class FileSpec:
    """What a fill knows of a file version."""

    file_id: bytes
    length: int

    @property
    def pages(self) -> int:
        return -(-self.length // PAGE_BYTES)


@dataclass(slots=True)
class Waiter:
    """An unanswered request for byte ranges. ``missing``: demanded pages that it lacks so far.

    ``told`` is the last ``ready`` that its client heard, ``began`` that it heard of any growth.
    ``range_pages`` bounds the fetches for it.
    """

    request: int
    owner: Owner
    ranges: list[tuple[int, int]]
    inline: bool
    missing: PageMap
    range_pages: int = PAGES_PER_BLOCK
    ready: int = 0
    told: int = 0
    began: bool = False
    _range: int = 0
    _at: int = 0

    def spread(self, connections: int) -> None:
        """Nothing will follow what it asks for: have all connections bring a part of it."""
        pages = sum(bits.bit_count() for bits in self.missing.values())
        self.range_pages = max(SPREAD_PAGES, -(-pages // connections))

    def advance(self) -> int:
        """``ready``, brought up to date: bytes of the ranges, in order, before the first gap."""
        while self._range < len(self.ranges):
            start, end = self.ranges[self._range]
            at = max(self._at, start)
            first, last = pages_of(at, end)
            stop = min(end, first_page(self.missing, first, last) * PAGE_BYTES)
            if stop > at:
                self.ready += stop - at
                self._at = at = stop
            if at < end:
                break
            self._range += 1
            self._at = 0
        return self.ready


@dataclass(frozen=True, slots=True)
class Window:
    """Pages [first, last) that a stream will want; ``since`` is where its demand began.

    ``request`` is the one that it came with: while its first page has not come, the window waits.
    """

    since: int
    first: int
    last: int
    request: int


@dataclass(slots=True)
class FetchState:
    """A ranged read of pages [first, last) of a block. ``left``: those that have not arrived."""

    fetch: int
    block: int
    first: int
    last: int
    left: int
    read_ahead: bool
    cancelled: bool = False

    @property
    def left_bytes(self) -> int:
        """An upper bound: the last page of a file may be short."""
        return self.left.bit_count() * PAGE_BYTES

    @property
    def begun(self) -> bool:
        """Whether any of it has come."""
        return self.left.bit_count() < self.last - self.first


@dataclass(slots=True)
class FileFill:
    """The pages of one file version that are wanted by anyone now."""

    file: FileSpec
    present: PageMap = field(default_factory=dict)
    flying: PageMap = field(default_factory=dict)
    waiters: dict[int, Waiter] = field(default_factory=dict)
    windows: dict[tuple[Owner, int], Window] = field(default_factory=dict)
    fetches: dict[int, FetchState] = field(default_factory=dict)
    dead: MillpondError | None = None
    _unclaimed: deque[Waiter] = field(default_factory=deque)
    _unnamed: int = 0

    @property
    def idle(self) -> bool:
        return not (self.waiters or self.fetches or self.windows)

    # -- wants -------------------------------------------------------------------------------

    def wait(self, waiter: Waiter, present: Mapping[int, int]) -> bool:
        """Add a waiter; ``present`` is the truth about its blocks now. False: it lacks nothing."""
        for block, bits in present.items():
            self.present[block] = bits
        wanted = page_map(pages_of(start, end) for start, end in waiter.ranges)
        for block, bits in wanted.items():
            missing = bits & ~self.present.get(block, 0)
            if missing:
                waiter.missing[block] = missing
        waiter.advance()
        waiter.told = waiter.ready
        if not waiter.missing:
            return False
        self.waiters[waiter.request] = waiter
        self._unclaimed.append(waiter)
        return True

    def watch(
        self, owner: Owner, stream: int, since: int, first: int, last: int, request: int = 0
    ) -> None:
        """Replace the window of a stream by the pages [first, last); an empty one ends it.

        An unnamed stream (0) continues the one of its owner whose pages it begins in.
        """
        key = (owner, stream) if stream else self._continued(owner, since)
        self.windows.pop(key, None)
        if first < last:
            self.windows[key] = Window(since, first, last, request)
            self._prune_windows()

    def _continued(self, owner: Owner, page: int) -> tuple[Owner, int]:
        mine = [key for key in self.windows if key[0] == owner and key[1] < 0]
        for key in mine:
            if self.windows[key].since <= page <= self.windows[key].last:
                return key
        if len(mine) >= STREAMS_PER_OWNER:
            del self.windows[mine[0]]
        self._unnamed -= 1
        return owner, self._unnamed

    def leave(self, owner: Owner) -> list[Waiter]:
        """A connection is gone: nobody waits for its requests and windows. Its waiters."""
        left = [w for w in self.waiters.values() if w.owner == owner]
        for waiter in left:
            self.drop(waiter.request)
        for key in [key for key in self.windows if key[0] == owner]:
            del self.windows[key]
        return left

    def drop(self, request: int) -> Waiter | None:
        """Take a waiter out: answered, failed, or gone."""
        waiter = self.waiters.pop(request, None)
        if waiter is not None and waiter.missing:
            waiter.missing = {}  # the queue of claims may still hold it
        return waiter

    def wanted(self, block: int, bits: int) -> bool:
        """Whether a waiter or window wants any of these pages."""
        if any(w.missing.get(block, 0) & bits for w in self.waiters.values()):
            return True
        return any(self._window_bits(w, block) & bits for w in self.windows.values())

    @staticmethod
    def _window_bits(window: Window, block: int) -> int:
        first = max(window.first - block * PAGES_PER_BLOCK, 0)
        last = min(window.last - block * PAGES_PER_BLOCK, PAGES_PER_BLOCK)
        return page_mask(first, last) if first < last else 0

    # -- claims ------------------------------------------------------------------------------

    def claim_demand(self, fetch: int, range_pages: int, room_pages: int) -> FetchState | None:
        """Begin a fetch of what a waiter lacks and no fetch brings; None: there is nothing now.

        Of a long run the first range goes out alone, for a reader waits for its first page; the
        others follow when that has come. Runs apart from each other do not wait for each other.
        """
        held = []
        found = None
        while self._unclaimed and found is None:
            waiter = self._unclaimed[0]
            found, holds = self._next_need(waiter)
            if found is None:
                self._unclaimed.popleft()
                if holds:
                    held.append(waiter)
        state = None
        if found is not None:
            block, page = found
            range_pages = min(range_pages, waiter.range_pages)
            first, last = self._run(block, page, range_pages, room_pages)
            state = self._begin(fetch, block, first, last, ahead=False)
        self._unclaimed.extendleft(reversed(held))
        return state

    def _next_need(self, waiter: Waiter) -> tuple[tuple[int, int] | None, bool]:
        """The first (block, page) to fetch for a waiter, and whether later ones are held back."""
        holds = False
        run_end = -1
        open_run = True
        for block in sorted(waiter.missing):
            flying = self.flying.get(block, 0)
            base = block * PAGES_PER_BLOCK
            for first, last in runs(waiter.missing[block]):
                if base + first != run_end:
                    open_run = not flying >> first & 1 or self._begun(block, first)
                run_end = base + last
                need = page_mask(first, last) & ~flying
                if need and open_run:
                    return (block, lowest(need)), holds
                holds |= bool(need)
        return None, holds

    def _begun(self, block: int, page: int) -> bool:
        """Whether the fetch that brings this page has brought any."""
        return any(
            state.begun
            for state in self.fetches.values()
            if state.block == block and state.left >> page & 1
        )

    def _holds_window(self, request: int) -> bool:
        """Whether the request still waits for the first page of a fetch."""
        waiter = self.waiters.get(request)
        if waiter is None or not waiter.missing:
            return False
        block = min(waiter.missing)
        return not self._begun(block, lowest(waiter.missing[block]))

    def claim_window(self, fetch: int, range_pages: int, room_pages: int) -> FetchState | None:
        """Begin a fetch of what a window lacks; windows take turns. None: there is nothing now."""
        for key, window in list(self.windows.items()):
            if self._holds_window(window.request):
                continue
            for block, bits in by_block(window.first, window.last):
                need = bits & ~self.present.get(block, 0) & ~self.flying.get(block, 0)
                if need:
                    self.windows[key] = self.windows.pop(key)
                    first, last = self._run(block, lowest(need), range_pages, room_pages)
                    return self._begin(fetch, block, first, last, ahead=True)
        return None

    def _begin(self, fetch: int, block: int, first: int, last: int, *, ahead: bool) -> FetchState:
        bits = page_mask(first, last)
        self.flying[block] = self.flying.get(block, 0) | bits
        state = FetchState(fetch, block, first, last, bits, ahead)
        self.fetches[fetch] = state
        return state

    def _run(self, block: int, page: int, range_pages: int, room_pages: int) -> tuple[int, int]:
        """The wanted and absent pages at ``page``, over short gaps, as one range of the block.

        It ends at a multiple of the range size, so that the ranges of several readers line up.
        """
        absent = ~(self.present.get(block, 0) | self.flying.get(block, 0))
        want = 0
        for waiter in islice(self._unclaimed, COALESCED_WAITERS):
            want |= waiter.missing.get(block, 0)
        for window in self.windows.values():
            want |= self._window_bits(window, block)
        first = last = -1
        for start, stop in runs(want & absent):
            gap = page_mask(last, start) if start > last >= 0 else 0
            if last >= 0 and start <= last + GAP_PAGES and gap & absent == gap:
                last = stop
            elif last > page:
                break
            else:
                first, last = start, stop
        if self.file.length > WHOLE_FILE_BYTES or last - first > min(range_pages, room_pages):
            first = page
        last = min(last, (page // range_pages + 1) * range_pages, first + room_pages)
        return first, (want & absent & page_mask(first, last)).bit_length()

    # -- what happened -----------------------------------------------------------------------

    def arrived(self, fetch: int, first: int, last: int, *, stored: bool) -> list[Waiter]:
        """Pages [first, last) of the fetch's block came; the waiters that gained by it.

        ``stored=False``: they are in memory only, which serves inline waiters and nobody else.
        """
        state = self.fetches[fetch]
        bits = page_mask(first, last) & state.left
        state.left &= ~bits
        remove(self.flying, state.block, bits)
        if stored:
            self.present[state.block] = self.present.get(state.block, 0) | bits
        gained = []
        for waiter in self.waiters.values():
            if waiter.missing.get(state.block, 0) & bits and (stored or waiter.inline):
                remove(waiter.missing, state.block, bits)
                waiter.advance()
                gained.append(waiter)
        return gained

    def ended(self, fetch: int) -> FetchState:
        """The fetch is over; what did not arrive is absent again, and claimable if wanted."""
        state = self.fetches.pop(fetch)
        remove(self.flying, state.block, state.left)
        self._prune_windows()
        if state.left:
            queued = {id(w) for w in self._unclaimed}
            for waiter in self.waiters.values():
                if waiter.missing.get(state.block, 0) & state.left and id(waiter) not in queued:
                    self._unclaimed.append(waiter)
        return state

    def give_up(self, block: int, bits: int) -> list[Waiter]:
        """These pages can't be had: take out the waiters that lack one, and shorten windows."""
        lost = [w for w in self.waiters.values() if w.missing.get(block, 0) & bits]
        for waiter in lost:
            self.drop(waiter.request)
        page = block * PAGES_PER_BLOCK + lowest(bits)
        for key, window in list(self.windows.items()):
            if self._window_bits(window, block) & bits:
                if window.first < page:
                    self.windows[key] = replace(window, last=page)
                else:
                    del self.windows[key]
        self._prune_windows()
        return lost

    def absent(self, block: int, bits: int) -> None:
        """Pages believed present are not: their block was evicted or replaced.

        Read-ahead that is evicted before it was read is not fetched a second time.
        """
        remove(self.present, block, bits)
        for key, window in list(self.windows.items()):
            if self._window_bits(window, block) & bits:
                del self.windows[key]

    def _prune_windows(self) -> None:
        """Forget windows that have come true."""
        for key, window in list(self.windows.items()):
            if all(
                bits & ~self.present.get(block, 0) == 0
                for block, bits in by_block(window.first, window.last)
            ):
                del self.windows[key]
