"""Latency of Stat while fills stream and the evictor frees space, beside an idle control.

``python -m tests.bench.sidecar_mixed``. The source is a folder of sparse files, so that the sidecar
and not its source is what takes the CPU; each stream is paced to its rate by its client.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from millpond.model.sizes import GIB, MIB
from millpond.testing.proc import cpu_s
from millpond.wire.local_client import LocalClient
from tests.bench.sidecar_site import StatLoad
from tests.fixtures.sidecar import ProcessSidecar

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

    from tests.bench.sidecar_site import Latencies

STEP = 8 * MIB


def stream(directory: Path, path: str, mb_s: float, stop: Event, first: int) -> int:
    """Fill a file from byte ``first`` on at a steady rate until told to stop; the bytes filled."""
    done = 0
    with LocalClient.connect(directory, silence_s=60) as client:
        info = client.stat(path)
        due = time.monotonic()
        while not stop.is_set() and first + done + STEP <= info.length:
            client.fill(path, info.file_id, [(first + done, STEP)], window=STEP, stream=1)
            done += STEP
            due = max(due + STEP / (mb_s * 1e6), time.monotonic() - 1)
            time.sleep(max(0.0, due - time.monotonic()))
    return done


def streams(directory: Path, paths: list[str], mb_s: float, stop: Event, out: object) -> None:
    """A process with one thread a stream."""
    filled: list[int] = []

    def one(path: str) -> None:
        filled.append(stream(directory, path, mb_s, stop, 0))

    threads = [threading.Thread(target=one, args=(p,)) for p in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    out.put(sum(filled))  # type: ignore[attr-defined]


def figures(run: Latencies) -> dict[str, float]:
    return {f"p{q * 100:g}_ms": round(run.quantile_ms(q), 2) for q in (0.5, 0.99, 0.999, 1.0)}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--rate", type=float, default=1000)
    parser.add_argument("--streams", type=int, default=4)
    parser.add_argument("--mb-s", type=float, default=100)
    parser.add_argument("--evict-gib", type=float, default=5)
    args = parser.parse_args(argv)
    need = int(args.seconds * args.mb_s * 1e6 * 1.2) // STEP * STEP + STEP
    evict = int(args.evict_gib * GIB)
    with tempfile.TemporaryDirectory(prefix="millpond-bench-") as text:
        root = Path(text)
        (root / "data").mkdir()
        for name, size in [*((f"s{i}", need) for i in range(args.streams)), ("old", evict)]:
            with (root / "data" / name).open("wb") as f:
                f.truncate(size)
        # Above 95 % the evictor goes down to a share that frees what is asked for.
        capacity = int((evict + 128 * MIB) / 0.95)
        low = max(0.05, 0.95 - evict / capacity)
        env = {
            "MILLPOND_CACHE_CAPACITY_BYTES": str(capacity),
            "MILLPOND_EVICT_LOW": f"{low:.3f}",
            "MILLPOND_FRESHNESS_MS": "1h",
        }
        with ProcessSidecar(root / "cache", root / "log", **env) as sidecar:
            client = sidecar.await_client()
            sidecar.control.mount_add("/d", f"file://{root}/data")
            while not client.stat("/d/old", force=True).file_id:
                time.sleep(0.1)
            info = client.stat("/d/old")
            for start in range(0, evict, 128 * MIB):
                size = min(128 * MIB, evict - start)
                client.fill("/d/old", info.file_id, [(start, size)])
            load = StatLoad(sidecar.directory, ["/d/old"], args.rate)
            idle = load.run(args.seconds)
            context = multiprocessing.get_context("spawn")
            stop, out = context.Event(), context.Queue()
            paths = [f"/d/s{i}" for i in range(args.streams)]
            process = context.Process(
                target=streams, args=(sidecar.directory, paths, args.mb_s, stop, out)
            )
            process.start()
            cpu, before = cpu_s(sidecar.process.pid), time.monotonic()
            busy = load.run(args.seconds)
            wall = time.monotonic() - before
            cpu = cpu_s(sidecar.process.pid) - cpu
            stop.set()
            filled = out.get()
            process.join()
            stats = sidecar.control.stats()
            report = {
                "stat_rate": args.rate,
                "idle": figures(idle),
                "busy": figures(busy),
                "filled_mb_s": round(filled / wall / 1e6, 1),
                "evicted_gib": round(stats.counters["evicted_bytes"] / GIB, 2),
                "cpu_percent_of_a_core": round(100 * cpu / wall, 1),
            }
            print(json.dumps(report))
            load.close()
            client.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
