"""Cache control through a real sidecar: what is admitted, and what the metrics say of the rest."""

from __future__ import annotations

import random
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest

from millpond.client import CacheFileSystem
from millpond.errors import InvalidSetting
from millpond.model.sizes import MIB
from millpond.settings import Settings
from millpond.wire import millpond_pb2 as wire
from tests.fixtures.sidecar import LoopSidecar, cached

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PRESENT, DIRECT = wire.FillResult.PRESENT, wire.FillResult.DIRECT
CONTENT = random.Random(20).randbytes(18 * MIB + 77)
FILES = {"t/a.parquet": CONTENT, "t/_tmp/b.parquet": CONTENT[: 2 * MIB], "small": b"small"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to mount, old enough for its versions to be strong."""
    tree = tmp_path_factory.mktemp("tree")
    for name, data in FILES.items():
        file = tree / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    while time.time() - max(f.stat().st_ctime for f in tree.rglob("*")) <= 2.0:
        time.sleep(0.05)
    return tree


@pytest.fixture
def sidecar(tmp_path: Path) -> Iterator[LoopSidecar]:
    settings = Settings(
        cache_dir=tmp_path / "cache", http_port=0, cache_capacity_bytes=256 * MIB
    )  # fmt: skip
    with LoopSidecar(settings) as sidecar:
        yield sidecar


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
