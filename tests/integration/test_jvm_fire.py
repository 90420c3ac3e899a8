"""The JVM's block reader against the real writer: fills, evictions, refills, kill -9."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import millpond_jars

ROOT = Path(__file__).parents[2]
WRITER = Path(__file__).with_name("jvm_fire_writer.py")
FILES = 5
LENGTH = 2 * (16 << 20) + 300_001
READERS = 3


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
