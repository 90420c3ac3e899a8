"""What is kept of pending files on disk, and what a write is to replace."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from millpond.errors import Conflict, NotADirectory
from millpond.namespace.pending.records import Batch, Entry, Op, State, new_id
from millpond.wire import millpond_pb2 as wire
from tests.property.pending_site import MemoryStore, MemoryUpload, Node, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

EVERYTHING = 1 << 40


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    trouble = Trouble()
    node = Node(tmp_path / "cache", MemoryStore(trouble), trouble)
    yield node
    node.close()


def persist(node: Node) -> None:
    node.persister.wake()
    while node.persister.run_one():
        pass


def write(node: Node, data: bytes, path: str = "/m/f") -> None:
    writer = node.begin(path, overwrite=True)
    writer.write(data)
    writer.commit()


def remove(node: Node) -> None:
    """By a batch."""
    pending, place = node.pending, node.namespace.place("/m/f")
    batch = Batch(new_id(), "/m", "async")
    pending.journal.begin(batch)
    seen = node.namespace.stat("/m/f").version
    gone = Entry(batch.id, "/m", place.mount.place, place.key, Op.DELETE, expect=seen)
    made = pending.commit(lambda: pending.journal.commit(batch.id, None, [gone]), [gone])
    pending.committed(made)


def write_by_batch(node: Node, data: bytes) -> None:
    batches = node.writing._batches
    begun = batches.begin(wire.BatchBeginRequest(path="/m", write_type="async"))
    writer = node.begin(f"/m/{begun.staging}/t1/f", overwrite=True)
    writer.write(data)
    writer.commit()
    batches.commit(wire.BatchCommitRequest(batch=begun.batch, attempts=["t1"]))


def write_by_rename(node: Node, data: bytes) -> None:
    """Out of a staging area."""
    node.writing.mkdirs(wire.MkdirsRequest(path="/m/_temporary"))
    writer = node.begin("/m/_temporary/f", overwrite=False)
    writer.write(data)
    writer.commit()
    node.writing.rename(wire.RenameRequest(source="/m/_temporary/f", target="/m/f"))


@pytest.mark.parametrize("size", [5, 100_000])
def test_the_meta_of_a_pending_file_is_not_evicted(node: Node, size: int) -> None:
    write(node, b"older")
    write(node, b"1" * size)
    store_path = node.namespace.stat("/m/f").store_path
    for restarted in (False, True):
        node.store.free(EVERYTHING)
        assert node.store.get_meta(store_path) is not None
        if not restarted:
            node.crash()
    persist(node)
    assert node.store.get_meta(store_path) is not None
    node.store.free(EVERYTHING)
    assert node.store.get_meta(store_path) is None


@pytest.mark.parametrize("persisted", [True, False])
@pytest.mark.parametrize("by", ["delete", "batch", "write and batch"])
def test_what_this_node_removes_meanwhile_is_no_conflict(
    node: Node, by: str, persisted: bool
) -> None:
    write(node, b"old")
    persist(node)
    writer = node.begin("/m/f", overwrite=True)
    if by == "delete":
        node.writing.delete(wire.DeleteRequest(path="/m/f"))
    if "write" in by:
        write(node, b"another")
    if "batch" in by:
        remove(node)
    if persisted:
        persist(node)
    writer.write(b"new")
    writer.commit()
    persist(node)
    assert node.pending.view.all() == []
    assert node.under.objects["data/f"][1] == b"new"


@pytest.mark.parametrize("way", [write, write_by_batch, write_by_rename])
def test_nothing_settles_between_a_commit_and_its_view(
    node: Node, way: Callable[[Node, bytes], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store names no version: what the next one is to replace stands in the journal alone."""
    complete = MemoryUpload.complete
    monkeypatch.setattr(MemoryUpload, "complete", lambda *a: complete(*a) and "")
    write(node, b"old")
    if way is write_by_rename:
        persist(node)
        remove(node)
    journal: Any = node.pending.journal
    settles = threading.Thread(target=persist, args=(node,), daemon=True)
    came_between = []

    def between(step: Callable[..., list[Entry]], *args: Any) -> list[Entry]:
        made = step(*args)
        if made and settles.ident is None:
            settles.start()
            settles.join(0.5)
            came_between.append(not settles.is_alive())
        return made

    for name in ("record", "commit"):
        monkeypatch.setattr(journal, name, partial(between, getattr(journal, name)), raising=False)
    way(node, b"new")
    settles.join()
    assert came_between == [False]
    assert {e.seq: e for e in journal.load().entries} == {e.seq: e for e in node.pending.view.all()}
    persist(node)
    assert node.pending.view.all() == []
    assert node.under.objects["data/f"][1] == b"new"


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize("source", ["f", "d"])
def test_what_this_node_renames_there_meanwhile_is_no_conflict(
    node: Node, source: str, seen: bool
) -> None:
    """``seen``: it was born here, and so was what it takes the place of."""
    if seen:
        for path in ("/m/d/g", "/m/to/g"):
            write(node, b"old", path)
        persist(node)
        node.writing.delete(wire.DeleteRequest(path="/m/to/g"))
    else:
        node.under.change("data/d/g", b"old")
    node.under.change("data/to/other", b"")
    writer = node.begin("/m/to/g" if source == "f" else "/m/new/g", overwrite=True)
    old, new = ("/m/d/g", "/m/to/g") if source == "f" else ("/m/d", "/m/new")
    node.writing.rename(wire.RenameRequest(source=old, target=new))
    writer.write(b"new")
    writer.commit()
    persist(node)
    assert node.pending.view.all() == []
    assert node.under.objects["data/to/g" if source == "f" else "data/new/g"][1] == b"new"


@pytest.mark.parametrize("way", ["put", "mkdirs", "rename"])
def test_nothing_is_made_in_the_store_below_a_file_that_is_pending(node: Node, way: str) -> None:
    node.under.change("data/other", b"")
    writer = node.begin("/m/f/below", overwrite=True, write_type="through")
    write(node, b"pending")
    store = node.namespace.place("/m").store
    ways: dict[str, Callable[[], object]] = {
        "put": writer.commit,
        "mkdirs": lambda: store.mkdirs("data/f/below"),
        "rename": lambda: store.rename("data/other", "data/f/below"),
    }
    with pytest.raises(NotADirectory):
        ways[way]()
    writer.close()
    persist(node)
    assert node.pending.view.all() == []
    assert set(node.under.objects) == {"data/f", "data/other"}


def test_what_another_removes_meanwhile_is_one(node: Node) -> None:
    write(node, b"old")
    persist(node)
    writer = node.begin("/m/f", overwrite=True)
    node.under.change("data/f", None)
    writer.write(b"new")
    writer.commit()
    persist(node)
    assert [e.state for e in node.pending.view.all()] == [State.CONFLICT]


def test_what_a_person_gave_up_can_not_be_replaced(node: Node) -> None:
    """Its writer has seen what was there before; what is there now he has not."""
    write(node, b"old")
    node.under.change("data/f", b"foreign")
    persist(node)
    [stuck] = node.pending.view.all()
    writer = node.begin("/m/f", overwrite=True)
    node.pending.discard(stuck)
    writer.write(b"new")
    with pytest.raises(Conflict):
        writer.commit()
    assert node.read("/m/f") == b"foreign"
    assert node.store.blocks_of(stuck.file_id) == set()
