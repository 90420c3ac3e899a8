"""A process that fills, evicts and refills blocks of known content until it is killed.

``python jvm_fire_writer.py <dir> <seed> <list>``; the list has ``<file id, hex> <length>`` lines.
Byte ``o`` of file ``F`` is ``(o * 31 + F[o % 16]) % 251``, as in ``CacheWriter.contentAt``.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from millpond.errors import NoSpace
from millpond.model.sizes import BLOCK_BYTES, PAGE_BYTES, block_count, block_valid_bytes, page_count
from millpond.store import BlockStore

PERIOD = 16 * 251
PAGES_PER_PUT = 48


def pattern(file_id: bytes) -> bytes:
    """Content from any offset: ``pattern[offset % PERIOD:]``."""
    one = bytes((o * 31 + file_id[o % 16]) % 251 for o in range(PERIOD))
    return one * (PAGES_PER_PUT * PAGE_BYTES // PERIOD + 2)


def main(directory: str, seed: str, listing: str) -> None:
    files = [
        (bytes.fromhex(name), int(length))
        for name, length in (line.split() for line in Path(listing).read_text().splitlines())
    ]
    patterns = {file_id: pattern(file_id) for file_id, _ in files}
    rng = random.Random(int(seed))
    # Smaller than the working set: the space itself evicts too.
    size = sum(length for _, length in files)
    with_room = BlockStore.open(Path(directory), capacity_bytes=size * 2 // 3)
    print("up", flush=True)
    while True:
        file_id, length = rng.choice(files)
        if rng.random() < 0.02:
            with_room.drop_file(file_id)
            continue
        block = rng.randrange(block_count(length))
        valid = block_valid_bytes(length, block)
        first = rng.randrange(page_count(valid))
        start = first * PAGE_BYTES
        end = min(valid, start + rng.randint(1, PAGES_PER_PUT) * PAGE_BYTES)
        at = (block * BLOCK_BYTES + start) % PERIOD
        try:
            writer = with_room.writer(file_id, block, valid)
            try:
                writer.put(first, patterns[file_id][at : at + end - start])
            finally:
                writer.close()
        except NoSpace:
            with_room.free(size // 10)


if __name__ == "__main__":
    main(*sys.argv[1:])
