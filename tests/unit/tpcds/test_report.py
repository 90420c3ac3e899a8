"""Ratios of suites with their intervals."""

from __future__ import annotations

import random

import pytest

from millpond_tpcds.report import ratio, summary


def test_a_ratio_is_one_of_sums_of_medians() -> None:
    a = {"q1": [2.0, 2.0, 50.0], "q2": [4.0, 4.0, 4.0]}
    b = {"q1": [1.0, 1.0, 1.0], "q2": [2.0, 0.1, 2.0]}
    found = ratio(a, b, ["q1", "q2"])
    assert found["suite"]["value"] == 2.0
    assert found["typical"]["value"] == 2.0
    only = ratio(a, b, ["q2"])
    assert only["suite"]["value"] == 2.0


def test_the_interval_covers_the_true_ratio_most_of_the_time() -> None:
    rng = random.Random(7)
    true, covered, runs = 1.6, 0, 20
    for _ in range(runs):
        a, b = {}, {}
        for i in range(5):
            base = rng.uniform(0.5, 5)
            a[f"q{i}"] = [true * base * rng.lognormvariate(0, 0.1) for _ in range(7)]
            b[f"q{i}"] = [base * rng.lognormvariate(0, 0.1) for _ in range(7)]
        suite = ratio(a, b, list(a))["suite"]
        assert suite["low"] <= suite["value"] <= suite["high"]
        covered += suite["low"] <= true <= suite["high"]
    assert covered >= 0.85 * runs


def test_what_drifts_in_both_cancels_out() -> None:
    drift = [1.0, 2.0, 4.0, 1.5, 3.0]
    a = {"q1": [2 * d for d in drift]}
    b = {"q1": drift}
    suite = ratio(a, b, ["q1"])["suite"]
    assert (suite["low"], suite["value"], suite["high"]) == pytest.approx((2.0, 2.0, 2.0))


def test_the_summary_names_what_was_not_run() -> None:
    assert summary({}, []) == {
        "speedup_warm_vs_s3a": None,
        "cold_time_vs_s3a": None,
        "results_equal_duckdb": False,
    }
    group = {"ratios": {"s3a/cache_warm": {"suite": {"value": 1.7}}}}
    assert summary(group, [{"equal": True}])["speedup_warm_vs_s3a"] == 1.7
    assert summary(group, [{"equal": True}, {"equal": False}])["results_equal_duckdb"] is False
