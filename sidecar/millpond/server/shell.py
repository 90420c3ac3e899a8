"""Performs what the fill core decides: threads on one side, replies on the other.

All methods run on the control loop unless they say otherwise; what blocks runs in ``disk`` (short,
local), ``lookups`` (may ask a store) or ``fetchers`` (one thread per connection to a store).
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from millpond import metrics as m
from millpond.errors import MillpondError
from millpond.server import replies
from millpond.server.core import schedule as core
from millpond.server.core.fill import FileSpec
from millpond.server.explain import Bypasses
from millpond.server.fetcher import Arrival, Ended, Fetcher, Job
from millpond.server.pending import Pending
from millpond.server.prepare import Located, Prepared, Preparer, check_ranges, read_ranges
from millpond.server.workers import Workers
from millpond.store.space import block_key
from millpond.wire import millpond_pb2 as wire

if TYPE_CHECKING:
    import asyncio

    from millpond.metrics import Metrics
    from millpond.namespace import Namespace
    from millpond.server.calls import Call
    from millpond.server.core.pages import PageMap
    from millpond.store import BlockStore, BlockWriter

HOLD_S = 2.0


class FillService:
    """Answers Fill."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        store: BlockStore,
        namespace: Namespace,
        metrics: Metrics,
        limits: core.Limits,
        *,
        disk: Workers,
        lookups: Workers,
        max_pending: int,
    ) -> None:
        self._loop = loop
        self._store = store
        self._namespace = namespace
        self._metrics = metrics
        self._disk = disk
        self._lookups = lookups
        self._fetchers = Workers("fetch", limits.connections, ready=True)
        self._fetcher = Fetcher(store, namespace, self._tell)
        self._preparer = Preparer(store, namespace)
        self.max_pending = max_pending
        self.core = core.FillScheduler(limits)
        self.bypasses = Bypasses()
        self._pending: dict[int, Pending] = {}
        self._open: dict[bytes, Located] = {}
        self._jobs: dict[int, Job] = {}
        self._told: list[Arrival | Ended] = []
        self._told_lock = threading.Lock()
        self._last_key = 0

    # -- from connections --------------------------------------------------------------------

    def fill(self, call: Call, request: wire.FillRequest) -> None:
        """Answer a Fill, now or later."""
        if not request.ranges:
            self._obey(
                self.core.end_stream(call.owner, request.file_id, request.stream), request.file_id
            )
            call.finish(replies.fill_present(call.request, ()))
            return
        if not request.file_id:
            self._direct(call, request, "uncacheable")
            return
        if len(self._pending) >= self.max_pending:
            self._direct(call, request, "too_busy")
            return
        try:
            ranges = check_ranges(request)
        except MillpondError as e:
            call.fail(e)
            return
        self._last_key += 1
        pending = Pending(self._last_key, call, request, ranges, inline=False)
        pending.inline = pending.total <= min(request.inline_max, replies.INLINE_MAX_BYTES)
        self._pending[pending.key] = pending
        call.ready = partial(self.core.ready, pending.key)
        pending.located = self._preparer.known(request.path, request.file_id)
        prepare = partial(self._prepare, pending)
        if pending.located is None:
            self._lookups.submit(prepare, of=self._namespace.store_of(request.path) or None)
        else:
            self._disk.submit(prepare)

    def set_limits(self, limits: core.Limits) -> None:
        """Other bounds on what begins from now on."""
        self._fetchers.grow(limits.connections)
        self.core.limits = limits

    def closed(self, owner: int) -> None:
        """A connection is gone."""
        for pending in [p for p in self._pending.values() if p.call.owner == owner]:
            self._release(pending)
        self._obey(self.core.closed(owner))

    def stop(self) -> None:
        """Answer everyone with DIRECT, and end the fetches at their next buffer."""
        for pending in list(self._pending.values()):
            self._direct(pending.call, pending.request, "stopping")
            self._release(pending)
            self.core.drop(pending.key)
        for job in self._jobs.values():
            job.cancelled = True

    def join(self, timeout_s: float) -> bool:
        """Wait for the fetches to end. Blocks."""
        return self._fetchers.close(timeout_s)

    # -- prepare: in a thread, then on the loop ----------------------------------------------

    def _prepare(self, pending: Pending) -> None:
        outcome: Prepared | MillpondError
        try:
            outcome = self._preparer.prepare(pending.request, pending.ranges, pending.located)
        except MillpondError as e:
            outcome = e
        except Exception as e:
            outcome = replies.as_millpond(e)
        self._loop.call_soon_threadsafe(self._prepared, pending, outcome)

    def _prepared(self, pending: Pending, outcome: Prepared | MillpondError) -> None:
        if isinstance(outcome, MillpondError):
            if self._release(pending):
                pending.call.fail(outcome)
            return
        pending.writers = outcome.writers
        if pending.key not in self._pending:
            self._close_writers(pending)
            return
        self._preparer.remember(outcome.located)
        pending.located = outcome.located
        if outcome.bypass is not None:
            self._metrics.add(m.BYPASSED, 1, *outcome.bypass)
            self._finish_direct(pending, "not_admitted", outcome.bypass[1])
        elif outcome.content is not None:
            self._answer_content(pending, outcome.content)
        elif outcome.full_disk and not pending.inline:
            self._finish_direct(pending, "full_disk")
        else:
            pending.window_present = outcome.window_present
            self._ask_core(pending)

    def _answer_content(self, pending: Pending, content: bytes) -> None:
        """The file's whole content is in its meta."""
        if pending.inline:
            data = b"".join(content[start:end] for start, end in pending.ranges)
            frame = replies.fill_inline(pending.call.request, data)
        else:
            frame = replies.fill_present(pending.call.request, ())
        self._finish(pending, frame, "inline" if pending.inline else "present")

    def _ask_core(self, pending: Pending) -> None:
        located = pending.located
        assert located is not None
        file_id = located.file.file_id
        request = pending.request
        present = pending.begin()
        self._count_miss(pending, present)
        if pending.inline:
            for job in self._jobs.values():
                job.inline |= job.fetch.file.file_id == file_id
        self._open[file_id] = located
        self._obey(
            self.core.request(
                pending.key, pending.call.owner, FileSpec(file_id, located.file.length),
                pending.ranges, present=present, window=request.window,
                window_present=pending.window_present, stream=request.stream, inline=pending.inline,
            ),
            file_id,
        )  # fmt: skip

    def _count_miss(self, pending: Pending, present: PageMap) -> None:
        missing = pending.missing_bytes(present)
        if not missing or pending.missed:
            return
        pending.missed = True
        visitor = pending.call.connection.session.visitor
        assert visitor is not None, "a Fill comes after Hello"
        if pending.request.intent == wire.Intent.WARM_UP:
            self._metrics.add(m.WARM_UP_BYTES, missing)
            visitor.warm_up_bytes += missing
        else:
            self._metrics.add(m.MISS_BYTES, missing)
            self._metrics.add(m.MISS_READS)
            self._metrics.add(m.MISSES, 1, self._reason(pending, present))
            visitor.miss_bytes += missing

    def _reason(self, pending: Pending, present: PageMap) -> str:
        """Why the first page that is missed is not here; from memory."""
        assert pending.located is not None
        info = pending.located.info
        block = next(b for b, bits in pending.demand.items() if bits & ~present[b])
        lost = self._store.history.last(block_key(info.file_id, block))
        if lost is not None:
            return lost.name.lower()
        changed = self._namespace.last_change_ms(info.store_path)
        return "never_read" if changed is None else "version_changed"

    # -- what the core says ------------------------------------------------------------------

    def _obey(self, instructions: list[core.Instruction], file_id: bytes | None = None) -> None:
        for i in instructions:
            match i:
                case core.Fetch():
                    self._begin(i)
                case core.Cancel(fetch):
                    self._jobs[fetch].cancelled = True
                case core.Keep(fetch):
                    self._jobs[fetch].cancelled = False
                case core.Progress(request, ready):
                    self._pending[request].call.progress(ready)
                case core.Done(request):
                    self._done(self._pending[request])
                case core.Direct(request, reason):
                    self._finish_direct(self._pending[request], reason)
                case core.Fail(request, error):
                    pending = self._pending[request]
                    self._release(pending)
                    pending.call.fail(error)
        if file_id is not None and file_id not in self.core.files:
            self._open.pop(file_id, None)

    def _begin(self, fetch: core.Fetch) -> None:
        located = self._open[fetch.file.file_id]
        job = Job(fetch, located.file, located.info)
        job.inline = any(
            p.inline and p.request.file_id == fetch.file.file_id for p in self._pending.values()
        )
        self._jobs[fetch.fetch] = job
        self._fetchers.submit(partial(self._fetcher.run, job))

    def _tell(self, what: Arrival | Ended) -> None:
        """[any thread] Take what a fetch says to the loop: one wake-up for all that waits."""
        with self._told_lock:
            self._told.append(what)
            if len(self._told) > 1:
                return
        self._loop.call_soon_threadsafe(self._hear)

    def _hear(self) -> None:
        with self._told_lock:
            told, self._told = self._told, []
        for what in told:
            if isinstance(what, Arrival):
                self._arrived(what)
            else:
                self._ended(what)

    def _arrived(self, arrival: Arrival) -> None:
        job = self._jobs[arrival.fetch]
        file_id = job.fetch.file.file_id
        self._metrics.add(m.FETCHED_BYTES, arrival.size)
        if arrival.data is not None:
            for pending in self._pending.values():
                if pending.lacking and pending.request.file_id == file_id:
                    pending.take(job.fetch.block, arrival.first, arrival.last, arrival.data)
        self._obey(
            self.core.arrived(
                arrival.fetch, arrival.first, arrival.last, stored=arrival.stored
            ),
            file_id,
        )  # fmt: skip

    def _ended(self, ended: Ended) -> None:
        job = self._jobs.pop(ended.fetch)
        file_id = job.fetch.file.file_id
        if ended.fatal:
            self._preparer.forget(job.file.path, file_id)
        outcome = "cancelled" if job.cancelled else "complete"
        self._metrics.add(m.FETCHES, 1, ended.error.name if ended.error else outcome)
        if ended.first_page_s is not None:
            self._metrics.observe(m.FIRST_PAGE_SECONDS, ended.first_page_s)
        self._obey(self.core.ended(ended.fetch, ended.error, fatal=ended.fatal), file_id)

    # -- answers -----------------------------------------------------------------------------

    def _done(self, pending: Pending) -> None:
        """All pages came; the block files are asked once more, for they may have been replaced."""
        if pending.inline and not pending.lacking:
            frame = replies.fill_inline(
                pending.call.request, bytes(pending.content), pending.blocks()
            )
            self._finish(pending, frame, "inline")
            return
        lost = pending.lost()
        if lost and not pending.again:
            self._again(pending, lost)
            return
        if pending.inline and pending.writers:
            self._disk.submit(partial(self._read_inline, pending))
            return
        self._finish_present(pending)

    def _again(self, pending: Pending, lost: PageMap) -> None:
        pending.again = True
        located = pending.located
        assert located is not None
        for block, bits in lost.items():
            self._obey(self.core.absent(located.file.file_id, block, bits))
        self._close_writers(pending)
        self._disk.submit(partial(self._prepare, pending))

    def _read_inline(self, pending: Pending) -> None:
        located = pending.located
        assert located is not None
        try:
            data = read_ranges(self._store, located.file, pending.ranges)
        except MillpondError:
            data = None
        self._loop.call_soon_threadsafe(self._read, pending, data)

    def _read(self, pending: Pending, data: bytes | None) -> None:
        if pending.key not in self._pending:
            return
        if data is None:
            self._finish_present(pending)
        else:
            frame = replies.fill_inline(pending.call.request, data, pending.blocks())
            self._finish(pending, frame, "inline")

    def _finish_present(self, pending: Pending) -> None:
        frame = replies.fill_present(pending.call.request, pending.blocks())
        self._finish(pending, frame, "present")

    def _finish(self, pending: Pending, frame: bytes, result: str) -> None:
        for writer in pending.writers:
            self._store.hold(writer.file_id, writer.block, HOLD_S)
        self._release(pending)
        self._metrics.add(m.FILLS, 1, result)
        pending.call.finish(frame)

    def _finish_direct(self, pending: Pending, reason: str, rule: str = "") -> None:
        self._release(pending)
        self._direct(pending.call, pending.request, reason, rule)

    def _direct(self, call: Call, request: wire.FillRequest, reason: str, rule: str = "") -> None:
        self.bypasses.note(request.path, reason, rule)
        self._metrics.add(m.FILLS, 1, f"direct_{reason}")
        call.finish(replies.fill_direct(call.request, reason))

    def _release(self, pending: Pending) -> bool:
        """Forget a Fill and give its blocks back; False when that was done before."""
        known = self._pending.pop(pending.key, None) is not None
        self._close_writers(pending)
        return known

    def _close_writers(self, pending: Pending) -> None:
        writers, pending.writers = pending.writers, []
        if writers:
            self._disk.submit(partial(_close_all, writers))


def _close_all(writers: list[BlockWriter]) -> None:
    for writer in writers:
        writer.close()
