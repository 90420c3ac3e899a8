"""What is forgotten for want of memory is never believed again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millpond.namespace import Namespace
from millpond.store import BlockStore
from tests.property.freshness_model import Client, World

if TYPE_CHECKING:
    from pathlib import Path

MS = 1_000_000
BOUND_NS = 10 * MS


def test_a_listing_does_not_renew_forgotten_meta(tmp_path: Path) -> None:
    """A file is published and forgotten, then deleted: the listing that no longer shows it must
    not speak for its meta, though nobody knows any more that there is one."""
    now = 10**12

    def clock() -> int:
        nonlocal now
        now += 1
        return now

    world = World(clock)
    world.write("d/gone", "v1")
    world.write("d/kept", "v1")
    store = BlockStore.open(tmp_path / "cache", capacity_bytes=64 << 20)
    namespace = Namespace(
        store, tmp_path / "n.db", open_store=world.opener, clock=clock, listing_bytes=0
    )
    namespace.add_mount("/m", "s3a://b", {"freshness": "10ms"}, check=False)
    client = Client(store.directory, store.boot_id)
    for key in ("d/gone", "d/kept"):
        namespace.stat(f"/m/{key}")
        assert client.opens(key, clock(), BOUND_NS) == "v1"
    world.write("d/gone", None)
    now += 2 * BOUND_NS
    for _ in range(2):
        assert [e.path for _, page in namespace.list("/m/d") for e in page] == ["kept"]
        assert client.opens("d/gone", clock(), BOUND_NS) is None
    assert namespace.stat_cached("/m/d/gone") is None
    namespace.stat("/m/d/kept")
    assert client.opens("d/kept", clock(), BOUND_NS) == "v1"
    namespace.close()
    store.close()
