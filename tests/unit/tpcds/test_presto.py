"""What Presto is told, and what it answers, in the terms of the other engines."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from millpond.errors import InvalidSetting, NotSupported
from millpond_tpcds import presto
from millpond_tpcds.compare import Answer, difference
from millpond_tpcds.dataset import PARTITIONED, DataSet
from millpond_tpcds.targets import PRESTO, PRESTO_WARM, SPARK, TARGETS, chosen

if TYPE_CHECKING:
    from pathlib import Path


def test_values_have_the_type_of_their_column() -> None:
    said = [["1.50", "decimal(7,2)"], ["2000-01-31", "date"], ["NaN", "double"], [3, "bigint"]]
    row = tuple(presto.value(*each) for each in [*said, [None, "date"], ["x", "char(1)"]])
    theirs = (Decimal("1.5"), date(2000, 1, 31), float("nan"), 3, None, "x")
    assert difference([row], Answer([[theirs]])) is None


def test_nulls_come_where_spark_has_them() -> None:
    sql = presto.translated("SELECT `a` FROM t ORDER BY a, b DESC LIMIT 5")
    assert sql == 'SELECT "a" FROM t ORDER BY a NULLS FIRST, b DESC LIMIT 5'


def test_a_share_of_the_heap_is_for_one_query() -> None:
    limits = presto.memory_limits("2g")
    assert limits["query.max-memory-per-node"] == "1024MB"
    assert limits["query.max-total-memory-per-node"] == "1228MB"
    assert presto.memory_limits("1500m")["query.max-memory"] == "750MB"
    for wrong in ("2", "2t", "g", "-1g", ""):
        with pytest.raises(InvalidSetting, match="--memory"):
            presto.memory_limits(wrong)


def test_a_run_is_of_sparks_targets_unless_others_are_named() -> None:
    assert {target.engine for target in chosen(None)} == {SPARK}
    assert [target.engine for target in chosen([PRESTO_WARM])] == [PRESTO]
    assert len(chosen(list(TARGETS))) == len(TARGETS)


def test_partitions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotSupported, match="plain layout"):
        presto.check(DataSet(tmp_path, 1, PARTITIONED))
