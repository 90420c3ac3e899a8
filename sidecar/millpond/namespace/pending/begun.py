"""Files that are being written, and what they are to replace while this node changes that itself.

A file is begun with the version that is there, and is to replace just that. What this node makes of
its key until the commit is no other's change: what the write is to replace follows it.
"""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millpond.under.base import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(eq=False, slots=True, weakref_slot=True)
class Begun:
    """One file; forgotten with its last reference. ``expect`` as ``UnderStore.put`` has it."""

    place: str
    key: str
    expect: str | None = None


class UnderWay:
    """All of them. Thread-safe; memory only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: weakref.WeakSet[Begun] = weakref.WeakSet()

    def begin(self, place: str, key: str) -> Begun:
        """To be called before anybody looks what is there; ``found`` says it then."""
        begun = Begun(place, key)
        with self._lock:
            self._all.add(begun)
        return begun

    def found(self, begun: Begun, version: str) -> None:
        """What was seen there, unless this node has changed it since."""
        with self._lock:
            if begun.expect is None:
                begun.expect = version

    def made(self, place: str, key: str, version: str) -> None:
        """This node has made that of a key."""
        with self._lock:
            for begun in self._of(place):
                if begun.key == key:
                    begun.expect = version

    def removed(self, place: str, key: str) -> None:
        """This node has removed what was at a key, and below it."""
        with self._lock:
            for begun in self._of(place):
                if _is_at(begun.key, key):
                    begun.expect = ABSENT

    def keys(self, place: str, key: str) -> set[str]:
        """Of those at a key and below it."""
        with self._lock:
            return {b.key for b in self._of(place) if _is_at(b.key, key)}

    def _of(self, place: str) -> Iterator[Begun]:
        return (b for b in self._all if b.place == place)


def _is_at(key: str, above: str) -> bool:
    return key == above or key.startswith(f"{above}/")
