"""CPU of the sidecar at a steady rate of Stat: ``python -m tests.bench.sidecar_stat``.

With ``--control 100`` another process calls the control service that often meanwhile.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from contextlib import contextmanager
from typing import TYPE_CHECKING

from millpond.control import Control
from millpond.testing.proc import cpu_s
from tests.bench.sidecar_site import StatLoad, folder_site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.synchronize import Event
    from pathlib import Path


def measure(rate: float, seconds: float, batch: int, control: float) -> dict[str, float]:
    with folder_site() as (sidecar, paths), controlled(sidecar.directory, control):
        load = StatLoad(sidecar.directory, paths, rate, batch)
        load.run(1.0)
        before = cpu_s(sidecar.process.pid)
        run = load.run(seconds)
        cpu = cpu_s(sidecar.process.pid) - before
        load.close()
    return {
        "rate": round(run.rate, 1),
        "batch": batch,
        "control_rate": control,
        "cpu_percent_of_a_core": round(100 * cpu / run.wall_s, 1),
        "cpu_us_per_call": round(1e6 * cpu / len(run.seconds), 1),
        "p50_ms": round(run.quantile_ms(0.5), 3),
        "p99_ms": round(run.quantile_ms(0.99), 3),
        "max_ms": round(run.quantile_ms(1.0), 3),
    }


@contextmanager
def controlled(directory: Path, rate: float) -> Iterator[None]:
    """Another process calls the control service at that rate."""
    if not rate:
        yield
        return
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    process = context.Process(target=call, args=(directory, rate, stop))
    process.start()
    try:
        yield
    finally:
        stop.set()
        process.join()


def call(directory: Path, rate: float, stop: Event) -> None:
    with Control(directory) as control:
        while not stop.wait(2 / rate):
            control.stats()
            control.mounts()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=5000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--batch", type=int, nargs="*", default=[1, 5])
    parser.add_argument("--control", type=float, nargs="*", default=[0])
    args = parser.parse_args(argv)
    for batch in args.batch:
        for control in args.control:
            told = measure(args.rate, args.seconds, batch, control)
            print(json.dumps(told), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
