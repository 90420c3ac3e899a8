"""A data set on local disk: one folder a table, and a note of what is complete.

``<root>/sf<scale>/<layout>/<table>/…parquet``, and ``<root>/sf<scale>/<layout>.json`` beside it.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from millpond.errors import Corrupt, NotSupported
from millpond_tpcds.tables import FACTS, TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLAIN, PARTITIONED = "plain", "partitioned"
LAYOUTS = (PLAIN, PARTITIONED)


@dataclass(frozen=True, slots=True)
class TableNote:
    """A complete table: its rows, and its files' sizes by path below the table's folder."""

    rows: int
    files: dict[str, int]

    @property
    def bytes(self) -> int:
        return sum(self.files.values())


class DataSet:
    """One scale in one layout below ``root``, complete or not."""

    def __init__(self, root: Path, scale: float, layout: str) -> None:
        self.scale = scale
        self.layout = layout
        self.home = root / f"sf{scale:g}"
        self.folder = self.home / layout
        self._note = self.home / f"{layout}.json"

    def notes(self) -> dict[str, TableNote]:
        """Tables that were noted as complete and whose files still have the sizes noted."""
        try:
            text = self._note.read_text()
        except FileNotFoundError:
            return {}
        noted = {name: TableNote(**note) for name, note in json.loads(text)["tables"].items()}
        return {name: note for name, note in noted.items() if self._stands(name, note)}

    def note(self, table: str, note: TableNote, generator: str) -> None:
        """Notes a table as complete, by a rename."""
        tables = {name: asdict(one) for name, one in self.notes().items()} | {table: asdict(note)}
        document = {"scale": self.scale, "generator": generator, "tables": tables}
        staged = self._note.with_suffix(".new")
        staged.write_text(json.dumps(document, indent=1) + "\n")
        staged.rename(self._note)

    def complete(self) -> dict[str, TableNote]:
        """The notes of all tables. Raises NotSupported where some are missing."""
        notes = self.notes()
        missing = [table for table in TABLES if table not in notes]
        if missing:
            raise NotSupported(
                f"the data set {self.folder} is not complete",
                cause=f"missing: {', '.join(missing)}",
                remedy=f"millpond tpcds generate --scale {self.scale:g} --layout {self.layout}",
            )
        return notes

    def generator(self) -> str:
        """What wrote the tables."""
        told: str = json.loads(self._note.read_text())["generator"]
        return told

    def files(self) -> Iterator[tuple[str, Path, int]]:
        """Every file of the complete tables: path below the folder, path, size."""
        for table, note in sorted(self.notes().items()):
            for name, size in note.files.items():
                yield f"{table}/{name}", self.folder / table / name, size

    def _stands(self, table: str, note: TableNote) -> bool:
        return sizes(self.folder / table) == note.files


def sizes(folder: Path) -> dict[str, int]:
    """Sizes of the files below a folder, by relative path."""
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            found[os.path.relpath(path, folder)] = os.stat(path).st_size
    return dict(sorted(found.items()))


def verified(folder: Path) -> TableNote:
    """The note of a table as it stands, every footer read. Raises Corrupt where one is none."""
    rows = 0
    files = sizes(folder)
    for name in files:
        try:
            rows += pq.read_metadata(folder / name).num_rows
        except Exception as e:  # pyarrow's errors have no common root but this
            raise Corrupt(
                f"{folder / name} is not Parquet", cause=str(e), remedy="Remove it; generate again."
            ) from e
    if not rows:
        raise Corrupt(f"the table {folder} has no rows")
    return TableNote(rows, files)


def schema(data: DataSet, table: str) -> list[tuple[str, str]]:
    """Columns and their types as Spark's DDL writes them; a partition's key comes last."""
    note = data.complete()[table]
    arrow = pq.read_schema(data.folder / table / next(iter(note.files)))
    columns = [(field.name, _ddl(field.type)) for field in arrow]
    key = FACTS.get(table)
    if data.layout == PARTITIONED and key:
        columns = [c for c in columns if c[0] != key] + [(key, "int")]
    return columns


def _ddl(kind: Any) -> str:
    text = str(kind)
    if text.startswith("decimal128"):
        return text.replace("decimal128", "decimal").replace(" ", "")
    names = {"int32": "int", "int64": "bigint", "string": "string", "string_view": "string",
             "date32[day]": "date", "double": "double"}  # fmt: skip
    if text not in names:
        raise NotSupported(f"a column of type {text}", cause="no table of TPC-DS has one")
    return names[text]


def projected_bytes(data: DataSet, sql: str) -> int:
    """What a query has to read at most: the column chunks of every column that it names.

    Column names of TPC-DS are unique, so a name tells its table. Read from the files' footers.
    """
    words = set(_words(sql))
    total = 0
    for table, chunks in _chunks(data).items():
        if table in words:
            total += sum(size for column, size in chunks.items() if column in words)
    return total


def tables_of(sql: str) -> list[str]:
    """The tables that a query names."""
    words = set(_words(sql))
    return [table for table in TABLES if table in words]


def _words(sql: str) -> list[str]:
    return "".join(c.lower() if c.isalnum() or c == "_" else " " for c in sql).split()


def _chunks(data: DataSet) -> dict[str, dict[str, int]]:
    """Compressed bytes by table and column; kept beside the note, since footers are many."""
    kept = data.home / f"{data.layout}.columns.json"
    if (
        kept.exists()
        and kept.stat().st_mtime_ns >= data.home.joinpath(f"{data.layout}.json").stat().st_mtime_ns
    ):
        told: dict[str, dict[str, int]] = json.loads(kept.read_text())
        return told
    found: dict[str, dict[str, int]] = {}
    for table, note in data.complete().items():
        by_column: dict[str, int] = {}
        for name in note.files:
            meta = pq.read_metadata(data.folder / table / name)
            for g in range(meta.num_row_groups):
                group = meta.row_group(g)
                for c in range(group.num_columns):
                    chunk = group.column(c)
                    key = chunk.path_in_schema
                    by_column[key] = by_column.get(key, 0) + chunk.total_compressed_size
        found[table] = by_column
    kept.write_text(json.dumps(found))
    return found
