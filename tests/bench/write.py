"""One large file written: ``async`` and ``through`` against the local file system and S3A.

One JVM writes the same bytes to every target, round by round in turns; all local files are on one
disk. ``local`` is not on the disk when it is closed, ``local_synced`` is: so is what ``async`` has
acknowledged. Between samples what was written is persisted, deleted and synced, uncounted.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console

from millpond.control import Control
from millpond.testing.proc import CpuMeter, machine
from millpond.testing.s3_gateway import S3Gateway
from millpond.testing.service import workplace
from millpond.testing.stats import paired_ratio
from millpond_spark.demo.sidecar import SidecarProcess
from tests.bench import report
from tests.bench.jvm import BUILD, Agent, classpath, client_jar, find_java

if TYPE_CHECKING:
    from collections.abc import Sequence

MIB = 1 << 20
PERSIST_S = 600.0
REFERENCES = {"synced_": "local_synced", "local_": "local", "s3a_": "s3a"}
TARGETS = ("async", "through", "local_synced", "local", "s3a")


@dataclass(slots=True)
class Samples:
    """What one target took, a sample a round."""

    told: list[dict[str, Any]] = field(default_factory=list)
    other_cpu_s: list[dict[str, float]] = field(default_factory=list)

    @property
    def rates(self) -> list[float]:
        """MB/s."""
        return [s["bytes"] / s["elapsed_ns"] * 1e3 for s in self.told]


class Site:
    """A store, a sidecar with a mount of each write type, a JVM; ``bases`` by target."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._stack = ExitStack()
        self.bases = {
            "async": "cache:///async", "through": "cache:///through",
            "local": f"file://{work}/local", "local_synced": f"file://{work}/local",
        }  # fmt: skip

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._gateway = stack.enter_context(S3Gateway(self._work / "store"))
            bucket = self._gateway.new_bucket()
            self.bases["s3a"] = f"s3a://{bucket}/s3a"
            cache = self._work / "cache"
            settings = {"MILLPOND_HTTP_PORT": "0", "MILLPOND_CACHE_CAPACITY_BYTES": "16GiB"}
            sidecar = stack.enter_context(
                SidecarProcess(cache, self._work / "sidecar.log", settings)
            )
            self.control = stack.enter_context(closing(Control(cache)))
            for name in ("async", "through"):
                self._gateway.put_object(bucket, f"{name}/")
                options = self._gateway.mount_options() | {"write": name}
                self.control.mount_add(f"/{name}", f"s3://{bucket}/{name}", options)
            java = find_java()
            jars = [client_jar(), *classpath(java.hadoop, s3a=True)]
            self.agent = stack.enter_context(Agent(java, jars, self._work / "agent.log"))
            (self._work / "local").mkdir()
            for name, base in self.bases.items():
                conf = self._conf(base.partition(":")[0], cache)
                fields = {"name": name, "uri": base} | {f"conf.{k}": v for k, v in conf.items()}
                self.agent.ask("fs", fields)
            self.pids = {"store": self._gateway.pid, "sidecar": sidecar.pid}
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _conf(self, scheme: str, cache: Path) -> dict[str, str]:
        if scheme == "file":
            return {"fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem"}
        if scheme == "s3a":
            return self._s3a()
        return {
            "fs.cache.impl": "io.millpond.fs.CacheFileSystem", "fs.cache.dir": str(cache),
            "fs.cache.silence.ms": "10000",
        }  # fmt: skip

    def _s3a(self) -> dict[str, str]:
        gateway = self._gateway
        said = {
            "endpoint": gateway.endpoint, "endpoint.region": "us-east-1",
            "path.style.access": "true", "connection.ssl.enabled": "false",
            "access.key": gateway.access_key, "secret.key": gateway.secret_key,
            "aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
        }  # fmt: skip
        return {f"fs.s3a.{k}": v for k, v in said.items()}

    def write(self, target: str, args: argparse.Namespace, number: int, samples: Samples) -> None:
        """One sample; afterwards nothing of it is left, and nothing is on its way to the disk."""
        path = f"{self.bases[target]}/file{number}"
        fields = {
            "fs": target, "path": path, "length": args.mib * MIB, "size": args.size_kib << 10,
            "seed": number, "hsync": int(target == "local_synced"),
        }  # fmt: skip
        meter = CpuMeter(self.pids)
        meter.start()
        told = self.agent.ask("write", fields)
        samples.other_cpu_s.append(meter.stop())
        samples.told.append(told)
        if target == "async":
            self.control.persist_wait("/async", timeout_s=PERSIST_S)
        if number == 0:
            back = self.agent.ask("digest", {"fs": target, "path": path})
            if (back["crc32c"], back["bytes"]) != (told["crc32c"], told["bytes"]):
                raise RuntimeError(f"{target} does not read what was written to it")
        self.agent.ask("delete", {"fs": target, "path": path})
        os.sync()
        time.sleep(args.pause_s)


def row(target: str, samples: dict[str, Samples]) -> report.Row:
    """A target's rate, and over that of each reference in the same rounds."""
    mine = samples[target]
    gib = sum(s["bytes"] for s in mine.told) / (1 << 30)
    out: report.Row = {
        "measure": "write", "target": target, "unit": "MB/s", "rounds": len(mine.told),
        "value": round(median(mine.rates), 1),
        "close_s": round(median(s["close_ns"] for s in mine.told) / 1e9, 3),
        "cpu_s_per_gib": round(sum(s["cpu_ns"] for s in mine.told) / 1e9 / gib, 2),
    }  # fmt: skip
    for name in mine.other_cpu_s[0]:
        out[f"{name}_cpu_s_per_gib"] = round(sum(c[name] for c in mine.other_cpu_s) / gib, 2)
    for prefix, reference in REFERENCES.items():
        if reference in samples and reference != target:
            ratio = paired_ratio(mine.rates, samples[reference].rates)
            out |= {f"{prefix}ratio": round(ratio.value, 2)}
            out |= {f"{prefix}ratio_low": round(ratio.low, 2)}
    return out


_SHOWN = (
    ("target", "target"), ("value", "median MB/s"),
    ("synced_ratio", "over local_synced"), ("synced_ratio_low", "low"),
    ("local_ratio", "over local"), ("local_ratio_low", "low"), ("s3a_ratio", "over S3A"),
    ("s3a_ratio_low", "low"), ("close_s", "of it close, s"), ("cpu_s_per_gib", "JVM CPU s/GiB"),
    ("sidecar_cpu_s_per_gib", "sidecar CPU s/GiB"), ("store_cpu_s_per_gib", "store CPU s/GiB"),
    ("rounds", "rounds"),
)  # fmt: skip


def measured(site: Site, args: argparse.Namespace) -> list[report.Row]:
    targets = [t for t in TARGETS if t in args.targets.split(",")]
    samples = {t: Samples() for t in targets}
    for number in range(-1, args.rounds):  # the first is for the JVM's compiler
        turn = max(number, 0) % len(targets)
        for target in targets[turn:] + targets[:turn]:
            kept = samples[target] if number >= 0 else Samples()
            site.write(target, args, number, kept)
            if number >= 0:
                Console(stderr=True).print(number, target, round(kept.rates[-1]))
    return [row(target, samples) for target in targets]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make bench BENCH=write", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="one round of a small file: does it run at all")
    add("--targets", default=",".join(TARGETS), help="default: %(default)s")
    add("--mib", type=int, help="of the file; default: 1024")
    add("--size-kib", type=int, default=1024, help="of one write; default: %(default)s")
    add("--rounds", type=int, help="at least 7 for 95 %%; default: 7")
    add("--pause-s", type=float, default=0.5, help="between samples; default: %(default)s")
    add("--work", type=Path, default=BUILD / "work", help="servers; default: %(default)s")
    add("--out", type=Path, default=BUILD / "write.json")
    args = parser.parse_args(sys.argv[1:] if argv is None else argv)
    args.mib = args.mib or (48 if args.quick else 1024)
    args.rounds = args.rounds or (1 if args.quick else 7)
    about: dict[str, Any] = machine(BUILD) | {"quick": args.quick, "mib": args.mib}
    about |= {"write_kib": args.size_kib}
    with (
        workplace(args.work) as work,
        TemporaryDirectory(prefix="write-", dir=work) as fresh,
        Site(Path(fresh)) as site,
    ):
        found = measured(site, args)
    report.save(args.out, about, found, "one large file written", _SHOWN)
    return 0
