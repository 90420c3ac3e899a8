"""Staging areas against who else is at work at the same time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from millpond.errors import AlreadyExists, DirectoryNotEmpty, NotSupported
from millpond.wire import millpond_pb2 as wire
from tests.property.pending_site import MemoryStore, Node, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from millpond.namespace.pending.begun import Begun
    from millpond.under.base import ObjectStat

HELD = "/m/_temporary/0"
WAIT_S = 10.0


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    trouble = Trouble()
    node = Node(tmp_path / "cache", MemoryStore(trouble), trouble)
    mkdirs(node, HELD)
    yield node
    node.close()


def mkdirs(node: Node, path: str) -> None:
    node.writing.mkdirs(wire.MkdirsRequest(path=path))


def write(node: Node, path: str) -> None:
    writer = node.begin(path, overwrite=True)
    writer.write(path.encode())
    writer.commit()


def rename_held(node: Node, source: str, target: str) -> None:
    """After all looks at the target."""
    place = node.namespace.place(target)
    begun = node.pending.under_way.begin(place.mount.place, place.key)
    node.areas.rename(source, target, begun)


def listed(node: Node, path: str = HELD) -> list[str]:
    return [e.path for _, page in node.areas.entries(path, recursive=True) for e in page]


def test_what_is_held_is_told_while_another_changes_an_area(node: Node) -> None:
    """Who changes one holds its lock and tells, too: neither may wait for the other."""
    telling = threading.Thread(target=node.namespace.pending_mounts.flag, daemon=True)
    with node.pending.areas.lock:
        telling.start()
        telling.join(WAIT_S)
        assert not telling.is_alive()


def test_a_name_taken_meanwhile_is_not_replaced(node: Node) -> None:
    mkdirs(node, f"{HELD}/a")
    write(node, f"{HELD}/a/sub/f")
    write(node, f"{HELD}/b/g")
    with pytest.raises(AlreadyExists):
        rename_held(node, f"{HELD}/b", f"{HELD}/a")
    with pytest.raises(AlreadyExists):
        rename_held(node, f"{HELD}/b/g", f"{HELD}/a/sub/f")
    assert listed(node) == ["a/sub/f", "b/g"]
    node.crash()
    assert listed(node) == ["a/sub/f", "b/g"]


def test_what_this_node_puts_there_meanwhile_is_not_replaced(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the store, so that nothing is pending there; not a conflict afterwards."""
    write(node, f"{HELD}/f")
    node.under.change("data/out/other", b"")
    monkeypatch.setattr(MemoryStore, "atomic_rename", False)
    leaving = node.areas.rename

    def late(source: str, target: str, begun: Begun) -> None:
        writer = node.begin(target, overwrite=True, write_type="through")
        writer.write(b"there")
        writer.commit()
        leaving(source, target, begun)

    monkeypatch.setattr(node.areas, "rename", late)
    request = wire.RenameRequest(source=f"{HELD}/f", target="/m/out/f")
    with pytest.raises(AlreadyExists):
        node.writing.rename(request)
    assert listed(node) == ["f"]
    assert node.read("/m/out/f") == b"there"
    assert node.pending.view.all() == []


@pytest.mark.parametrize("below", [True, False])
def test_an_area_begun_meanwhile_keeps_the_store_from_a_rename(node: Node, below: bool) -> None:
    node.under.change("data/d/f", b"stored")
    if below:
        mkdirs(node, "/m/d/_temporary")
        write(node, "/m/d/_temporary/mine")
    mkdirs(node, "/m/to/_temporary")
    write(node, "/m/to/_temporary/theirs")
    with pytest.raises(AlreadyExists, match="staging"):
        node.writing._rename_stored("/m/d", "/m/to", directory=True)  # it has looked before
    assert set(node.under.objects) == {"data/d/f"}
    for crashed in (False, True):
        if crashed:
            node.crash()
        assert listed(node, "/m/to/_temporary") == ["theirs"]
        assert not below or listed(node, "/m/d/_temporary") == ["mine"]


def test_an_area_is_begun_after_the_rename_that_goes_on(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.under.change("data/d/f", b"stored")
    mkdirs(node, "/m/d/_temporary")
    write(node, "/m/d/_temporary/mine")
    begins = threading.Thread(target=mkdirs, args=(node, "/m/to/_temporary"), daemon=True)
    rename = node.under.rename

    def slow(source: str, target: str) -> None:
        begins.start()
        begins.join(0.5)
        assert begins.is_alive()
        rename(source, target)

    monkeypatch.setattr(node.under, "rename", slow)
    node.writing.rename(wire.RenameRequest(source="/m/d", target="/m/to"))
    begins.join(WAIT_S)
    assert not begins.is_alive()
    assert listed(node, "/m/to/_temporary") == ["mine"]
    assert node.read("/m/to/f") == b"stored"


def test_a_directory_above_an_area_is_not_empty(node: Node) -> None:
    def delete(path: str) -> None:
        node.writing.delete(wire.DeleteRequest(path=path))

    mkdirs(node, "/m/out/_temporary/0")
    write(node, "/m/out/_temporary/0/f")
    assert listed(node, "/m/out") == []
    with pytest.raises(DirectoryNotEmpty, match="staging"):
        delete("/m/out")
    with pytest.raises(DirectoryNotEmpty):
        delete("/m/out/_temporary")
    assert listed(node, "/m/out/_temporary/0") == ["f"]
    for path in ("/m/out/_temporary/0/f", "/m/out/_temporary/0"):
        delete(path)
    mkdirs(node, "/m/out/_temporary")
    delete("/m/out/_temporary")
    assert not node.exists("/m/out")


def test_a_slow_store_keeps_no_other_job_waiting(node: Node) -> None:
    """What is renamed to a key that was written here before: the store is asked for that."""
    write(node, "/m/out/f")
    node.persister.wake()
    while node.persister.run_one():
        pass
    node.under.change("data/out/f", None)  # by another node
    write(node, f"{HELD}/t/f")
    asked: list[bool] = []
    stat = node.under.stat

    def slow(key: str) -> ObjectStat:
        def other() -> None:
            free = node.pending.areas.lock.acquire(timeout=0.5)
            asked.append(free)
            if free:
                node.pending.areas.lock.release()

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        return stat(key)

    node.under.stat = slow  # type: ignore[method-assign]
    rename_held(node, f"{HELD}/t", "/m/out")
    assert asked
    assert all(asked)
    assert node.read("/m/out/f") == f"{HELD}/t/f".encode()


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("t/_delta_log/0.json", "table/_delta_log/0.json"),
        ("t", "table/new"),
        ("t/f", "table/CLAIM"),
    ],
)
def test_no_file_leaves_staging_as_a_commit_file(node: Node, source: str, target: str) -> None:
    node.namespace.add_mount(
        "/n", "s3a://bucket/data",
        {"write": "async", "commit_files": "**/_delta_log/*.json,**/CLAIM"}, check=False,
    )  # fmt: skip
    write(node, "/n/table/_delta_log/readme")
    mkdirs(node, "/n/_temporary/0")
    for path in ("t/_delta_log/0.json", "t/f"):
        write(node, f"/n/_temporary/0/{path}")
    with pytest.raises(NotSupported, match="commits by it"):
        node.writing.rename(
            wire.RenameRequest(source=f"/n/_temporary/0/{source}", target=f"/n/{target}")
        )
    assert listed(node, "/n/_temporary/0") == ["t/_delta_log/0.json", "t/f"]
    assert listed(node, "/n/table") == ["_delta_log/readme"]


def test_no_commit_file_joins_a_batch(node: Node) -> None:
    batches = node.batches
    batch = batches.begin(wire.BatchBeginRequest(path="/m/table"))
    with pytest.raises(NotSupported, match="commits by it"):
        node.begin(f"/m/table/{batch.staging}/0/_delta_log/0.json", overwrite=False)
    batches.abort(wire.BatchAbortRequest(batch=batch.batch))
