"""What DuckDB answers on the same files: the reference of every result.

A query's text is Spark's; sqlglot translates it. Its outermost LIMIT is taken off and the values it
is ordered by are fetched beside the rows, so that rows that tie in the order, or at the limit, can
be told from wrong ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import duckdb
import sqlglot
from sqlglot import exp

from millpond.errors import NotSupported
from millpond_tpcds.compare import Answer, Row, same
from millpond_tpcds.tables import FACTS, RENAMED, TABLES

if TYPE_CHECKING:
    from pathlib import Path

_BATCH = 1024
_KEY = "order_key_{}"


class Oracle:
    """DuckDB on the tables of a folder. Use it in a ``with``."""

    def __init__(self, folder: Path, *, threads: int = 1, memory: str = "2GB") -> None:
        self._base = duckdb.connect(config={"threads": threads, "memory_limit": memory})
        self._base.execute("SET default_null_order = 'nulls_first_on_asc_last_on_desc'")
        for table in TABLES:
            # A partition's date is in the name of its folder, if the tables are partitioned.
            key = FACTS.get(table)
            columns = f"* REPLACE (CAST({key} AS INT) AS {key})" if key else "*"
            columns += "".join(f", {old} AS {new}" for new, old in RENAMED.get(table, {}).items())
            files = str(folder / table).replace("'", "''") + "/**/*.parquet"
            self._base.execute(
                f"CREATE VIEW {table} AS SELECT {columns} "
                f"FROM read_parquet('{files}', hive_partitioning = true)"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()

    def answer(self, sql: str) -> Answer:
        """The answer to a query in Spark's dialect. Raises NotSupported for what it can't run."""
        refused = ""
        variants, limit, keys = _variants(sql)
        for text in variants:
            try:
                self._base.execute(text)
            except duckdb.BinderException as e:
                refused = str(e).partition("\n")[0]
                continue
            return self._read(limit, keys)
        raise NotSupported("DuckDB can't run a query", cause=refused)

    def _read(self, limit: int | None, keys: int) -> Answer:
        """Rows up to the end of the group that holds the last one within the limit."""
        answer = Answer(limit=limit)
        last: Row | None = None
        count = 0
        while batch := self._base.fetchmany(_BATCH):
            for record in batch:
                row, key = record[: len(record) - keys], record[len(record) - keys :]
                if last is None or not all(map(same, key, last)):
                    if limit is not None and count >= limit:
                        return answer
                    answer.groups.append([])
                last = key
                answer.groups[-1].append(row)
                count += 1
        return answer


def _variants(sql: str) -> tuple[list[str], int | None, int]:
    """Ways to write the query for DuckDB, its limit, and how many columns at the end are keys.

    The keys are computed from the query's output where that has all they need, else inside it.
    """
    tree = sqlglot.parse_one(sql, read="spark")
    assert isinstance(tree, exp.Query)
    limit, order = tree.args.get("limit"), tree.args.get("order")
    tree.set("limit", None)
    tree.set("order", None)
    keys = order.expressions if order is not None else []
    named = [exp.alias_(k.this.copy(), _KEY.format(i)) for i, k in enumerate(keys)]
    by = [k.copy() for k in keys]
    for i, one in enumerate(by):
        one.set("this", exp.column(_KEY.format(i)))
    variants = [exp.select("*", *named).from_(tree.copy().subquery("answer"))]
    if isinstance(tree, exp.Select):
        variants.append(tree.copy().select(*named))
    texts = [(v.order_by(*by) if by else v).sql(dialect="duckdb") for v in variants]
    return texts, int(limit.expression.this) if limit is not None else None, len(keys)
