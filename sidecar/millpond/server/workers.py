"""A small pool of threads for what may block; its threads never keep the process alive."""

from __future__ import annotations

import logging
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)


class Workers:
    """Runs jobs in up to ``size`` daemon threads in order of arrival.

    Threads are started as they are needed, or all of them ``ready`` from the first.

    A job handles its own errors: what escapes from one is logged and ends nothing else. Unlike an
    executor's, a thread stuck in a store's answer does not hold up the end of the process.
    """

    def __init__(self, name: str, size: int, *, ready: bool = False) -> None:
        self.name = name
        self.size = size
        self._jobs: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._free = 0
        self._closed = False
        if ready:
            self._free = size
            for _ in range(size):
                self._start()

    def _start(self) -> None:
        name = f"{self.name}-{len(self._threads)}"
        thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def grow(self, size: int) -> None:
        """Have ``size`` threads, all started, if there are fewer."""
        with self._lock:
            for _ in range(size - len(self._threads)):
                self._free += 1
                self._start()
            self.size = max(size, self.size)

    def submit(self, job: Callable[[], object]) -> None:
        """Have ``job`` run soon. Any thread."""
        with self._lock:
            if self._closed:
                raise RuntimeError(f"{self.name} is closed")
            if self._free > 0:
                self._free -= 1
            elif len(self._threads) < self.size:
                self._start()
        self._jobs.put(job)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except BaseException:
                log.exception("a job of %s failed", self.name)
            del job
            with self._lock:
                self._free += 1

    def close(self, timeout_s: float) -> bool:
        """Take no more jobs, finish those taken; False when some outlast the time given."""
        with self._lock:
            self._closed = True
            threads = list(self._threads)
        for _ in threads:
            self._jobs.put(None)
        until = time.monotonic() + timeout_s
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)
