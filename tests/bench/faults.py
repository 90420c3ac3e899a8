"""A Spark job whose sidecar is killed or stopped at random moments: nothing may fail for it.

Each round has a fresh Spark process and a cache that holds a random half of every file, so that
both hits and fills are under way when the fault comes.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console

from millpond.testing.proc import machine
from millpond.testing.service import workplace
from millpond.testing.store_model import Model
from millpond_spark import conf
from tests.bench import faults_data, report
from tests.bench.jvm import BUILD, ROOT
from tests.bench.site import Site, Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from tests.bench.faults_data import TableFiles

FAULTS = {"killed": signal.SIGKILL, "stopped": signal.SIGSTOP}
PAGE_BYTES = 64 << 10
LATEST = 0.8  # of the bytes to be read: later there is little left to disturb
READ_COUNTERS = ("hit_bytes", "filled_bytes", "inline_bytes", "direct_bytes")
_QUIT_S = 60
_ATTEMPTS = 3
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Size:
    """How much data, how many faults of each kind."""

    files: int
    file_bytes: int
    rounds: int
    model: Model
    seed: int = 1


class SparkJob:
    """``faults_job`` in a process of its own, its session up."""

    def __init__(self, settings: Path, table: str, log: Path) -> None:
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.bench.faults_job", str(settings), table],
                cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip
        self._log = log
        self.ask("ready")

    def ask(self, verb: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(verb + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the Spark process ended; see {self._log}")
        told: dict[str, Any] = json.loads(line)
        return told

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=_QUIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class Campaign:
    """The rounds of one campaign over one site."""

    def __init__(self, site: Site, table: TableFiles, size: Size, work: Path) -> None:
        self._site = site
        self._table = table
        self._size = size
        self._work = work
        self._rng = random.Random(size.seed)
        self._settings = work / "spark.json"
        self._settings.write_text(json.dumps(self._conf()))

    def _conf(self) -> dict[str, str]:
        direct = {f"spark.hadoop.{k}": v for k, v in self._site.s3a_conf().items()}
        return conf(
            self._site.cache_dir,
            None,
            True,
            s3a="fetch",
            **{"spark.master": "local[2]", "spark.driver.memory": "2g"},
            **{"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1"},
            **{"spark.driver.bindAddress": "127.0.0.1", "spark.sql.shuffle.partitions": "2"},
            **direct,
        )

    def _job(self, name: str) -> SparkJob:
        return SparkJob(self._settings, f"cache://{Site.HIT}", self._work / f"spark-{name}.log")

    def run(self) -> dict[str, Any]:
        """The campaign's figures, round by round and in sum."""
        baseline = self._baseline()
        rounds = []
        for fault in FAULTS:
            for i in range(self._size.rounds):
                one = self._round(fault, f"{fault}-{i}")
                Console(stderr=True).print(one)
                rounds.append(one)
        return {
            "table": {"files": self._table.files, "bytes": self._table.bytes},
            "baseline": baseline,
            "faults": {
                fault: _sums([r for r in rounds if r["fault"] == fault]) for fault in FAULTS
            },
            "rounds": rounds,
        }

    def _baseline(self) -> dict[str, Any]:
        """The same job undisturbed."""
        self._half_cold()
        with self._job("undisturbed") as job:
            job.ask("start")
            told = job.ask("result")
            counters = job.ask("counters")
        if told.get("rows") != self._table.answer:
            raise AssertionError(f"the undisturbed job answers {told}")
        return {"seconds": told["seconds"], "counters": counters}

    def _round(self, fault: str, name: str) -> dict[str, Any]:
        """One fault, at a random share of the bytes that the job has to read."""
        share = self._rng.uniform(0, LATEST)
        for _ in range(_ATTEMPTS):
            self._half_cold()
            with self._job(name) as job:
                job.ask("start")
                if not self._read(job, share):
                    continue
                self._site.signal_sidecar(FAULTS[fault])
                at_fault = job.ask("counters")
                told = job.ask("result")
                after = job.ask("counters")
            self._site.restart_sidecar()
            return self._outcome(fault, share, told, at_fault, after)
        raise AssertionError(f"{name}: the job always ended before {share:.0%} of its bytes")

    def _read(self, job: SparkJob, share: float) -> bool:
        """Waits until the job has read that share of the table; False if it ended before."""
        while True:
            counters = job.ask("counters")
            if counters["done"]:
                return False
            if _read_bytes(counters) >= share * self._table.bytes:
                return True

    def _outcome(
        self,
        fault: str,
        share: float,
        told: dict[str, Any],
        at_fault: dict[str, int],
        after: dict[str, int],
    ) -> dict[str, Any]:
        grown = {k: v - at_fault.get(k, 0) for k, v in after.items()}
        return {
            "fault": fault,
            "share": round(share, 3),
            "read_at_fault": round(_read_bytes(at_fault) / self._table.bytes, 3),
            "seconds": round(told["seconds"], 3),
            "failed": told.get("error"),
            "right": told.get("rows") == self._table.answer,
            "pages_after": grown.get("hit_bytes", 0) // PAGE_BYTES,
            "direct_bytes_after": grown.get("direct_bytes", 0),
            "decide_ms": after["decide_ms_max"],
            "fallbacks": {
                k: v
                for k, v in after.items()
                if k.startswith("fallback_") and not k.endswith("_mounts")
            },
        }

    def _half_cold(self) -> None:
        """A random half of each file's pieces cached: hits and fills alternate to the last file."""
        self._site.evict(Site.HIT)
        for path in sorted(self._table.root.iterdir()):
            size = path.stat().st_size
            places = range(0, size, _PIECE_BYTES)
            chosen = sorted(self._rng.sample(places, len(places) // 2))
            self._site.fill(
                f"{Site.HIT}/{path.name}", [(at, min(_PIECE_BYTES, size - at)) for at in chosen]
            )


def _read_bytes(counters: dict[str, int]) -> int:
    return sum(counters.get(name, 0) for name in READ_COUNTERS)


def _sums(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "rounds": len(rounds),
        "failed_jobs": sum(r["failed"] is not None for r in rounds),
        "wrong_results": sum(r["failed"] is None and not r["right"] for r in rounds),
        "pages_after_min": min(r["pages_after"] for r in rounds),
        "decide_ms_max": max(r["decide_ms"] for r in rounds),
        "rounds_with_fallback": sum(bool(r["fallbacks"]) for r in rounds),
        "seconds_median": median(r["seconds"] for r in rounds),
    }


def run(size: Size, work: Path, out: Path) -> dict[str, Any]:
    """Runs a campaign, writes its JSON and returns it."""
    with workplace(work):
        about = machine(work)
        table = faults_data.make(work, size.files, size.file_bytes)
        with (
            Store(work / "store", table.root) as store,
            Site(work / "faults-site", store, size.model) as site,
        ):
            figures = Campaign(site, table, size, work).run()
    document = {"machine": about | {"store_model": size.model.describe()}, **figures}
    report.write_json(out, document)
    return document


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make bench BENCH=faults", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="one fault of each kind on little data")
    add("--rounds", type=int, help="faults of each kind; default: 20")
    add("--files", type=int, default=16)
    add("--file-mib", type=int, help="default: 136")
    add("--first-byte-ms", type=float, default=15.0)
    add("--mb-per-s", type=float, default=100.0)
    add("--seed", type=int, default=1)
    add("--work", type=Path, default=BUILD / "work", help="data and servers; default: %(default)s")
    add("--out", type=Path, default=BUILD / "faults.json")
    args = parser.parse_args(sys.argv[1:] if argv is None else argv)
    size = Size(
        files=4 if args.quick else args.files,
        file_bytes=(args.file_mib or (16 if args.quick else 136)) << 20,
        rounds=args.rounds or (1 if args.quick else 20),
        model=Model(args.first_byte_ms, args.mb_per_s),
        seed=args.seed,
    )
    document = run(size, args.work, args.out)
    rows = [{"fault": fault, **sums} for fault, sums in document["faults"].items()]
    columns = tuple((key, key.replace("_", " ")) for key in rows[0])
    args.out.with_suffix(".md").write_text(report.markdown(rows, columns))
    report.show(rows, "a sidecar lost in the middle of a job", columns)
    print(f"written: {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
