"""A file system that is really full: of bytes, of inodes, of other people's files."""

import errno
import os
import subprocess
import threading
from pathlib import Path

import pytest

from millpond.errors import NoSpace
from millpond.model.records import DirStamp, Meta
from millpond.model.sizes import MIB, PAGE_BYTES
from millpond.store import disk as disks
from tests.fixtures.tiny_reader import TinyReader, block_path
from tests.fixtures.waiting import eventually

SIZE = 12 * MIB


@pytest.fixture
def small_disk(tmp_path, request):
    """A tmpfs of 12 MiB and few inodes."""
    inodes = getattr(request, "param", 400)
    point = tmp_path / "disk"
    point.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},nr_inodes={inodes}", "none", point]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs mount (root), to have a small disk")
    yield point
    subprocess.run(["umount", "-l", point], check=True)


def ident(number):
    return number.to_bytes(16, "big")


def take_all(path):
    """Grow a file until nothing is free."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        while os.write(fd, bytes(4096)):
            pass
    except OSError as e:
        if e.errno != errno.ENOSPC:
            raise
    finally:
        os.close(fd)


def put(store, number, pages):
    writer = store.writer(ident(number), 0, pages * PAGE_BYTES)
    try:
        return writer.put(0, number.to_bytes(8, "big") * (PAGE_BYTES // 8) * pages)
    finally:
        writer.close()


def test_more_than_the_disk_holds_goes_through_it(small_disk, open_store):
    store = open_store(small_disk / "c", capacity_bytes=1 << 40)
    for number in range(60):
        assert put(store, number, 8) == 0xFF
        assert store.read(ident(number), 0, 0, 8) == number.to_bytes(8, "big")
        assert store.stats().used_bytes < SIZE
    assert store.stats().evicted_blocks > 30
    assert store.stats().capacity_bytes > SIZE

    def within() -> bool:
        store._space.look()  # blocks that go meanwhile count twice: as used, and as free
        return store.stats().limit_bytes < SIZE

    eventually("it keeps to the disk", within)


def test_when_others_fill_the_disk_the_cache_shrinks_then_says_no_space(small_disk, open_store):
    store = open_store(small_disk / "c", capacity_bytes=8 * MIB)
    for number in range(12):
        put(store, number, 8)
    before = store.stats().blocks
    other = small_disk / "other"
    other.write_bytes(bytes(5 * MIB + 600 * 1024))
    store._space.tidy()
    assert 0 < store.stats().blocks < before
    while store.stats().blocks:
        take_all(other)
        store._space.tidy()
    take_all(other)
    store._space.look()
    with pytest.raises(NoSpace, match=r"full.*(cache_capacity_bytes|disk)"):
        put(store, 99, 16)
    other.unlink()
    store._space.look()
    assert put(store, 99, 16) == 0xFFFF


def test_blocks_in_use_stay_and_the_writer_is_told(small_disk, open_store):
    store = open_store(small_disk / "c", capacity_bytes=4 * MIB)
    open_writers = [store.writer(ident(n), 0, 24 * PAGE_BYTES) for n in range(3)]
    for writer in open_writers[:2]:
        writer.put(0, bytes(24 * PAGE_BYTES))
    with pytest.raises(NoSpace):
        open_writers[2].put(0, bytes(24 * PAGE_BYTES))
    assert open_writers[2].present == 0
    for writer in open_writers[:2]:
        writer.close()
    store.hold(ident(0), 0, 60)
    assert open_writers[2].put(0, bytes(24 * PAGE_BYTES)) == (1 << 24) - 1
    assert store.page_map(ident(0), 0) == (1 << 24) - 1, "a held block was evicted"
    assert store.page_map(ident(1), 0) == 0
    open_writers[2].close()


@pytest.mark.parametrize("small_disk", [1100], indirect=True)
def test_out_of_inodes_others_make_room(small_disk, open_store):
    store = open_store(small_disk / "c", capacity_bytes=1 << 40)
    for number in range(450):
        assert put(store, number, 1) == 1
        store.put_meta(Meta(f"s/b/{number}", ident(number), "v", 9, 0, 0, store.boot_id))
        store.put_dir(DirStamp(f"s/b/{number}", 1, 1, store.boot_id))
    assert store.read(ident(449), 0, 0, 8) == (449).to_bytes(8, "big")
    assert os.statvfs(small_disk).f_ffree >= 0
    assert 0 < store.stats().inodes < 1100


class RefusingDisk(disks.Disk):
    """Says ENOSPC at one kind of call, a number of times."""

    def __init__(self, call, times):
        self.call, self.times = call, times

    def _refuse(self, call):
        if call == self.call and self.times > 0:
            self.times -= 1
            raise OSError(28, os.strerror(28))

    def reserve(self, fd, at, size):
        self._refuse("reserve")
        super().reserve(fd, at, size)

    def pwrite(self, fd, data, at):
        if at:
            self._refuse({64: "bits", 1024: "crcs"}.get(at, "data"))
        super().pwrite(fd, data, at)

    def link(self, source, target):
        self._refuse("link")
        super().link(source, target)

    def rename(self, source, target):
        self._refuse("rename")
        super().rename(source, target)


@pytest.mark.parametrize("call", ["reserve", "data", "crcs", "bits", "link"])
@pytest.mark.parametrize("times", [1, 2, 50])
def test_full_at_any_call_evict_and_retry_then_no_space(open_store, call, times):
    disk = RefusingDisk(call, 0)
    store = open_store(disk=disk, capacity_bytes=8 * MIB)
    for number in range(40):
        put(store, number, 1)
    disk.times = times
    if times < 4:
        assert put(store, 99, 2) == 0b11
    else:
        with pytest.raises(NoSpace):
            put(store, 99, 2)
        disk.times = 0
        assert put(store, 99, 2) == 0b11
    assert store.stats().evicted_blocks > 0
    reader = TinyReader(block_path(store.directory, ident(99), 0), ident(99), 0)
    assert reader.read_page(1) == (99).to_bytes(8, "big") * (PAGE_BYTES // 8)
    reader.close()
    assert list((store.directory / "staging").iterdir()) == []


def test_a_meta_that_finds_no_room_leaves_the_old_one_or_none(open_store):
    disk = RefusingDisk("rename", 0)
    store = open_store(disk=disk)
    old = Meta("s/b/k", ident(1), "v1", 9, 0, 0, store.boot_id)
    store.put_meta(old)
    disk.times = 50
    with pytest.raises(NoSpace):
        store.put_meta(Meta("s/b/k", ident(2), "v2", 9, 0, 0, store.boot_id))
    assert store.get_meta("s/b/k") in (old, None)
    disk.times = 0
    assert list((store.directory / "staging").iterdir()) == []


def test_writers_in_threads_stay_within_the_capacity(open_store):
    store = open_store(capacity_bytes=6 * MIB)
    errors, most = [], 0

    def work(seed):
        try:
            for number in range(seed * 100, seed * 100 + 60):
                put(store, number, 8)
        except BaseException as e:
            errors.append(e)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        most = max(most, store.stats().used_bytes)
    assert errors == []
    assert 0 < most <= 6 * MIB + 4 * 8192  # a block's header and extents come atop its pages
    files = [p for p in (Path(store.directory) / "blocks").rglob("*") if p.is_file()]
    assert sum(p.stat().st_blocks * 512 for p in files) == store.stats().used_bytes


@pytest.mark.skipif(os.getuid() != 0, reason="needs mount (root), to have a ramfs")
def test_where_nothing_can_be_reserved_blocks_are_filled_all_the_same(tmp_path, open_store):
    point = tmp_path / "ramfs"
    point.mkdir()
    if subprocess.run(["mount", "-t", "ramfs", "none", point], capture_output=True).returncode:
        pytest.skip("needs mount of ramfs: a file system without fallocate")
    try:
        store = open_store(point / "c", capacity_bytes=8 * MIB)
        assert put(store, 1, 3) == 0b111
        assert store.read(ident(1), 0, 0, 8) == (1).to_bytes(8, "big")
        store.close()
    finally:
        subprocess.run(["umount", "-l", point], check=True)
