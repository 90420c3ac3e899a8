"""The two kinds of process of the publish-rule fire: ``write`` and ``read``; see the test.

Every process knows what each page must hold: its own address, repeated.
"""

import json
import os
import random
import struct
import sys
import time
from pathlib import Path

from millpond.model.sizes import PAGE_BYTES
from millpond.store import BlockStore, blocks
from tests.fixtures.bit_first import BitFirstWriter
from tests.fixtures.tiny_reader import TinyReader, block_path

FILES = 60
PAGES = 32
VALID_BYTES = PAGES * PAGE_BYTES - 1000
CAPACITY_BYTES = FILES * PAGES * PAGE_BYTES // 3
OPEN_READERS = 12


def file_id(number: int) -> bytes:
    return struct.pack("<QQ", number * 0x9E3779B97F4A7C15 & (1 << 64) - 1, number)


def page_bytes(number: int, page: int) -> bytes:
    size = min(PAGE_BYTES, VALID_BYTES - page * PAGE_BYTES)
    return (struct.pack("<QQ", number + 1, page + 1) * (PAGE_BYTES // 16))[:size]


def write(directory: Path, seed: int) -> None:
    """Fill random runs of random blocks, for ever; the store evicts as it must."""
    rng = random.Random(seed)
    store = BlockStore.open(directory, capacity_bytes=CAPACITY_BYTES)
    print("up", flush=True)
    while True:
        number = rng.randrange(FILES)
        writer = store.writer(file_id(number), 0, VALID_BYTES)
        for _ in range(rng.randrange(1, 4)):
            first = rng.randrange(PAGES)
            last = min(PAGES, first + rng.choice((1, 4, 16)))
            writer.put(first, b"".join(page_bytes(number, p) for p in range(first, last)))
        writer.close()


def read(directory: Path, seed: int, wanted: int, verify: bool) -> dict[str, int]:
    """Read random pages until ``wanted`` were there; count what they were."""
    rng = random.Random(seed)
    pool: dict[int, TinyReader] = {}
    counts = dict.fromkeys(("right", "wrong", "absent", "bad", "missing", "opened"), 0)
    until = time.monotonic() + 110
    while counts["right"] + counts["wrong"] < wanted and time.monotonic() < until:
        number = rng.randrange(FILES)
        reader = pool.pop(number, None)
        if reader is None or rng.random() < 0.02:
            if reader is not None:
                reader.close()
            ident = file_id(number)
            try:
                reader = TinyReader(block_path(directory, ident, 0), ident, 0)
            except FileNotFoundError:
                counts["missing"] += 1
                continue
            counts["opened"] += 1
        for page in rng.sample(range(PAGES), 8):
            got = reader.read_page(page, verify=verify)
            if got is None:
                counts["absent"] += 1
            else:
                counts["right" if got == page_bytes(number, page) else "wrong"] += 1
        pool[number] = reader
        if len(pool) > OPEN_READERS:
            oldest = pool.pop(next(iter(pool)))
            counts["bad"] += oldest.bad
            oldest.close()
    counts["bad"] += sum(reader.bad for reader in pool.values())
    return counts


if __name__ == "__main__":
    os.nice(1)
    if sys.argv[1] == "write":
        if "bit-first" in sys.argv:
            blocks.BlockWriter = BitFirstWriter  # type: ignore[misc]
        write(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        told = read(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), "prove" in sys.argv)
        print(json.dumps(told))
