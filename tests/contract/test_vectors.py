"""Names, layouts and error codes are what the vectors say; JUnit reads the same files."""

import json
import runpy
from pathlib import Path

import pytest
from crc32c import crc32c

from millpond.errors import Corrupt, InvalidPath, UnknownFormat
from millpond.model import block, paths, records

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "tests/contract/vectors"
MADE = runpy.run_path(str(ROOT / "tools/make_vectors.py"))["vectors"]()
LAYOUTS = json.loads((VECTORS / "layouts.json").read_text())


@pytest.mark.parametrize("name", sorted(MADE))
def test_the_code_makes_what_the_vectors_say(name):
    assert json.loads((VECTORS / name).read_text()) == json.loads(json.dumps(MADE[name]))


@pytest.mark.parametrize("uri", json.loads((VECTORS / "paths.json").read_text())["invalid"])
def test_bad_uris_are_refused(uri):
    with pytest.raises(InvalidPath):
        paths.parse_uri(uri)


PARSERS = {
    "meta_small": lambda b: records.Meta.parse(b, crc32c),
    "meta_large": lambda b: records.Meta.parse(b, crc32c),
    "meta_pending": lambda b: records.Meta.parse(b, crc32c),
    "meta_persisted": lambda b: records.Meta.parse(b, crc32c),
    "dir": lambda b: records.DirStamp.parse(b, crc32c),
    "lease": lambda b: records.Lease.parse(b, crc32c),
    "mounts": lambda b: records.parse_mounts(b, crc32c),
}


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_records_read_back_and_every_flipped_bit_is_found(name):
    good = bytes.fromhex(LAYOUTS[name]["record"])
    value = PARSERS[name](good)
    if hasattr(value, "pack"):
        assert value.pack(crc32c) == good
    for at in range(len(good)):
        bad = bytearray(good)
        bad[at] ^= 1 << (at % 8)
        with pytest.raises((Corrupt, UnknownFormat)):
            PARSERS[name](bytes(bad))
    for cut in (0, 7, 15, len(good) // 2, len(good) - 1):
        with pytest.raises(Corrupt):
            PARSERS[name](good[:cut])


def test_a_flip_in_the_fixed_block_header_is_found():
    vector = LAYOUTS["block"]
    good = bytes.fromhex(vector["header"])
    header, bits, _ = block.Header.parse(good, crc32c)
    assert (header.file_id.hex(), header.block, bits) == (vector["file_id"], 2, 0)
    for at in range(block.CRC_AT + 4):
        bad = bytearray(good)
        bad[at] ^= 0x10
        with pytest.raises((Corrupt, UnknownFormat)):
            block.Header.parse(bytes(bad), crc32c)
