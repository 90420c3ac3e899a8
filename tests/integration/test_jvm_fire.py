"""The JVM's block reader against the real writer: fills, evictions, refills, kill -9."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import millpond_jars
from millpond_spark.demo.sidecar import SidecarProcess
from tests.integration.test_jvm_client import Folder, Site

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[2]
WRITER = Path(__file__).with_name("jvm_fire_writer.py")
FILES = 5
LENGTH = 2 * (16 << 20) + 300_001
READERS = 3
ROUNDS = 2


def _tests_jar() -> Path:
    """The client's test classes, which Maven packs beside the client."""
    release = millpond_jars.client().stem.removeprefix("millpond-client-")
    jar = ROOT / f"jars/client/target/millpond-client-{release}-tests.jar"
    if not jar.is_file():
        pytest.skip(f"no {jar.name}: {millpond_jars.BUILD}")
    return jar


@pytest.mark.parametrize(
    ("seconds", "least_pages", "least_kills"),
    [
        pytest.param(12, 20_000, 2, id="short"),
        pytest.param(
            240, 1_000_000, 50, marks=[pytest.mark.full, pytest.mark.timeout(600)], id="long"
        ),
    ],
)
def test_readers_see_right_bytes_or_none(
    tmp_path: Path, seconds: int, least_pages: int, least_kills: int
) -> None:
    java = shutil.which("java")
    if java is None:
        pytest.skip("no java: make java")
    rng = random.Random(9)
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o750)
    listing = tmp_path / "files"
    listing.write_text("".join(f"{rng.randbytes(16).hex()} {LENGTH}\n" for _ in range(FILES)))
    classes = f"{millpond_jars.client()}:{_tests_jar()}"
    reader = subprocess.Popen(
        [java, "-Xmx256m", "-cp", classes, "io.millpond.fs.local.FireReader",
         str(cache), str(seconds), str(READERS), str(listing)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        kills = _writers_until(reader, cache, listing, rng)
        out, _ = reader.communicate(timeout=60)
    finally:
        reader.kill()
        reader.wait()
    assert reader.returncode == 0
    told = json.loads(out)
    figures = f"{told}, {kills} kills"
    print(figures)
    assert told["wrong"] == 0, figures
    assert told["bad_pages"] == 0, figures
    assert told["troubles"] == 0, figures
    assert told["pages"] >= least_pages, figures
    assert told["absent"] > 0, figures
    assert kills >= least_kills, figures


def _writers_until(
    reader: subprocess.Popen[str], cache: Path, listing: Path, rng: random.Random
) -> int:
    """Starts a writer after the other, each killed at a random moment, while the reader runs."""
    kills = 0
    while reader.poll() is None:
        writer = subprocess.Popen(
            [sys.executable, str(WRITER), str(cache), str(kills), str(listing)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "up\n"
            end = time.monotonic() + rng.uniform(0.05, 1.5)
            while time.monotonic() < end and reader.poll() is None:
                assert writer.poll() is None
                time.sleep(0.01)
        finally:
            writer.kill()
            writer.communicate()
        kills += 1
    return kills


@contextmanager
def blocks_deleted(cache: Path) -> Iterator[None]:
    """Block files vanish as soon as they are seen: what a Fill brought is often gone again."""
    done = threading.Event()

    def run() -> None:
        while not done.is_set():
            for block in (cache / "blocks").glob("*/*/*"):
                block.unlink(missing_ok=True)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.mark.timeout(300)
def test_no_read_takes_more_than_two_rounds_of_fill(tmp_path: Path) -> None:
    """A sidecar whose space is a third of the files, then one whose blocks are deleted as well."""
    (tmp_path / "data").mkdir()
    store = Folder(tmp_path / "data")
    files = {f"f{i}": random.Random(i).randbytes(48 << 20) for i in range(4)}
    for name, data in files.items():
        store.put(name, data)
    store.settle()
    site = Site(tmp_path, store)
    small = {"MILLPOND_HTTP_PORT": "0", "MILLPOND_CACHE_CAPACITY_BYTES": "64MiB"}
    site.sidecar = SidecarProcess(tmp_path / "cache", tmp_path / "sidecar.log", small)
    with site.sidecar:
        site.sidecar.run("mount", "add", "/m", store.uri)
        calm = _read_at_random(site, files, reads=60)
        assert 1 <= calm["fill_rounds_max"] <= ROUNDS, calm
        with blocks_deleted(site.sidecar.cache_dir):
            fire = _read_at_random(site, files, reads=60)
    print(calm, fire)
    assert fire["fill_rounds_max"] == ROUNDS, "a second round is met, and never a third"


def _read_at_random(site: Site, files: Mapping[str, bytes], reads: int) -> dict[str, int]:
    rng = random.Random(5)
    with site.probe() as probe:
        for _ in range(reads):
            name = rng.choice(list(files))
            data = files[name]
            count = rng.choice((5_000, 300_000, 3 << 20))
            at = rng.randrange(len(data) - count)
            probe.open(f"/m/{name}", rng.choice(("random", "sequential")))
            assert probe.pread(at, count) == data[at : at + count]
            probe.ask("seek", "s", at)
            assert probe.read(count) == data[at : at + count]
        return probe.counters()
