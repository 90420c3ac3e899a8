"""Random requests, arrivals, failures and closings against a plain model of what is owed."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from millpond.errors import FileChanged, MillpondError, StoreUnavailable
from millpond.model.sizes import KIB, MIB, PAGE_BYTES, PAGES_PER_BLOCK, page_mask, runs
from millpond.server.core import schedule as sched
from millpond.server.core.fill import GAP_PAGES, WHOLE_FILE_BYTES, FileSpec
from millpond.server.core.pages import lowest, page_map, pages_of

if TYPE_CHECKING:
    from collections.abc import Iterable

LIMITS = sched.Limits(
    connections=5, connections_per_file=3, range_bytes=2 * MIB, memory_bytes=6 * MIB
)
FILES = [
    FileSpec(b"a" * 16, 40 * MIB + 1),
    FileSpec(b"b" * 16, 17 * MIB),
    FileSpec(b"c" * 16, 300 * KIB + 7),
    FileSpec(b"d" * 16, 3),
]


def bits(first: int, last: int) -> int:
    return page_mask(first, last) if first < last else 0


def union(maps: Iterable[int]) -> int:
    return reduce(or_, maps, 0)


class Owed:
    """A request that was not answered yet, as the test sees it."""

    def __init__(
        self, owner: int, file: FileSpec, ranges: list[tuple[int, int]], *, inline: bool
    ) -> None:
        self.owner, self.file, self.ranges, self.inline = owner, file, ranges, inline
        self.pages = union(bits(*pages_of(a, b)) for a, b in ranges)
        self.in_memory = 0
        self.told = 0


class Flight:
    """A fetch in flight: its pages, how far it came, whether it may end early."""

    def __init__(self, made: sched.Fetch) -> None:
        self.made = made
        self.at = made.first
        self.cancelled = False

    def page(self, p: int) -> int:
        return self.made.block * PAGES_PER_BLOCK + p

    @property
    def left(self) -> int:
        return bits(self.page(self.at), self.page(self.made.last))


class Fills(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.core = sched.FillScheduler(LIMITS)
        self.present: dict[bytes, int] = {f.file_id: 0 for f in FILES}
        self.owed: dict[int, Owed] = {}
        self.windows: dict[tuple[bytes, int, int], int] = {}
        self.came_with: dict[tuple[bytes, int, int], int] = {}
        self.flights: dict[int, Flight] = {}
        self.requests = 0

    # -- what the core says ------------------------------------------------------------------

    def obey(self, instructions: list[sched.Instruction]) -> None:
        for i in instructions:
            match i:
                case sched.Fetch():
                    self.begin(i)
                case sched.Cancel(fetch):
                    assert not self.flights[fetch].cancelled
                    self.flights[fetch].cancelled = True
                case sched.Keep(fetch):
                    assert self.flights[fetch].cancelled
                    self.flights[fetch].cancelled = False
                case sched.Progress(request, ready):
                    owed = self.owed[request]
                    assert owed.told < ready <= self.ready(owed)
                    owed.told = ready
                case sched.Done(request):
                    owed = self.owed.pop(request)
                    assert not owed.pages & ~self.has(owed)
                case sched.Direct(request, reason):
                    assert reason == "full_disk"
                    assert not self.owed.pop(request).inline
                case sched.Fail(request, _):
                    del self.owed[request]

    def begin(self, fetch: sched.Fetch) -> None:
        flight = Flight(fetch)
        pages = flight.left
        fid = fetch.file.file_id
        assert pages
        assert pages.bit_length() <= fetch.file.pages
        assert not pages & self.in_flight(fid), "fetched twice"
        assert not pages & self.present[fid], "fetched though present"
        wanted = self.wanted(fid)
        assert lowest(pages) == lowest(pages & wanted)
        assert pages.bit_length() == (pages & wanted).bit_length()
        for first, last in runs(pages & ~wanted):
            assert last - first <= GAP_PAGES, "fetched though nobody wants it"
        assert pages.bit_count() * PAGE_BYTES <= LIMITS.range_bytes
        whole = fetch.file.length <= WHOLE_FILE_BYTES
        reason = pages if whole else pages & -pages
        assert reason & self.free_to_begin(fetch.file), "before the page waited for"
        self.flights[fetch.fetch] = flight

    def free_to_begin(self, file: FileSpec) -> int:
        """Wanted pages that no reader's own first page must come before."""
        fid = file.file_id
        free = 0
        for owed in self.owed.values():
            if owed.file is file:
                for first, last in runs(owed.pages & ~self.has(owed)):
                    free |= 0 if self.unbegun(fid) >> first & 1 else bits(first, last)
        for key, window in self.windows.items():
            waits = self.owed.get(self.came_with[key])
            lacks = waits.pages & ~self.has(waits) if waits else 0
            if key[0] == fid and not (lacks and self.held_by(fid, lowest(lacks))):
                free |= window
        return free

    def unbegun(self, fid: bytes) -> int:
        """Pages of this file in flights that have brought nothing."""
        return union(
            f.left
            for f in self.flights.values()
            if f.made.file.file_id == fid and f.at == f.made.first
        )

    def held_by(self, fid: bytes, page: int) -> bool:
        """Whether the first page that a reader waits for has neither come nor begun to."""
        return bool(self.unbegun(fid) >> page & 1) or not self.in_flight(fid) >> page & 1

    def has(self, owed: Owed) -> int:
        return self.present[owed.file.file_id] | owed.in_memory

    def ready(self, owed: Owed) -> int:
        ready, has = 0, self.has(owed)
        for start, end in owed.ranges:
            at = start
            while at < end and has >> at // PAGE_BYTES & 1:
                step = min(end, (at // PAGE_BYTES + 1) * PAGE_BYTES)
                ready, at = ready + step - at, step
            if at < end:
                break
        return ready

    def in_flight(self, fid: bytes) -> int:
        return union(f.left for f in self.flights.values() if f.made.file.file_id == fid)

    def wanted(self, fid: bytes) -> int:
        demand = (o.pages & ~self.has(o) for o in self.owed.values() if o.file.file_id == fid)
        return union(demand) | union(w for key, w in self.windows.items() if key[0] == fid)

    # -- what happens ------------------------------------------------------------------------

    @rule(
        file=st.sampled_from(FILES), owner=st.integers(1, 3), stream=st.integers(0, 2),
        at=st.lists(st.floats(0, 0.999), min_size=1, max_size=4),
        size=st.sampled_from([1, 10 * KIB, 200 * KIB, 3 * MIB, 20 * MIB]),
        window=st.sampled_from([0, 0, 1, 5 * MIB, 64 * MIB]), inline=st.booleans(),
    )  # fmt: skip
    def request(
        self, file: FileSpec, owner: int, stream: int, at: list[float], size: int, window: int,
        inline: bool,
    ) -> None:  # fmt: skip
        ranges = []
        for share in at:
            start = int(share * file.length)
            ranges.append((start, min(file.length, start + size)))
        self.requests += 1
        owed = self.owed[self.requests] = Owed(owner, file, ranges, inline=inline)
        key = (file.file_id, owner, stream or -self.requests)
        if file.length <= WHOLE_FILE_BYTES:
            if owed.pages & ~self.present[file.file_id]:
                self.windows[key] = bits(0, file.pages)
        elif window or stream:
            first = pages_of(*ranges[-1])[1]
            last = min(file.pages, first - (-window // PAGE_BYTES))
            self.windows[key] = bits(first, last)
        if key in self.windows:
            self.came_with[key] = self.requests
        said = self.core.request(
            self.requests, owner, file, ranges, window=window, stream=stream, inline=inline,
            present=self.maps(file, page_map(pages_of(a, b) for a, b in ranges)),
            window_present=self.maps(file, range(3)),
        )  # fmt: skip
        if any(isinstance(i, sched.Fail) for i in said):
            self.windows.pop(key, None)
        self.obey(said)

    def maps(self, file: FileSpec, blocks: Iterable[int]) -> dict[int, int]:
        present = self.present[file.file_id]
        return {b: present >> b * PAGES_PER_BLOCK & page_mask(0, PAGES_PER_BLOCK) for b in blocks}

    def some_flight(self, data: st.DataObject) -> tuple[int, Flight]:
        return data.draw(st.sampled_from(sorted(self.flights.items(), key=lambda f: f[0])))

    @precondition(lambda self: self.flights)
    @rule(data=st.data(), share=st.floats(0.01, 1), stored=st.sampled_from([True] * 7 + [False]))
    def arrive(self, data: st.DataObject, share: float, stored: bool) -> None:
        number, flight = self.some_flight(data)
        self.bring(number, flight, share, stored=stored)

    def bring(self, number: int, flight: Flight, share: float, *, stored: bool) -> None:
        made = flight.made
        first, flight.at = flight.at, flight.at + max(1, int((made.last - flight.at) * share))
        pages = bits(flight.page(first), flight.page(flight.at))
        fid = made.file.file_id
        if stored:
            self.present[fid] |= pages
        else:
            for key in [key for key in self.windows if key[0] == fid]:
                del self.windows[key]
            for owed in self.owed.values():
                if owed.inline and owed.file.file_id == fid:
                    owed.in_memory |= pages & owed.pages
        done = flight.at == made.last
        self.obey(self.core.arrived(number, first, flight.at, stored=stored))
        if done:
            del self.flights[number]
            self.obey(self.core.ended(number))

    @precondition(lambda self: self.flights)
    @rule(data=st.data(), fatal=st.booleans())
    def fail(self, data: st.DataObject, fatal: bool) -> None:
        number, flight = self.some_flight(data)
        del self.flights[number]
        fid, left = flight.made.file.file_id, flight.left
        for key in [k for k in self.windows if k[0] == fid]:
            if fatal or self.windows[key] & left:
                self.windows[key] &= 0 if fatal else bits(0, lowest(left))
        hit = {
            r
            for r, o in self.owed.items()
            if o.file.file_id == fid and (fatal or o.pages & ~self.has(o) & left)
        }
        error: MillpondError = FileChanged("x") if fatal else StoreUnavailable("x")
        said = self.core.ended(number, error, fatal=fatal)
        assert {i.request for i in said if isinstance(i, sched.Fail)} == hit
        self.obey(said)

    @precondition(lambda self: any(f.cancelled for f in self.flights.values()))
    @rule(data=st.data())
    def stop_cancelled(self, data: st.DataObject) -> None:
        number = data.draw(
            st.sampled_from(sorted(n for n, f in self.flights.items() if f.cancelled))
        )
        del self.flights[number]
        self.obey(self.core.ended(number))

    @rule(owner=st.integers(1, 3))
    def close(self, owner: int) -> None:
        self.owed = {r: o for r, o in self.owed.items() if o.owner != owner}
        self.windows = {k: w for k, w in self.windows.items() if k[1] != owner}
        self.obey(self.core.closed(owner))

    @precondition(lambda self: self.owed)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(sorted(self.owed)))
        del self.owed[request]
        self.obey(self.core.drop(request))

    @rule(file=st.sampled_from(FILES), block=st.integers(0, 2))
    def evict(self, file: FileSpec, block: int) -> None:
        run = bits(block * PAGES_PER_BLOCK, (block + 1) * PAGES_PER_BLOCK)
        if not any(o.pages & run for o in self.owed.values()):
            self.present[file.file_id] &= ~run
            for key in [k for k, w in self.windows.items() if k[0] == file.file_id and w & run]:
                del self.windows[key]
            self.obey(self.core.absent(file.file_id, block, (1 << PAGES_PER_BLOCK) - 1))

    # -- what always holds -------------------------------------------------------------------

    @invariant()
    def bounded(self) -> None:
        left = sum(f.left.bit_count() for f in self.flights.values()) * PAGE_BYTES
        assert self.core.flying_bytes == left <= LIMITS.memory_bytes
        assert self.core.active == len(self.flights) <= LIMITS.connections
        for file in FILES:
            own = [f for f in self.flights.values() if f.made.file is file]
            assert len(own) <= LIMITS.connections_per_file

    @invariant()
    def someone_works_for_every_request(self) -> None:
        if self.owed and not any(not f.cancelled for f in self.flights.values()):
            assert any(f.cancelled for f in self.flights.values())

    @invariant()
    def nobody_waits_for_a_page_that_could_be_fetched(self) -> None:
        """The head of every run, and what may follow it, is under way, or all is busy."""
        left = sum(f.left.bit_count() for f in self.flights.values()) * PAGE_BYTES
        if len(self.flights) == LIMITS.connections or left > LIMITS.memory_bytes - MIB:
            return
        for file in FILES:
            own = [f for f in self.flights.values() if f.made.file is file]
            if len(own) == LIMITS.connections_per_file:
                continue
            flying, unbegun = self.in_flight(file.file_id), self.unbegun(file.file_id)
            for owed in self.owed.values():
                if owed.file is file:
                    for first, last in runs(owed.pages & ~self.has(owed)):
                        follows = not unbegun >> first & 1
                        due = bits(first, last) if follows else bits(first, first + 1)
                        assert not due & ~flying

    @invariant()
    def unwanted_fetches_are_cancelled(self) -> None:
        for flight in self.flights.values():
            unwanted = not flight.left & self.wanted(flight.made.file.file_id)
            if flight.cancelled:
                assert unwanted

    def teardown(self) -> None:
        """Everything in flight arrives: everyone is answered, and nothing is remembered."""
        while self.flights:
            number, flight = next(iter(self.flights.items()))
            self.bring(number, flight, 1.0, stored=True)
        assert not self.owed
        assert not self.core.files
        assert self.core.flying_bytes == self.core.active == self.core.active_ahead == 0


Fills.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
TestFills = Fills.TestCase
