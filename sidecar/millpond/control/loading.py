"""Bringing trees into the cache: a few connections of the local protocol that ask for fills."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from millpond.errors import MillpondError, NotADirectory
from millpond.model.paths import join
from millpond.model.sizes import BLOCK_BYTES
from millpond.wire import millpond_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from millpond.wire.local_client import LocalClient

STEP_BYTES = 2 * BLOCK_BYTES
"""What one Fill asks for: little beside the smallest cache, since blocks being filled stay."""


class LoadError(NamedTuple):
    """A file that could not be loaded, and why."""

    path: str
    error: MillpondError


@dataclass(slots=True)
class Loaded:
    """What one load did."""

    files: int = 0
    bytes: int = 0
    present_bytes: int = 0
    """Of files that were there before."""
    loaded_bytes: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    """Files that are not cached, by reason."""
    errors: list[LoadError] = field(default_factory=list)


class _Stopped(Exception):
    """The load was interrupted."""


def load_tree(
    connect: Callable[[], LocalClient],
    path: str,
    jobs: int,
    on_progress: Callable[[int, int], object] | None = None,
) -> Loaded:
    """Load every file at or below ``path``, ``jobs`` at once, each over a connection of its own.

    ``on_progress`` is told (bytes done, bytes in all).
    """
    with connect() as client:
        files = list(files_below(client, path))
    return _Load(connect, files, on_progress).run(jobs)


def files_below(client: LocalClient, path: str) -> Iterator[wire.FileInfo]:
    """Every file at or below ``path``, by its full path."""
    info = client.stat(path)
    if not info.directory:
        yield info
        return
    try:
        for page in client.list(path, recursive=True):
            for entry in page.entries:
                entry.path = join(path, entry.path)
                yield entry
    except NotADirectory:
        yield client.stat(path)


def present_bytes(client: LocalClient, info: wire.FileInfo) -> int:
    """How much of a file is cached."""
    if not info.file_id or not info.length:
        return 0
    reply = client.locate(info.path, 0, info.length)
    return min(info.length, sum(place.cached_bytes for place in reply.locations))


class _Load:
    def __init__(
        self,
        connect: Callable[[], LocalClient],
        files: list[wire.FileInfo],
        on_progress: Callable[[int, int], object] | None,
    ) -> None:
        self._connect = connect
        self._files = files
        self._on_progress = on_progress
        self._result = Loaded(len(files), sum(f.length for f in files))
        self._done = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._local = threading.local()
        self._clients: list[LocalClient] = []

    def run(self, jobs: int) -> Loaded:
        pool = ThreadPoolExecutor(jobs, thread_name_prefix="load")
        try:
            _drain({pool.submit(self._one, info) for info in self._files})
        finally:
            # Reached by Ctrl-C too: who waits for a fill hears of it with its next frame, 100 ms at
            # most, and the sidecar keeps every page that has arrived.
            self._stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            for client in self._clients:
                client.close()
        return self._result

    def _one(self, info: wire.FileInfo) -> None:
        if self._stop.is_set():
            return
        if not hasattr(self._local, "client"):
            self._local.client = self._connect()
            self._clients.append(self._local.client)
        try:
            self._load(self._local.client, info)
        except _Stopped:
            return
        except MillpondError as e:
            with self._lock:
                self._result.errors.append(LoadError(info.path, e))

    def _load(self, client: LocalClient, info: wire.FileInfo) -> None:
        result = self._result
        if not info.file_id:
            self._skip("changing", info.length)
            return
        present = present_bytes(client, info)
        if present >= info.length:
            with self._lock:
                result.present_bytes += info.length
            self._told(info.length)
            return
        for start in range(0, info.length, STEP_BYTES):
            count = min(STEP_BYTES, info.length - start)
            ready = 0

            def heard(now_ready: int) -> None:
                nonlocal ready
                self._told(max(0, now_ready - ready))
                ready = max(ready, now_ready)

            reply = client.fill(
                info.path, info.file_id, [(start, count)], intent=wire.WARM_UP, on_progress=heard
            )
            heard(count)
            if reply.result == wire.DIRECT:
                self._skip(reply.reason or "direct", info.length - start - count)
                return
        with self._lock:
            result.present_bytes += present
            result.loaded_bytes += info.length - present

    def _skip(self, reason: str, rest: int) -> None:
        with self._lock:
            self._result.skipped[reason] = self._result.skipped.get(reason, 0) + 1
        self._told(rest)

    def _told(self, count: int) -> None:
        if self._stop.is_set():
            raise _Stopped
        with self._lock:
            self._done += count
            done = self._done
        if self._on_progress is not None:
            self._on_progress(done, self._result.bytes)


def _drain(futures: set[Future[None]]) -> None:
    while futures:
        done, futures = wait(futures, timeout=0.5, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()
