"""An engine in a container, the sidecar outside: what it reads, and what `doctor` says there."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from millpond.model.sizes import MIB
from millpond.settings import Settings
from tests.fixtures.container import GROUP, Container
from tests.fixtures.sidecar import LoopSidecar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = secrets.token_bytes(2 * MIB + 123)
READ = """
import hashlib, json, fsspec
fs = fsspec.filesystem("cache")
data = fs.cat("/data/file")
print(json.dumps([hashlib.sha256(data).hexdigest(), dict(fs.counters)]))
"""
DOCTOR = "from millpond.cli import main; main()"


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopSidecar]:
    """One file cached, in a directory whose group is the engines'."""
    if reason := Container.available():
        pytest.skip(reason)
    base = tmp_path_factory.mktemp("node")
    (base / "data").mkdir()
    (base / "data/file").write_bytes(CONTENT)
    (base / "cache").mkdir(mode=0o750)
    os.chown(base / "cache", -1, GROUP)
    with LoopSidecar(Settings(cache_dir=base / "cache", http_port=0)) as running:
        running.control.mount_add("/data", f"file://{base}/data")
        with running.client() as client:
            while not (info := client.stat("/data/file", force=True)).file_id:
                time.sleep(0.1)  # until the store takes the version for strong
            client.fill("/data/file", info.file_id, [(0, info.length)])
        yield running


@pytest.fixture(scope="module")
def container(sidecar: LoopSidecar) -> Iterator[Container]:
    with Container(sidecar.directory) as made:
        yield made


def findings(done: subprocess.CompletedProcess[str]) -> dict[str, tuple[str, str]]:
    assert done.stdout, done.stderr
    return {f["check"]: (f["level"], f["text"]) for f in json.loads(done.stdout)["findings"]}


def doctor(container: Container, **how: object) -> dict[str, tuple[str, str]]:
    return findings(container.run("-c", DOCTOR, "doctor", "--json", **how))  # type: ignore[arg-type]


def read(container: Container, **how: object) -> dict[str, int]:
    """Counters of a read whose bytes were right."""
    import hashlib

    done = container.run("-c", READ, **how)  # type: ignore[arg-type]
    assert done.returncode == 0, done.stderr
    digest, counters = json.loads(done.stdout)
    assert digest == hashlib.sha256(CONTENT).hexdigest()
    return dict(counters)


def test_a_pod_with_volume_and_group_reads_blocks_from_disk(container: Container) -> None:
    """Another network, another path, a read-only volume: no call is made for what is on disk."""
    counters = read(container)
    assert counters["hit_bytes"] == len(CONTENT)
    assert not {"stats", "fills", "direct_bytes"} & counters.keys()


def test_doctor_in_that_pod_finds_what_matters_in_order(container: Container) -> None:
    found = doctor(container)
    levels = {check: level for check, (level, _) in found.items()}
    for check in ("container", "cache dir", "group", "sidecar", "lease", "socket", "clock"):
        assert levels[check] == "ok", (check, found[check])
    assert levels["tcp"] == "warning"
    assert "network namespace" in found["tcp"][1]
    assert levels["mount /data"] == "ok"


def test_a_pod_without_the_group_is_told(container: Container) -> None:
    found = doctor(container, groups="")
    assert found["cache dir"][0] == "ok"
    # The one that explains all others.
    assert [check for check, (level, _) in found.items() if level == "problem"] == ["group"]


def test_a_pod_without_the_volume_is_told(container: Container) -> None:
    found = doctor(container, volume=False)
    assert found["container"][0] == "problem"
    assert "own file system" in found["container"][1]


def test_another_clock_is_noticed_and_every_open_asks(container: Container) -> None:
    """Without the comparison a lease of another clock would be believed, or never."""
    for offset in ("100000", "-1000"):
        how = {"namespaces": ("--time", "--monotonic", offset)}
        assert doctor(container, **how)["clock"][0] != "ok", offset
        counters = read(container, **how)
        assert counters["stats"] > 0
        assert counters["hit_bytes"] == len(CONTENT)


def test_a_user_namespace_without_the_group_is_told(container: Container) -> None:
    """Of ids that are not mapped the kernel says `nobody`."""
    inner = ["unshare", "--user", "--map-root-user"]
    done = container.run(
        "-c", f"import os, sys; os.execvp('unshare', {inner!r} + [sys.executable, *sys.argv[1:]])",
        "-c", DOCTOR, "doctor", "--json",
    )  # fmt: skip
    assert findings(done)["user ids"][0] == "problem"


def test_the_probe_of_the_sidecars_container(sidecar: LoopSidecar, tmp_path: Path) -> None:
    def probe(directory: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "millpond.probe"], capture_output=True, text=True, check=False,
            env={**os.environ, "MILLPOND_DIR": str(directory)},
        )  # fmt: skip

    assert (probe(sidecar.directory).returncode, probe(sidecar.directory).stderr) == (0, "")
    sidecar.sidecar.state = "stopping"
    try:
        assert probe(sidecar.directory).returncode == 1
        assert '"status": "stopping"' in probe(sidecar.directory).stderr
    finally:
        sidecar.sidecar.state = "ok"
    assert "no sidecar of" in probe(tmp_path).stderr
    (tmp_path / "node.properties").write_text("http.port=1\n")
    assert probe(tmp_path).returncode == 1
