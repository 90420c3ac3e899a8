"""Several disks under one cache dir, as both clients and ``millpond doctor`` see them."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest

from millpond.cli import app
from millpond.client import CacheFileSystem
from millpond.model.sizes import MIB
from tests.bench.site import SidecarProcess
from tests.integration.test_jvm_client import Folder, Site

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

pytestmark = pytest.mark.timeout(600)
FILES = 24


def test_both_clients_read_blocks_of_all_disks_and_outlive_one(
    tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    content = {f"f{n}": random.Random(n).randbytes(MIB + n) for n in range(FILES)}
    disk = tmp_path / "disk"
    (tmp_path / "data").mkdir()
    store = Folder(tmp_path / "data")
    for name, data in content.items():
        store.put(name, data)
    site = Site(tmp_path, store)
    site.sidecar = SidecarProcess(
        tmp_path / "cache", tmp_path / "sidecar.log",
        {"MILLPOND_HTTP_PORT": "0", "MILLPOND_CACHE_CAPACITY_BYTES": "1GiB",
         "MILLPOND_CACHE_DIRS": str(disk)},
    )  # fmt: skip
    monkeypatch.setenv("MILLPOND_DIR", str(tmp_path / "cache"))

    def check_jvm() -> dict[str, int]:
        with site.probe() as probe:
            for name, data in content.items():
                probe.open(f"/m/{name}", name=name)
                assert probe.read(len(data), name=name) == data
            return probe.counters()

    def check_python() -> dict[str, int]:
        fs = CacheFileSystem(cache_dir=str(tmp_path / "cache"), skip_instance_cache=True)
        for name, data in content.items():
            assert fs.cat_file(f"/m/{name}") == data
        return fs.counters

    def doctor() -> dict[str, str]:
        app.run(["doctor", "--json"])
        found = json.loads(capsys.readouterr().out)["findings"]
        return {f["check"]: f"{f['level']}: {f['text']}" for f in found}

    try:
        site.start()
        store.settle()
        assert check_python()["fills"] > 0
        on_disk = sum(p.is_file() for p in (disk / "blocks").rglob("*"))
        assert 0 < on_disk < FILES
        assert check_jvm().get("fills", 0) == 0, "a warm JVM asked the sidecar"
        assert doctor()[f"disk {disk}"] == "ok: holds blocks"
        disk.rename(tmp_path / "gone")
        check_python()
        assert check_jvm().get("fills", 0) <= on_disk, "more was filled again than was lost"
        assert check_python().get("fills", 0) == 0, "what was lost is not cached elsewhere"
        assert doctor()[f"disk {disk}"].startswith("problem: dropped: No such file")
        assert not disk.exists()
    finally:
        site.sidecar.stop()
