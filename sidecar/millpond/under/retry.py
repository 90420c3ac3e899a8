"""Retries: full jitter, a deadline on silence, and one budget per store.

The decision is pure (``RetryPolicy.delay_s``, ``RetryBudget``); ``Retrier`` only sleeps and counts.
The budget keeps a storm of 5xx from multiplying the load on a store that is already in trouble:
once it is spent, each call is sent once until calls succeed again. A success gives back what its
last retry cost, as AWS's own clients do, so that a store that refuses one call in five is read to
the end (M. Brooker, "Fixing retries with token buckets and circuit breakers").
So N calls to a store that is down for S seconds send at most N + 100 + 0.2 S requests.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from millpond.errors import MillpondError, StoreAnswerInvalid
from millpond.under.base import Buffer, RequestCounters

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how soon a call is tried again. ``attempts`` counts the first try.

    The defaults outlast about 7 s without an answer: a failover, a restart. A store that has never
    answered gets ``first_attempts``: more likely than down it is not there.
    """

    attempts: int = 9
    first_attempts: int = 6
    base_s: float = 0.1
    cap_s: float = 4.0
    deadline_s: float = 30.0

    def delay_s(
        self, failures: int, silent_s: float, roll: float, *, known: bool = True
    ) -> float | None:
        """Seconds to wait after that many failures in a row, or None to give up.

        ``silent_s`` is the time since the call began or last made progress, ``roll`` is uniform in
        [0, 1): the delay is uniform between 0 and an exponentially growing bound ("full jitter").
        """
        if failures >= (self.attempts if known else min(self.attempts, self.first_attempts)):
            return None
        bound_s = min(self.cap_s, self.base_s * 2.0 ** (failures - 1))
        delay_s = roll * bound_s
        return None if silent_s + delay_s > self.deadline_s else delay_s


@dataclass(slots=True)
class RetryBudget:
    """A token bucket: a retry takes one token, a success puts back a fraction of one.

    Time refills it slowly too, or a store that nobody reads meanwhile would never be retried again.
    Not thread-safe; ``Retrier`` holds a lock.
    """

    capacity: float = 100.0
    per_success: float = 0.1
    per_s: float = 0.2
    _tokens: float = field(init=False)
    _at_s: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._tokens = self.capacity

    def success(self, *, retried: bool = False) -> None:
        self._tokens = min(self.capacity, self._tokens + self.per_success + retried)

    def take(self, now_s: float) -> bool:
        """Whether one more retry may be sent now; if so it is paid for."""
        if self._at_s is not None:
            self._tokens = min(self.capacity, self._tokens + (now_s - self._at_s) * self.per_s)
        self._at_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


@dataclass(slots=True)
class LockedCounters(RequestCounters):
    """``RequestCounters`` that many threads add to without losing any."""

    _lock: threading.Lock = field(
        default_factory=threading.Lock, init=False, repr=False, compare=False
    )

    def add(
        self, *, head: int = 0, list: int = 0, get: int = 0, retries: int = 0, bytes_read: int = 0,
        put: int = 0, delete: int = 0, bytes_written: int = 0,
    ) -> None:  # fmt: skip
        with self._lock:
            self.put += put
            self.delete += delete
            self.bytes_written += bytes_written
            self.head += head
            self.list += list
            self.get += get
            self.retries += retries
            self.bytes_read += bytes_read


class Retrier:
    """Runs a driver's attempts until one succeeds or the policy says stop. Thread-safe.

    An attempt is repeated only when its error is ``retriable``; any other passes at once.
    """

    def __init__(
        self,
        counters: LockedCounters,
        policy: RetryPolicy | None = None,
        budget: RetryBudget | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        roll: Callable[[], float] = random.random,
    ) -> None:
        self.policy = policy or RetryPolicy()
        self._budget = budget or RetryBudget()
        self._counters = counters
        self._clock = clock
        self._sleep = sleep
        self._roll = roll
        self._lock = threading.Lock()
        self._known = False  # whether the store has ever answered

    def call(self, attempt: Callable[[], T]) -> T:
        """The first result of ``attempt``."""
        began_s = self._clock()
        failures = 0
        while True:
            try:
                result = attempt()
            except MillpondError as e:
                failures += 1
                self._wait_or_raise(e, failures, began_s)
            else:
                self._succeeded(retried=failures > 0)
                return result

    def stream(
        self, attempt: Callable[[int], Generator[Buffer, None, None]], start: int, end: int
    ) -> Iterator[Buffer]:
        """The bytes [start, end): ``attempt(at)`` yields those from ``at``, and is asked again,
        from the byte reached, when it fails. Never yields a byte twice nor one beyond ``end``.
        """
        at = start
        failures = 0
        retried = False
        alive_s = self._clock()
        while at < end:
            body = attempt(at)
            try:
                for buffer in body:
                    if not len(buffer):
                        continue
                    if len(buffer) > end - at:
                        raise StoreAnswerInvalid(
                            f"the store sent more than the {end - start} bytes asked for"
                        )
                    at += len(buffer)
                    self._counters.add(bytes_read=len(buffer))
                    failures = 0
                    yield buffer
                    alive_s = self._clock()
                if at < end:
                    raise StoreAnswerInvalid(
                        f"the store's answer ends {end - at} bytes early", cause="truncated"
                    )
            except MillpondError as e:
                failures += 1
                retried = True
                self._wait_or_raise(e, failures, alive_s)
            finally:
                # An abandoned body must give its connection back now, not when it is collected.
                body.close()
        self._succeeded(retried=retried)

    def _succeeded(self, *, retried: bool) -> None:
        with self._lock:
            self._known = True
            self._budget.success(retried=retried)

    def _wait_or_raise(self, error: MillpondError, failures: int, since_s: float) -> None:
        if not error.retriable:
            self._known = True
            raise error
        now_s = self._clock()
        delay_s = self.policy.delay_s(failures, now_s - since_s, self._roll(), known=self._known)
        if delay_s is None:
            raise error
        with self._lock:
            paid = self._budget.take(now_s)
        if not paid:
            raise error
        self._counters.add(retries=1)
        self._sleep(delay_s)
