"""The bounds hold with threads: writers, readers, listers and clients at the same time.

The world's lock makes each change and each answer one moment; all else runs freely.
"""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING

from millpond.errors import PathNotFound
from millpond.namespace import Namespace
from millpond.store import BlockStore
from tests.property.freshness_model import Client, World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEYS = [f"d{i}/f{j}" for i in range(3) for j in range(4)]
BOUND_MS = 20
BOUND_NS = BOUND_MS * 1_000_000
SECONDS = 4.0


class Locked(World):
    """A world that many ask at the same time."""

    def __init__(self) -> None:
        super().__init__(time.monotonic_ns)
        self.lock = threading.RLock()

    def write(self, key: str, version: str | None) -> None:
        with self.lock:
            super().write(key, version)

    def held(self, key: str, version: str | None, since: int, until: int) -> bool:
        with self.lock:
            return self.history(key).held(version, since, until)


def test_threads(tmp_path: Path) -> None:
    world = Locked()
    for key in KEYS:
        world.write(key, "v0")
    store = BlockStore.open(tmp_path / "cache", capacity_bytes=64 << 20)
    namespace = Namespace(
        store, tmp_path / "n.db", open_store=world.opener, hot_bytes=6000, listing_bytes=3000
    )
    namespace.add_mount("/m", "s3a://b", {"freshness": f"{BOUND_MS}ms"}, check=False)
    client = Client(store.directory, store.boot_id)
    stop = time.monotonic() + SECONDS
    wrong: list[object] = []
    counts: dict[str, int] = {}

    def worker(name: str, seed: int, act: Callable[[random.Random], object]) -> None:
        rng = random.Random(seed)
        try:
            while time.monotonic() < stop and not wrong:
                found = act(rng)
                if found is not None:
                    wrong.append((name, found))
                counts[name] = counts.get(name, 0) + 1
        except BaseException as e:
            wrong.append((name, repr(e)))

    def change(rng: random.Random) -> None:
        version = rng.choice([None, *(f"v{i}" for i in range(5))])
        world.write(rng.choice(KEYS), version)
        time.sleep(0.001)

    def stat(rng: random.Random) -> object:
        key, force, asked = rng.choice(KEYS), rng.random() < 0.2, time.monotonic_ns()
        try:
            version = namespace.stat(f"/m/{key}", force=force).version
        except PathNotFound:
            version = None
        now = time.monotonic_ns()
        oldest = asked if force else asked - BOUND_NS
        return None if world.held(key, version, oldest, now) else (key, version, force)

    def listing(rng: random.Random) -> object:
        directory, asked = f"d{rng.randrange(3)}", time.monotonic_ns()
        tree = rng.random() < 0.2
        try:
            pages = namespace.list("/m" if tree else f"/m/{directory}", recursive=tree)
            listed = {e.path: e.version for _, page in pages for e in page}
        except PathNotFound:
            listed = {}
        now = time.monotonic_ns()
        for key in KEYS:
            if tree or key.startswith(directory + "/"):
                version = listed.get(key if tree else key.partition("/")[2])
                if not world.held(key, version, asked, now):
                    return (key, version, tree)
        return None

    def opens(rng: random.Random) -> object:
        key = rng.choice(KEYS)
        asked = time.monotonic_ns()
        version = client.opens(key, asked, BOUND_NS)
        ready = namespace.stat_cached(f"/m/{key}")
        now = time.monotonic_ns()
        for found in (version, ready.version if ready is not None else None):
            if found is not None and not world.held(key, found, asked - BOUND_NS, now):
                return (key, found)
        return None

    def report(rng: random.Random) -> None:
        namespace.changed(f"/m/{rng.choice(KEYS)}")
        time.sleep(0.003)

    acts = [change, stat, stat, stat, listing, listing, opens, opens, report]
    threads = [
        threading.Thread(target=worker, args=(act.__name__, i, act)) for i, act in enumerate(acts)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    namespace.close()
    store.close()
    assert wrong == []
    assert set(counts) == {"change", "stat", "listing", "opens", "report"}
