"""The scrubber: reads what is cached from the disk, slowly, and drops what fails its checksums.

Readers check a page at its first touch, and the page cache may hide a disk that rots beneath it.
The scrubber reads past the page cache, block after block, from a random one at each start on, so
that a sidecar that is often restarted gets to all of them. A pass takes a day at least.
"""

from __future__ import annotations

import logging
import random
import time
from itertools import chain
from typing import TYPE_CHECKING

from millpond.errors import MillpondError
from millpond.store.segment import is_block_key

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from millpond.store.blocks import Blocks
    from millpond.store.space import Space

log = logging.getLogger(__name__)
PASS_AT_LEAST_S = 86_400.0
_LOOK_EVERY_S = 1.0


class Scrubber:
    """One pass after another, at most ``rate_bytes`` a second; 0 is none."""

    def __init__(self, blocks: Blocks, space: Space, rate_bytes: int) -> None:
        self._blocks, self._space = blocks, space
        self.rate_bytes = rate_bytes
        self.bytes = self.passes = 0

    def run(self, stop: threading.Event) -> None:
        """[thread] Scrub until ``stop``."""
        while not stop.is_set():
            began = time.monotonic()
            for key in self._keys():
                if not self._pace(0, stop):
                    return
                try:
                    for size in self._blocks.scrub(key):
                        self.bytes += size
                        if not self._pace(size, stop):
                            return
                except MillpondError as e:
                    log.warning("a block could not be checked: %s", e)
                    stop.wait(_LOOK_EVERY_S)
            self.passes += 1
            stop.wait(max(_LOOK_EVERY_S, began + PASS_AT_LEAST_S - time.monotonic()))

    def _pace(self, size: int, stop: threading.Event) -> bool:
        """Wait as long as these bytes should have taken, or while scrubbing is off."""
        while not (rate := self.rate_bytes):
            if stop.wait(_LOOK_EVERY_S):
                return False
        return not stop.wait(size / rate)

    def _keys(self) -> Iterator[bytes]:
        """Every block, from a random one on; those that come meanwhile may be left out."""
        for segment in self._space.content.segments:
            slots = len(segment.index.sizes)
            first = random.randrange(slots) if slots else 0
            for slot in chain(range(first, slots), range(first)):
                with self._space.lock:
                    key = segment.index.key_in_use(slot)
                if key is not None and is_block_key(key):
                    yield key
