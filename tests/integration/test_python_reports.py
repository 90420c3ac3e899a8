"""What a Python reader tells a real sidecar: counted once; and blocks it reads stay longer."""

from __future__ import annotations

import multiprocessing
import os
import secrets
import subprocess
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from millpond import metrics as m
from millpond.client import CacheFileSystem
from millpond.model.paths import block_name
from millpond.model.sizes import BLOCK_BYTES, MIB
from millpond.server.shell import HOLD_S
from millpond.settings import Settings
from tests.fixtures.sidecar import LoopSidecar
from tests.fixtures.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SMALL = b"small\n"
SCRIPT = """
import fsspec
fsspec.filesystem("cache").cat("/data/a", start=0, end=1000)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("data")
    for name in "abcd":
        (made / name).write_bytes(secrets.token_bytes(BLOCK_BYTES))
    (made / "small").write_bytes(SMALL)
    return made


@pytest.fixture
def sidecar(tmp_path: Path, data: Path) -> Iterator[LoopSidecar]:
    """Room for three blocks, the least recently used evicted first."""
    settings = Settings(
        cache_dir=tmp_path / "cache", cache_capacity_bytes=64 * MIB, cache_policy="lru",
        evict_high=0.9, evict_low=0.85, http_port=0,
    )  # fmt: skip
    with LoopSidecar(settings) as running:
        running.control.mount_add("/data", f"file://{data}")
        with running.client() as client:
            for name in ("a", "b", "c", "small"):
                asked = partial(client.stat, f"/data/{name}", force=True)
                eventually("it is old enough to have an id", lambda ask=asked: ask().file_id)
        yield running


def fs(sidecar: LoopSidecar) -> CacheFileSystem:
    return CacheFileSystem(cache_dir=sidecar.directory, skip_instance_cache=True)


def told(sidecar: LoopSidecar, name: str) -> int:
    return sidecar.control.stats().counters[name]


def reports(sidecar: LoopSidecar) -> float:
    return sidecar.sidecar.metrics.value(m.REQUESTS, "report")


def fill(sidecar: LoopSidecar, name: str) -> Path:
    """Where the file's one block lies now."""
    with sidecar.client() as client:
        info = client.stat(f"/data/{name}")
        client.fill(f"/data/{name}", info.file_id, [(0, info.length)])
    return sidecar.directory / block_name(info.file_id, 0)


def test_reads_are_told_once_and_then_there_is_silence(sidecar: LoopSidecar) -> None:
    fill(sidecar, "a")
    warm = fs(sidecar)
    for _ in range(3):
        assert len(warm.cat("/data/a")) == BLOCK_BYTES
    assert warm.cat("/data/small") == SMALL
    hits = 3 * BLOCK_BYTES
    eventually("told", lambda: told(sidecar, "hit_bytes") >= hits)
    eventually("told", lambda: told(sidecar, "opens") == 4)
    assert told(sidecar, "hit_bytes") == warm.counters["hit_bytes"]
    assert told(sidecar, "hit_reads") == warm.counters["hit_reads"]
    threads = threading.enumerate
    eventually("told all", lambda: not any(isinstance(t, threading.Timer) for t in threads()))
    assert 1 <= reports(sidecar) <= 4, "batches, and no report of the report"


def test_what_a_fill_brought_ahead_is_no_hit(sidecar: LoopSidecar) -> None:
    """A cold file read in small steps: nothing of it was there before."""
    cold = fs(sidecar)
    with cold.open("/data/b") as file:
        while file.read(256 * 1024):
            pass
    assert cold.counters["hit_bytes"] == 0
    assert cold.counters["filled_bytes"] + cold.counters["inline_bytes"] == BLOCK_BYTES
    assert cold.counters["fills"] < 30
    with cold.open("/data/b") as file:
        while file.read(256 * 1024):
            pass
    assert cold.counters["hit_bytes"] == BLOCK_BYTES


def test_a_block_that_python_reads_is_not_the_next_to_go(sidecar: LoopSidecar) -> None:
    first, second, third = (fill(sidecar, name) for name in "abc")
    held = time.monotonic() + HOLD_S  # until then what was filled stays, whoever reads it
    eventually("not held any more", lambda: time.monotonic() > held)
    fs(sidecar).cat("/data/a", start=0, end=10)
    eventually("told", lambda: told(sidecar, "hit_reads") > 0)
    fill(sidecar, "d")
    eventually("told", lambda: told(sidecar, "evicted_blocks") > 0)
    assert [p.exists() for p in (first, second, third)] == [True, False, True]


def test_misses_are_counted_by_why_a_block_was_not_here(sidecar: LoopSidecar) -> None:
    def reasons() -> dict[str, float]:
        return {labels[0]: n for labels, n in sidecar.sidecar.metrics.values(m.MISSES).items()}

    places = {name: fill(sidecar, name) for name in "abcd"}  # there is room for three
    eventually("told", lambda: told(sidecar, "evicted_blocks") == 1)
    assert reasons() == {"never_read": 4}
    [gone] = [name for name, place in places.items() if not place.exists()]
    fill(sidecar, gone)
    assert reasons() == {"never_read": 4, "evicted": 1}
    while not places[gone].exists():  # another may have been chosen to go, or this one
        fill(sidecar, gone)
    sidecar.control.evict(f"/data/{gone}")
    fill(sidecar, gone)
    assert reasons()["never_read"] == 4
    assert reasons()["dropped"] == 1
    assert sum(reasons().values()) == told(sidecar, "miss_reads")


def test_a_program_that_reads_and_ends_is_counted(sidecar: LoopSidecar) -> None:
    """It lives for less than the second after which it would report."""
    fill(sidecar, "a")
    environment = {**os.environ, "MILLPOND_DIR": str(sidecar.directory)}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT], env=environment, check=False
    )
    assert done.returncode == 0
    eventually("told", lambda: told(sidecar, "hit_bytes") == 1000)
    assert time.monotonic() - began < 15


def test_a_fork_in_mid_report_hangs_nobody(sidecar: LoopSidecar) -> None:
    """The child gets the parent's locks as they are held, and none of what was to be told."""
    fill(sidecar, "a")
    warm = fs(sidecar)
    warm.cat("/data/a", start=0, end=1000)
    process = warm.here()
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe()

    def child() -> None:
        theirs.send(warm.cat("/data/a", start=0, end=7) == warm.cat("/data/a", start=0, end=7))

    with process.sidecar._lock, process._lock, process.reporter._lock, process.reporter._sending:
        worker = context.Process(target=child)
        worker.start()
        assert mine.poll(30), "the child hangs"
    assert mine.recv() is True
    worker.join(30)
    assert worker.exitcode == 0
    eventually("told", lambda: told(sidecar, "hit_bytes") >= 1000)
    assert told(sidecar, "hit_bytes") <= 1014
