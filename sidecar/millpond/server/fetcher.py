"""One fetch, in a thread: a ranged read of the store, put page by page, told as it goes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millpond.errors import FileChanged, MillpondError, NoSpace, PathNotFound, StoreAnswerInvalid
from millpond.model.sizes import (
    BLOCK_BYTES,
    INLINE_FILE_BYTES,
    KIB,
    MIB,
    PAGE_BYTES,
    block_valid_bytes,
)
from millpond.server.replies import as_millpond
from millpond.under.buffers import page_aligned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from millpond.namespace import LocatedFile, Namespace
    from millpond.server.core.schedule import Fetch
    from millpond.store import BlockStore, BlockWriter
    from millpond.under.base import Buffer
    from millpond.wire.millpond_pb2 import FileInfo

MIN_RUN_BYTES = 256 * KIB
MAX_RUN_BYTES = MIB
RUN_AGE_S = 0.005
"""A run that has waited this long is put though it is short: the store is slow, not the disk."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Pages [first, last) of the fetch's block are here; ``data`` where a reply may need it."""

    fetch: int
    first: int
    last: int
    stored: bool
    size: int
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Ended:
    """The fetch is over. ``fatal``: the file version is gone from the store."""

    fetch: int
    error: MillpondError | None
    fatal: bool
    first_page_s: float | None


class Job:
    """What the loop tells a running fetch: plain flags, read between buffers."""

    __slots__ = ("cancelled", "fetch", "file", "info", "inline")

    def __init__(self, fetch: Fetch, file: LocatedFile, info: FileInfo) -> None:
        self.fetch = fetch
        self.file = file
        self.info = info
        self.cancelled = False
        self.inline = False


class Fetcher:
    """Runs fetches. ``tell`` takes what happened to the control loop."""

    def __init__(
        self, store: BlockStore, namespace: Namespace, tell: Callable[[Arrival | Ended], None]
    ) -> None:
        self._store = store
        self._namespace = namespace
        self._tell = tell

    def run(self, job: Job) -> None:
        """Perform one fetch to its end. Never raises: the end is told, with its error."""
        error: MillpondError | None = None
        first_page_s = None
        try:
            if job.file.length <= INLINE_FILE_BYTES:
                first_page_s = self._small(job)
            else:
                first_page_s = self._block(job)
        except MillpondError as e:
            error = e
        except Exception as e:
            error = as_millpond(e)
        fatal = isinstance(error, (FileChanged, PathNotFound))
        if fatal:
            self._forget(job)
        self._tell(Ended(job.fetch.fetch, error, fatal, first_page_s))

    def _forget(self, job: Job) -> None:
        try:
            self._namespace.changed(job.file.path)
        except MillpondError:
            return  # its mount is gone: nothing is known of the path any more

    def _small(self, job: Job) -> float:
        """A file that lives whole in its meta."""
        began = time.monotonic()
        file = job.file
        content = b"".join(bytes(c) for c in file.read(0, file.length))
        if len(content) != file.length:
            raise _wrong_length(len(content), file.length)
        stored = True
        try:
            self._namespace.inlined(job.info, content)
        except NoSpace:
            stored = False
        self._tell(Arrival(job.fetch.fetch, 0, 1, stored, len(content), content))
        return time.monotonic() - began

    def _block(self, job: Job) -> float | None:
        """A range of one block, published in runs of pages."""
        began = time.monotonic()
        first_page_s = None
        file, fetch = job.file, job.fetch
        base = fetch.block * BLOCK_BYTES
        start = base + fetch.first * PAGE_BYTES
        end = min(file.length, base + fetch.last * PAGE_BYTES)
        writer = self._writer(file, fetch.block)
        got = 0
        chunks = file.read(start, end)
        try:
            for at, run in page_runs(chunks, end - start):
                page = fetch.first + at // PAGE_BYTES
                if writer is not None:
                    try:
                        writer.put(page, run)
                    except NoSpace:
                        writer.close()
                        writer = None
                got += len(run)
                data = bytes(run) if writer is None or job.inline else None
                last = page + -(-len(run) // PAGE_BYTES)
                self._tell(Arrival(fetch.fetch, page, last, writer is not None, len(run), data))
                if first_page_s is None:
                    first_page_s = time.monotonic() - began
                if job.cancelled:
                    return first_page_s
        finally:
            chunks.close()
            if writer is not None:
                writer.close()
        if got != end - start:
            raise _wrong_length(got, end - start)
        return first_page_s

    def _writer(self, file: LocatedFile, block: int) -> BlockWriter | None:
        try:
            valid = block_valid_bytes(file.length, block)
            return self._store.writer(file.file_id, block, valid, file.part)
        except NoSpace:
            return None


def page_runs(chunks: Iterable[Buffer], total: int) -> Iterator[tuple[int, memoryview]]:
    """Whole pages of a stream of ``total`` bytes as (offset, run), soon and in large runs.

    The first page comes as soon as it is complete; then runs of MIN_RUN_BYTES to MAX_RUN_BYTES, or
    less where the stream is slow. A run begins at a page boundary and ends at one or at the end; it
    is valid until the next is asked for. Buffers of whole pages are passed on without a copy.
    """
    held: memoryview | None = None
    kept = done = 0
    wanted, put_at = PAGE_BYTES, time.monotonic()
    for chunk in chunks:
        view = memoryview(chunk)
        if done + kept + len(view) > total:
            raise _wrong_length(done + kept + len(view), total)
        while view:
            whole = 0 if kept else _whole(view, total - done)
            if whole and (whole >= wanted or whole == total - done or _old(put_at)):
                yield done, view[:whole]
                view, done, put_at = view[whole:], done + whole, time.monotonic()
                wanted = MIN_RUN_BYTES
                continue
            held = held or page_aligned(MAX_RUN_BYTES)
            taken = min(len(view), MAX_RUN_BYTES - kept)
            held[kept : kept + taken] = view[:taken]
            view, kept = view[taken:], kept + taken
            run = kept if done + kept == total else kept // PAGE_BYTES * PAGE_BYTES
            if run and (run >= wanted or run == total - done or _old(put_at)):
                yield done, held[:run]
                held[: kept - run] = held[run:kept]
                kept, done, put_at, wanted = kept - run, done + run, time.monotonic(), MIN_RUN_BYTES


def _whole(view: memoryview, left: int) -> int:
    """Bytes at the start of ``view`` that are whole pages, or all that is left; one run at most."""
    size = min(len(view), MAX_RUN_BYTES)
    return size if size == left else size // PAGE_BYTES * PAGE_BYTES


def _old(since: float) -> bool:
    return time.monotonic() - since > RUN_AGE_S


def _wrong_length(got: int, want: int) -> StoreAnswerInvalid:
    return StoreAnswerInvalid(
        "the store's answer has the wrong length",
        cause=f"{got} bytes instead of {want}",
        remedy="The read is retried, or goes to the store directly",
    )
