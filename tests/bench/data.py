"""The files that are measured: made once from a seed, the same bytes for every target."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pathlib import Path

_MIB = 1 << 20
_SEED = 20_26
SMALL_FILES = 1000
SMALL_MIN_BYTES, SMALL_MAX_BYTES = 1 << 10, 32 << 10


@dataclass(frozen=True, slots=True)
class Files:
    """What lies below ``root``, by name relative to it."""

    root: Path
    big: str  # one file of big_bytes
    big_bytes: int
    small: str  # a directory of small_names, each 1 to 32 KiB
    small_names: tuple[str, ...]
    parquet: str  # one Parquet file of about big_bytes
    parquet_bytes: int
    names_file: Path  # small_names, one a line
    steps_file: Path  # a columnar reader's calls on `parquet`, one a line


def make(root: Path, big_bytes: int) -> Files:
    """The files below ``root``, left from an earlier run where they have the same size."""
    tree = root / f"data-{big_bytes >> 20}m"
    if not tree.exists():
        made = root / f"{tree.name}.new"
        shutil.rmtree(made, ignore_errors=True)
        (made / "files" / "small").mkdir(parents=True)
        rng = random.Random(_SEED)
        _random_file(made / "files" / "big.bin", big_bytes, rng)
        for i in range(SMALL_FILES):
            size = rng.randrange(SMALL_MIN_BYTES, SMALL_MAX_BYTES + 1)
            (made / "files" / "small" / _small_name(i)).write_bytes(rng.randbytes(size))
        _parquet_file(made / "files" / "wide.parquet", big_bytes, rng)
        (made / "names.txt").write_text("\n".join(map(_small_name, range(SMALL_FILES))) + "\n")
        steps = columnar_steps(made / "files" / "wide.parquet")
        (made / "steps.txt").write_text("\n".join(steps) + "\n")
        made.rename(tree)
    return Files(
        root=tree / "files",
        big="big.bin",
        big_bytes=big_bytes,
        small="small",
        small_names=tuple(map(_small_name, range(SMALL_FILES))),
        parquet="wide.parquet",
        parquet_bytes=(tree / "files" / "wide.parquet").stat().st_size,
        names_file=tree / "names.txt",
        steps_file=tree / "steps.txt",
    )


def _small_name(i: int) -> str:
    return f"f{i:04d}.bin"


def _random_file(path: Path, size: int, rng: random.Random) -> None:
    with path.open("wb") as out:
        for at in range(0, size, _MIB):
            out.write(rng.randbytes(min(_MIB, size - at)))


_COLUMNS = 12
_ROW_GROUP_BYTES = 64 * _MIB


def _parquet_file(path: Path, size: int, rng: random.Random) -> None:
    """About ``size`` bytes in 12 columns of 8-byte values that do not compress."""
    group = min(_ROW_GROUP_BYTES, max(size // 2, _MIB))
    rows = group // (8 * _COLUMNS)
    names = [f"c{i}" for i in range(_COLUMNS)]
    schema = pa.schema([(name, pa.int64()) for name in names])
    with pq.ParquetWriter(path, schema, use_dictionary=False, compression="none") as writer:
        for _ in range(max(1, size // group)):
            values = [pa.py_buffer(rng.randbytes(8 * rows)) for _ in names]
            columns = [pa.Array.from_buffers(pa.int64(), rows, [None, v]) for v in values]
            writer.write_table(pa.table(columns, schema=schema), row_group_size=rows)


_TAIL_BYTES = 8


def columnar_steps(path: Path, columns: tuple[int, ...] = (0, 1, 5, 7, 8, 11)) -> list[str]:
    """The reads that a vectored Parquet reader makes for some columns of a real file.

    Its tail (footer length and magic), its footer, then for each row group one vectored read of the
    column chunks, neighbours joined as Parquet's reader joins consecutive chunks, split at 8 MiB as
    it allocates them. In ``Streams.Replay``'s notation.
    """
    length = path.stat().st_size
    tail = _last(path, _TAIL_BYTES)
    footer = int.from_bytes(tail[:4], "little")
    steps = [f"p {length - _TAIL_BYTES}:{_TAIL_BYTES}"]
    steps.append(f"p {length - _TAIL_BYTES - footer}:{footer}")
    meta = pq.ParquetFile(path).metadata
    for i in range(meta.num_row_groups):
        ranges: list[tuple[int, int]] = []
        for c in columns:
            chunk = meta.row_group(i).column(c)
            start = chunk.data_page_offset
            end = start + chunk.total_compressed_size
            if ranges and ranges[-1][1] == start:
                ranges[-1] = (ranges[-1][0], end)
            else:
                ranges.append((start, end))
        steps.append("v " + " ".join(f"{a}:{b - a}" for r in ranges for a, b in _split(*r)))
    return steps


def _split(start: int, end: int) -> list[tuple[int, int]]:
    step = 8 * _MIB
    return [(at, min(at + step, end)) for at in range(start, end, step)]


def _last(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        file.seek(-count, 2)
        return file.read(count)
