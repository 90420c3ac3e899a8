"""A cache directory without a sidecar, as a Python reader sees it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from crc32c import crc32c

from millpond.client.cachedir import LOOK_EVERY_NS
from millpond.client.filesystem import CacheFileSystem
from millpond.errors import CacheDirUnusable
from millpond.model.records import pack_mounts
from millpond.wire import millpond_pb2 as wire

if TYPE_CHECKING:
    from pathlib import Path


def test_without_a_mount_table_nothing_is_said_to_be_absent(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    fs = CacheFileSystem(cache_dir=tmp_path, skip_instance_cache=True)
    table = wire.MountTable(mounts=[wire.Mount(path="/m/n", store_uri="file:///data")])
    good = pack_mounts(table.SerializeToString(), crc32c)
    for bad in (None, b"", good[:-1], good[:20] + b"\xff" + good[21:]):
        if bad is not None:
            mounts.write_bytes(bad)
        for ask in (fs.exists, fs.isfile, fs.isdir, fs.info, fs.ls, fs.cat_file):
            with pytest.raises(CacheDirUnusable, match=r"mounts can't be read.*serve"):
                ask("/m/x")
    mounts.write_bytes(good)
    assert fs.exists("/m")
    assert not fs.exists("/n/x")
    assert not fs.isdir("/m/../x")
    assert fs.isdir("/m")
    assert not fs.isfile("/m")
    mounts.write_bytes(b"rotten")  # the last table known stands
    fs.here().dir._mounts_at = time.monotonic_ns() - LOOK_EVERY_NS  # type: ignore[union-attr]
    assert fs.exists("/m")
