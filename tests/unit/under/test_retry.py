"""Retries with a clock, dice and sleep of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.errors import PathNotFound, StoreAnswerInvalid, StoreUnavailable
from millpond.under.retry import LockedCounters, Retrier, RetryBudget, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


class Harness:
    def __init__(self, policy: RetryPolicy | None = None, budget: RetryBudget | None = None):
        self.now_s = 0.0
        self.slept: list[float] = []
        self.counters = LockedCounters()
        self.retrier = Retrier(
            self.counters, policy, budget,
            clock=lambda: self.now_s, sleep=self.sleep, roll=lambda: 0.5,
        )  # fmt: skip

    def sleep(self, delay_s: float) -> None:
        self.slept.append(delay_s)
        self.now_s += delay_s


def failing(times: int) -> Callable[[], str]:
    left = iter(range(times))

    def attempt() -> str:
        if next(left, None) is not None:
            raise StoreUnavailable("down")
        return "up"

    return attempt


@given(st.integers(1, 50), st.floats(0, 60), st.floats(0, 0.999))
def test_delay_is_bounded(failures: int, silent_s: float, roll: float) -> None:
    policy = RetryPolicy()
    delay_s = policy.delay_s(failures, silent_s, roll)
    if delay_s is not None:
        assert failures < policy.attempts
        assert 0 <= delay_s <= policy.cap_s
        assert silent_s + delay_s <= policy.deadline_s


def test_delay_bound_doubles() -> None:
    policy = RetryPolicy(attempts=10, base_s=0.1, cap_s=1.0)
    assert [policy.delay_s(n, 0, 0.5) for n in range(1, 7)] == [0.05, 0.1, 0.2, 0.4, 0.5, 0.5]


def test_retries_until_it_works() -> None:
    h = Harness()
    assert h.retrier.call(failing(3)) == "up"
    assert h.counters.retries == len(h.slept) == 3


def test_gives_up_after_the_attempts() -> None:
    h = Harness(RetryPolicy(attempts=4))
    with pytest.raises(StoreUnavailable):
        h.retrier.call(failing(99))
    assert h.counters.retries == 3


def test_a_store_that_never_answered_is_given_up_sooner() -> None:
    h = Harness(RetryPolicy(attempts=9, first_attempts=2))
    with pytest.raises(StoreUnavailable):
        h.retrier.call(failing(99))
    assert h.counters.retries == 1
    h.retrier.call(failing(0))
    with pytest.raises(StoreUnavailable):
        h.retrier.call(failing(99))
    assert h.counters.retries == 1 + 8


def test_the_defaults_outlast_a_failover_and_not_the_reader() -> None:
    h = Harness()
    h.retrier.call(failing(0))
    with pytest.raises(StoreUnavailable):
        h.retrier.call(failing(99))
    assert 6 <= h.now_s <= 10


def test_gives_up_at_the_deadline() -> None:
    policy = RetryPolicy(attempts=99, first_attempts=99, base_s=1, cap_s=4, deadline_s=5)
    h = Harness(policy)
    with pytest.raises(StoreUnavailable):
        h.retrier.call(failing(99))
    assert h.now_s <= 5


def test_final_errors_are_not_retried() -> None:
    def absent() -> None:
        raise PathNotFound("no")

    h = Harness()
    with pytest.raises(PathNotFound):
        h.retrier.call(absent)
    assert h.slept == []


def test_budget_bounds_a_storm_and_recovers() -> None:
    h = Harness(RetryPolicy(base_s=0), RetryBudget(capacity=10, per_success=0.5, per_s=0))
    for _ in range(100):
        with pytest.raises(StoreUnavailable):
            h.retrier.call(failing(99))
    assert h.counters.retries == 10
    for _ in range(4):
        h.retrier.call(failing(0))
    assert h.retrier.call(failing(2)) == "up"
    assert h.retrier.call(failing(1)) == "up", "a success gives back what its last retry cost"
    with pytest.raises(StoreUnavailable):
        h.retrier.call(failing(3))


def test_one_refusal_in_five_is_lived_with_for_ever() -> None:
    h = Harness(RetryPolicy(base_s=0), RetryBudget(capacity=10, per_s=0))
    for number in range(2000):
        assert h.retrier.call(failing(number % 4 == 0)) == "up"


def test_budget_refills_with_time() -> None:
    budget = RetryBudget(capacity=1, per_s=0.5)
    assert budget.take(0)
    assert not budget.take(1)
    assert budget.take(3)


@given(st.binary(min_size=1, max_size=200), st.lists(st.integers(0, 20), max_size=5))
def test_a_stream_resumes_without_gap_or_repeat(data: bytes, cuts: list[int]) -> None:
    plan = iter(cuts)

    def attempt(at: int) -> Generator[bytes, None, None]:
        cut = next(plan, None)
        upto = len(data) if cut is None else min(len(data), at + cut)
        for i in range(at, upto, 7):
            yield data[i : min(i + 7, upto)]
        if cut is not None:
            raise StoreUnavailable("reset")

    h = Harness(RetryPolicy(attempts=99, first_attempts=99, base_s=0))
    got = b"".join(bytes(b) for b in h.retrier.stream(attempt, 0, len(data)))
    assert got == data
    assert h.counters.bytes_read == len(data)


def test_a_short_body_is_resumed_and_a_long_one_never_yielded() -> None:
    def short(at: int) -> Generator[bytes, None, None]:
        yield b"abcdef"[at : at + 2]

    h = Harness()
    assert b"".join(bytes(b) for b in h.retrier.stream(short, 0, 6)) == b"abcdef"

    def long(at: int) -> Generator[bytes, None, None]:
        yield b"x" * 7

    with pytest.raises(StoreAnswerInvalid):
        list(Harness().retrier.stream(long, 0, 6))


def test_an_abandoned_stream_closes_its_body() -> None:
    closed = []

    def body(at: int) -> Generator[bytes, None, None]:
        try:
            yield b"a"
            yield b"b"
        finally:
            closed.append(at)

    stream = Harness().retrier.stream(body, 0, 2)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert closed == [0]
