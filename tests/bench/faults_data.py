"""The table of the fault campaign, and what its query must answer, computed without Spark."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pathlib import Path

KEY = "k"
KEYS = 16
VALUES = tuple(f"c{i}" for i in range(7))
MODULUS = 1009
_ROW_BYTES = 8 * (len(VALUES) + 1)
_GROUP_BYTES = 32 << 20  # and at least eight row groups a file
_SEED = 7


@dataclass(frozen=True, slots=True)
class TableFiles:
    """A folder of Parquet files that do not compress, and the query's answer."""

    root: Path
    answer: list[list[int]]
    bytes: int
    files: int


def make(root: Path, files: int, file_bytes: int) -> TableFiles:
    """The table below ``root``, left from an earlier run where it has the same size."""
    tree = root / f"table-{files}x{file_bytes >> 20}m"
    if not tree.exists():
        made = tree.with_suffix(".new")
        shutil.rmtree(made, ignore_errors=True)
        (made / "table").mkdir(parents=True)
        rng = np.random.default_rng(_SEED)
        totals = np.zeros((KEYS, 1 + len(VALUES)), dtype=np.int64)
        for i in range(files):
            _file(made / "table" / f"part-{i:03d}.parquet", file_bytes, rng, totals)
        answer = [[k, *map(int, totals[k])] for k in range(KEYS)]
        (made / "answer.json").write_text(json.dumps(answer))
        made.rename(tree)
    paths = list((tree / "table").iterdir())
    return TableFiles(
        root=tree / "table",
        answer=json.loads((tree / "answer.json").read_text()),
        bytes=sum(p.stat().st_size for p in paths),
        files=len(paths),
    )


def _file(path: Path, size: int, rng: np.random.Generator, totals: np.ndarray) -> None:
    """Writes one file and adds what the query will find in it."""
    schema = pa.schema([(name, pa.int64()) for name in (KEY, *VALUES)])
    rows_left = -(-size // _ROW_BYTES)
    with pq.ParquetWriter(path, schema, use_dictionary=False, compression="none") as writer:
        while rows_left > 0:
            rows = min(rows_left, min(_GROUP_BYTES, size // 8) // _ROW_BYTES)
            keys = rng.integers(0, KEYS, rows)
            values = [rng.integers(0, 1 << 62, rows) for _ in VALUES]
            writer.write_table(pa.table([keys, *values], schema=schema), row_group_size=rows)
            totals[:, 0] += np.bincount(keys, minlength=KEYS)
            for i, column in enumerate(values):
                # Sums of remainders stay far below 2**53, where float addition is exact.
                sums = np.bincount(keys, weights=column % MODULUS, minlength=KEYS)
                totals[:, i + 1] += sums.astype(np.int64)
            rows_left -= rows
