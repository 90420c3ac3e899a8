"""Fills through a real sidecar from a real S3 server."""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import crc32c
import pytest

from millpond.cli import checks
from millpond.cli.findings import Level
from millpond.cli.stats import summarise
from millpond.errors import FileChanged, InvalidRequest, MountNotFound, PathNotFound
from millpond.model.paths import block_name, meta_name, path_hash
from millpond.model.records import Meta
from millpond.model.sizes import BLOCK_BYTES, KIB, MIB, PAGE_BYTES
from millpond.settings import Settings
from millpond.wire import millpond_pb2 as wire
from tests.fixtures.sidecar import LoopSidecar, cached

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from millpond.testing.s3_gateway import S3Gateway
    from millpond.wire.local_client import LocalClient

PRESENT, INLINE, DIRECT = wire.FillResult.PRESENT, wire.FillResult.INLINE, wire.FillResult.DIRECT
CONTENT = random.Random(64).randbytes(64 * MIB + 12_345)


class Site:
    """A sidecar with one bucket mounted at /m."""

    def __init__(self, sidecar: LoopSidecar, gateway: S3Gateway, bucket: str) -> None:
        self.sidecar = sidecar
        self.directory = sidecar.directory
        self.gateway = gateway
        self.bucket = bucket
        self.client = sidecar.client()

    def put(self, key: str, data: bytes) -> str:
        self.gateway.put_object(self.bucket, key, data)
        return f"/m/{key}"

    def counters(self) -> wire.MountStats:
        (mount,) = self.sidecar.control.stats().mounts
        return mount


@pytest.fixture
def site(tmp_path: Path, s3_gateway: S3Gateway) -> Iterator[Site]:
    settings = Settings(
        cache_dir=tmp_path / "cache", http_port=0, cache_capacity_bytes=256 * MIB
    )  # fmt: skip
    with LoopSidecar(settings) as sidecar:
        bucket = s3_gateway.new_bucket()
        sidecar.control.mount_add("/m", f"s3://{bucket}", s3_gateway.mount_options())
        site = Site(sidecar, s3_gateway, bucket)
        yield site
        site.client.close()


def test_a_cold_sequential_read_gives_the_objects_bytes_in_few_calls(site: Site) -> None:
    path = site.put("big", CONTENT)
    info = site.client.stat(path)
    assert info.length == len(CONTENT)
    step, calls = 16 * MIB, 0
    for start in range(0, info.length, step):
        end = min(info.length, start + step)
        told: list[int] = []
        reply = site.client.fill(
            path, info.file_id, [(start, end - start)], window=2 * step, stream=1,
            intent=wire.Intent.SEQUENTIAL, on_progress=told.append,
        )  # fmt: skip
        calls += 1
        assert reply.result == PRESENT
        assert [b.block for b in reply.blocks] == [start // BLOCK_BYTES]
        assert told == sorted(told)
        assert cached(site.directory, info.file_id, start, end) == CONTENT[start:end]
    assert calls == 5
    cold = site.counters()
    assert cold.bytes_read == info.length
    assert cold.get <= 12
    whole = site.client.fill(path, info.file_id, [(0, info.length)])
    assert [b.block for b in whole.blocks] == [0, 1, 2, 3, 4]
    assert site.counters().get == cold.get, "a warm fill asked the store"


def test_random_reads_bring_their_own_pages_and_little_else(site: Site) -> None:
    path = site.put("random", CONTENT)
    info = site.client.stat(path)
    rng, pages = random.Random(5), set()
    for _ in range(60):
        size = rng.choice([1, 8 * KIB, PAGE_BYTES, 200 * KIB])
        start = rng.randrange(info.length - size)
        pages |= set(range(start // PAGE_BYTES, (start + size - 1) // PAGE_BYTES + 1))
        reply = site.client.fill(
            path, info.file_id, [(start, size)], intent=wire.Intent.RANDOM, inline_max=MIB
        )
        assert reply.result == INLINE
        assert reply.data == CONTENT[start : start + size]
    assert site.counters().bytes_read <= len(pages) * PAGE_BYTES
    for page in pages:
        start, end = page * PAGE_BYTES, min(info.length, (page + 1) * PAGE_BYTES)
        assert cached(site.directory, info.file_id, start, end) == CONTENT[start:end]


def test_vectored_ranges_come_in_their_order_and_neighbours_share_a_request(site: Site) -> None:
    path = site.put("vectored", CONTENT)
    info = site.client.stat(path)
    ranges = [(9 * MIB, 70_000), (9 * MIB + 300_000, 5), (1_000, 3), (40 * MIB, PAGE_BYTES)]
    reply = site.client.fill(path, info.file_id, ranges, inline_max=MIB)
    assert reply.data == b"".join(CONTENT[o : o + n] for o, n in ranges)
    assert site.counters().get == 3


def test_fifty_readers_share_one_flight(site: Site) -> None:
    path = site.put("shared", CONTENT)
    info = site.client.stat(path)
    together = threading.Barrier(50)

    def read(_: int) -> int:
        with site.sidecar.client() as client:
            together.wait()
            return client.fill(path, info.file_id, [(0, 32 * MIB)]).result

    with ThreadPoolExecutor(50) as pool:
        assert set(pool.map(read, range(50))) == {PRESENT}
    assert cached(site.directory, info.file_id, 0, 32 * MIB) == CONTENT[: 32 * MIB]
    after = site.counters()
    assert after.bytes_read == 32 * MIB
    assert after.get <= Settings().fill_connections_per_file


def test_a_small_file_goes_into_its_meta(site: Site) -> None:
    data = CONTENT[: 60 * KIB]
    path = site.put("small", data)
    info = site.client.stat(path)
    for _ in range(2):
        reply = site.client.fill(path, info.file_id, [(0, 10), (50_000, 99)], inline_max=MIB)
        assert (reply.result, reply.data) == (INLINE, data[:10] + data[50_000:50_099])
    assert site.client.fill(path, info.file_id, [(0, 10)]).result == PRESENT
    record = site.directory / meta_name(path_hash(info.store_path))
    assert Meta.parse(record.read_bytes(), crc32c.crc32c).content == data
    assert site.counters().get == 1
    assert not (site.directory / block_name(info.file_id, 0)).exists()
    assert site.client.locate(path, 0, info.length).locations[0].cached_bytes == len(data)


def test_a_file_of_up_to_1_mib_comes_whole_at_the_first_miss(site: Site) -> None:
    path = site.put("medium", CONTENT[: 700 * KIB])
    info = site.client.stat(path)
    footer = site.client.fill(path, info.file_id, [(info.length - 8, 8)], inline_max=MIB)
    assert footer.data == CONTENT[700 * KIB - 8 : 700 * KIB]
    rest = site.client.fill(path, info.file_id, [(0, info.length)], inline_max=MIB)
    assert rest.data == CONTENT[: 700 * KIB]
    assert site.counters().get == 1


def test_an_empty_file_needs_no_fill(site: Site) -> None:
    info = site.client.stat(site.put("empty", b""))
    assert (info.length, info.directory) == (0, False)
    with pytest.raises(InvalidRequest, match="the file has 0 bytes"):
        site.client.fill("/m/empty", info.file_id, [(0, 1)])


def test_an_object_replaced_in_mid_read_is_file_changed_and_never_mixed(site: Site) -> None:
    path = site.put("changing", CONTENT)
    info = site.client.stat(path)
    site.client.fill(path, info.file_id, [(0, 8 * MIB)])
    site.put("changing", CONTENT[::-1])
    with pytest.raises(FileChanged):
        site.client.fill(path, info.file_id, [(8 * MIB, 8 * MIB)])
    assert cached(site.directory, info.file_id, 0, 8 * MIB) == CONTENT[: 8 * MIB]
    with pytest.raises(FileChanged):
        site.client.fill(path, info.file_id, [(16 * MIB, 1)])
    fresh = site.client.stat(path)
    assert fresh.file_id != info.file_id
    end = site.client.fill(path, fresh.file_id, [(0, MIB)], inline_max=MIB)
    assert end.data == CONTENT[::-1][:MIB]


def test_a_deleted_object_is_path_not_found(site: Site) -> None:
    path = site.put("gone", CONTENT[: 3 * MIB])
    info = site.client.stat(path)
    site.gateway.delete_object(site.bucket, "gone")
    with pytest.raises(PathNotFound):
        site.client.fill(path, info.file_id, [(0, 100)])
    with pytest.raises(PathNotFound):
        site.client.stat(path)
    with pytest.raises(MountNotFound):
        site.client.stat("/nowhere/x")


def test_a_full_disk_sends_large_reads_direct_and_still_serves_small_ones(
    tmp_path: Path, s3_gateway: S3Gateway
) -> None:
    settings = Settings(cache_dir=tmp_path / "cache", http_port=0, cache_capacity_bytes=64 * MIB)
    with LoopSidecar(settings) as sidecar, sidecar.client() as client:
        bucket = s3_gateway.new_bucket()
        sidecar.control.mount_add("/m", f"s3://{bucket}", s3_gateway.mount_options())
        data = CONTENT + CONTENT
        s3_gateway.put_object(bucket, "wide", data)
        info = client.stat("/m/wide")
        reply = client.fill("/m/wide", info.file_id, [(0, info.length)])
        assert (reply.result, reply.reason) == (DIRECT, "full_disk")
        at = 100 * MIB
        small = client.fill("/m/wide", info.file_id, [(at, 5 * KIB)], inline_max=MIB)
        assert small.data == data[at : at + 5 * KIB]
        assert sidecar.control.stats().used_bytes <= 64 * MIB


def test_a_rotten_page_that_is_reported_is_fetched_anew(site: Site) -> None:
    path = site.put("rot", CONTENT[: 2 * MIB])
    info = site.client.stat(path)
    first = site.client.fill(path, info.file_id, [(0, 2 * MIB)])
    file = site.directory / block_name(info.file_id, 0)
    with file.open("r+b") as f:
        f.seek(PAGE_BYTES + 5 * PAGE_BYTES + 17)
        byte = f.read(1)[0]
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte ^ 1]))
    (named,) = first.blocks
    page = wire.BadPage(file_id=info.file_id, block=0, page=5, generation=named.generation)
    site.client.report(bad_pages=[page], counters={"hit_bytes": 11})
    again = site.client.fill(path, info.file_id, [(0, 2 * MIB)])
    assert again.blocks[0].generation != named.generation
    assert cached(site.directory, info.file_id, 0, 2 * MIB) == CONTENT[: 2 * MIB]
    assert site.sidecar.control.stats().counters["hit_bytes"] == 11
    settings = Settings(cache_dir=site.directory)
    (told,) = (f for f in checks.sidecar(settings) if f.check == "pages")
    assert (told.level, told.text.split()[0]) == (Level.warning, "1")
    assert "smartctl" in told.remedy
    said = summarise(site.sidecar.control.stats())
    assert said["bad_pages"] == 1
    assert "1 cached pages were bad" in said["warnings"][0]
    assert "smartctl" in said["warnings"][0]


def test_a_window_is_fetched_behind_the_call_and_dropped_with_its_connection(site: Site) -> None:
    path = site.put("ahead", CONTENT)
    info = site.client.stat(path)
    site.client.fill(path, info.file_id, [(0, 1)], window=24 * MIB, stream=3)
    until = time.monotonic() + 20
    while site.client.locate(path, 0, info.length).locations[0].cached_bytes < 24 * MIB:
        assert time.monotonic() < until
    assert cached(site.directory, info.file_id, 0, 24 * MIB) == CONTENT[: 24 * MIB]
    fills = site.sidecar.sidecar._fills
    os.kill(site.gateway.pid, signal.SIGSTOP)
    try:
        with site.sidecar.client() as other:
            ahead = threading.Thread(target=_ignore_gone, args=(other, path, info.file_id))
            ahead.start()
            _await(lambda: fills.core.active > 0)
            other._sock.shutdown(2)
            ahead.join()
        _await(
            lambda: all(s.cancelled for f in fills.core.files.values() for s in f.fetches.values())
        )
    finally:
        os.kill(site.gateway.pid, signal.SIGCONT)
    _await(lambda: not fills.core.files)
    assert site.counters().bytes_read < 40 * MIB


def _ignore_gone(client: LocalClient, path: str, file_id: bytes) -> None:
    try:
        client.fill(path, file_id, [(32 * MIB, MIB)], window=24 * MIB)
    except Exception:
        return


def _await(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_a_silent_store_is_told_as_progress_every_100_ms(site: Site) -> None:
    path = site.put("slow", CONTENT[: 4 * MIB])
    info = site.client.stat(path)
    at: list[float] = [time.monotonic()]
    os.kill(site.gateway.pid, signal.SIGSTOP)
    threading.Timer(1.0, os.kill, (site.gateway.pid, signal.SIGCONT)).start()
    reply = site.client.fill(
        path, info.file_id, [(0, 4 * MIB)], on_progress=lambda _: at.append(time.monotonic())
    )
    at.append(time.monotonic())
    assert reply.result == PRESENT
    assert len(at) >= 8
    assert max(b - a for a, b in itertools.pairwise(at)) < 0.4


def test_evict_and_mount_verbs(site: Site) -> None:
    path = site.put("dir/evicted", CONTENT[: 3 * MIB])
    info = site.client.stat(path)
    site.client.fill(path, info.file_id, [(0, 3 * MIB)])
    gone = site.sidecar.control.evict("/m/dir")
    assert gone.files == 1
    assert gone.bytes >= 3 * MIB
    assert not (site.directory / block_name(info.file_id, 0)).exists()
    (listed,) = site.sidecar.control.mounts()
    assert (listed.path, listed.root) == ("/m", site.bucket)
    assert site.sidecar.control.mount_remove("/m").path == "/m"
    with pytest.raises(MountNotFound):
        site.client.fill(path, info.file_id, [(0, 1)])


def test_an_invalidated_path_is_asked_of_the_store(site: Site) -> None:
    path = site.put("written", b"one")
    assert site.client.stat(path).length == 3
    site.put("written", b"longer")
    assert site.client.stat(path).length == 3, "within the bound of 30 s"
    site.client.invalidate(path)
    assert site.client.stat(path).length == 6
    site.put("written", b"longest")
    site.client.invalidate("/m", "/nowhere", tree=True)
    assert site.client.stat(path).length == 7


def test_a_listing_of_many_pages_arrives_whole(site: Site) -> None:
    names = [f"part-{i:04d}" for i in range(1_050)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: site.put(f"many/{n}", b"x"), names))
    replies = list(site.client.list("/m/many"))
    assert [e.path for r in replies for e in r.entries] == names
    assert replies[0].directory.path == "/m/many"
    assert all(len(r.entries) <= 1000 for r in replies)
