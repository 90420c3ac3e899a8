"""Reconcile: the index is made to say what the disk says, while the sidecar serves.

One walk over blocks, metas and stamps (and before it over the volumes, whose files no name may
lead to after a crash) adds what the index does not know and corrects sizes; then
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
from millpond.store.segment import BLOCK_KEY_BYTES, META_BLOCK, is_block_key
from millpond.store.space import block_key
from millpond.store.tree import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from millpond.store.blocks import Blocks
    from millpond.store.meta import Metas
    from millpond.store.segment import Segment
    from millpond.store.space import Kind, Space
    from millpond.store.tree import Tree
    from millpond.store.volumes import Volumes

_PAUSE_EVERY = 256  # files; the pause lets threads with work to do go first
_PAUSE_S = 0.0005


class Reconciler:
    """One reconciliation. ``stopped`` is asked between files."""

    def __init__(
        self, tree: Tree, space: Space, metas: Metas, blocks: Blocks, volumes: Volumes,
        stopped: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._tree, self._space, self._metas, self._stopped = tree, space, metas, stopped
        self._blocks, self._volumes = blocks, volumes
        self.added = self.dropped = 0

    def run(self) -> bool:
        """True when the index is right; False when stopped before."""
        segments = self._space.segments
        limits = [len(s.index.sizes) for s in segments]
        seen = {
            s.name: bytearray(limit // 8 + 1) for s, limit in zip(segments, limits, strict=True)
        }
        for step in self._steps(seen):
            if step % _PAUSE_EVERY == 0:
                if self._stopped():
                    return False
                time.sleep(_PAUSE_S)
        for segment, limit in zip(segments, limits, strict=True):
            bits = seen[segment.name]
            for slot in range(limit):
                if not bits[slot >> 3] >> (slot & 7) & 1 and not self._check(segment, slot):
                    return False
        return True

    def _steps(self, seen: dict[str, bytearray]) -> Iterator[int]:
        step = 0
        space = self._space
        for volume in list(self._volumes.live.values()):
            for entry in files(volume.root / "blocks", 2):
                with contextlib.suppress(OSError, ValueError, OverflowError):
                    self._blocks.settle(volume.number, _key_of_block(entry.path))
                yield (step := step + 1)
        for entry in self._tree.files("blocks", 2):
            with contextlib.suppress(OSError, ValueError, OverflowError):
                self._meet(space.content, _key_of_block(entry.path), entry, seen)
            yield (step := step + 1)
        for entry in self._tree.files("meta", 1):
            with contextlib.suppress(OSError, ValueError):
                self._meet(space.names, _digest(entry.name), entry, seen)
            yield (step := step + 1)
        for entry in self._tree.files("dirs", 1):
            with contextlib.suppress(OSError, ValueError):
                self._meet(space.stamps, _digest(entry.name), entry, seen)
            yield (step := step + 1)

    def _meet(
        self, segment: Kind, key: bytes, entry: os.DirEntry[str], seen: dict[str, bytearray]
    ) -> None:
        size = os.stat(entry.path).st_blocks * 512
        with self._space.lock:
            found = segment.find(key)
        if segment is self._space.names:
            self._metas.found_meta(key, size)
        elif found is None:
            self._space.put(segment, key, size)
        else:
            self._space.resize(segment, key, size)
        if found is not None:
            part, slot = found
            bits = seen.get(part.name, bytearray())
            if slot < len(bits) * 8:
                bits[slot >> 3] |= 1 << (slot & 7)
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
        if is_block_key(key):
            name = block_name(key[:16], int.from_bytes(key[16:], "little"))
        elif segment.index.key_bytes == BLOCK_KEY_BYTES:
            with self._space.lock:
                digest = self._space.names.find_prefix(key[:16])
            name = on_disk(self._space.names, digest) if digest else ""
        else:
            name = on_disk(segment, key)
        if not name or not (self._tree.directory / name).exists():
            self.dropped += 1
            self._space.drop(self._space.kind_of(segment), key)
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
