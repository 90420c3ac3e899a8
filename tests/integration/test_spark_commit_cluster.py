"""Jobs on a real standalone cluster in which something is slow, fails, or dies."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

pytest.importorskip("pyspark", reason="Spark is not installed: millpond[spark]")

from pyspark import TaskContext

from millpond.errors import PathNotFound
from millpond_spark.demo.spark import SETTINGS as SPARK
from millpond_spark.session import as_properties
from tests.fixtures.commit_site import TYPES, CommitSite
from tests.fixtures.spark_cluster import SparkCluster
from tests.fixtures.waiting import eventually
from tests.integration.spark_scripts import ScriptError, SparkScripts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from millpond.testing.s3_gateway import S3Gateway

pytestmark = pytest.mark.timeout(900)
TASKS = 4
SLOW, FAILS, KILLS = 1, 2, 3
SLOW_S = 600
ROWS, FILES = 4000, 4
AWAIT_S = 300.0
"""A driver starts within the first wait, on a machine that may be busy."""
SETTINGS = {
    "spark.executor.memory": "512m",
    "spark.executor.cores": "1",
    "spark.cores.max": "2",
    "spark.scheduler.minRegisteredResourcesRatio": "1.0",
    "spark.speculation": "true",
    "spark.speculation.interval": "100ms",
    "spark.speculation.quantile": "0.5",
    "spark.speculation.minTaskRuntime": "1s",
    "spark.pyspark.python": sys.executable,
}


@pytest.fixture(scope="module")
def site(s3_gateway: S3Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommitSite]:
    with CommitSite(tmp_path_factory.mktemp("commit-cluster"), s3_gateway) as site:
        yield site


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    with SparkCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


def test_each_partition_is_there_once_whatever_befell_its_attempts(
    site: CommitSite, cluster: SparkCluster
) -> None:
    """One attempt writes half and stays slow, one half and fails, one half and loses its JVM."""
    seen = site.folder / "seen"
    seen.mkdir()

    def rows(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
        context = TaskContext.get()
        assert context is not None
        part, attempt = context.partitionId(), context.attemptNumber()
        for number in numbers:
            yield number, number % 2
            if attempt == 0 and number % 1000 == 500 and part in (SLOW, FAILS, KILLS):
                (seen / str(part)).touch()
                befall(part)

    def befall(part: int) -> None:
        if part == FAILS:
            raise ValueError("on purpose")
        if part == KILLS:
            worker = Path(f"/proc/{os.getppid()}/stat").read_text()
            os.kill(int(worker.rpartition(")")[2].split()[1]), signal.SIGKILL)
        until = time.monotonic() + SLOW_S
        while time.monotonic() < until:
            time.sleep(0.1)

    count = TASKS * 1000
    table = "cache:///async/befallen"
    began = time.monotonic()
    with site.spark(cluster.url, SETTINGS) as spark:
        frame = spark.sparkContext.parallelize(range(count), TASKS).mapPartitions(rows)
        frame.toDF("id BIGINT, p BIGINT").write.partitionBy("p").parquet(table)
        assert time.monotonic() - began < SLOW_S, "nobody waited for the slow attempt"
        assert {int(file.name) for file in seen.iterdir()} == {SLOW, FAILS, KILLS}
        found = sorted(row["id"] for row in spark.read.parquet(table).collect())
    assert found == list(range(count))
    site.persisted("/async")
    keys = [key for key in site.keys("async/befallen") if key.endswith(".parquet")]
    assert len(keys) == 2 * TASKS


@pytest.mark.parametrize(
    ("rounds", "victims"),
    [
        (2, ("driver", "sidecar")),
        pytest.param(100, ("driver", "executor", "sidecar"), marks=pytest.mark.full),
    ],
)
def test_a_death_around_the_commit_leaves_the_old_rows_or_the_new(
    site: CommitSite, request: pytest.FixtureRequest, rounds: int, victims: tuple[str, ...]
) -> None:
    """Overwrites, of which each loses its driver, an executor or the sidecar."""
    cluster = request.getfixturevalue("cluster") if "executor" in victims else None
    moments = random.Random(rounds)
    dying = [victims[n % len(victims)] for n in range(rounds)]
    moments.shuffle(dying)
    outcomes = set()
    with Overwrites(site, cluster, f"deaths-{rounds}") as jobs:
        for number, victim in enumerate(dying, 1):
            mount = TYPES[number % 2]
            before = jobs.rows(mount)
            done = jobs.run(mount, number, victim, moments)
            after = jobs.rows(mount)
            new = [[k, sum(range(k, ROWS, 3)) * number, len(range(k, ROWS, 3))] for k in range(3)]
            assert after in (before, new), (number, victim)
            assert not done or after == new, (number, victim)
            outcomes.add(after == new)
        for mount in TYPES:
            site.persisted(f"/{mount}")
            found = [f"{mount}/{jobs.table}/{name}" for name in jobs.files(mount)]
            assert sorted(site.keys(f"{mount}/{jobs.table}")) == found
    assert rounds < 50 or outcomes == {True, False}, "deaths before the commit, and after it"


class Overwrites:
    """One driver after the other, in a process of its own. A context manager that ends it."""

    def __init__(self, site: CommitSite, cluster: SparkCluster | None, table: str) -> None:
        self.site, self.cluster, self.table = site, cluster, table
        self._drivers = 0

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self.spark.__exit__()

    def _start(self) -> None:
        master = "local[2]" if self.cluster is None else self.cluster.url
        settings = SPARK | SETTINGS | {"spark.master": master}
        self._drivers += 1
        self._folder = self.site.folder / f"{self.table}-{self._drivers}"
        self.spark = SparkScripts(self._folder, as_properties(self.site.conf(settings)), {})

    def files(self, mount: str) -> list[str]:
        with self.site.client() as client:
            try:
                replies = list(client.list(f"/{mount}/{self.table}", recursive=True))
            except PathNotFound:
                return []
        return sorted(entry.path for reply in replies for entry in reply.entries)

    def rows(self, mount: str) -> Any:
        """What is in the table; asked again while the driver finds its sidecar again."""
        if not self.files(mount):
            return None
        until = time.monotonic() + AWAIT_S
        while True:
            try:
                return self.spark.run("read.py", f"cache:///{mount}/{self.table}")
            except ScriptError:
                if time.monotonic() > until:
                    raise

    def run(self, mount: str, number: int, victim: str, moments: random.Random) -> bool:
        """Whether the job said that it was done."""
        blocks = self.site.sidecar.cache_dir / "blocks"
        had = {*blocks.glob("*/*")}
        uri = f"cache:///{mount}/{self.table}"
        with ThreadPoolExecutor(1) as other:
            job = other.submit(self.spark.run, "write.py", uri, ROWS, number, FILES)
            some = moments.randint(1, FILES)
            eventually(
                "the job writes nothing",
                lambda: len({*blocks.glob("*/*")} - had) >= some or job.done(),
                within_s=AWAIT_S,
            )
            time.sleep(moments.uniform(0, 0.3))
            if victim == "sidecar":
                self.site.sidecar.kill()
                self.site.sidecar.start()
            elif victim == "executor":
                assert self.cluster is not None
                for pid in processes(self.cluster.folder, "CoarseGrainedExecutorBackend")[:1]:
                    os.kill(pid, signal.SIGKILL)
            else:
                for pid in processes(self._folder):
                    os.kill(pid, signal.SIGKILL)
            try:
                job.result()
            except (ScriptError, OSError):
                return False
            finally:
                if victim == "driver":
                    self.spark.__exit__()
                    self._start()
            return True


def processes(folder: Path, word: str = "") -> list[int]:
    """Those that work in or below a folder, and whose command line has a word."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            at, line = os.readlink(process / "cwd"), (process / "cmdline").read_text()
        except OSError:
            continue  # it ended
        if Path(at).is_relative_to(folder) and word in line:
            found.append(int(process.name))
    return found
