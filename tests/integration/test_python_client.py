"""The Python client against a real sidecar and a real S3 server."""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import random
import signal
import time
from typing import TYPE_CHECKING

import fsspec
import pytest

from millpond.client import CacheFileSystem
from millpond.errors import FileChanged
from millpond.model.block import page_offset
from millpond.model.paths import block_name
from millpond.model.sizes import MIB, PAGE_BYTES
from tests.fixtures.python_client import site

if TYPE_CHECKING:
    from tests.fixtures.python_client import PythonSite

__all__ = ["site"]
CONTENT = random.Random(7).randbytes(20 * MIB + 4_321)
OTHER = random.Random(8).randbytes(len(CONTENT))


def test_a_warm_read_calls_nobody(site: PythonSite) -> None:
    path = site.put("big", CONTENT)
    cold = site.fs()
    with cold.open(path) as file:
        assert file.read() == CONTENT
    assert cold.counters["fills"] > 0
    before = site.store_calls()
    warm = site.fs()
    with warm.open(path) as file:
        assert file.read(5) == CONTENT[:5]
        file.seek(-7, io.SEEK_END)
        assert file.read() == CONTENT[-7:]
        file.seek(0)
        target = bytearray(len(CONTENT) + 9)
        assert file.readinto(target) == len(CONTENT)
        assert target[: len(CONTENT)] == CONTENT
    assert warm.cat_file(path, 15 * MIB, 17 * MIB) == CONTENT[15 * MIB : 17 * MIB]
    own = ("hit_bytes", "hit_reads", "opens")
    called = {k: v for k, v in warm.counters.items() if k not in own}
    assert called == {"hellos": 1}, "one greeting a process, and nothing else"
    assert warm.counters["hit_bytes"] == len(CONTENT) + 12 + 2 * MIB
    after = site.store_calls()
    assert (after.get, after.head, after.list) == (before.get, before.head, before.list)


def test_small_files_come_from_their_meta(site: PythonSite) -> None:
    path = site.put("small", b"tiny\nlines\n")
    fs = site.fs()
    assert fs.cat_file(path) == b"tiny\nlines\n"
    with fs.open(path) as file:
        assert list(file) == [b"tiny\n", b"lines\n"]
    with fs.open(path, "r") as text:
        assert text.read() == "tiny\nlines\n"
    warm = site.fs()
    assert warm.cat(path) == b"tiny\nlines\n"
    assert warm.counters["fills"] + warm.counters["stats"] == 0


def test_looking_around(site: PythonSite) -> None:
    for key in ("d/a.csv", "d/b.csv", "d/e/c.csv"):
        site.put(key, key.encode())
    fs = site.fs()
    assert fs.ls("cache:///m/d", detail=False) == ["/m/d/a.csv", "/m/d/b.csv", "/m/d/e"]
    assert fs.find("/m/d") == ["/m/d/a.csv", "/m/d/b.csv", "/m/d/e/c.csv"]
    assert fs.glob("cache:///m/d/*.csv") == ["/m/d/a.csv", "/m/d/b.csv"]
    assert fs.info("/m/d/a.csv")["size"] == 7
    assert fs.isdir("/m/d")
    assert fs.ls("/", detail=False) == ["/m"]
    assert not fs.exists("/m/d/none")
    with pytest.raises(FileNotFoundError):
        fs.info("/nowhere/at/all")
    with pytest.raises(IsADirectoryError):
        fs.open("/m/d")
    whole = fs.cat_ranges(["/m/d/a.csv", "/m/d/b.csv", "/m/no"], [0, 2, 0], [1, None, 1])
    assert whole[:2] == [b"d", b"b.csv"]
    assert isinstance(whole[2], FileNotFoundError)


def test_a_killed_sidecar_leaves_the_blocks_and_the_store(site: PythonSite) -> None:
    warm, cold = site.put("warm", CONTENT), site.put("cold", OTHER)
    site.fs().cat_file(warm)
    fs = site.fs()
    fs.info(warm)  # it has been greeted
    site.sidecar.process.kill()
    site.sidecar.process.wait()
    assert fs.cat_file(cold) == OTHER
    assert fs.counters["fallback_sidecar_gone"] + fs.counters["fallback_sidecar_absent"] > 0
    assert fs.counters["direct_bytes"] == len(OTHER)
    _await_no_lease(fs)
    fresh = site.fs()
    assert fresh.cat_file(warm) == CONTENT
    assert fresh.counters["hit_bytes"] == len(CONTENT), "blocks of this version still count"
    assert fresh.ls("/m", detail=False) == ["/m/cold", "/m/warm"]


def test_a_stopped_sidecar_is_given_up_within_a_second(site: PythonSite) -> None:
    path = site.put("cold", CONTENT)
    fs = site.fs()
    fs.info(path)
    os.kill(site.sidecar.process.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert fs.cat_file(path, 0, 100) == CONTENT[:100]
        assert time.monotonic() - began < 1.0
        assert fs.counters["fallback_silence"] == 1
        assert fs.cat_file(path) == CONTENT
    finally:
        os.kill(site.sidecar.process.pid, signal.SIGCONT)


def test_a_replaced_object_is_an_error_and_never_a_mixture(site: PythonSite) -> None:
    path = site.put("big", CONTENT)
    fs = site.fs()
    with fs.open(path) as file:
        assert file.read(100) == CONTENT[:100]
        site.put("big", OTHER)
        file.seek(18 * MIB)
        with pytest.raises(FileChanged):
            file.read()
    with fs.open(path) as file:
        site.sidecar.process.kill()
        site.sidecar.process.wait()
        file.seek(18 * MIB)
        try:
            seen = file.read()
        except FileChanged:
            return
        assert seen == OTHER[18 * MIB :]


def test_replaced_after_the_sidecar_died(site: PythonSite) -> None:
    path = site.put("big", CONTENT)
    fs = site.fs()
    file = fs.open(path)
    assert file.read(100) == CONTENT[:100]
    site.sidecar.process.kill()
    site.sidecar.process.wait()
    site.put("big", OTHER)
    file.seek(18 * MIB)
    with pytest.raises(FileChanged):
        file.read()


def test_a_corrupt_page_is_filled_again(site: PythonSite) -> None:
    path = site.put("big", CONTENT)
    site.fs().cat_file(path)
    file_id = site.client.stat("/m/big").file_id
    with (site.directory / block_name(file_id, 0)).open("r+b") as block:
        block.seek(page_offset(9) + 1234)
        block.write(b"rotten")
    fs = site.fs()
    assert fs.cat_file(path) == CONTENT
    assert fs.counters["bad_pages"] == 1
    assert (
        fs.cat_file(path, 9 * PAGE_BYTES, 10 * PAGE_BYTES)
        == (CONTENT[9 * PAGE_BYTES : 10 * PAGE_BYTES])
    )


def test_a_forked_child_has_its_own_connections(site: PythonSite) -> None:
    path = site.put("big", CONTENT)
    fs = site.fs()
    file = fs.open(path)
    assert file.read(10) == CONTENT[:10]
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe()

    def child() -> None:
        file.seek(10 * MIB)
        theirs.send((file.read(100), dict(fs.counters)))

    worker = context.Process(target=child)
    worker.start()
    assert mine.poll(30)
    data, counters = mine.recv()
    worker.join(30)
    assert worker.exitcode == 0
    assert data == CONTENT[10 * MIB : 10 * MIB + 100]
    assert counters.get("fills", 0) == counters.get("hellos", 0)
    assert "opens" not in counters
    assert file.read(10) == CONTENT[10:20]


def test_it_travels_by_pickle_and_by_url(site: PythonSite, monkeypatch: pytest.MonkeyPatch) -> None:
    path = site.put("a", b"abc")
    fs = pickle.loads(pickle.dumps(site.fs()))
    assert fs.cat_file(path) == b"abc"
    monkeypatch.setenv("MILLPOND_DIR", str(site.directory))
    with fsspec.open(path) as file:
        assert isinstance(file.fs, CacheFileSystem)
        assert file.read() == b"abc"


def _await_no_lease(fs: CacheFileSystem) -> None:
    until = time.monotonic() + 10
    while fs.here().dir.lease_good():
        assert time.monotonic() < until
        time.sleep(0.05)
