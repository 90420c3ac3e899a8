"""Any order and any cut that a query allows is an answer; any changed value is none."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from millpond_tpcds.compare import Answer, difference

VALUES = st.none() | st.integers(-3, 3) | st.sampled_from(["", "a", "b"])
NUMBERS = st.integers(-400, 400).map(lambda n: Decimal(n) / 4)
GROUPS = st.lists(st.lists(st.tuples(VALUES, NUMBERS), min_size=1, max_size=6), max_size=6)


def answer_of(groups: list[list[tuple[Any, ...]]], limit: int | None) -> Answer:
    """As the oracle gives it: nothing beyond the group in which the limit falls."""
    kept: list[list[tuple[Any, ...]]] = []
    for group in groups:
        if limit is not None and sum(map(len, kept)) >= limit:
            break
        kept.append(group)
    return Answer(kept, limit)


def allowed(groups: list[list[tuple[Any, ...]]], limit: int | None, seed: int) -> list[Any]:
    rng = random.Random(seed)
    flat = [row for group in groups for row in rng.sample(group, len(group))]
    return flat if limit is None else flat[:limit]


@settings(max_examples=60, deadline=None)
@given(GROUPS, st.none() | st.integers(0, 20), st.integers())
def test_every_allowed_order_is_an_answer(
    groups: list[list[tuple[Any, ...]]], limit: int | None, seed: int
) -> None:
    answer = answer_of(groups, limit)
    found = allowed(groups, limit, seed)
    assert difference(found, answer) is None
    # What another engine computes in doubles counts as equal to the decimals it stands for.
    assert difference([(key, float(n)) for key, n in found], answer) is None


@settings(max_examples=60, deadline=None)
@given(GROUPS.filter(bool), st.integers(), st.data())
def test_a_changed_value_is_seen(
    groups: list[list[tuple[Any, ...]]], seed: int, data: st.DataObject
) -> None:
    found = allowed(groups, None, seed)
    at = data.draw(st.integers(0, len(found) - 1))
    key, number = found[at]
    worse = [(key, number + 1000), (f"{key}!", number), (key, None)]
    for changed in worse:
        assert difference([*found[:at], changed, *found[at + 1 :]], answer_of(groups, None))


@settings(max_examples=60, deadline=None)
@given(GROUPS.filter(bool), st.integers(), st.data())
def test_a_lost_or_doubled_row_is_seen(
    groups: list[list[tuple[Any, ...]]], seed: int, data: st.DataObject
) -> None:
    found = allowed(groups, None, seed)
    at = data.draw(st.integers(0, len(found) - 1))
    answer = answer_of(groups, None)
    assert difference(found[:at] + found[at + 1 :], answer)
    assert difference([*found, found[at]], answer)
