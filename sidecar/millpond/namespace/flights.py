"""One request to a store for all who ask the same at the same time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")


class _Flight:
    __slots__ = ("began_ns", "done", "error", "result")

    def __init__(self) -> None:
        self.began_ns = 0
        self.done = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None


class Flights:
    """Shares answers between concurrent callers, but none that began too early for its caller.

    Who comes while a request runs that began too early waits for the next, together with all
    others who do: at most one runs and one waits per key. Thread-safe; blocks.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._running: dict[Hashable, _Flight] = {}
        self._waiting: dict[Hashable, _Flight] = {}
        self.shared = 0
        """Calls that another call's request answered."""

    def share(self, key: Hashable, not_before_ns: int, work: Callable[[], T]) -> T:
        """The result, or the error, of one ``work()`` that began after ``not_before_ns``."""
        with self._lock:
            running, waiting = self._running.get(key), self._waiting.get(key)
            lead = False
            if running is not None and running.began_ns > not_before_ns:
                flight = running
            elif waiting is not None:
                flight = waiting
            else:
                flight, lead = _Flight(), True
                if running is None:
                    self._start(key, flight)
                else:
                    self._waiting[key] = flight
            self.shared += not lead
        if not lead:
            flight.done.wait()
        else:
            if running is not None:
                running.done.wait()
                with self._lock:
                    del self._waiting[key]
                    self._start(key, flight)
            self._fly(key, flight, work)
        if flight.error is not None:
            raise flight.error
        result: T = flight.result
        return result

    def _start(self, key: Hashable, flight: _Flight) -> None:
        flight.began_ns = self._clock()
        self._running[key] = flight

    def _fly(self, key: Hashable, flight: _Flight, work: Callable[[], T]) -> None:
        try:
            flight.result = work()
        except BaseException as e:
            flight.error = e
        finally:
            with self._lock:
                del self._running[key]
            flight.done.set()
