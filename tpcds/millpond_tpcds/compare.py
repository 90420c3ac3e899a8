"""Whether an engine's rows are an answer to a query that DuckDB answered.

What counts as equal, stated once:

- Whole numbers, texts, dates and truth values: equal, of the same kind. NULL equals NULL.
- Two decimals: equal once both are rounded to the smaller of their scales.
- A decimal and a double, as where Spark divides decimals and DuckDB doubles: equal when they differ
  by at most one in the decimal's last place, or by 1e-6 of the value.
- Two doubles: equal when they differ by at most 1e-9 of the larger, or by 1e-12. Sums of doubles
  depend on the order of additions.

Rows are compared in the order of the query's ORDER BY; rows that tie in it may come in any order,
and where a LIMIT cuts through such a tie, any of them may be returned.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

Row = tuple[Any, ...]

_MIXED_RELATIVE = 1e-6
_DOUBLE_RELATIVE, _DOUBLE_ABSOLUTE = 1e-9, 1e-12


@dataclass(slots=True)
class Answer:
    """All rows a query may return, in groups that its ORDER BY does not tell apart.

    ``limit`` rows of them are to be returned, from the first group on; None: all. Without ORDER BY
    there is one group.
    """

    groups: list[list[Row]] = field(default_factory=list)
    limit: int | None = None


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal in the sense of this module."""
    if a is None or b is None:
        return a is b
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, str | date) or isinstance(b, str | date):
        return type(a) is type(b) and bool(a == b)
    if isinstance(a, float) and isinstance(b, float):
        return _doubles(a, b)
    if isinstance(a, float) or isinstance(b, float):
        double, other = (a, b) if isinstance(a, float) else (b, a)
        return _mixed(Decimal(other), double)
    if isinstance(a, Decimal) and isinstance(b, Decimal):
        scale = min(_scale(a), _scale(b))
        return round(a, scale) == round(b, scale)
    return bool(a == b)


def _doubles(a: float, b: float) -> bool:
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return math.isclose(a, b, rel_tol=_DOUBLE_RELATIVE, abs_tol=_DOUBLE_ABSOLUTE)


def _mixed(exact: Decimal, double: float) -> bool:
    if not math.isfinite(double):
        return False
    last_place = 10.0 ** -_scale(exact)
    return math.isclose(float(exact), double, rel_tol=_MIXED_RELATIVE, abs_tol=last_place)


def _scale(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def difference(rows: Sequence[Row], answer: Answer) -> str | None:
    """What is wrong with an engine's rows; None where they are an answer."""
    there = sum(map(len, answer.groups))
    expected = there if answer.limit is None else min(answer.limit, there)
    if len(rows) != expected:
        return f"{len(rows)} rows instead of {expected}"
    at = 0
    for group in answer.groups:
        part = rows[at : at + len(group)]
        strange = _unmatched(part, group)
        if strange is not None:
            instead = f"instead of {group[0]}" if len(group) == 1 else f"none of {len(group)} there"
            return f"row {at + 1 + strange} is {part[strange]}, {instead}"
        at += len(part)
    return None


def _unmatched(rows: Sequence[Row], group: Sequence[Row]) -> int | None:
    """The first of ``rows`` without a partner of its own in ``group``; None where all have one."""
    exact = _exact_columns([*rows, *group])
    buckets: dict[Row, list[int]] = defaultdict(list)
    for j, row in enumerate(group):
        buckets[_at(row, exact)].append(j)
    partner: dict[int, int] = {}  # of a row of the group: the row it is taken by

    def place(i: int, tried: set[int]) -> bool:
        """A partner for row i, moving others where needed (an augmenting path)."""
        for j in buckets.get(_at(rows[i], exact), ()):
            if j in tried or not _same_rows(rows[i], group[j]):
                continue
            tried.add(j)
            if j not in partner or place(partner[j], tried):
                partner[j] = i
                return True
        return False

    return next((i for i in range(len(rows)) if not place(i, set())), None)


def _same_rows(a: Row, b: Row) -> bool:
    return len(a) == len(b) and all(map(same, a, b))


def _exact_columns(rows: Sequence[Row]) -> list[int]:
    """Columns that have to be equal to the letter: those without a decimal or a double."""
    width = min(map(len, rows), default=0)
    return [c for c in range(width) if not any(isinstance(r[c], float | Decimal) for r in rows)]


def _at(row: Row, columns: Sequence[int]) -> Row:
    """Values to look up by; a truth value is not the number it equals in Python."""
    return tuple((type(row[c]) is bool, row[c]) for c in columns)


def encode(value: Any) -> Any:
    """A value as JSON keeps it, its type with it."""
    match value:
        case None | bool() | int() | str() | float():
            return value
        case Decimal():
            return {"n": str(value)}
        case datetime():
            return {"t": value.isoformat()}
        case date():
            return {"d": value.isoformat()}
    raise TypeError(f"no JSON for {type(value).__name__}")


def decode(value: Any) -> Any:
    """What ``encode`` was given."""
    match value:
        case {"n": text}:
            return Decimal(text)
        case {"t": text}:
            return datetime.fromisoformat(text)
        case {"d": text}:
            return date.fromisoformat(text)
    return value
