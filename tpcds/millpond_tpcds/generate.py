"""Makes the data: ``tpcgen-cli`` writes every table, DuckDB rewrites the facts by date.

One generator and no other: generators of TPC-DS differ in their rows, and results of one are wrong
for another's. A table appears in its place complete and verified, by a rename; one that stands
there is not made again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from millpond.errors import Internal, InvalidSetting, NoSpace, NotSupported
from millpond_tpcds.dataset import PARTITIONED, PLAIN, DataSet, TableNote, verified
from millpond_tpcds.tables import FACTS, TABLES, expected_bytes, parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Told = Callable[[str, TableNote, bool], object]  # table, its note, whether it was made now

MAX_SCALE = 1000.0
_ROW_GROUP = "128MB"  # before compression: what Parquet's own writer aims at
_PROGRAM = "tpcgen-cli"
_SORT_MEMORY = "2GB"


def generate(root: Path, scale: float, layout: str, told: Told) -> DataSet:
    """Makes what is missing of a data set, and says each table.

    Raises InvalidSetting, NoSpace, NotSupported (the generator is missing), Corrupt.
    """
    if not 0 < scale <= MAX_SCALE:
        raise InvalidSetting(f"--scale is {scale:g}", cause=f"allowed: above 0, to {MAX_SCALE:g}")
    plain, data = DataSet(root, scale, PLAIN), DataSet(root, scale, layout)
    data.home.mkdir(parents=True, exist_ok=True)
    _check_space(data, {plain.layout, layout})
    for table, note, made in _tables(plain, lambda table: partial(_write, table, scale)):
        if layout == PLAIN:
            told(table, note, made)
    if layout == PARTITIONED:
        rows = {table: note.rows for table, note in plain.notes().items()}
        for table, note, made in _tables(data, lambda table: partial(rewrite, plain, table)):
            if note.rows != rows[table]:
                raise Internal(f"{table} has {note.rows} rows by date, {rows[table]} without")
            told(table, note, made)
    return data


def generator() -> str:
    """The generator and its version. Raises NotSupported where it is not installed."""
    try:
        return f"{_PROGRAM} {version(_PROGRAM)}"
    except PackageNotFoundError:
        raise NotSupported(
            f"{_PROGRAM} is not installed", remedy="Install millpond[tpcds]"
        ) from None


def _tables(
    data: DataSet, writer: Callable[[str], Callable[[Path], None]]
) -> Iterator[tuple[str, TableNote, bool]]:
    """Every table, made by its writer unless it stands."""
    standing = data.notes()
    for table in TABLES:
        if table in standing:
            yield table, standing[table], False
        else:
            yield table, _place(data, table, writer(table)), True


def _place(data: DataSet, table: str, write: Callable[[Path], None]) -> TableNote:
    staged = data.home / f".{data.layout}.{table}"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir()
    write(staged)
    note = verified(staged)
    target = data.folder / table
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(exist_ok=True)
    staged.rename(target)
    data.note(table, note, generator())
    return note


def _write(table: str, scale: float, into: Path) -> None:
    """One table by the generator, as ``part-<n>.parquet``."""
    program = Path(sys.executable).with_name(_PROGRAM)
    generator()
    count = parts(table, scale)
    command = [str(program), "tpcds", "parquet", "-s", f"{scale:g}", "-T", table, "-q"]
    command += ["--row-group-bytes", _ROW_GROUP, "-o", str(into)]
    if count > 1:
        command += ["--parts", str(count)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode != 0:
        cause = done.stderr.decode(errors="replace").strip()[-300:]
        raise Internal(f"{_PROGRAM} could not write {table}", cause=cause)
    for n, file in enumerate(sorted(into.rglob("*.parquet"), key=_part_number)):
        file.rename(into / f"part-{n}.parquet")
    shutil.rmtree(into / table, ignore_errors=True)


def _part_number(file: Path) -> int:
    """Of ``<table>.<part>.parquet``; a table in one file has none."""
    number = file.stem.rpartition(".")[2]
    return int(number) if number.isdigit() else 0


def rewrite(plain: DataSet, table: str, into: Path) -> None:
    """A fact by its date key, one file a date; a dimension as it is, by hard links."""
    source = plain.folder / table
    key = FACTS.get(table)
    if key is None:
        for file in source.iterdir():
            os.link(file, into / file.name)
        return
    # One thread and sorted rows: each partition is one file.
    settings: dict[str, str | bool | int | float | list[str]] = {
        "threads": 1,
        "memory_limit": _SORT_MEMORY,
        "temp_directory": str(plain.home),
    }
    with duckdb.connect(config=settings) as base:
        base.execute(
            f"COPY (SELECT * FROM read_parquet('{_quoted(source)}/*.parquet') ORDER BY {key}) "
            f"TO '{_quoted(into)}' (FORMAT parquet, PARTITION_BY ({key}), COMPRESSION snappy, "
            "FILENAME_PATTERN 'part-{i}', OVERWRITE_OR_IGNORE)"
        )


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _check_space(data: DataSet, layouts: set[str]) -> None:
    """Raises NoSpace before anything is written where the disk can't hold what is missing."""
    needed = 0
    for layout in layouts:
        other = DataSet(data.home.parent, data.scale, layout)
        there = sum(note.bytes for note in other.notes().values())
        needed += max(0, expected_bytes(data.scale) - there)
    free = shutil.disk_usage(data.home).free
    if needed > free:
        raise NoSpace(
            f"the data set needs about {needed >> 20} MiB",
            cause=f"{data.home} has {free >> 20} MiB free",
            remedy="Name another folder with --data, or a smaller --scale.",
        )
