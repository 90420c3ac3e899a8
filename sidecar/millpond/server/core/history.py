"""A day of sums, sampled every ten seconds: a ring of fixed size, read by bins of time."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from dataclasses import dataclass
from typing import NamedTuple

EVERY_S = 10.0
SAMPLES = 8640
"""24 h; at 8 bytes for the time and for each sum: 0.8 MB, taken at the start."""


class Totals(NamedTuple):
    """Sums since the sidecar's start; ``used_bytes`` is a level."""

    hit_bytes: float = 0
    hit_reads: float = 0
    miss_bytes: float = 0
    miss_reads: float = 0
    direct_bytes: float = 0
    direct_reads: float = 0
    store_requests: float = 0
    store_bytes: float = 0
    fallbacks: float = 0
    evicted_bytes: float = 0
    used_bytes: float = 0


_STRIDE = 1 + len(Totals._fields)


@dataclass(frozen=True, slots=True)
class Bin:
    """What happened in [start, end); None where nobody was there to count."""

    start_s: float
    end_s: float
    grown: Totals | None
    last: Totals | None


class History:
    """The ring. Times are of one clock and never go back."""

    def __init__(self, samples: int = SAMPLES) -> None:
        self._capacity = samples
        self._values = array("d", bytes(8 * _STRIDE * samples))
        self._taken = 0

    def __len__(self) -> int:
        return min(self._taken, self._capacity)

    def add(self, at_s: float, totals: Totals) -> None:
        """Keep one sample; the oldest goes when there is no place left."""
        at = self._taken % self._capacity * _STRIDE
        self._values[at : at + _STRIDE] = array("d", (at_s, *totals))
        self._taken += 1

    def at(self, when_s: float) -> Totals | None:
        """The last sample taken at or before a time."""
        index = bisect_right(range(len(self)), when_s, key=self._time) - 1
        if index < 0:
            return None
        return self._totals(index)

    def bins(self, now_s: float, live: Totals, width_s: float, count: int) -> list[Bin]:
        """The last ``count`` bins, aligned to ``width_s``; the newest ends after now."""
        end = (math.floor(now_s / width_s) + 1) * width_s
        bounds = [end - (count - i) * width_s for i in range(count + 1)]
        seen = [live if b > now_s else self.at(b) for b in bounds]
        # The bin in which the first sample was taken has that one before it.
        first = self._totals(0) if len(self) else None
        return [
            Bin(
                bounds[i],
                bounds[i + 1],
                _grown(first if seen[i] is None else seen[i], seen[i + 1]),
                seen[i + 1],
            )
            for i in range(count)
        ]

    def since(self, when_s: float, live: Totals) -> Totals:
        """What was added after a time, or after the oldest sample where that is later."""
        before = self.at(when_s)
        if before is None:
            before = self._totals(0) if len(self) else Totals()
        return _grown(before, live) or Totals()

    def _totals(self, index: int) -> Totals:
        at = self._place(index)
        return Totals(*self._values[at + 1 : at + _STRIDE])

    def _time(self, index: int) -> float:
        return self._values[self._place(index)]

    def _place(self, index: int) -> int:
        """Where the sample of an age lies: 0 is the oldest."""
        first = max(0, self._taken - self._capacity)
        return (first + index) % self._capacity * _STRIDE


def _grown(before: Totals | None, after: Totals | None) -> Totals | None:
    """The difference; never below zero: what a removed mount asked is no longer summed."""
    if before is None or after is None:
        return None
    return Totals(*(max(0.0, b - a) for a, b in zip(before, after, strict=True)))
