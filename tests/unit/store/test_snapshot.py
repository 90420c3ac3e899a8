"""The index over restarts: snapshot, its damage, and the walk that makes it agree with the disk."""

import os
import random
import signal
import subprocess
import sys

import pytest

from millpond.model.records import DirStamp, Meta
from millpond.model.sizes import PAGE_BYTES
from tests.fixtures.tiny_reader import block_path


def ident(number):
    return random.Random(number).randbytes(16)


def fill(store, blocks=40, metas=20):
    for number in range(blocks):
        writer = store.writer(ident(number), number % 3, 4 * PAGE_BYTES)
        writer.put(0, ident(number) * (4096 * (1 + number % 4)))
        writer.close()
    for number in range(metas):
        content = bytes(10_000) if number % 2 else None
        length = 10_000 if content else 10**9
        store.put_meta(
            Meta(f"s/b/{number}", ident(number), "v", length, 0, 0, store.boot_id, content=content)
        )
        store.put_dir(DirStamp(f"s/b/{number}", 1, 1, store.boot_id))
    for number in range(0, blocks, 3):
        store.touch(ident(number), number % 3, 2)
    store.free(6 * PAGE_BYTES)


def facts(store):
    stats = store.stats()
    return stats.blocks, stats.metas, stats.dirs, stats.used_bytes, stats.inodes


def on_disk(store):
    rooms = ("blocks", "meta", "dirs")
    files = [p for room in rooms for p in (store.directory / room).rglob("*") if p.is_file()]
    return len(files), sum(p.stat().st_blocks * 512 for p in files)


def order(store):
    """The blocks in the order in which they would be evicted."""
    space = store._space
    with space.lock:
        space._settle()
        chosen = []
        while (key := space.content.choose(lambda _: False)) is not None:
            chosen.append(key)
    return chosen


@pytest.mark.parametrize("policy", ["s3fifo", "lru"])
def test_a_restart_keeps_the_index_and_the_order_of_eviction(open_store, tmp_path, policy):
    store = open_store(policy=policy)
    fill(store)
    before = facts(store)
    store.close()
    subprocess.run(["cp", "-a", store.directory, tmp_path / "twin"], check=True)  # holes too
    again, twin = open_store(policy=policy), open_store(tmp_path / "twin", policy=policy)
    assert facts(again) == before == facts(twin)
    assert (again.stats().inodes, again.stats().used_bytes) == on_disk(again)
    first = order(again)
    assert first == order(twin)
    assert len(first) >= again.stats().blocks


def test_another_policy_takes_the_entries_over(open_store):
    store = open_store(policy="s3fifo")
    fill(store)
    before = facts(store)
    store.close()
    again = open_store(policy="lru")
    assert facts(again) == before
    again.free(1 << 30)
    assert facts(again) == (0, 0, 0, 0, 0)
    assert on_disk(again)[0] == 0


def test_the_walk_adds_what_is_unknown_and_drops_what_is_gone(open_store):
    store = open_store()
    fill(store)
    store.close()
    snapshot = (store.directory / "index.snapshot").read_bytes()
    store = open_store()
    fill(store, blocks=60, metas=30)
    gone = [block_path(store.directory, ident(n), n % 3) for n in range(0, 60, 7)]
    for path in gone:
        path.unlink(missing_ok=True)
    (store.directory / "blocks" / "stray").write_text("x")
    store.close()
    (store.directory / "index.snapshot").write_bytes(snapshot)  # as after a crash
    again = open_store()
    (store.directory / "blocks" / "stray").unlink()
    assert (again.stats().inodes, again.stats().used_bytes) == on_disk(again)
    again.free(1 << 30)
    assert on_disk(again)[0] == 0


@pytest.mark.parametrize("damage", ["absent", "empty", "flip", "cut", "newer"])
def test_a_damaged_snapshot_is_made_up_for_by_the_walk(open_store, damage):
    store = open_store()
    fill(store)
    before = facts(store)
    store.close()
    path = store.directory / "index.snapshot"
    data = bytearray(path.read_bytes())
    if damage == "absent":
        path.unlink()
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    else:
        data[8 if damage == "newer" else len(data) // 2] ^= 2
        path.write_bytes(data)
    again = open_store()
    assert facts(again) == before
    assert (again.stats().inodes, again.stats().used_bytes) == on_disk(again)
    assert (store.directory / "aside").exists() == (damage == "newer")
    again.free(1 << 30)
    assert on_disk(again)[0] == 0


def test_every_flip_in_a_snapshot_is_found(open_store):
    store = open_store()
    fill(store, blocks=5, metas=2)
    store.close()
    path = store.directory / "index.snapshot"
    good = path.read_bytes()
    rng = random.Random(3)
    for at in [*range(20), *(rng.randrange(len(good)) for _ in range(30))]:
        bad = bytearray(good)
        bad[at] ^= 1 << rng.randrange(8)
        path.write_bytes(bad)
        again = open_store()
        assert (again.stats().inodes, again.stats().used_bytes) == on_disk(again)
        again.close()


def test_a_killed_sidecar_leaves_nothing_to_repair(open_store, tmp_path):
    script = (
        "import sys, pathlib; from millpond.store import BlockStore\n"
        "s = BlockStore.open(pathlib.Path(sys.argv[1]), capacity_bytes=1 << 28)\n"
        "for n in range(10):\n"
        "    w = s.writer(bytes([n]) * 16, 0, 65536); w.put(0, bytes(65536))\n"
        "    if n % 2: w.close()\n"
        "print('up', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "cache")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with process:
        assert process.stdout.readline() == b"up\n"
        os.kill(process.pid, signal.SIGKILL)
    again = open_store()
    assert again.stats().blocks == 10
    assert all(again.read(bytes([n]) * 16, 0, 0, 65536) == bytes(65536) for n in range(10))
