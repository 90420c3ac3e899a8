"""Whose turn it is: single flight over all files, within connections and memory.

Events come in as method calls, instructions go out as values; the shell performs them and reports
back. Every page fetched belongs to exactly one fetch, every request is answered exactly once.
Demand goes before read-ahead, and read-ahead leaves a quarter of connections and memory free, so
that a reader who waits is never behind one who does not. Files take turns, range by range. The
range with the page that is waited for goes out alone: its own later ranges and its window follow
when it has begun to come, for they would take processor time and connections from it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millpond.model.sizes import MIB, PAGE_BYTES, PAGES_PER_BLOCK
from millpond.server.core.fill import WHOLE_FILE_BYTES, FileFill, FileSpec, Waiter
from millpond.server.core.pages import pages_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from millpond.errors import MillpondError
    from millpond.server.core.fill import FetchState, Owner

PROGRESS_BYTES = MIB
"""Growth of ``ready`` that is told at once; the first is told however small."""
KEEP_BYTES = 512 * 1024
"""A fetch nobody wants that has no more than this to come is let finish: its connection lives."""
MIN_ROOM_PAGES = MIB // PAGE_BYTES
"""Long fetches wait for this much memory rather than go in crumbs."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what is in flight."""

    connections: int = 16
    connections_per_file: int = 8
    range_bytes: int = 8 * MIB
    memory_bytes: int = 64 * MIB


@dataclass(frozen=True, slots=True)
class Fetch:
    """Read pages [first, last) of a block from the store."""

    fetch: int
    file: FileSpec
    block: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nobody wants the rest of a fetch: end it soon, and say so."""

    fetch: int


@dataclass(frozen=True, slots=True)
class Keep:
    """A cancelled fetch is wanted again; if it has ended by now, say so as usual."""

    fetch: int


@dataclass(frozen=True, slots=True)
class Progress:
    """``ready`` bytes of a request are there."""

    request: int
    ready: int


@dataclass(frozen=True, slots=True)
class Done:
    """All of a request is there."""

    request: int


@dataclass(frozen=True, slots=True)
class Direct:
    """The request is served by reading the store."""

    request: int
    reason: str


@dataclass(frozen=True, slots=True)
class Fail:
    """The request ends with an error."""

    request: int
    error: MillpondError


Instruction = Fetch | Cancel | Keep | Progress | Done | Direct | Fail


class FillScheduler:
    """All fills of a sidecar."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        """May be replaced at any time: it holds for what begins from then on."""
        self.files: dict[bytes, FileFill] = {}
        self._of_request: dict[int, FileFill] = {}
        self._of_fetch: dict[int, FileFill] = {}
        self._demand: OrderedDict[bytes, FileFill] = OrderedDict()
        self._ahead: OrderedDict[bytes, FileFill] = OrderedDict()
        self._next_fetch = 0
        self.active = 0
        self.active_ahead = 0
        self.flying_bytes = 0

    # -- events ------------------------------------------------------------------------------

    def request(
        self,
        request: int,
        owner: Owner,
        file: FileSpec,
        ranges: Iterable[tuple[int, int]],
        *,
        present: Mapping[int, int],
        window: int = 0,
        window_present: Mapping[int, int] | None = None,
        stream: int = 0,
        inline: bool = False,
    ) -> list[Instruction]:
        """A client asks for byte ranges, and for ``window`` bytes after the last of them.

        ``present`` holds the page map of every block of the ranges, ``window_present`` what is
        known of others. Ranges lie within the file; none are empty.
        """
        fill = self.files.get(file.file_id)
        if fill is None:
            fill = self.files[file.file_id] = FileFill(file)
        if fill.dead is not None:
            return [Fail(request, fill.dead)]
        waiter = Waiter(request, owner, list(ranges), inline, {})
        for block, bits in (window_present or {}).items():
            fill.present[block] = fill.present.get(block, 0) | bits
        waits = fill.wait(waiter, present)
        self._watch(fill, waiter, stream, window, waits=waits)
        out: list[Instruction] = []
        if waits:
            if not (stream or window):
                waiter.spread(self.limits.connections_per_file)
            self._of_request[request] = fill
            self._demand[file.file_id] = fill
        else:
            out.append(Done(request))
        if fill.windows:
            self._ahead[file.file_id] = fill
        self._reconsider(fill, out)
        self._pump(out)
        self._forget(fill)
        return out

    def _watch(
        self, fill: FileFill, waiter: Waiter, stream: int, window: int, *, waits: bool
    ) -> None:
        whole = fill.file.length <= WHOLE_FILE_BYTES
        if whole and waits:
            fill.watch(waiter.owner, stream, 0, 0, fill.file.pages, waiter.request)
        elif not whole and (window > 0 or stream):
            since, first = pages_of(waiter.ranges[0][0], waiter.ranges[-1][1])
            last = min(fill.file.pages, first - (-window // PAGE_BYTES))
            fill.watch(waiter.owner, stream, since, first, last, waiter.request)

    def arrived(
        self, fetch: int, first: int, last: int, *, stored: bool = True
    ) -> list[Instruction]:
        """Pages [first, last) of the fetch's block came, in order; see ``FileFill.arrived``."""
        fill = self._of_fetch[fetch]
        state = fill.fetches[fetch]
        rest = state.left
        before = state.left_bytes
        if not state.begun:
            self._look_again(fill)
        out: list[Instruction] = []
        for waiter in fill.arrived(fetch, first, last, stored=stored):
            if not waiter.missing:
                self._take(fill, waiter.request)
                out.append(Done(waiter.request))
            elif waiter.ready - waiter.told >= (PROGRESS_BYTES if waiter.began else 1):
                waiter.told, waiter.began = waiter.ready, True
                out.append(Progress(waiter.request, waiter.ready))
        self.flying_bytes -= before - state.left_bytes
        if not stored:
            self._disk_full(fill, state.block, rest, out)
        self._pump(out)
        return out

    def _disk_full(self, fill: FileFill, block: int, bits: int, out: list[Instruction]) -> None:
        """What this fetch still brings can't be stored: only inline waiters go on."""
        for waiter in list(fill.waiters.values()):
            if not waiter.inline and waiter.missing.get(block, 0) & bits:
                self._take(fill, waiter.request)
                out.append(Direct(waiter.request, "full_disk"))
        fill.windows.clear()
        self._reconsider(fill, out)

    def ended(
        self, fetch: int, error: MillpondError | None = None, *, fatal: bool = False
    ) -> list[Instruction]:
        """The fetch is over: complete, cancelled, or failed. ``fatal``: so is the file version."""
        fill = self._of_fetch.pop(fetch)
        state = fill.ended(fetch)
        self.active -= 1
        self.active_ahead -= state.read_ahead
        self.flying_bytes -= state.left_bytes
        out: list[Instruction] = []
        if error is not None and fatal:
            self._die(fill, error, out)
        elif error is not None and state.left:
            for waiter in fill.give_up(state.block, state.left):
                self._of_request.pop(waiter.request, None)
                out.append(Fail(waiter.request, error))
            self._reconsider(fill, out)
        self._look_again(fill)
        self._pump(out)
        self._forget(fill)
        return out

    def _die(self, fill: FileFill, error: MillpondError, out: list[Instruction]) -> None:
        fill.dead = error
        for request in list(fill.waiters):
            self._take(fill, request)
            out.append(Fail(request, error))
        fill.windows.clear()
        self._reconsider(fill, out)

    def absent(self, file_id: bytes, block: int, bits: int) -> list[Instruction]:
        """Pages believed present are not: their block was evicted or replaced."""
        fill = self.files.get(file_id)
        out: list[Instruction] = []
        if fill is not None:
            fill.absent(block, bits)
            self._reconsider(fill, out)
            self._forget(fill)
        return out

    def drop(self, request: int) -> list[Instruction]:
        """A request is no longer waited for; it gets no answer from here."""
        fill = self._of_request.get(request)
        out: list[Instruction] = []
        if fill is not None:
            self._take(fill, request)
            self._look_again(fill)
            self._reconsider(fill, out)
            self._pump(out)
            self._forget(fill)
        return out

    def closed(self, owner: Owner) -> list[Instruction]:
        """A connection is gone, and all that it wanted."""
        out: list[Instruction] = []
        for fill in list(self.files.values()):
            for waiter in fill.leave(owner):
                self._of_request.pop(waiter.request, None)
            self._reconsider(fill, out)
            self._forget(fill)
        self._pump(out)
        return out

    def end_stream(self, owner: Owner, file_id: bytes, stream: int) -> list[Instruction]:
        """A named stream is closed: its window is not wanted any more."""
        fill = self.files.get(file_id)
        out: list[Instruction] = []
        if fill is not None and stream:
            fill.watch(owner, stream, 0, 0, 0)
            self._reconsider(fill, out)
            self._pump(out)
            self._forget(fill)
        return out

    def ready(self, request: int) -> int:
        """Bytes of a waiting request that are there, in order; told by a timer."""
        fill = self._of_request.get(request)
        if fill is None:
            return 0
        waiter = fill.waiters[request]
        waiter.told = waiter.ready
        return waiter.ready

    # -- decisions ---------------------------------------------------------------------------

    def _look_again(self, fill: FileFill) -> None:
        """What was held back in this file may go now."""
        self._demand.setdefault(fill.file.file_id, fill)
        self._ahead.setdefault(fill.file.file_id, fill)

    def _take(self, fill: FileFill, request: int) -> None:
        fill.drop(request)
        self._of_request.pop(request, None)

    def _reconsider(self, fill: FileFill, out: list[Instruction]) -> None:
        """Cancel fetches that nobody wants any more, keep cancelled ones that are wanted again."""
        for state in fill.fetches.values():
            wanted = fill.wanted(state.block, state.left)
            if state.cancelled and wanted:
                state.cancelled = False
                out.append(Keep(state.fetch))
            elif not state.cancelled and not wanted and state.left_bytes > KEEP_BYTES:
                state.cancelled = True
                out.append(Cancel(state.fetch))

    def _pump(self, out: list[Instruction]) -> None:
        """Begin fetches while there is work and room."""
        limits = self.limits
        spare = max(1, limits.connections // 4) if limits.connections > 1 else 0
        while self.active < limits.connections and (self._demand or self._ahead):
            state = self._claim(self._demand, limits.memory_bytes)
            if state is None and self.active_ahead < limits.connections - spare:
                state = self._claim(self._ahead, limits.memory_bytes * 3 // 4)
            if state is None:
                return
            fill = self._of_fetch[state.fetch]
            out.append(Fetch(state.fetch, fill.file, state.block, state.first, state.last))

    def _claim(self, ring: OrderedDict[bytes, FileFill], memory: int) -> FetchState | None:
        """The next fetch of the files in ``ring``, which take turns."""
        room = (memory - self.flying_bytes) // PAGE_BYTES
        range_pages = max(1, min(PAGES_PER_BLOCK, self.limits.range_bytes // PAGE_BYTES))
        if room < min(MIN_ROOM_PAGES, range_pages):
            return None
        ahead = ring is self._ahead
        per_file = self.limits.connections_per_file
        if ahead:
            per_file = max(1, per_file - 1)
        for file_id, fill in list(ring.items()):
            if len(fill.fetches) >= per_file:
                continue
            claim = fill.claim_window if ahead else fill.claim_demand
            state = claim(self._next_fetch, range_pages, room)
            if state is None:
                del ring[file_id]
                continue
            ring.move_to_end(file_id)
            self._next_fetch += 1
            self._of_fetch[state.fetch] = fill
            self.active += 1
            self.active_ahead += ahead
            self.flying_bytes += state.left_bytes
            return state
        return None

    def _forget(self, fill: FileFill) -> None:
        if fill.idle:
            file_id = fill.file.file_id
            self.files.pop(file_id, None)
            self._demand.pop(file_id, None)
            self._ahead.pop(file_id, None)
