"""Reconcile: the index is made to say what the disk says, while the sidecar serves.

One walk over blocks, metas and stamps adds what the index does not know and corrects sizes; then
every entry that the walk did not meet, and that is still absent when looked at, is dropped.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from millpond.model.paths import block_name
from millpond.store.index import FREE
from millpond.store.meta import on_disk
from millpond.store.space import META_BLOCK, block_key, is_block

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from millpond.store.meta import Metas
    from millpond.store.segment import Segment
    from millpond.store.space import Space
    from millpond.store.tree import Tree

_PAUSE_EVERY = 256  # files; the pause lets threads with work to do go first
_PAUSE_S = 0.0005


class Reconciler:
    """One reconciliation. ``stopped`` is asked between files."""

    def __init__(self, tree: Tree, space: Space, metas: Metas, stopped: Callable[[], bool]) -> None:
        self._tree, self._space, self._metas, self._stopped = tree, space, metas, stopped
        self.added = self.dropped = 0

    def run(self) -> bool:
        """True when the index is right; False when stopped before."""
        seen = [bytearray(len(s.index.sizes) // 8 + 1) for s in self._space.segments]
        limits = [len(s.index.sizes) for s in self._space.segments]
        for step in self._steps(seen):
            if step % _PAUSE_EVERY == 0:
                if self._stopped():
                    return False
                time.sleep(_PAUSE_S)
        for segment, bits, limit in zip(self._space.segments, seen, limits, strict=True):
            for slot in range(limit):
                if not bits[slot >> 3] >> (slot & 7) & 1 and not self._check(segment, slot):
                    return False
        return True

    def _steps(self, seen: list[bytearray]) -> Iterator[int]:
        step = 0
        content, names, stamps = self._space.segments
        for entry in self._tree.files("blocks", 2):
            with contextlib.suppress(OSError, ValueError, OverflowError):
                self._meet(content, _key_of_block(entry.path), entry, seen[0])
            yield (step := step + 1)
        for entry in self._tree.files("meta", 1):
            with contextlib.suppress(OSError, ValueError):
                self._meet(names, _digest(entry.name), entry, seen[1])
            yield (step := step + 1)
        for entry in self._tree.files("dirs", 1):
            with contextlib.suppress(OSError, ValueError):
                self._meet(stamps, _digest(entry.name), entry, seen[2])
            yield (step := step + 1)

    def _meet(self, segment: Segment, key: bytes, entry: os.DirEntry[str], seen: bytearray) -> None:
        size = os.stat(entry.path).st_blocks * 512
        with self._space.lock:
            slot = segment.index.find(key)
        if segment is self._space.names:
            self._metas.found_meta(key, size)
        elif slot < 0:
            self._space.put(segment, key, size)
        else:
            self._space.resize(segment, key, size)
        if slot >= 0:
            if slot < len(seen) * 8:
                seen[slot >> 3] |= 1 << (slot & 7)
            return
        self.added += 1
        if not os.path.lexists(entry.path):  # evicted while we looked
            self._space.drop(segment, key)

    def _check(self, segment: Segment, slot: int) -> bool:
        """Drop the entry of an unseen slot if its file is absent; False when stopped."""
        with self._space.lock:
            if segment.index.sizes[slot] == FREE:
                return True
            key = segment.index.key(slot)
        if self._stopped():
            return False
        if is_block(segment, key):
            name = block_name(key[:16], int.from_bytes(key[16:], "little"))
        elif segment is self._space.content:
            with self._space.lock:
                digest = self._space.names.find_prefix(key[:16])
            name = on_disk(self._space.names, digest) if digest else ""
        else:
            name = on_disk(segment, key)
        if not name or not os.path.lexists(self._tree.directory / name):
            self.dropped += 1
            self._space.drop(segment, key)
        return True


def _digest(name: str) -> bytes:
    digest = bytes.fromhex(name)
    if len(digest) != 32:
        raise ValueError(name)
    return digest


def _key_of_block(path: str) -> bytes:
    rest, number = os.path.split(path)
    file_id = bytes.fromhex(os.path.basename(rest))
    if len(file_id) != 16 or not number.isdecimal() or int(number) >= META_BLOCK:
        raise ValueError(path)
    return block_key(file_id, int(number))
