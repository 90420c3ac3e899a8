"""CPU of the sidecar at a steady rate of Stat: ``python -m tests.bench.sidecar_stat``."""

from __future__ import annotations

import argparse
import json

from millpond.testing.proc import cpu_s
from tests.bench.sidecar_site import StatLoad, folder_site


def measure(rate: float, seconds: float, batch: int) -> dict[str, float]:
    with folder_site() as (sidecar, paths):
        load = StatLoad(sidecar.directory, paths, rate, batch)
        load.run(1.0)
        before = cpu_s(sidecar.process.pid)
        run = load.run(seconds)
        cpu = cpu_s(sidecar.process.pid) - before
        load.close()
    return {
        "rate": round(run.rate, 1),
        "batch": batch,
        "cpu_percent_of_a_core": round(100 * cpu / run.wall_s, 1),
        "cpu_us_per_call": round(1e6 * cpu / len(run.seconds), 1),
        "p50_ms": round(run.quantile_ms(0.5), 3),
        "p99_ms": round(run.quantile_ms(0.99), 3),
        "max_ms": round(run.quantile_ms(1.0), 3),
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=5000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--batch", type=int, nargs="*", default=[1, 5])
    args = parser.parse_args(argv)
    for batch in args.batch:
        print(json.dumps(measure(args.rate, args.seconds, batch)), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
