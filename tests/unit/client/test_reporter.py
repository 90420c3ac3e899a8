"""Notes of reads: told in batches, once, never more than a bound, and never by the reader."""

from __future__ import annotations

import gc
import threading
import weakref
from collections import Counter
from typing import TYPE_CHECKING

from millpond.client import reporter as module
from millpond.client.reporter import MAX_NAMES, Reporter
from millpond.model.paths import path_hash

if TYPE_CHECKING:
    import pytest

    from millpond.wire import millpond_pb2 as wire


class Told:
    """What was sent. ``takes`` says whether it arrives."""

    def __init__(self) -> None:
        self.takes = True
        self.counters: Counter[str] = Counter()
        self.blocks: Counter[tuple[bytes, int]] = Counter()
        self.metas: Counter[bytes] = Counter()
        self.reports = 0
        self.came = threading.Event()
        self.threads: set[str] = set()

    def __call__(self, touches: list[wire.Touch], counters: dict[str, int]) -> bool:
        self.reports += 1
        self.threads.add(threading.current_thread().name)
        if self.takes:
            self.counters.update(counters)
            for touch in touches:
                if touch.file_id:
                    self.blocks[touch.file_id, touch.block] += touch.reads
                else:
                    self.metas[touch.meta] += touch.reads
        self.came.set()
        return self.takes


ID = bytes(range(16))


def test_growth_is_told_once() -> None:
    counters, told = Counter(hit_bytes=5), Told()
    reporter = Reporter(counters)
    reporter.block(ID, 3)
    reporter.block(ID, 3)
    reporter.meta("s/bucket/key")
    reporter.flush(told)
    counters["hit_bytes"] += 2
    counters["opens"] += 1
    reporter.flush(told)
    reporter.flush(told)
    assert told.counters == counters
    assert told.blocks == {(ID, 3): 2}
    assert told.metas == {path_hash("s/bucket/key"): 1}
    assert told.reports == 2, "nothing new is no report"


def test_what_could_not_be_told_is_told_later_but_for_touches() -> None:
    counters, told = Counter(hit_bytes=5), Told()
    reporter, told.takes = Reporter(counters), False
    reporter.block(ID, 0)
    reporter.flush(told)
    told.takes = True
    counters["hit_bytes"] += 1
    reporter.flush(told)
    assert told.counters == {"hit_bytes": 6}
    assert not told.blocks


def test_names_are_bounded() -> None:
    reporter, told = Reporter(Counter()), Told()
    for number in range(2 * MAX_NAMES):
        reporter.block(ID, number)
        reporter.meta(str(number))
    reporter.flush(told)
    assert (len(told.blocks), len(told.metas)) == (MAX_NAMES, MAX_NAMES)


def test_a_timer_tells_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PERIOD_S", 0.05)
    counters, told = Counter(hit_bytes=1), Told()
    reporter = Reporter(counters)
    for _ in range(100):
        reporter.soon(told)
    assert told.came.wait(10)
    assert told.counters == {"hit_bytes": 1}
    assert threading.current_thread().name not in told.threads
    told.came.clear()
    counters["hit_bytes"] += 1
    reporter.soon(told)
    assert told.came.wait(10)
    assert told.reports == 2
    assert told.counters == {"hit_bytes": 2}


def test_a_slow_sidecar_holds_no_reader() -> None:
    """Notes are taken while a report is under way, and are in the next one."""
    counters, told = Counter(hit_bytes=1), Told()
    reporter, go_on = Reporter(counters), threading.Event()

    def slow(touches: list[wire.Touch], grown: dict[str, int]) -> bool:
        told(touches, grown)
        return go_on.wait(20)

    thread = threading.Thread(target=reporter.flush, args=[slow])
    thread.start()
    assert told.came.wait(10)
    counters["hit_bytes"] += 7
    reporter.block(ID, 1)  # would hang here
    go_on.set()
    thread.join()
    reporter.flush(told)
    assert told.counters == {"hit_bytes": 8}
    assert told.blocks == {(ID, 1): 1}


def test_growth_from_many_threads_is_told_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PERIOD_S", 0.001)
    counters: Counter[str] = Counter()
    reporter, told, lock = Reporter(counters), Told(), threading.Lock()

    def read() -> None:
        for number in range(500):
            with lock:
                counters["hit_bytes"] += 1
            reporter.block(ID, number % 5)
            reporter.soon(told)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reporter.flush(told)
    assert told.counters == {"hit_bytes": 2000}
    assert sum(told.blocks.values()) == 2000


def test_who_sends_can_be_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timer holds its owner until it has told; afterwards nobody does."""
    monkeypatch.setattr(module, "PERIOD_S", 0.05)
    told = Told()
    gone, came = weakref.ref(told), told.came
    reporter = Reporter(Counter(hit_bytes=1))
    reporter.soon(told)
    del told
    assert came.wait(10)
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(10)
    gc.collect()
    assert gone() is None
