"""Anything deleted by hand, at any time, is absent from then on and nothing worse."""

import random
import shutil
import threading
import time

import pytest

from millpond.errors import MillpondError
from millpond.model.paths import meta_name, path_hash
from millpond.model.records import DirStamp, Meta
from millpond.model.sizes import PAGE_BYTES
from tests.fixtures.tiny_reader import block_path

FILE_ID = bytes(range(16))
PAGE = b"x" * PAGE_BYTES


def put(store, file_id=FILE_ID):
    writer = store.writer(file_id, 0, 2 * PAGE_BYTES)
    try:
        return writer.put(0, PAGE)
    finally:
        writer.close()


def meta(store, path="s/b/k"):
    return Meta(path, FILE_ID, "v", 3, 0, 0, store.boot_id)


DELETIONS = {
    "block": lambda d: block_path(d, FILE_ID, 0).unlink(),
    "file": lambda d: shutil.rmtree(block_path(d, FILE_ID, 0).parent),
    "two_hex": lambda d: shutil.rmtree(block_path(d, FILE_ID, 0).parents[1]),
    "blocks": lambda d: shutil.rmtree(d / "blocks"),
    "everything": shutil.rmtree,
}


@pytest.mark.parametrize("what", DELETIONS)
def test_a_deleted_block_is_absent_and_filled_again(store, what):
    assert put(store) == 1
    DELETIONS[what](store.directory)
    assert store.page_map(FILE_ID, 0) == 0
    assert store.read(FILE_ID, 0, 0, 10) is None
    assert (store.stats().blocks, store.stats().used_bytes) == (0, 0)
    assert put(store) == 1
    assert store.read(FILE_ID, 0, 0, PAGE_BYTES) == PAGE
    assert store.stats().blocks == 1


@pytest.mark.parametrize("what", DELETIONS)
def test_a_block_deleted_under_its_writer(store, what):
    writer = store.writer(FILE_ID, 0, 2 * PAGE_BYTES)
    writer.put(0, PAGE)
    DELETIONS[what](store.directory)
    assert store.page_map(FILE_ID, 0) == 0
    assert writer.put(1, PAGE) == 0b10
    assert not writer.linked
    assert store.stats().blocks == 0
    again = store.writer(FILE_ID, 0, 2 * PAGE_BYTES)
    assert again.put(0, PAGE + PAGE) == 0b11
    assert store.page_map(FILE_ID, 0) == 0b11
    writer.close()
    assert store.page_map(FILE_ID, 0) == 0b11
    again.close()
    assert store.read(FILE_ID, 0, 0, 2 * PAGE_BYTES) == PAGE + PAGE


@pytest.mark.parametrize("what", ["file", "two_hex", "room", "everything"])
def test_a_deleted_meta_is_absent_and_written_again(store, what):
    path = store.directory / meta_name(path_hash("s/b/k"))
    deletions = {
        "file": path.unlink,
        "two_hex": lambda: shutil.rmtree(path.parent),
        "room": lambda: shutil.rmtree(store.directory / "meta"),
        "everything": lambda: shutil.rmtree(store.directory),
    }
    store.put_meta(meta(store))
    deletions[what]()
    assert store.get_meta("s/b/k") is None
    assert store.stats().metas == 0
    store.drop_meta("s/b/k")
    store.put_meta(meta(store))
    store.put_dir(DirStamp("s/b", 1, 1, store.boot_id))
    assert store.get_meta("s/b/k") == meta(store)


def test_the_whole_directory_comes_back_by_itself(store, monkeypatch):
    monkeypatch.setattr("millpond.store.lease.RENEW_EVERY_S", 0.02)
    store.start_lease(1, 1)
    # Moved away first: what comes back meanwhile would make the deletion fail.
    store.directory.rename(gone := store.directory.with_name("gone"))
    shutil.rmtree(gone)
    names = ("lease", "epochs", "lock", "token", "node.properties", "blocks", "meta", "staging")
    until = time.monotonic() + 10
    while not all((store.directory / name).exists() for name in names):
        assert time.monotonic() < until, sorted(p.name for p in store.directory.iterdir())
        time.sleep(0.01)
    assert (store.directory.stat().st_mode & 0o777) == 0o750


def test_evicting_what_is_gone_already_frees_the_accounts(store):
    for number in range(10):
        put(store, number.to_bytes(16, "big"))
    shutil.rmtree(store.directory / "blocks")
    store.free(1 << 20)
    assert store.stats().used_bytes == 0


def test_rooms_deleted_while_threads_work(store, monkeypatch):
    """Only typed errors, and none that says more than that the directory was being deleted."""
    monkeypatch.setattr("millpond.store.lease.RENEW_EVERY_S", 0.02)
    store.start_lease(1, 1)
    stop, wrong = threading.Event(), []

    def work(seed):
        rng = random.Random(seed)
        while not stop.is_set():
            ident = rng.randrange(6).to_bytes(16, "big")
            try:
                put(store, ident)
                got = store.read(ident, 0, 0, PAGE_BYTES)
                store.put_meta(meta(store, f"s/b/{seed}"))
                store.get_meta(f"s/b/{rng.randrange(3)}")
                if got not in (None, PAGE):
                    wrong.append(got)
            except MillpondError as e:
                if "ENOENT" not in str(e):
                    wrong.append(e)
            except BaseException as e:
                wrong.append(e)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    rng = random.Random(5)
    until = time.monotonic() + 2
    while time.monotonic() < until and not wrong:
        room = rng.choice(["blocks", "meta", "staging", ""])
        shutil.rmtree(store.directory / room, ignore_errors=True)
        stop.wait(0.01)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert wrong == []
    assert put(store) in (0, 1)
    assert store.read(FILE_ID, 0, 0, PAGE_BYTES) == PAGE
