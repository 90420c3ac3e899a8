"""Sharing of requests: who may share which answer."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from millpond.errors import PathNotFound
from millpond.namespace.flights import Flights


class Gate:
    """Work that blocks until it is let go, and counts."""

    def __init__(self) -> None:
        self.calls = 0
        self.entered = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def __call__(self) -> int:
        self.calls += 1
        self.entered.release()
        assert self.go.acquire(timeout=30)
        return self.calls


def waiting_for(flights: Flights, count: int) -> None:
    deadline = time.monotonic() + 30
    while flights.shared < count:
        assert time.monotonic() < deadline
        threading.Event().wait(0.001)


def test_who_comes_too_late_shares_the_next_request() -> None:
    flights, gate = Flights(time.monotonic_ns), Gate()
    with ThreadPoolExecutor(12) as pool:
        first = pool.submit(flights.share, "k", time.monotonic_ns(), gate)
        assert gate.entered.acquire(timeout=30)
        late = [pool.submit(flights.share, "k", time.monotonic_ns(), gate) for _ in range(10)]
        waiting_for(flights, 9)
        gate.go.release()
        assert first.result(30) == 1
        assert gate.entered.acquire(timeout=30)
        gate.go.release()
        assert [f.result(30) for f in late] == [2] * 10
    assert gate.calls == 2


def test_who_accepts_older_answers_shares_the_running_request() -> None:
    flights, gate = Flights(time.monotonic_ns), Gate()
    with ThreadPoolExecutor(4) as pool:
        since = time.monotonic_ns()
        callers = [pool.submit(flights.share, "k", since, gate) for _ in range(4)]
        waiting_for(flights, 3)
        gate.go.release()
        assert [f.result(30) for f in callers] == [1] * 4


def test_keys_do_not_wait_for_each_other() -> None:
    flights, gate = Flights(time.monotonic_ns), Gate()
    with ThreadPoolExecutor(1) as pool:
        blocked = pool.submit(flights.share, "a", time.monotonic_ns(), gate)
        assert gate.entered.acquire(timeout=30)
        assert flights.share("b", time.monotonic_ns(), lambda: 7) == 7
        gate.go.release()
        assert blocked.result(30) == 1


def test_errors_are_shared_and_forgotten() -> None:
    flights = Flights(time.monotonic_ns)

    def fail() -> int:
        raise PathNotFound("/a")

    with pytest.raises(PathNotFound):
        flights.share("k", 0, fail)
    assert flights.share("k", 0, lambda: 1) == 1


def test_under_many_threads_every_answer_began_after_its_request() -> None:
    flights = Flights(time.monotonic_ns)

    def work() -> int:
        began = time.monotonic_ns()
        threading.Event().wait(0.0005)  # as long as a store takes; others run meanwhile
        return began

    def ask(_: int) -> bool:
        for _ in range(50):
            asked = time.monotonic_ns()
            if flights.share("k", asked, work) < asked:
                return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(8)))
    assert flights.shared > 0
