"""The publish rule under fire: fills, evictions and refills of the same blocks, and ``kill -9``.

One process writes, into a cache of a third of the working set, and is killed again and again; two
processes read the block files by their own code and check every byte.
"""

import json
import random
import subprocess
import sys
import time

import pytest

from tests.integration.publish_fire import FILES

SEED = 20261121


def start(*args):
    command = [sys.executable, "-m", "tests.integration.publish_fire", *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def stop(process):
    process.kill()
    process.wait()
    process.stdout.close()


def fire(directory, pages, *, writer_args=(), reader_args=("prove",), readers=2, seed=SEED):
    """Keep killing the writer until the readers have what they want; (their counts, kills)."""
    rng = random.Random(seed)
    kills = 0
    reading = [
        start("read", directory, seed + n, pages // readers, *reader_args) for n in range(readers)
    ]
    try:
        while any(p.poll() is None for p in reading):
            writer = start("write", directory, rng.randrange(1 << 30), *writer_args)
            try:
                assert writer.stdout.readline() == "up\n", "the writer did not come up again"
                until = time.monotonic() + rng.uniform(0.0, 0.8)
                while time.monotonic() < until and any(p.poll() is None for p in reading):
                    time.sleep(0.005)
                assert writer.poll() is None, "the writer died by itself"
            finally:
                stop(writer)
            kills += 1
        told = [json.loads(p.stdout.read()) for p in reading]
    finally:
        for process in reading:
            stop(process)
    return {key: sum(counts[key] for counts in told) for key in told[0]}, kills


def check(counts, kills, pages):
    print(f"publish fire: {counts}, {kills} kills")
    assert counts["wrong"] == 0
    assert counts["bad"] == 0, "kill -9 loses no order: no checksum may fail"
    assert counts["right"] >= pages // 2 * 2
    assert counts["absent"] + counts["missing"] > 0, "nothing was ever evicted"
    assert counts["opened"] > FILES
    assert kills >= 3


def test_every_page_read_is_right(tmp_path):
    counts, kills = fire(tmp_path / "c", 100_000)
    check(counts, kills, 100_000)


def test_the_order_of_writes_alone_already_shows_no_wrong_byte(tmp_path):
    counts, _ = fire(tmp_path / "c", 10_000, reader_args=())
    assert counts["wrong"] == 0
    assert counts["right"] >= 10_000


def test_with_the_order_reversed_it_shows_wrong_bytes(tmp_path):
    for attempt in range(20):  # a reader has to come between the bit and its data
        folder = tmp_path / str(attempt)
        counts, _ = fire(folder, 10_000, writer_args=("bit-first",), reader_args=())
        if counts["wrong"]:
            break
    assert counts["wrong"] > 0


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(100, 220, 10))
def test_a_million_page_reads(tmp_path, seed):
    counts, kills = fire(tmp_path / "c", 100_000, seed=seed)
    check(counts, kills, 100_000)
