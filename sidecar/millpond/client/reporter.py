"""What a process read, told to its sidecar: late, lossy and bounded, as eviction tolerates.

A read only notes. A second after the first note a timer of its own sends all of them, so that a
process that reads nothing has no thread and sends nothing.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

from millpond.model.paths import path_hash
from millpond.wire import millpond_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Send = Callable[[list[wire.Touch], Mapping[str, int]], bool]

PERIOD_S = 1.0
MAX_NAMES = 8192
"""Blocks, and small files, of one report; reads of more are not told."""


class Reporter:
    """Notes of one process. ``send`` says whether the sidecar has them; it may block.

    ``counters`` are the process's own sums: what they grew by since the last report is told.
    Nothing here holds on to ``send`` for longer than the timer runs.
    """

    def __init__(self, counters: Mapping[str, int]) -> None:
        self._counters = counters
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._blocks: Counter[tuple[bytes, int]] = Counter()
        self._metas: Counter[str] = Counter()
        self._told: Counter[str] = Counter()
        self._timer: threading.Timer | None = None

    def block(self, file_id: bytes, number: int) -> None:
        """A block was read."""
        with self._lock:
            if len(self._blocks) < MAX_NAMES:
                self._blocks[file_id, number] += 1

    def meta(self, store_path: str) -> None:
        """A small file was read from its meta."""
        with self._lock:
            if len(self._metas) < MAX_NAMES:
                self._metas[store_path] += 1

    def soon(self, send: Send) -> None:
        """There is something to tell: within a second, unless that is under way."""
        if self._timer is None:
            with self._lock:
                if self._timer is None:
                    self._timer = threading.Timer(PERIOD_S, self.flush, [send])
                    self._timer.daemon = True
                    self._timer.start()

    def flush(self, send: Send) -> None:
        """Tell it now. What could not be told is kept, but for the reads of blocks."""
        with self._sending:
            with self._lock:
                self._timer = None
                touches = _touches(self._blocks, self._metas)
                self._blocks.clear()
                self._metas.clear()
                now = dict(self._counters)
            grown = {k: v - self._told[k] for k, v in now.items() if v > self._told[k]}
            if (touches or grown) and send(touches, grown):
                self._told.update(grown)


def _touches(blocks: Counter[tuple[bytes, int]], metas: Counter[str]) -> list[wire.Touch]:
    return [
        *(wire.Touch(file_id=f, block=b, reads=reads) for (f, b), reads in blocks.items()),
        *(wire.Touch(meta=path_hash(path), reads=reads) for path, reads in metas.items()),
    ]
