"""The interval of a median covers what it claims to."""

from __future__ import annotations

import random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.testing.stats import estimate, paired_difference, paired_ratio


@pytest.mark.parametrize(
    ("n", "low_rank"), [(6, 1), (7, 1), (8, 1), (9, 2), (12, 3), (15, 4), (20, 6), (30, 10)]
)
def test_ranks_are_those_of_the_tables(n: int, low_rank: int) -> None:
    got = estimate([float(i) for i in range(1, n + 1)])
    assert (got.low, got.high) == (low_rank, n + 1 - low_rank)
    assert got.coverage >= 0.95


def test_few_rounds_say_that_they_do_not_cover() -> None:
    got = estimate([1.0, 2.0, 3.0])
    assert (got.low, got.high, got.coverage) == (1.0, 3.0, 0.75)


def test_coverage_is_kept_on_skewed_values() -> None:
    rng = random.Random(1)
    true_median = median(rng.expovariate(1.0) ** 2 for _ in range(200_001))
    inside = 0
    for _ in range(2000):
        got = estimate([rng.expovariate(1.0) ** 2 for _ in range(9)])
        inside += got.low <= true_median <= got.high
    assert inside / 2000 >= 0.95


@given(st.lists(st.floats(0.1, 1e6), min_size=1, max_size=40))
def test_interval_encloses_the_median(values: list[float]) -> None:
    got = estimate(values)
    assert min(values) <= got.low <= got.value <= got.high <= max(values)


@given(st.lists(st.floats(0.5, 2.0), min_size=6, max_size=20), st.floats(0.1, 10))
def test_drift_cancels_in_pairs(drift: list[float], factor: float) -> None:
    assert paired_ratio([d * factor for d in drift], drift).value == pytest.approx(factor)
    assert paired_difference([d + factor for d in drift], drift).value == pytest.approx(factor)
