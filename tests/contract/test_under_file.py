"""The local file system as a store."""

from __future__ import annotations

import itertools
import os
import time
from typing import TYPE_CHECKING

import pytest

from millpond.testing.under_contract import MANY, StoreSite, UnderStoreContract
from millpond.under.file import FileStore

if TYPE_CHECKING:
    from pathlib import Path

    from millpond.under.base import UnderStore


class FileSite(StoreSite):
    odd_keys = (
        "100%", "%41", "a b", " lead", "a+b", "é", "e\u0301", "c\tx", "a\nb", "h#h", "back\\slash",
        "date=2026/f", "…", "日本", "d_$folder$",
    )  # fmt: skip

    def __init__(self, base: Path) -> None:
        self._base = base
        self._mtimes = itertools.count(1_700_000_000)
        self.prefix = str(base).lstrip("/")

    def open(self) -> FileStore:
        # Later than any change here, so that versions are strong without waiting.
        return FileStore(self._base, clock_ns=lambda: time.time_ns() + 3_600 * 10**9)

    def put(self, key: str, data: bytes) -> None:
        path = self._base / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        # Two writes within one tick of the kernel's clock would be what ``weak`` is there for.
        at_s = next(self._mtimes)
        os.utime(path, (at_s, at_s))

    def left_behind(self) -> list[str]:
        return [str(p) for p in self._base.rglob("*") if "millpond" in p.name]

    def delete(self, key: str) -> None:
        (self._base / key).unlink()

    def make_directory(self, key: str) -> None:
        (self._base / key).mkdir(parents=True)

    def many(self) -> str:
        for i in range(MANY):
            self.put(f"many/{'d/' if i % 10 == 0 else ''}f{i:05}", b"1")
        return self.key("many")

    def refused(self, key: str) -> UnderStore:
        """No file mode stops root, a way out of the root does."""
        outside = self._base.parent / "outside"
        (self._base / key).rename(outside)
        (self._base / key).symlink_to(outside)
        return self.open()


class TestFile(UnderStoreContract):
    exclusive = True

    @pytest.fixture
    def site(self, tmp_path: Path) -> FileSite:
        (tmp_path / "root").mkdir()
        return FileSite(tmp_path / "root")
