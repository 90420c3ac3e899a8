"""What ``fs`` measures: each measure declared once, for all targets alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.bench.data import Files

_KIB, _MIB = 1 << 10, 1 << 20


@dataclass(frozen=True, slots=True)
class Measure:
    """One operation on a file system, repeated; its value is a rate: more is better."""

    name: str
    kind: str  # the agent's measure
    unit: str
    what: str
    size: int = 0
    remote_ops: int = 1  # operations in a sample where each costs a round trip to a store
    blocks: bool = True  # reads file data out of blocks: a hit must not call the sidecar

    def fields(self, base: str, files: Files) -> dict[str, object]:
        """The fields of the agent's ``run`` that do not change between samples."""
        common: dict[str, object] = {"measure": self.kind}
        if self.kind in ("sequential", "positioned", "vectored"):
            common |= {"path": f"{base}/{files.big}", "size": self.size, "length": files.big_bytes}
        if self.kind == "vectored":
            common["ranges"] = VECTORED_RANGES
        if self.kind == "replay":
            common |= {"path": f"{base}/{files.parquet}", "steps": files.steps_file}
        if self.kind in ("whole_files", "statuses"):
            common |= {"path": f"{base}/{files.small}", "names": files.names_file}
        if self.kind == "listings":
            common |= {"path": f"{base}/{files.small}", "expected": len(files.small_names)}
        return common

    def work(self, ops: int, seed: int) -> dict[str, object]:
        """The fields that say how much of it, and at which places."""
        if self.kind == "sequential":
            return {"limit": ops * self.size}
        if self.kind == "replay":
            return {}
        return {"ops": ops, "seed": seed}

    def value(self, elapsed_ns: int, ops: int, size: int) -> float:
        """The rate, in ``unit``."""
        return (size / _MIB if self.unit == "MiB/s" else ops) / (elapsed_ns / 1e9)


VECTORED_RANGES = 16

MEASURES = (
    Measure("seq_1MiB", "sequential", "MiB/s", "read() of 1 MiB from start to end",
            size=_MIB, remote_ops=256),
    Measure("pread_64KiB", "positioned", "reads/s", "readFully of 64 KiB at random places",
            size=64 * _KIB, remote_ops=48),
    Measure("pread_8KiB", "positioned", "reads/s", "readFully of 8 KiB at random places",
            size=8 * _KIB, remote_ops=48),
    Measure("vectored_16x64KiB", "vectored", "calls/s",
            "readVectored of 16 disjoint random ranges of 64 KiB", size=64 * _KIB, remote_ops=8),
    Measure("small_open_read", "whole_files", "files/s", "open, read 1 to 32 KiB, close",
            remote_ops=32, blocks=False),
    Measure("status", "statuses", "calls/s", "getFileStatus", remote_ops=48, blocks=False),
    Measure("list_1000", "listings", "calls/s", "listStatus of a directory of 1,000 files",
            remote_ops=4, blocks=False),
)  # fmt: skip

FIRST_PAGE = "first_page"
COLD_MEASURES = (
    Measure("cold_sequential", "sequential", "MiB/s", "read() of 1 MiB from start to end",
            size=_MIB),
    Measure("cold_parquet", "replay", "MiB/s",
            "open, tail, footer, then the chunks of 6 of 12 columns by readVectored"),
    Measure(FIRST_PAGE, "sequential", "reads/s", "the first 64 KiB of an open file",
            size=64 * _KIB),
)  # fmt: skip
