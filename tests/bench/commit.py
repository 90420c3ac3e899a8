"""A job that writes many partitions to S3, through ``cache://`` and by S3A's committers.

One Spark session writes the same rows to every target, round by round in turns, behind the store
model. ``commit``: until the write returns; ``persisted``: until the store has all of it. The trees
of the last round are compared: each partition has to hold the same bytes everywhere.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

from pyspark.sql import functions as F
from rich.console import Console

import millpond_spark
from millpond.control import Control
from millpond.maven import download, downloads_dir
from millpond.testing.proc import CpuMeter, machine
from millpond.testing.s3_gateway import S3Gateway
from millpond.testing.service import workplace
from millpond.testing.stats import paired_ratio
from millpond.testing.store_model import Model
from millpond.under.s3 import S3Store
from millpond_spark import s3a
from millpond_spark.demo.sidecar import SidecarProcess
from millpond_spark.demo.spark import launched
from tests.bench import report
from tests.bench.jvm import BUILD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame, SparkSession

PERSIST_S = 900.0
_CLOUD = "spark-hadoop-cloud_2.13"
_CLOUD_VERSION = "4.1.1"
_CLOUD_PACKAGE = "org.apache.spark.internal.io.cloud"
_PROTOCOL = "spark.sql.sources.commitProtocolClass"
_PARQUET = "spark.sql.parquet.output.committer.class"
_OURS = {_PROTOCOL: "io.millpond.spark.CacheCommitProtocol"}
_SPARKS = "org.apache.spark.sql.execution.datasources.SQLHadoopMapReduceCommitProtocol"


@dataclass(frozen=True, slots=True)
class Target:
    """Where rows are written, and Spark's settings for that."""

    name: str
    base: str
    settings: dict[str, str]


TARGETS = (
    Target("async", "cache:///async", _OURS),
    Target("through", "cache:///through", _OURS),
    Target("s3a_v1", "s3a://{bucket}/v1", {
        _PROTOCOL: _SPARKS,
        "fs.s3a.committer.name": "file",
        "mapreduce.fileoutputcommitter.algorithm.version": "1",
    }),
    Target("s3a_magic", "s3a://{bucket}/magic", {
        _PROTOCOL: f"{_CLOUD_PACKAGE}.PathOutputCommitProtocol",
        _PARQUET: f"{_CLOUD_PACKAGE}.BindingParquetOutputCommitter",
        "fs.s3a.committer.name": "magic",
    }),
)  # fmt: skip


@dataclass(slots=True)
class Samples:
    """What one target took, a number a round."""

    commit_s: list[float] = field(default_factory=list)
    persisted_s: list[float] = field(default_factory=list)
    requests: list[dict[str, int]] = field(default_factory=list)
    cpu_s: list[dict[str, float]] = field(default_factory=list)


class Site:
    """A store behind its model, a sidecar with a mount of each write type, a session."""

    def __init__(self, work: Path, model: Model) -> None:
        self._work, self._distance = work, model
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            gateway = stack.enter_context(S3Gateway(self._work / "store"))
            self.bucket = gateway.new_bucket()
            self.model = stack.enter_context(self._distance.before(gateway.endpoint))
            self.sidecar = stack.enter_context(
                SidecarProcess(
                    self._work / "cache", self._work / "sidecar.log", {"MILLPOND_HTTP_PORT": "0"}
                )
            )
            with Control(self.sidecar.cache_dir) as control:
                for name in ("async", "through"):
                    gateway.put_object(self.bucket, f"{name}/")
                    options = gateway.mount_options(self.model.endpoint) | {"write": name}
                    control.mount_add(f"/{name}", f"s3://{self.bucket}/{name}", options)
            os.environ |= {
                "AWS_ACCESS_KEY_ID": gateway.access_key,
                "AWS_SECRET_ACCESS_KEY": gateway.secret_key,
            }
            self.spark = stack.enter_context(
                launched("local[2]", self._settings(), self._work / "spark.log")
            )
            self.store = S3Store(self.bucket, gateway.mount_options())
            stack.callback(self.store.close)
            self.pids = {"store": gateway.pid, "model": self.model.pid, "sidecar": self.sidecar.pid}
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _settings(self) -> dict[str, str]:
        mine = millpond_spark.conf(self.sidecar.cache_dir, s3a="none")
        version = f"{_CLOUD}/{_CLOUD_VERSION}/{_CLOUD}-{_CLOUD_VERSION}.jar"
        cloud = download(
            f"org/apache/spark/{version}", downloads_dir() / f"{_CLOUD}-{_CLOUD_VERSION}.jar"
        )
        mine["spark.jars"] = ",".join([mine["spark.jars"], *map(str, s3a.fetch()), str(cloud)])
        connector = {
            "endpoint": self.model.endpoint, "endpoint.region": "us-east-1",
            "path.style.access": "true", "connection.ssl.enabled": "false",
        }  # fmt: skip
        return mine | {f"spark.hadoop.fs.s3a.{k}": v for k, v in connector.items()} | {
            "spark.hadoop.mapreduce.outputcommitter.factory.scheme.s3a":
                "org.apache.hadoop.fs.s3a.commit.S3ACommitterFactory",
            "spark.hadoop.fs.cache.silence.ms": "10000",
        }  # fmt: skip

    def digests(self, prefix: str) -> dict[str, str]:
        """SHA-256 of what each directory holds in the store, by its path below ``prefix``."""
        found: dict[str, str] = {}
        for page in self.store.list(prefix, recursive=True):
            for each in page:
                directory, _, name = each.key.removeprefix(f"{prefix}/").rpartition("/")
                if name.startswith("_"):
                    continue
                parts = self.store.read(each.key, 0, each.length, each.version)
                digest = hashlib.sha256(b"".join(map(bytes, parts))).hexdigest()
                found[directory] = found.get(directory, "") + digest
        return found


def table(spark: SparkSession, partitions: int, rows: int) -> DataFrame:
    """``rows`` in each of the partitions, each partition in one task."""
    ids = spark.range(0, partitions * rows, 1, 2).withColumn("p", F.col("id") % partitions)
    return ids.repartition(2, "p").sortWithinPartitions("p", "id")


def write(site: Site, target: Target, name: str, data: DataFrame, samples: Samples) -> str:
    """One job, counted; the key under which it is in the store."""
    base = target.base.format(bucket=site.bucket)
    for key, value in target.settings.items():
        site.spark.conf.set(key, value)
    site.model.reset_counters()
    meter = CpuMeter(site.pids)
    meter.start()
    began_s = time.perf_counter()
    try:
        data.write.partitionBy("p").parquet(f"{base}/{name}")
    finally:
        for key in target.settings:
            site.spark.conf.unset(key)
    samples.commit_s.append(time.perf_counter() - began_s)
    if base.startswith("cache:"):
        with Control(site.sidecar.cache_dir) as control:
            control.persist_wait(f"/{target.name}", timeout_s=PERSIST_S)
    samples.persisted_s.append(time.perf_counter() - began_s)
    samples.cpu_s.append(meter.stop())
    samples.requests.append(dict(site.model.counters().requests))
    return f"{base.rpartition('/')[2]}/{name}"


def rows_of(target: str, samples: Samples, references: dict[str, Samples]) -> list[report.Row]:
    """``commit`` and ``persisted``, in seconds; a reference's time over the target's, by prefix."""
    found = []
    for measure in ("commit_s", "persisted_s"):
        mine = getattr(samples, measure)
        row: report.Row = {
            "measure": measure.removesuffix("_s"), "target": target, "unit": "s",
            "value": round(median(mine), 2), "rounds": len(mine),
            "requests": " ".join(f"{k} {n}" for k, n in samples.requests[-1].items() if n),
        }  # fmt: skip
        row |= {f"{k}_cpu_s": round(median(c[k] for c in samples.cpu_s), 2)
                for k in samples.cpu_s[-1]}  # fmt: skip
        for prefix, reference in references.items():
            ratio = paired_ratio(getattr(reference, measure), mine)
            row |= {f"{prefix}ratio": round(ratio.value, 2)}
            row |= {f"{prefix}ratio_low": round(ratio.low, 2)}
        found.append(row)
    return found


_SHOWN = (
    ("measure", "measure"), ("target", "target"), ("value", "median s"),
    ("ratio", "times sooner than v1"), ("ratio_low", "low"),
    ("magic_ratio", "magic's time over it"), ("magic_ratio_low", "low"),
    ("sidecar_cpu_s", "sidecar CPU s"), ("store_cpu_s", "store CPU s"),
    ("requests", "requests"), ("rounds", "rounds"),
)  # fmt: skip


def measured(site: Site, args: argparse.Namespace) -> list[report.Row]:
    """The rows of all targets, ``s3a_v1`` and ``s3a_magic`` as references."""
    targets = [t for t in TARGETS if t.name in args.targets.split(",")]
    samples = {t.name: Samples() for t in targets}
    data = table(site.spark, args.partitions, args.rows).cache()
    data.count()
    few = table(site.spark, 8, args.rows)
    for target in targets:
        write(site, target, "warm-up", few, Samples())
    made: dict[str, str] = {}
    for number in range(args.rounds):
        turn = number % len(targets)
        for target in targets[turn:] + targets[:turn]:
            made[target.name] = write(site, target, f"t{number}", data, samples[target.name])
            Console(stderr=True).print(target.name, samples[target.name].commit_s[-1],
                                       samples[target.name].persisted_s[-1])  # fmt: skip
    trees = {name: site.digests(key) for name, key in made.items()}
    first = next(iter(trees.values()))
    for name, tree in trees.items():
        if tree != first or len(tree) != args.partitions:
            raise RuntimeError(f"{name} is not what {next(iter(trees))} is")
    named = {"": "s3a_v1", "magic_": "s3a_magic"}
    references = {prefix: samples[name] for prefix, name in named.items() if name in samples}
    return [row for t in targets for row in rows_of(t.name, samples[t.name], references)]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make bench BENCH=commit", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="one round of few partitions: does it run at all")
    add("--targets", default=",".join(t.name for t in TARGETS), help="default: %(default)s")
    add("--partitions", type=int, help="default: 1000")
    add("--rows", type=int, default=1000, help="of each partition; default: %(default)s")
    add("--rounds", type=int, help="at least 7 for 95 %%; default: 7")
    add("--first-byte-ms", type=float, default=15.0, help="of the store; default: %(default)s")
    add("--mb-per-s", type=float, default=100.0, help="of a connection; default: %(default)s")
    add("--work", type=Path, default=BUILD / "work", help="servers; default: %(default)s")
    add("--out", type=Path, default=BUILD / "commit.json")
    args = parser.parse_args(sys.argv[1:] if argv is None else argv)
    args.partitions = args.partitions or (20 if args.quick else 1000)
    args.rounds = args.rounds or (1 if args.quick else 7)
    model = Model(args.first_byte_ms, args.mb_per_s)
    about: dict[str, Any] = machine(BUILD) | {"quick": args.quick, "store": model.describe()}
    about |= {"partitions": args.partitions, "rows": args.rows}
    with (
        workplace(args.work) as work,
        TemporaryDirectory(prefix="commit-", dir=work) as fresh,
        Site(Path(fresh), model) as site,
    ):
        found = measured(site, args)
    report.save(args.out, about, found, "a job of many partitions", _SHOWN)
    return 0
