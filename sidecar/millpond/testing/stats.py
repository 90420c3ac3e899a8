"""Statistics of paired rounds: medians with an interval that assumes no distribution."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Estimate:
    """A median and the interval [low, high] that covers the true one with ``coverage``."""

    value: float
    low: float
    high: float
    coverage: float


def estimate(values: Sequence[float], confidence: float = 0.95) -> Estimate:
    """The median and the tightest symmetric pair of order statistics that covers ``confidence``.

    The number of values below the true median is binomial(n, 1/2), whatever they are distributed
    as, so the k-th smallest and k-th largest enclose it with probability 1 - 2 P(X < k). Below six
    values not even the extremes reach 95 %; they are given, with the coverage they have.
    """
    ordered = sorted(values)
    n = len(ordered)
    below, k, tail = 0, 0, 0.0
    for i in range((n + 1) // 2):
        below += comb(n, i)
        if i > 0 and 1 - 2 * below / 2**n < confidence:
            break
        k, tail = i, below / 2**n
    return Estimate(median(ordered), ordered[k], ordered[n - 1 - k], max(0.0, 1 - 2 * tail))


def paired_ratio(values: Sequence[float], reference: Sequence[float]) -> Estimate:
    """The median of round-by-round ratios: what drifts between rounds cancels out."""
    return estimate([v / r for v, r in zip(values, reference, strict=True)])


def paired_difference(values: Sequence[float], reference: Sequence[float]) -> Estimate:
    """The median of round-by-round differences."""
    return estimate([v - r for v, r in zip(values, reference, strict=True)])
