"""What the demo measures: the time of a run, and what the store was asked for meanwhile."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests that reached the store, and the bytes it sent."""

    list: int
    head: int
    get: int
    bytes_sent: int

    def since(self, earlier: Requests) -> Requests:
        """What came after ``earlier``."""
        return Requests(
            self.list - earlier.list,
            self.head - earlier.head,
            self.get - earlier.get,
            self.bytes_sent - earlier.bytes_sent,
        )

    def as_json(self) -> dict[str, int]:
        """By name."""
        return {
            "list": self.list, "head": self.head, "get": self.get, "bytes": self.bytes_sent,
        }  # fmt: skip


@dataclass(slots=True)
class Phase:
    """One way of running the job, and what each of its runs cost."""

    name: str
    label: str
    colour: str
    times_s: list[float] = field(default_factory=list)
    asked: list[Requests] = field(default_factory=list)
    right: bool = True

    @property
    def median_s(self) -> float:
        """The middle of the times."""
        return median(self.times_s)

    @property
    def requests(self) -> Requests:
        """The requests of a run in the middle: those of the median number of data GETs."""
        ordered = sorted(self.asked, key=lambda r: (r.get, r.bytes_sent))
        return ordered[len(ordered) // 2]

    def run(self, job: Callable[[], Any], expected: Any, count: Callable[[], Requests]) -> None:
        """Runs the job once and notes its time, its requests, and whether its answers are right."""
        before = count()
        start_s = time.perf_counter()
        answers = job()
        self.times_s.append(time.perf_counter() - start_s)
        self.asked.append(count().since(before))
        self.right = self.right and answers == expected

    def as_json(self) -> dict[str, Any]:
        """Every run, for whoever wants more than medians."""
        return {
            "name": self.name,
            "label": self.label,
            "median_s": round(self.median_s, 4),
            "runs_s": [round(t, 4) for t in self.times_s],
            "requests": self.requests.as_json(),
            "runs_requests": [r.as_json() for r in self.asked],
            "answers_right": self.right,
        }
