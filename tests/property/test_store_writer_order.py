"""Whatever part of a writer's calls reached the disk, a reader gets right bytes or none.

The calls of a real writer are recorded; then the block file is made again from every prefix of them
(the process died there: the page cache keeps their order) and from random parts of them (the power
failed: sectors arrive in any order), and read by a reader of its own making.
"""

import itertools
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millpond.model.sizes import PAGE_BYTES
from millpond.store import BlockStore, blocks
from millpond.store.disk import Disk
from tests.fixtures.bit_first import BitFirstWriter
from tests.fixtures.tiny_reader import TinyReader, block_path

FILE_ID = bytes(range(16))
BLOCK = 3
SECTOR = 512


class RecordingDisk(Disk):
    """Remembers what is done to the one block file."""

    def __init__(self):
        self.calls = []

    def pwrite(self, fd, data, at):
        self.calls.append(("write", at, bytes(data)))
        super().pwrite(fd, data, at)

    def truncate(self, fd, size):
        self.calls.append(("truncate", size, b""))
        super().truncate(fd, size)

    def link(self, source, target):
        self.calls.append(("link", 0, b""))
        super().link(source, target)


def content(valid_bytes):
    return random.Random(valid_bytes).randbytes(valid_bytes)


def record(valid_bytes, ranges):
    """The calls that made the block, after other files of the store were made."""
    whole = content(valid_bytes)
    with tempfile.TemporaryDirectory() as root:
        disk = RecordingDisk()
        store = BlockStore.open(Path(root) / "c", capacity_bytes=1 << 30, disk=disk)
        store.wait_reconciled(30)
        disk.calls.clear()
        writer = store.writer(FILE_ID, BLOCK, valid_bytes)
        for first, last in ranges:
            end = min(last * PAGE_BYTES, valid_bytes)
            writer.put(first, whole[first * PAGE_BYTES : end])
        calls = list(disk.calls)
        writer.close()
        store.close()
    return calls


def torn(calls, rng):
    """Every prefix of the calls, and the one in which its last write is cut."""
    for n in range(len(calls) + 1):
        yield calls[:n]
        if n and calls[n - 1][0] == "write" and len(calls[n - 1][2]) > 1:
            _, at, data = calls[n - 1]
            yield [*calls[: n - 1], ("write", at, data[: rng.randrange(1, len(data))])]


def sectors(calls, rng):
    """The same file size, and any part of the sectors written."""
    yield from (c for c in calls if c[0] != "write")
    for _, at, data in (c for c in calls if c[0] == "write"):
        for start in range(0, len(data), SECTOR):
            if rng.random() < 0.7:
                yield "write", at + start, data[start : start + SECTOR]


def read_all(calls, valid_bytes, verify):
    """(right pages, wrong pages) that a reader gets from the file these calls leave."""
    right = wrong = 0
    if not any(c[0] == "link" for c in calls):
        return right, wrong
    whole = content(valid_bytes)
    with tempfile.TemporaryDirectory() as root:
        path = block_path(Path(root), FILE_ID, BLOCK)
        path.parent.mkdir(parents=True)
        with path.open("wb") as file:
            for kind, at, data in calls:
                if kind == "truncate":
                    file.truncate(at)
                elif kind == "write":
                    file.seek(at)
                    file.write(data)
        reader = TinyReader(path, FILE_ID, BLOCK)
        for page in range(256):
            got = reader.read_page(page, verify=verify)
            if got is not None:
                same = got == whole[page * PAGE_BYTES : (page + 1) * PAGE_BYTES]
                right, wrong = right + same, wrong + (not same)
        reader.close()
    return right, wrong


blocks_and_ranges = st.integers(1, 9 * PAGE_BYTES).flatmap(
    lambda valid: st.tuples(
        st.just(valid),
        st.lists(
            st.tuples(st.integers(0, -(-valid // PAGE_BYTES) - 1), st.integers(1, 4)), max_size=4
        ).map(lambda runs: [(a, min(a + n, -(-valid // PAGE_BYTES))) for a, n in runs]),
    )
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(blocks_and_ranges, st.integers(0, 1 << 30))
def test_no_prefix_of_the_calls_shows_wrong_bytes_even_without_checksums(case, seed):
    valid_bytes, ranges = case
    calls = record(valid_bytes, ranges)
    rng = random.Random(seed)
    states = list(torn(calls, rng))
    if len(states) > 24:
        states = [*rng.sample(states, 23), calls]
    for state in states:
        assert read_all(state, valid_bytes, verify=False)[1] == 0
    stored = {p for a, b in ranges for p in range(a, b)}
    assert read_all(calls, valid_bytes, verify=True) == (len(stored), 0)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(blocks_and_ranges, st.integers(0, 1 << 30))
def test_no_part_of_the_sectors_shows_wrong_bytes(case, seed):
    valid_bytes, ranges = case
    calls = record(valid_bytes, ranges)
    rng = random.Random(seed)
    for _ in range(6):
        assert read_all(list(sectors(calls, rng)), valid_bytes, verify=True)[1] == 0


def test_with_the_order_reversed_prefixes_do_show_wrong_bytes(monkeypatch):
    monkeypatch.setattr(blocks, "BlockWriter", BitFirstWriter)
    valid_bytes = 5 * PAGE_BYTES - 7
    calls = record(valid_bytes, [(0, 2), (2, 5)])
    shown = [
        read_all(state, valid_bytes, verify=False)[1] for state in torn(calls, random.Random(1))
    ]
    proven = [
        read_all(state, valid_bytes, verify=True)[1] for state in torn(calls, random.Random(1))
    ]
    assert max(shown) > 0, "a reader without checksums must meet wrong bytes here"
    assert max(proven) == 0, "a reader with checksums must not"


@pytest.mark.parametrize("ranges", [[(0, 4)], [(0, 1), (3, 4), (0, 4)], [(2, 4), (2, 4)]])
def test_data_then_checksums_then_bits_and_nothing_twice(ranges):
    calls = record(4 * PAGE_BYTES, ranges)
    kinds = [
        "bits" if 64 <= at < 96 else "crcs" if 1024 <= at < 2048 else "data" if at else "header"
        for kind, at, _ in calls
        if kind == "write"
    ]
    assert kinds[0] == "header"
    assert kinds[1:] == ["data", "crcs", "bits"] * (len(kinds[1:]) // 3)
    written = [at for kind, at, _ in calls if kind == "write" and at >= PAGE_BYTES]
    assert len(set(written)) == len(written)
    bits = [(at, data) for kind, at, data in calls if kind == "write" and 64 <= at < 96]
    assert all(a[1][0] & ~b[1][0] == 0 for a, b in itertools.pairwise(bits)), "a bit went back"
