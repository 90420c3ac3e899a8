"""Memory and time to serve with many blocks: ``python -m tests.bench.sidecar_scale``.

Makes real block files (a header each, nothing present), starts a sidecar that has never seen them,
waits until it has counted them all, stops it, and starts it again from its snapshot.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import tempfile
import time
from pathlib import Path

import crc32c

from millpond.model.block import Header
from millpond.model.paths import block_name
from millpond.model.sizes import BLOCK_BYTES, GIB
from tests.fixtures.sidecar import ProcessSidecar

BLOCKS_PER_FILE = 64


def make_blocks(directory: Path, count: int) -> None:
    """``count`` block files of random file ids, as the store lays them out."""
    made = 0
    while made < count:
        file_id = secrets.token_bytes(16)
        folder = (directory / block_name(file_id, 0)).parent
        folder.mkdir(parents=True, mode=0o750)
        for block in range(min(BLOCKS_PER_FILE, count - made)):
            header = Header(file_id, block, BLOCK_BYTES, secrets.randbits(64))
            fd = os.open(folder / str(block), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
            os.write(fd, header.pack(crc32c.crc32c))
            os.ftruncate(fd, header.file_bytes)
            os.close(fd)
            made += 1


def rss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


def measure(directory: Path, log: Path, blocks: int, *, wait_s: float) -> dict[str, float]:
    """One start: when it serves, when it has counted all blocks, and its memory then."""
    began = time.perf_counter()
    env = {"MILLPOND_CACHE_CAPACITY_BYTES": str(64 * GIB)}
    with ProcessSidecar(directory, log, **env) as sidecar:
        client = sidecar.await_client()
        client.stat("/")
        serving_s = time.perf_counter() - began
        until = time.perf_counter() + wait_s
        while (seen := sidecar.control.stats().blocks) != blocks:
            if time.perf_counter() > until:
                raise SystemExit(f"{seen} of {blocks} blocks counted after {wait_s} s")
            time.sleep(0.1)
        counted_s = time.perf_counter() - began
        rss = rss_mb(sidecar.process.pid)
        client.close()
        stopping = time.perf_counter()
        sidecar.process.terminate()
        sidecar.process.wait(60)
        stop_s = time.perf_counter() - stopping
    return {
        "serving_s": round(serving_s, 2),
        "counted_s": round(counted_s, 2),
        "rss_mb": round(rss, 1),
        "stop_s": round(stop_s, 2),
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=1_000_000)
    parser.add_argument("--dir", type=Path, help="where to make the cache directory")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="millpond-bench-", dir=args.dir) as text:
        root = Path(text)
        empty = measure(root / "empty", root / "empty.log", 0, wait_s=30)
        directory = root / "cache"
        directory.mkdir(mode=0o750)
        make_blocks(directory, args.blocks)
        first = measure(directory, root / "1.log", args.blocks, wait_s=600)
        again = measure(directory, root / "2.log", args.blocks, wait_s=600)
    per_block = (again["rss_mb"] - empty["rss_mb"]) * 2**20 / max(1, args.blocks)
    print(json.dumps({"blocks": args.blocks, "empty": empty, "first": first, "again": again,
                      "rss_bytes_per_block": round(per_block, 1)}))  # fmt: skip
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
