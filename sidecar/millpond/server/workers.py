"""A small pool of threads for what may block; its threads never keep the process alive."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    Job = Callable[[], object]

log = logging.getLogger(__name__)


class Workers:
    """Runs jobs in up to ``size`` daemon threads in order of arrival.

    Threads are started as they are needed, or all of them ``ready`` from the first.

    A job handles its own errors: what escapes from one is logged and ends nothing else. Unlike an
    executor's, a thread stuck in a store's answer does not hold up the end of the process.

    With ``share``, jobs that are submitted as of one kind have no more threads than that at once:
    a store that falls silent holds up its own.
    """

    def __init__(self, name: str, size: int, *, ready: bool = False, share: int = 0) -> None:
        self.name = name
        self.size = size
        self._share = share
        self._of: Counter[Hashable] = Counter()
        self._waiting: dict[Hashable, deque[Job]] = {}
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
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

    def submit(self, job: Job, of: Hashable = None) -> None:
        """Have ``job`` run soon, within the share of what it is ``of``. Any thread."""
        with self._lock:
            if self._closed:
                raise RuntimeError(f"{self.name} is closed")
            if of is not None and self._share:
                if self._of[of] >= self._share:
                    self._waiting.setdefault(of, deque()).append(job)
                    return
                self._of[of] += 1
                job = partial(self._in_turn, of, job)
            if self._free > 0:
                self._free -= 1
            elif len(self._threads) < self.size:
                self._start()
        self._jobs.put(job)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._perform(job)
            del job
            with self._lock:
                self._free += 1

    def _perform(self, job: Job) -> None:
        try:
            job()
        except BaseException:
            log.exception("a job of %s failed", self.name)

    def _in_turn(self, of: Hashable, first: Job) -> None:
        """A job, and after it those of its kind that wait for a thread of theirs."""
        job: Job | None = first
        while job is not None:
            self._perform(job)
            with self._lock:
                waiting = self._waiting.get(of)
                job = waiting.popleft() if waiting else None
                if not waiting:
                    self._waiting.pop(of, None)
                if job is None:
                    self._of[of] -= 1
                    if not self._of[of]:
                        del self._of[of]

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
