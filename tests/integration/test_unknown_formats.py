"""A cache directory with files of a newer release: kept for it, and read right all the same."""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

import pytest

from millpond.cli.reading import read_range
from millpond.model.paths import block_name, meta_name, path_hash
from millpond.model.sizes import MIB
from millpond.settings import Settings
from tests.fixtures.sidecar import LoopSidecar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = {"big": random.Random(8).randbytes(17 * MIB + 5), "small": b"in its meta"}
VERSION_AT = 8  # in all of them: behind the magic


class Site:
    """A cache directory that a sidecar filled from a folder mounted at /m, and left."""

    def __init__(self, root: Path) -> None:
        self.data = root / "data"
        self.settings = Settings(
            cache_dir=root / "cache", http_port=0, cache_capacity_bytes=256 * MIB
        )
        self.directory = self.settings.cache_dir
        self.data.mkdir()
        for name, content in CONTENT.items():
            (self.data / name).write_bytes(content)
        self.files: dict[str, Path] = {}
        with LoopSidecar(self.settings) as sidecar:
            with sidecar.client() as client:
                sidecar.control.mount_add("/m", f"file://{self.data}")
                for name in CONTENT:
                    self._await_strong(client.stat, f"/m/{name}")
            self.read(sidecar)
            with sidecar.client() as client:
                info = client.stat("/m/big")
        self.files["block"] = self.directory / block_name(info.file_id, 0)
        self.files["meta"] = self.directory / meta_name(path_hash(info.store_path))
        self.files["snapshot"] = self.directory / "index.snapshot"
        self.files["mounts"] = self.directory / "mounts"
        assert all(f.is_file() for f in self.files.values())

    @staticmethod
    def _await_strong(stat: object, path: str) -> None:
        """Until the file store takes the version for strong, which is 2 s after the change."""
        assert callable(stat)
        until = time.monotonic() + 30
        while not stat(path, force=True).file_id:
            assert time.monotonic() < until
            time.sleep(0.05)

    def read(self, sidecar: LoopSidecar) -> None:
        """All files come right, by the blocks where they are there."""
        with sidecar.client() as client:
            for name, content in CONTENT.items():
                info = client.stat(f"/m/{name}")
                assert info.file_id
                got = b"".join(read_range(client, self.settings, info, 0, info.length))
                assert got == content, name

    def aside(self) -> list[bytes]:
        folder = self.directory / "aside"
        return [f.read_bytes() for f in folder.iterdir()] if folder.exists() else []

    def make_newer(self, name: str) -> bytes:
        """Give the file another format version; its bytes then."""
        with self.files[name].open("r+b") as file:
            file.seek(VERSION_AT)
            version = int.from_bytes(file.read(4), "little")
            assert version == 1
            file.seek(VERSION_AT)
            file.write((version + 1).to_bytes(4, "little"))
        return self.files[name].read_bytes()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    assert sorted(os.listdir(made.data)) == sorted(CONTENT)
    for name, content in CONTENT.items():
        assert (made.data / name).read_bytes() == content


@pytest.mark.parametrize("which", ["block", "meta", "snapshot", "mounts", "all"])
def test_files_of_another_format_are_kept_or_written_anew(which: str, site: Site) -> None:
    names = [*site.files] if which == "all" else [which]
    newer = {name: site.make_newer(name) for name in names}
    with LoopSidecar(site.settings) as sidecar:
        site.read(sidecar)
        with sidecar.client() as client:
            assert [m.path for m in sidecar.control.mounts()] == ["/m"]
            assert sidecar.control.stats().counters["corrupt_pages"] == 0
            located = client.locate("/m/big", 0, len(CONTENT["big"])).locations
            assert sum(x.cached_bytes for x in located) == len(CONTENT["big"])
    kept = site.aside()
    # ``mounts`` says what namespace.db says: it is rendered anew at each start.
    assert sorted(kept) == sorted(data for name, data in newer.items() if name != "mounts")
    for name in names:
        assert site.files[name].read_bytes()[VERSION_AT : VERSION_AT + 4] == b"\x01\0\0\0", name
    with LoopSidecar(site.settings) as sidecar:
        site.read(sidecar)
    assert sorted(site.aside()) == sorted(kept)
