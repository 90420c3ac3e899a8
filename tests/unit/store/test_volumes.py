"""Further disks: blocks are spread over them, and one that fails takes nothing else with it."""

import errno
import os
import time

import pytest

from millpond.errors import NoSpace
from millpond.model.paths import block_name
from millpond.model.sizes import PAGE_BYTES, SECTION_BYTES
from millpond.store.disk import Disk
from millpond.store.volumes import MARK

BLOCKS = [8 * n for n in range(24)]  # each in a section of its own
DATA = os.urandom(2 * PAGE_BYTES)
FILE = bytes(range(16))


@pytest.fixture
def disks(tmp_path):
    return [tmp_path / "d1", tmp_path / "d2"]


def fill(store, numbers=BLOCKS):
    for number in numbers:
        writer = store.writer(FILE, number, len(DATA))
        writer.put(0, DATA)
        writer.close()


def places(store):
    """The number of the disk that each block is on, by looking."""
    found = {}
    for number in BLOCKS:
        path = store.directory / block_name(FILE, number)
        if path.exists():
            real = path.resolve().parents[3]
            found[number] = 0 if real == store.directory else int((real / MARK).read_text())
    return found


def present(store):
    return [n for n in BLOCKS if store.read(FILE, n, 0, len(DATA)) == DATA]


def await_true(condition):
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_blocks_are_spread_read_by_one_name_and_evicted_whole(open_store, disks):
    store = open_store(disks=disks)
    fill(store)
    spread = places(store)
    assert {n: list(spread.values()).count(n) >= 2 for n in (0, 1, 2)} == {
        0: True,
        1: True,
        2: True,
    }
    assert len({spread[0]} | {store._volumes.choose(FILE, n) for n in range(8)}) == 1, "a section"
    assert SECTION_BYTES == 8 << 24
    assert present(store) == BLOCKS
    files = sum(len(os.listdir(d / "blocks")) for d in disks)
    assert files
    store.evict([FILE])
    assert present(store) == []
    left = [
        p for d in [store.directory, *disks] for p in (d / "blocks").rglob("*") if not p.is_dir()
    ]
    assert left == []
    assert store.stats().used_bytes == 0


@pytest.mark.parametrize("snapshot", [True, False])
def test_a_restart_finds_all_whatever_the_order_of_the_setting(open_store, disks, snapshot):
    store = open_store(disks=disks)
    fill(store)
    before, used = places(store), store.stats().used_bytes
    store.close()
    if not snapshot:
        (store.directory / "index.snapshot").unlink()
    again = open_store(disks=disks[::-1])
    assert (places(again), present(again)) == (before, BLOCKS)
    assert (again.stats().blocks, again.stats().used_bytes) == (len(BLOCKS), used)


def test_a_disk_taken_away_is_dropped_and_comes_back_by_a_restart(open_store, disks):
    store = open_store(disks=disks)
    fill(store)
    before = places(store)
    lost = [n for n in BLOCKS if before[n] == 1]
    disks[0].rename(disks[0].with_name("away"))
    await_true(lambda: store.disks()[-1][1] == "No such file or directory")
    assert present(store) == [n for n in BLOCKS if n not in lost]
    await_true(lambda: store.stats().blocks == len(BLOCKS) - len(lost))
    fill(store, lost[:2])
    assert all(places(store)[n] != 1 for n in lost[:2])
    assert not disks[0].exists(), "written to where the disk is not"
    store.close()
    disks[0].with_name("away").rename(disks[0])
    again = open_store(disks=disks)
    assert present(again) == BLOCKS
    assert again.stats().blocks == len(BLOCKS)
    on_first = [p for p in (disks[0] / "blocks").rglob("*") if p.is_file()]
    assert len(on_first) == len(lost) - 2, "a second copy was kept"


class Failing(Disk):
    """Calls on files of one directory fail once it is told so."""

    def __init__(self, root):
        self.root, self.code, self.calls = os.fspath(root), 0, ()

    def _check(self, call, path):
        if self.code and call in self.calls and os.fspath(path).startswith(self.root):
            raise OSError(self.code, os.strerror(self.code))

    def open(self, path, flags):
        self._check("open", os.path.realpath(path))
        return super().open(path, flags)

    def pwrite(self, fd, data, at):
        self._check("pwrite", os.readlink(f"/proc/self/fd/{fd}"))
        super().pwrite(fd, data, at)

    def pread(self, fd, size, at):
        self._check("pread", os.readlink(f"/proc/self/fd/{fd}"))
        return super().pread(fd, size, at)

    def unlink(self, path):
        self._check("unlink", path)
        super().unlink(path)


@pytest.mark.parametrize("code", [errno.EIO, errno.EROFS])
@pytest.mark.parametrize("call", ["open", "pwrite", "pread", "unlink"])
def test_a_disk_that_fails_is_dropped_and_work_goes_on(open_store, disks, code, call):
    disk = Failing(disks[0])
    store = open_store(disks=disks[:1], disk=disk)
    fill(store)
    failing = [n for n in BLOCKS if places(store)[n] == 1]
    sound = [n for n in BLOCKS if n not in failing]
    disk.code, disk.calls = code, (call,)
    if call == "pwrite":
        fill(store, [7])  # no part of a section that has a place
        fill(store, [n + 1 for n in BLOCKS])
    elif call == "unlink":
        store.evict([FILE])
        fill(store, sound)
    else:
        assert present(store) == sound
    ((root, why),) = store.disks()
    assert root == str(disks[0])
    assert errno.errorcode[code] in why
    fill(store)
    assert present(store) == BLOCKS
    assert set(places(store).values()) == {0}


def test_an_open_writer_of_a_failing_disk_is_told_there_is_no_space(open_store, disks):
    disk = Failing(disks[0])
    store = open_store(disks=disks[:1], disk=disk)
    number = next(n for n in BLOCKS if store._volumes.choose(FILE, n) == 1)
    writer = store.writer(FILE, number, len(DATA))
    disk.code, disk.calls = errno.EIO, ("pwrite",)
    with pytest.raises(NoSpace):
        writer.put(0, DATA)
    assert not writer.linked
    writer.close()
    fill(store, [number])
    assert present(store) == [number]


def test_a_full_disk_is_not_dropped(open_store, disks):
    disk = Failing(disks[0])
    store = open_store(disks=disks[:1], disk=disk)
    number = next(n for n in BLOCKS if store._volumes.choose(FILE, n) == 1)
    disk.code, disk.calls = errno.ENOSPC, ("pwrite",)
    with pytest.raises(NoSpace):
        fill(store, [number])
    assert store.disks() == [(str(disks[0]), "")]


def test_what_a_crash_left_half_made_is_found(open_store, disks):
    store = open_store(disks=disks[:1])
    fill(store)
    store.close()
    on_disk = [n for n, place in places(store).items() if place == 1]
    unnamed, doubled = on_disk[:2]
    (store.directory / block_name(FILE, unnamed)).unlink()
    name = store.directory / block_name(FILE, doubled)
    data = name.read_bytes()
    name.unlink()
    name.write_bytes(data)
    again = open_store(disks=disks[:1])
    assert present(again) == BLOCKS
    assert (places(again)[unnamed], places(again)[doubled]) == (1, 0)
    assert not (disks[0] / block_name(FILE, doubled)).exists()


def test_disks_that_can_not_be_used_are_named_and_harm_nobody(open_store, disks, tmp_path):
    disks[0].mkdir()
    disks[0].chmod(0o755)
    taken = open_store(tmp_path / "other", disks=[tmp_path / "d3"])
    store = open_store(disks=[*disks, tmp_path / "d3", disks[1]])
    said = dict(store.disks())
    assert "chmod o-rwx" in said[str(disks[0])]
    assert "another sidecar holds it" in said[str(tmp_path / "d3")]
    assert sorted(store._volumes.live) == [1]
    fill(store)
    assert present(store) == BLOCKS
    assert taken.disks() == [(str(tmp_path / "d3"), "")]
