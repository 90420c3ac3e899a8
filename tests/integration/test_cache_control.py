"""Cache control through a real sidecar: admission, pins, quotas, reserves, TTLs."""

from __future__ import annotations

import json
import os
import random
import re
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from millpond.cli import app
from millpond.client import CacheFileSystem
from millpond.errors import InvalidSetting, IsADirectory, NoSpace, PathNotFound
from millpond.model.block import page_offset
from millpond.model.paths import block_name
from millpond.model.sizes import MIB
from millpond.settings import Settings
from millpond.wire import millpond_pb2 as wire
from tests.fixtures.sidecar import LoopSidecar, cached
from tests.fixtures.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from millpond.wire.local_client import LocalClient

PRESENT, DIRECT = wire.FillResult.PRESENT, wire.FillResult.DIRECT
CONTENT = random.Random(20).randbytes(18 * MIB + 77)
FILES = {
    "t/a.parquet": CONTENT,
    "t/_tmp/b.parquet": CONTENT[: 2 * MIB],
    "t/dim": CONTENT[:40_000],
    "small": b"small",
}
BIG_BYTES = 64 * MIB


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to mount, old enough for its versions to be strong."""
    tree = tmp_path_factory.mktemp("tree")
    for name, data in FILES.items():
        file = tree / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    with (tree / "big").open("wb") as big:
        big.truncate(BIG_BYTES)
    _grow_old(tree)
    return tree


def _grow_old(tree: Path) -> None:
    while time.time() - max(f.stat().st_ctime for f in tree.rglob("*")) <= 2.0:
        time.sleep(0.05)


def served(directory: Path, **settings: Any) -> LoopSidecar:
    settings = {"http_port": 0, "cache_capacity_bytes": 64 * MIB, **settings}
    return LoopSidecar(Settings(cache_dir=directory, **settings))


@pytest.fixture
def sidecar(tmp_path: Path) -> Iterator[LoopSidecar]:
    with served(tmp_path / "cache") as sidecar:
        yield sidecar


def fill(client: LocalClient, path: str) -> wire.FileInfo:
    """Bring a whole file into the cache; blocks just filled stay for 2 s, so it may wait."""
    info = client.stat(path)
    until = time.monotonic() + 20
    for start in range(0, info.length, 16 * MIB):
        count = min(16 * MIB, info.length - start)
        while (told := client.fill(path, info.file_id, [(start, count)])).result != PRESENT:
            assert told.reason == "full_disk"
            assert time.monotonic() < until
            time.sleep(0.05)
    return info


def present(client: LocalClient, path: str) -> int:
    return sum(p.cached_bytes for p in client.locate(path, 0, 1 << 40).locations)


def part_bytes(sidecar: LoopSidecar, mount: str) -> int:
    """What the blocks of a mount take."""
    return sidecar.control.stats().part_bytes[mount]


def metric(sidecar: LoopSidecar, beginning: str) -> float:
    """The sum of the metric lines that begin so."""
    url = f"http://127.0.0.1:{sidecar.sidecar.http_port}/metrics"
    with urllib.request.urlopen(url, timeout=20) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(beginning))


def test_what_is_not_admitted_is_read_directly_and_counted(
    sidecar: LoopSidecar, tree: Path
) -> None:
    rules = "admit glob=small; bypass glob=**/_tmp/**; bypass min=16MiB scan=sequential"
    with sidecar.client() as client:
        sidecar.control.mount_add("/m", f"file://{tree}", {"admission": rules})
        (mount,) = sidecar.control.mounts()
        assert "; ".join(mount.control.admission) == rules
        info = client.stat("/m/t/a.parquet")
        told = client.fill(
            info.path, info.file_id, [(0, MIB)], window=8 * MIB, intent=wire.Intent.SEQUENTIAL
        )
        assert (told.result, told.reason) == (DIRECT, "not_admitted")
        assert sidecar.control.stats().blocks == 0
        told = client.fill(info.path, info.file_id, [(0, MIB)], intent=wire.Intent.RANDOM)
        assert told.result == PRESENT
        assert cached(sidecar.directory, info.file_id, 0, MIB) == CONTENT[:MIB]
        shut = client.stat("/m/t/_tmp/b.parquet")
        for intent in (wire.Intent.RANDOM, wire.Intent.WARM_UP):
            assert client.fill(shut.path, shut.file_id, [(0, 5)], intent=intent).result == DIRECT
        small = client.stat("/m/small")
        assert client.fill(small.path, small.file_id, [(0, 5)], inline_max=9).data == b"small"
        assert sidecar.control.stats().blocks == 1
    name = 'millpond_bypassed_fills_total{mount="/m",rule="bypass '
    assert metric(sidecar, name + 'glob=**/_tmp/**"}') == 2
    assert metric(sidecar, name + 'min=16MiB scan=sequential"}') == 1
    assert metric(sidecar, 'millpond_fills_total{result="direct_not_admitted"}') == 3


def test_a_python_reader_gets_the_bytes_of_what_is_not_admitted(
    sidecar: LoopSidecar, tree: Path
) -> None:
    sidecar.control.mount_add("/m", f"file://{tree}", {"admission": "bypass"})
    fs = CacheFileSystem(cache_dir=str(sidecar.directory), skip_instance_cache=True)
    assert fs.cat_file("/m/t/a.parquet") == CONTENT
    assert sidecar.control.stats().blocks == 0


def test_a_bad_rule_is_refused_by_its_name(sidecar: LoopSidecar, tree: Path) -> None:
    with pytest.raises(InvalidSetting, match=r"rule 2 of option admission of mount /m"):
        sidecar.control.mount_add("/m", f"file://{tree}", {"admission": "admit; deny glob=x"})
    assert not sidecar.control.mounts()


def test_pinned_files_stay_whatever_else_is_read_and_over_restarts(
    tmp_path: Path, tree: Path
) -> None:
    directory = tmp_path / "cache"
    with served(directory) as sidecar, sidecar.client() as client:
        sidecar.control.mount_add("/m", f"file://{tree}", {"admission": "bypass glob=**/_tmp/**"})
        with pytest.raises(IsADirectory, match="pin -r"):
            sidecar.control.pin("/m/t")
        pin = sidecar.control.pin("/m/t", recursive=True)
        length = sum(len(data) for name, data in FILES.items() if name.startswith("t/"))
        assert (pin.recursive, pin.files, pin.length) == (True, 3, length)
        pinned = fill(client, "/m/t/a.parquet")
        fill(client, "/m/t/_tmp/b.parquet")  # pinned: so admitted, whatever the rules say
        fill(client, "/m/t/dim")
        fill(client, "/m/big")
        assert sidecar.control.stats().counters["evicted_bytes"] > 0
        assert sidecar.control.pins().pinned_bytes >= length
    (directory / "index.snapshot").unlink()
    with served(directory) as sidecar, sidecar.client() as client:
        fill(client, "/m/big")
        assert cached(directory, pinned.file_id, 0, pinned.length) == CONTENT
        for name in ("a.parquet", "_tmp/b.parquet", "dim"):
            assert present(client, f"/m/t/{name}") == len(FILES[f"t/{name}"])
        sidecar.control.unpin("/m/t")
        assert sidecar.control.pins().pinned_bytes == 0
        fill(client, "/m/big")
        assert present(client, "/m/t/a.parquet") < len(CONTENT)
        with pytest.raises(PathNotFound, match=r"/m/t is not pinned\. Pins: none"):
            sidecar.control.unpin("/m/t")


def test_a_pin_follows_new_versions_and_new_files(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a").write_bytes(CONTENT)
    (tree / "big").touch()
    _grow_old(tree)
    with served(tmp_path / "cache") as sidecar, sidecar.client() as client:
        sidecar.control.mount_add("/m", f"file://{tree}", {"freshness": "0"})
        sidecar.control.pin("/m", recursive=True)
        first = fill(client, "/m/a")
        before = sidecar.control.pins()
        (tree / "a").write_bytes(CONTENT[::-1])
        (tree / "new").write_bytes(CONTENT[: 5 * MIB])
        _grow_old(tree)
        second = fill(client, "/m/a")
        fill(client, "/m/new")
        assert second.file_id != first.file_id
        (pin,) = sidecar.control.pins().pins
        assert (pin.files, pin.length) == (3, len(CONTENT) + 5 * MIB)
        assert sidecar.control.pins().pinned_bytes > before.pinned_bytes
        sidecar.control.unpin("/m")
        sidecar.control.pin("/m/a")
        (pin,) = sidecar.control.pins().pins
        assert (pin.path, pin.files, pin.length) == ("/m/a", 1, len(CONTENT))
        sidecar.control.mount_remove("/m")
        assert sidecar.control.pins().pinned_bytes == 0, "no mount leads to it any more"


def test_pins_are_bounded(sidecar: LoopSidecar, tree: Path) -> None:
    sidecar.control.mount_add("/m", f"file://{tree}")
    with pytest.raises(NoSpace, match="of the 32 MiB that pin_share leaves"):
        sidecar.control.pin("/m", recursive=True)
    assert not sidecar.control.pins().pins


def test_pins_by_the_command_line(
    sidecar: LoopSidecar, tree: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.setenv("MILLPOND_DIR", str(sidecar.directory))

    def run(*words: str) -> Any:
        assert app.run([*words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    with sidecar.client() as client:
        sidecar.control.mount_add("/m", f"file://{tree}")
        told = run("pin", "/m/t", "-r", "--load")
        assert told["load"]["loaded_bytes"] == told["length"]
        assert present(client, "/m/t/a.parquet") == len(CONTENT)
    (pin,) = run("pins")["pins"]
    assert (pin["path"], pin["recursive"], pin["files"]) == ("/m/t", True, 3)
    assert app.run(["pins"]) == 0
    assert "all below  /m/t" in capsys.readouterr().out
    assert run("unpin", "/m/t")["path"] == "/m/t"
    assert run("pins")["pins"] == []


def test_a_mount_stays_within_its_quota_and_keeps_its_reserve(tmp_path: Path, tree: Path) -> None:
    directory = tmp_path / "cache"
    with served(directory) as sidecar, sidecar.client() as client:
        sidecar.control.mount_add("/whole", f"file://{tree}")
        fill(client, "/whole/t/a.parquet")
        sidecar.control.mount_remove("/whole")
        with pytest.raises(InvalidSetting, match=r"option reserve of mount /m.*at most the quota"):
            sidecar.control.mount_add("/m", f"file://{tree}", {"reserve": "2M", "quota": "1M"})
        with pytest.raises(InvalidSetting, match=r"reserves of all mounts would be 60 MiB"):
            sidecar.control.mount_add("/m", f"file://{tree}", {"reserve": "60MiB"})
        keep = {"quota": "30MiB", "reserve": "20MiB"}
        said = sidecar.control.mount_add("/keep", f"file://{tree}/t", keep).control
        assert (said.quota_bytes, said.reserve_bytes) == (30 * MIB, 20 * MIB)
        # What was cached before is found to be the mount's.
        eventually("it is all counted", lambda: part_bytes(sidecar, "/keep") >= len(CONTENT))
        sidecar.control.mount_add("/m", f"file://{tree}", {"admission": "admit glob=big; bypass"})
        fill(client, "/m/big")
        fill(client, "/m/big")
        assert present(client, "/keep/a.parquet") == len(CONTENT)
        assert metric(sidecar, 'millpond_mount_cached_bytes{mount="/keep"}') >= len(CONTENT)
    with served(directory) as sidecar, sidecar.client() as client:
        fill(client, "/m/big")
        assert present(client, "/keep/a.parquet") == len(CONTENT)
        sidecar.control.mount_remove("/m")
        sidecar.control.mount_add("/m", f"file://{tree}", {"quota": "24MiB"})
        fill(client, "/m/big")
        eventually("it keeps its quota", lambda: part_bytes(sidecar, "/m") <= 24 * MIB)
        assert present(client, "/keep/a.parquet") == len(CONTENT)


def test_what_nobody_reads_within_its_ttl_is_freed(sidecar: LoopSidecar, tree: Path) -> None:
    sidecar.control.mount_add("/m", f"file://{tree}/t", {"ttl": "1s"})
    sidecar.control.mount_add("/stays", f"file://{tree}", {"ttl": "0"})
    with sidecar.client() as client:
        info = fill(client, "/m/a.parquet")
        fill(client, "/m/dim")
        fill(client, "/stays/small")
        until = time.monotonic() + 3
        while time.monotonic() < until:
            client.report(touches=[wire.Touch(file_id=info.file_id, block=1, reads=1)])
            time.sleep(0.1)
        assert 2 * MIB < present(client, "/m/a.parquet") < 3 * MIB  # the block that is read
        eventually("its TTL has passed", lambda: present(client, "/m/a.parquet") == 0)
        assert present(client, "/m/dim") == 0
        assert present(client, "/stays/small") == 5
        expired = "millpond_expired_blocks_total"
        eventually("both blocks are counted", lambda: metric(sidecar, expired) == 2)


def test_the_scrubber_finds_what_the_disk_lost(
    tmp_path: Path, tree: Path, monkeypatch: Any, capsys: Any
) -> None:
    directory = tmp_path / "cache"
    with served(directory) as sidecar, sidecar.client() as client:
        sidecar.control.mount_add("/m", f"file://{tree}")
        sidecar.control.set("scrub_rate_bytes", "0")
        info = fill(client, "/m/t/a.parquet")
    rotten, sound = (directory / block_name(info.file_id, n) for n in (0, 1))
    with rotten.open("r+b") as file:  # one bit of one page
        file.seek(page_offset(77) + 4097)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 16]))
    with served(directory, scrub_rate_bytes=1 << 30) as sidecar, sidecar.client() as client:
        eventually("the block is removed", lambda: not rotten.exists())
        scrubbed = "millpond_scrubbed_bytes_total"
        eventually("all was looked at", lambda: metric(sidecar, scrubbed) >= 2 * MIB)
        assert sound.exists()
        assert sidecar.control.stats().counters["corrupt_pages"] == 1
        monkeypatch.setenv("MILLPOND_DIR", str(directory))
        app.run(["doctor"])
        assert re.search(r"warning +pages +1 cached pages were bad", capsys.readouterr().out)
        fill(client, "/m/t/a.parquet")
        assert cached(directory, info.file_id, 0, info.length) == CONTENT
