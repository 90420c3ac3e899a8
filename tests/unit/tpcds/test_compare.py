"""What counts as the same result, and what does not."""

from __future__ import annotations

import math
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from millpond_tpcds.compare import Answer, decode, difference, encode, same

D = Decimal


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (None, None),
        (3, 3),
        (3, D("3.00")),
        ("x", "x"),
        (date(2000, 1, 2), date(2000, 1, 2)),
        (D("1.20"), D("1.2")),
        (D("1.235"), D("1.24")),  # rounded to the smaller scale
        (D("0.333333"), 1 / 3),
        (D("12345678.12"), 12345678.1234),  # an average that one side rounds
        (1e15, 1e15 + 0.5),
        (0.1 + 0.2, 0.3),
        (math.nan, math.nan),
    ],
)
def test_same(a: Any, b: Any) -> None:
    assert same(a, b)
    assert same(b, a)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (None, 0),
        (None, ""),
        (3, 4),
        (1, True),
        ("1", 1),
        ("x", "x "),
        (date(2000, 1, 2), date(2000, 1, 3)),
        (date(2000, 1, 2), datetime(2000, 1, 2)),
        (D("1.20"), D("1.21")),
        (D("0.3333"), 0.3350),
        (D("1"), math.nan),
        (1.0, 1.0 + 1e-6),
        (1.0, math.inf),
    ],
)
def test_different(a: Any, b: Any) -> None:
    assert not same(a, b)
    assert not same(b, a)


def rows(*values: Any) -> list[tuple[Any, ...]]:
    return [(v,) for v in values]


def test_ties_may_come_in_any_order_and_only_they() -> None:
    answer = Answer([rows("a"), rows("b", "c", "d"), rows("e")])
    assert difference(rows("a", "d", "b", "c", "e"), answer) is None
    assert "row 1 is ('b',)" in str(difference(rows("b", "a", "c", "d", "e"), answer))
    assert "row 5 is ('x',)" in str(difference(rows("a", "b", "c", "d", "x"), answer))
    assert difference(rows("a", "b", "c", "d"), answer) == "4 rows instead of 5"


def test_a_limit_may_take_any_of_a_tie() -> None:
    answer = Answer([rows(1), rows(2, 3, 4)], limit=2)
    for last in (2, 3, 4):
        assert difference(rows(1, last), answer) is None
    assert difference(rows(1, 5), answer) is not None
    assert difference(rows(1, 1), answer) is not None
    assert difference(rows(1, 2, 3), answer) == "3 rows instead of 2"


def test_a_row_is_used_once() -> None:
    answer = Answer([rows(1, 1, 2)])
    assert difference(rows(2, 1, 1), answer) is None
    assert difference(rows(2, 2, 1), answer) is not None


def test_partners_are_moved_where_tolerance_overlaps() -> None:
    # 0.15 fits both; taken first for 0.1, it has to be given up for 0.2.
    answer = Answer([rows(0.15, 0.05)])
    spark = rows(D("0.1"), D("0.2"))
    assert difference(spark, answer) is None
    assert difference(spark[::-1], answer) is None
    assert difference(rows(D("0.2"), D("0.2")), answer) is not None


def test_an_empty_answer() -> None:
    assert difference([], Answer(limit=100)) is None
    assert difference(rows(None), Answer(limit=100)) == "1 rows instead of 0"


@pytest.mark.parametrize(
    "value", [None, True, 1, 1.5, "x", D("1.20"), date(2000, 1, 2), datetime(2000, 1, 2, 3, 4, 5)]
)
def test_json_keeps_values_and_types(value: Any) -> None:
    import json

    got = decode(json.loads(json.dumps(encode(value))))
    assert got == value
    assert type(got) is type(value)


def test_what_json_has_no_form_for_is_refused() -> None:
    with pytest.raises(TypeError, match="bytes"):
        encode(b"x")
