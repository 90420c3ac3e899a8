"""Memory that a store's bytes pass through on their way to a block file."""

from __future__ import annotations

import contextlib
import mmap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BUFFER_BYTES = 1 << 20
_MAX_KEPT = 32


def page_aligned(size_bytes: int) -> memoryview:
    """New memory that begins at a memory page.

    Where malloc places it, it may end up a few bytes before the page cache's copy, modulo 4096,
    and such copies run at a third of the speed on some processors.
    """
    return memoryview(mmap.mmap(-1, size_bytes))


class Buffers:
    """Buffers of BUFFER_BYTES that are used again. Thread-safe.

    Memory that was never touched costs more than what it is for.
    """

    def __init__(self) -> None:
        self._free: list[memoryview] = []

    @contextlib.contextmanager
    def one(self) -> Iterator[memoryview]:
        """A buffer of the caller's own for the duration; nothing may refer to it afterwards."""
        buffer = self._free.pop() if self._free else page_aligned(BUFFER_BYTES)
        try:
            yield buffer
        finally:
            if len(self._free) < _MAX_KEPT:
                self._free.append(buffer)
