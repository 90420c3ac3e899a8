"""Staging areas against who else is at work at the same time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from millpond.errors import AlreadyExists
from millpond.wire import millpond_pb2 as wire
from tests.property.pending_site import MemoryStore, Node, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
        node.areas.rename(f"{HELD}/b", f"{HELD}/a")
    with pytest.raises(AlreadyExists):
        node.areas.rename(f"{HELD}/b/g", f"{HELD}/a/sub/f")
    assert listed(node) == ["a/sub/f", "b/g"]
    node.crash()
    assert listed(node) == ["a/sub/f", "b/g"]
