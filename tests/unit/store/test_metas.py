"""Meta, stamps, epochs and lease as files that clients read."""

import mmap
import os
import struct
import time

import pytest
from crc32c import crc32c

from millpond.errors import CacheDirUnusable
from millpond.model.paths import dir_name, epoch_slot, meta_name, path_hash
from millpond.model.records import DirStamp, Lease, Meta, epochs_id, parse_mounts
from millpond.store import facade
from millpond.store.space import Space

PATH = "0123/bucket/key"


def meta(store, path=PATH, content=None, length=3, version="v1"):
    length = length if content is None else len(content)
    return Meta(path, bytes(16), version, length, 5, 6, store.boot_id, content=content)


def slot_value(directory, path):
    """As a client sees it: through its own mapping."""
    with (directory / "epochs").open("rb") as file:
        view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return struct.unpack_from("<Q", view, 4096 + 8 * epoch_slot(path_hash(path)))[0]


def await_true(condition, seconds=10):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come true"
        time.sleep(0.01)


def test_a_meta_is_read_back_until_dropped(store):
    for content in (None, b"", b"abc", os.urandom(65536)):
        store.put_meta(meta(store, content=content))
        assert store.get_meta(PATH) == meta(store, content=content)
        assert store.stats().metas == 1
        on_disk = store.directory / meta_name(path_hash(PATH))
        assert store.stats().used_bytes == on_disk.stat().st_blocks * 512
    store.drop_meta(PATH)
    store.drop_meta(PATH)
    assert store.get_meta(PATH) is None
    assert (store.stats().metas, store.stats().used_bytes) == (0, 0)


def test_a_stamp_is_read_back_until_dropped(store):
    stamp = DirStamp("0123/bucket", 7, 6, store.boot_id)
    store.put_dir(stamp)
    assert store.get_dir("0123/bucket") == stamp
    store.drop_dir("0123/bucket")
    assert store.get_dir("0123/bucket") is None
    assert store.stats().inodes == 0


def test_each_change_moves_its_epoch_slot_before_the_call_returns(store):
    values = [slot_value(store.directory, PATH)]
    for change in (
        lambda: store.put_meta(meta(store)),
        lambda: store.put_meta(meta(store, version="v2")),
        lambda: store.drop_meta(PATH),
        lambda: store.put_dir(DirStamp(PATH, 1, 1, store.boot_id)),
        lambda: store.drop_dir(PATH),
    ):
        change()
        values.append(slot_value(store.directory, PATH))
    assert values == sorted(set(values))
    assert epochs_id((store.directory / "epochs").read_bytes()) == store.epochs_id


def test_a_flip_anywhere_in_a_meta_is_found(store):
    path = store.directory / meta_name(path_hash(PATH))
    store.put_meta(meta(store, content=b"0123456789"))
    good = path.read_bytes()
    for at in range(len(good)):
        bad = bytearray(good)
        bad[at] ^= 1 << at % 8
        path.write_bytes(bad)
        before = slot_value(store.directory, PATH)
        assert store.get_meta(PATH) is None
        assert not path.exists()
        assert slot_value(store.directory, PATH) > before
        assert store.stats().metas == 0
        store.put_meta(meta(store, content=b"0123456789"))
    stamp = store.directory / dir_name(path_hash(PATH))
    stamp.parent.mkdir()
    for garbage in (b"", b"\0" * 100, good):
        stamp.write_bytes(garbage)
        assert store.get_dir(PATH) is None
        assert not stamp.exists()


def test_a_meta_of_another_path_under_this_name_is_not_believed(store):
    store.put_meta(meta(store, path="0123/bucket/other"))
    data = (store.directory / meta_name(path_hash("0123/bucket/other"))).read_bytes()
    path = store.directory / meta_name(path_hash(PATH))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    assert store.get_meta(PATH) is None


def test_small_files_are_evicted_as_content_and_keep_no_meta(store):
    for number in range(20):
        store.put_meta(meta(store, path=f"s/b/{number}", content=os.urandom(65000)))
    for number in range(20):
        if number % 2:
            store.touch_meta(path_hash(f"s/b/{number}"), 3)
    before = store.stats().used_bytes
    freed = store.free(10 * 65536)
    assert freed >= 10 * 65536
    assert store.stats().used_bytes == before - freed
    left = {n for n in range(20) if store.get_meta(f"s/b/{n}")}
    assert len(left) == store.stats().metas < 20
    assert len([n for n in left if n % 2]) > len([n for n in left if not n % 2])


def test_metas_without_content_are_bounded_least_recently_used_first(store, monkeypatch):
    monkeypatch.setattr("millpond.store.space.NAMES_AT_MOST", 10)
    for number in range(30):
        store.touch_meta(path_hash("s/b/0"))
        store.put_meta(meta(store, path=f"s/b/{number}"))
    await_true(lambda: store.stats().metas <= 10)
    assert store.get_meta("s/b/0") is not None
    assert store.get_meta("s/b/29") is not None
    assert store.get_meta("s/b/1") is None


def test_too_few_inodes_evict_stamps_then_metas_then_blocks(store, monkeypatch):
    store.put_dir(DirStamp("s/b", 1, 1, store.boot_id))
    store.put_meta(meta(store))
    store.writer(bytes(16), 0, 10).close()
    looked = Space.look

    def poor(self):
        looked(self)
        self._missing_inodes = max(0, 2 - (3 - store.stats().inodes))

    monkeypatch.setattr(Space, "look", poor)
    store._space.tidy()
    stats = store.stats()
    assert (stats.dirs, stats.metas, stats.blocks) == (0, 0, 1)


def read_lease(store):
    return Lease.parse((store.directory / "lease").read_bytes(), crc32c)


def test_the_lease_holds_while_the_store_is_open(store, monkeypatch):
    assert not (store.directory / "lease").exists()
    monkeypatch.setattr("millpond.store.lease.RENEW_EVERY_S", 0.02)
    store.start_lease(2, 3)
    first = read_lease(store)
    assert first.good(time.monotonic_ns(), store.boot_id)
    assert (first.pid, first.protocol_min, first.protocol_max) == (os.getpid(), 2, 3)
    assert (first.instance, first.epochs_id) == (store.instance, store.epochs_id)
    await_true(lambda: read_lease(store).renewed_ns > first.renewed_ns)
    store.close()
    assert not (store.directory / "lease").exists()


def test_what_is_deleted_at_the_top_comes_back(store, monkeypatch):
    monkeypatch.setattr("millpond.store.lease.RENEW_EVERY_S", 0.02)
    store.start_lease(1, 1)
    store.publish_mounts(b"table")
    old = store.epochs_id
    for name in ("epochs", "lease", "token", "mounts", "node.properties", "lock"):
        (store.directory / name).unlink()
    await_true(lambda: (store.directory / "epochs").exists() and store.epochs_id != old)
    await_true(lambda: (store.directory / "lease").exists())
    await_true(lambda: read_lease(store).epochs_id == store.epochs_id)
    assert epochs_id((store.directory / "epochs").read_bytes()) == store.epochs_id
    await_true(lambda: (store.directory / "node.properties").exists())
    await_true(lambda: (store.directory / "mounts").exists())
    assert (store.directory / "token").read_text() == store.token
    assert parse_mounts((store.directory / "mounts").read_bytes(), crc32c) == b"table"
    before = slot_value(store.directory, PATH)
    store.put_meta(meta(store))
    assert slot_value(store.directory, PATH) > before
    with pytest.raises(CacheDirUnusable):
        facade.BlockStore.open(store.directory)


def test_a_client_with_the_old_epochs_still_sees_changes(store):
    with (store.directory / "epochs").open("rb") as file:
        view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    at = 4096 + 8 * epoch_slot(path_hash(PATH))
    (store.directory / "epochs").unlink()
    store._epochs.heal()
    before = struct.unpack_from("<Q", view, at)[0]
    store.put_meta(meta(store))
    assert struct.unpack_from("<Q", view, at)[0] > before
