"""Threads shared by those who wait for different stores."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from millpond.server.workers import Workers


def test_one_kind_takes_its_share_and_leaves_the_rest() -> None:
    workers = Workers("test", 8, share=3)
    stuck, go_on, done = threading.Semaphore(0), threading.Event(), threading.Semaphore(0)

    def silent() -> None:
        stuck.release()
        go_on.wait(30)
        done.release()

    for _ in range(20):
        workers.submit(silent, of="silent")
    for _ in range(3):
        assert stuck.acquire(timeout=10)
    answered = threading.Semaphore(0)
    for number in range(20):
        workers.submit(answered.release, of=f"other{number % 2}")
    workers.submit(answered.release)
    for _ in range(21):
        assert answered.acquire(timeout=10), "others are held up"
    assert not stuck.acquire(blocking=False), "more threads than its share"
    go_on.set()
    for _ in range(20):
        assert done.acquire(timeout=10), "what waited is forgotten"
    assert workers.close(10)


@pytest.mark.parametrize("share", [0, 1, 2])
def test_all_jobs_of_all_kinds_run_once(share: int) -> None:
    workers = Workers("test", 4, share=share)
    ran: list[int] = []
    ended = threading.Semaphore(0)

    def job(number: int) -> None:
        ran.append(number)
        ended.release()
        if number % 7 == 0:
            raise ValueError("a job that fails takes no other with it")

    for number in range(200):
        workers.submit(partial(job, number), of=number % 5 or None)
    for _ in range(200):
        assert ended.acquire(timeout=10)
    assert workers.close(10)
    assert sorted(ran) == list(range(200))
