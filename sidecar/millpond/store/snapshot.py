"""index.snapshot: the index and the policies' state, packed, so that a start needs no walk first.

Layout (little-endian)::

    0   8 magic "MPONDIDX"   8 4 format (1)   12 4 bytes of the description   16 4 its CRC32C
    20  … the description: JSON {"segments": [{"name", "policy", "numbers", "arrays":
          [[name, typecode, items, CRC32C], …]}, …]}
    …   the arrays, in that order

It is a hint: whatever it says, the disk decides (``reconcile.py``). A torn or garbled one is
dropped, one of another format set aside; then the walk alone fills the index.
"""

from __future__ import annotations

import json
import struct
from array import array
from typing import TYPE_CHECKING, Any, BinaryIO

from crc32c import crc32c

from millpond.errors import Corrupt, UnknownFormat

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable

    from millpond.store.segment import Segment
    from millpond.store.tree import Tree

NAME = "index.snapshot"
FORMAT = 1
_HEAD = struct.Struct("<8sIII")
_MAGIC = b"MPONDIDX"
_MOST_DESCRIPTION_BYTES = 1 << 20


def save(tree: Tree, segments: Iterable[Segment], lock: threading.Lock) -> None:
    """Write the snapshot: copied under ``lock``, written outside it. Raises OSError."""
    described: list[dict[str, Any]] = []
    parts: list[bytes] = []
    with lock:
        for segment in segments:
            numbers, arrays = _dump(segment)
            listed = []
            for name, values in arrays.items():
                kind = "B" if isinstance(values, bytearray) else values.typecode
                parts.append(bytes(values))
                listed.append([name, kind, len(values), 0])
            described.append(
                {"name": segment.name, "policy": segment.policy.name, "numbers": numbers,
                 "arrays": listed}
            )  # fmt: skip
    crcs = iter([crc32c(part) for part in parts])
    for item in described:
        for entry in item["arrays"]:
            entry[3] = next(crcs)
    text = json.dumps({"segments": described}).encode()
    head = _HEAD.pack(_MAGIC, FORMAT, len(text), crc32c(text))
    tree.replace_parts(NAME, [head, text, *parts])


def load(tree: Tree, named: Callable[[str], Segment | None]) -> bool:
    """Fill empty segments from the snapshot; False, and still empty ones, if there is no sound one.

    ``named`` gives the segment of a name, None where there can be none. A segment whose policy has
    changed since keeps its entries, in a new order.
    """
    path = tree.directory / NAME
    try:
        with path.open("rb") as file:
            loaded = _read(file)
    except FileNotFoundError:
        return False
    except UnknownFormat as e:
        tree.set_aside(path, str(e))
        return False
    except (Corrupt, OSError, ValueError, KeyError, TypeError, EOFError, struct.error):
        path.unlink(missing_ok=True)
        return False
    for name, parts in loaded.items():
        segment = named(name)
        if segment is not None:
            _adopt(segment, *parts)
    return True


Loaded = tuple[str, dict[str, int], dict[str, "array[int]"]]


def _read(file: BinaryIO) -> dict[str, Loaded]:
    magic, version, size, crc = _HEAD.unpack(file.read(_HEAD.size))
    if magic != _MAGIC:
        raise Corrupt("not an index snapshot")
    if version != FORMAT:
        raise UnknownFormat(f"index snapshot of format {version}", cause=f"known: {FORMAT}")
    if size > _MOST_DESCRIPTION_BYTES:
        raise Corrupt("index snapshot is out of range")
    text = file.read(size)
    if len(text) != size or crc32c(text) != crc:
        raise Corrupt("index snapshot fails its checksum")
    found: dict[str, Loaded] = {}
    for item in json.loads(text)["segments"]:
        arrays = {}
        for name, kind, count, crc in item["arrays"]:
            values = array(kind)
            values.fromfile(file, count)
            if crc32c(values) != crc:
                raise Corrupt("index snapshot fails its checksum")
            arrays[name] = values
        found[item["name"]] = (item["policy"], item["numbers"], arrays)
    return found


def _dump(segment: Segment) -> tuple[dict[str, int], dict[str, array[int] | bytearray]]:
    index = segment.index
    numbers, policy = segment.policy.dump()
    arrays: dict[str, array[int] | bytearray] = {
        "index.keys": index.keys, "index.sizes": index.sizes, "index.free": index.free,
        "index.cells": index.table.cells, "index.chosen": array("I", segment.chosen),
    }  # fmt: skip
    own = {"index.count": len(index), "index.bytes": index.total_bytes}
    own["index.blocks"] = segment.blocks
    if segment.seen:
        arrays["index.seen"] = segment.seen
    return {**numbers, **own}, {**policy, **arrays}


def _adopt(
    segment: Segment, policy: str, numbers: dict[str, int], arrays: dict[str, array[int]]
) -> None:
    index = segment.index
    index.keys = bytearray(arrays.pop("index.keys"))
    index.sizes[:] = arrays.pop("index.sizes")  # in place: the policy holds the same array
    index.free = arrays.pop("index.free")
    index.table.cells = arrays.pop("index.cells")
    index.table.count, index.total_bytes = numbers["index.count"], numbers["index.bytes"]
    segment.blocks = numbers["index.blocks"]
    segment.seen = arrays.pop("index.seen", array("I"))
    segment.fill_seen()
    chosen = arrays.pop("index.chosen")
    if policy == segment.policy.name:
        segment.policy.load((numbers, arrays))
        segment.adopt(chosen)
    else:
        segment.restore()
