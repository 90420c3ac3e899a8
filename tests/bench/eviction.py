"""Byte misses of each eviction policy, beside libCacheSim's S3FIFO at equal sizes.

``make bench BENCH=eviction`` writes build/bench/eviction.json and a table. The policies are the
store's own classes, alone: each request either touches an entry, or evicts until the object fits
and inserts it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from libcachesim import S3FIFO, Request
from rich.console import Console
from rich.table import Table

from millpond.store.eviction import POLICIES
from millpond.store.segment import Segment
from tests.bench.eviction_traces import MAKERS, Trace, trace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from millpond.store.eviction import EvictionPolicy

OUT = Path("build/bench/eviction.json")
SHARES = (0.01, 0.03, 0.10, 0.30)  # of the working set
REQUESTS = 100_000


def _key(number: int) -> bytes:
    digest = hashlib.blake2b(number.to_bytes(8, "little"), digest_size=16).digest()
    return digest + number.to_bytes(8, "little")[:4]


def misses(policy: type[EvictionPolicy], t: Trace, capacity: int) -> float:
    """The share of bytes that were not in the cache when asked for."""
    segment = Segment("content", 20, policy)
    segment.policy.capacity_bytes = capacity
    keys: dict[int, bytes] = {}
    missed = total = 0
    for number, size in zip(t.objects, t.sizes, strict=True):
        key = keys.get(number)
        if key is None:
            key = keys[number] = _key(number)
        total += size
        if segment.size(key) >= 0:
            segment.touch(key, 1)
            continue
        missed += size
        while segment.total_bytes + size > capacity:
            victim = segment.choose(lambda _: False)
            assert victim is not None
            segment.drop(victim)
        segment.put(key, size)
    return missed / total


def reference_misses(t: Trace, capacity: int) -> float:
    """The same by libCacheSim's S3FIFO."""
    cache = S3FIFO(capacity)
    missed = total = 0
    for number, size in zip(t.objects, t.sizes, strict=True):
        total += size
        if not cache.get(Request(obj_id=number + 1, obj_size=size)):
            missed += size
    return missed / total


def measure(t: Trace, share: float, policies: Sequence[str]) -> dict[str, Any]:
    """One row: byte misses by policy, in points."""
    capacity = int(t.working_set * share)
    row: dict[str, Any] = {"trace": t.name, "share": share, "capacity_units": capacity}
    row["reference"] = round(100 * reference_misses(t, capacity), 3)
    for name in policies:
        began = time.process_time()
        row[name] = round(100 * misses(POLICIES[name], t, capacity), 3)
        row[f"{name}_us"] = round((time.process_time() - began) * 1e6 / len(t), 2)
    row["difference"] = round(row["s3fifo"] - row["reference"], 3)
    return row


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    args = parser.parse_args(argv)
    rows = [
        measure(t, share, sorted(POLICIES))
        for t in (trace(name, args.requests) for name in MAKERS)
        for share in SHARES
    ]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"requests": args.requests, "rows": rows}, indent=1) + "\n")
    columns = list(rows[0])
    title = "Byte misses in % (reference: libCacheSim), difference in points, CPU µs per request"
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*(str(row[c]) for c in columns))
    Console().print(table)
    worst = max(abs(row["difference"]) for row in rows)
    print(f"largest difference {worst} points; {OUT}")
    return 0 if worst <= 1.0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
