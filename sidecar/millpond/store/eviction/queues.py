"""Doubly linked queues of slots over two shared arrays: 8 bytes a slot, O(1) everything."""

from __future__ import annotations

from array import array

NIL = 0xFFFFFFFF


class Links:
    """The next and previous slot of each slot. A slot is in one queue over these at a time."""

    def __init__(self) -> None:
        self.next = array("I")
        self.prev = array("I")

    def reach(self, slot: int) -> None:
        """Have room for ``slot``."""
        missing = slot + 1 - len(self.next)
        if missing > 0:
            grow = array("I", [NIL]) * missing
            self.next.extend(grow)
            self.prev.extend(grow)


class Queue:
    """A queue of slots: in at the head, out at the tail; counts entries and their bytes."""

    __slots__ = ("bytes", "count", "head", "links", "sizes", "tail")

    def __init__(self, links: Links, sizes: array[int]) -> None:
        self.links = links
        self.sizes = sizes
        self.head = self.tail = NIL
        self.count = self.bytes = 0

    def push(self, slot: int) -> None:
        links = self.links
        links.next[slot] = self.head
        links.prev[slot] = NIL
        if self.head == NIL:
            self.tail = slot
        else:
            links.prev[self.head] = slot
        self.head = slot
        self.count += 1
        self.bytes += self.sizes[slot]

    def remove(self, slot: int) -> None:
        links = self.links
        after, before = links.next[slot], links.prev[slot]
        if before == NIL:
            self.head = after
        else:
            links.next[before] = after
        if after == NIL:
            self.tail = before
        else:
            links.prev[after] = before
        self.count -= 1
        self.bytes -= self.sizes[slot]

    def dump(self, name: str) -> dict[str, int]:
        values = {"head": self.head, "tail": self.tail, "count": self.count, "bytes": self.bytes}
        return {f"{name}.{key}": value for key, value in values.items()}

    def load(self, name: str, numbers: dict[str, int]) -> None:
        self.head = numbers[f"{name}.head"]
        self.tail = numbers[f"{name}.tail"]
        self.count = numbers[f"{name}.count"]
        self.bytes = numbers[f"{name}.bytes"]
