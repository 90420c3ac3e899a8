"""refresh, set and stacks: on a running sidecar, by the command line and by `millpond.control`."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from millpond import errors
from millpond.cli import app, stacks
from millpond.control import Control
from millpond.server import running
from millpond.settings import DECLARED, Settings
from tests.fixtures.sidecar import LoopSidecar, ProcessSidecar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from millpond.wire.millpond_pb2 import FileInfo

MIB = 1 << 20


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopSidecar]:
    settings = Settings(
        cache_dir=tmp_path_factory.mktemp("commands") / "cache", http_port=0,
        cache_capacity_bytes=512 * MIB,
    )  # fmt: skip
    with LoopSidecar(settings) as sidecar:
        yield sidecar


@pytest.fixture
def cli(
    sidecar: LoopSidecar, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """Runs a command with --json; what it printed, or its error."""
    monkeypatch.setenv("MILLPOND_DIR", str(sidecar.directory))

    def run(*words: str, code: int = 0) -> Any:
        assert app.run([*words, "--json"]) == code
        out, err = capsys.readouterr()
        return json.loads(err if code else out)

    return run


class Tree:
    """A folder mounted at /t, whose files and listings stay fresh for an hour."""

    def __init__(self, sidecar: LoopSidecar, folder: Path) -> None:
        self.sidecar, self.folder = sidecar, folder
        folder.mkdir()
        options = {"freshness": "1h", "list_freshness": "1h", "immutable": "fixed/**"}
        sidecar.control.mount_add("/t", f"file://{folder}", options)
        self.client = sidecar.client()

    def write(self, name: str, data: bytes) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_bytes(data)

    def strong(self, name: str) -> FileInfo:
        """The file, once its last change is so old that its version is strong."""
        while not (info := self.client.stat(f"/t/{name}", force=True)).file_id:
            time.sleep(0.05)
        return info

    def names(self, path: str = "/t") -> list[str]:
        return [e.path for page in self.client.list(path) for e in page.entries]

    def close(self) -> None:
        self.client.close()
        self.sidecar.control.mount_remove("/t")


@pytest.fixture
def tree(sidecar: LoopSidecar, tmp_path: Path) -> Iterator[Tree]:
    tree = Tree(sidecar, tmp_path / "tree")
    yield tree
    tree.close()


# -- refresh


@pytest.mark.parametrize("named", ["cache:///t/a", "/"])
def test_a_refresh_shows_what_the_store_has(
    tree: Tree, cli: Callable[..., Any], named: str
) -> None:
    tree.write("a", b"x" * 3 * MIB)
    tree.write("same", b"y" * 3 * MIB)
    old, same = tree.strong("a"), tree.strong("same")
    for info in (old, same):
        tree.client.fill(info.path, info.file_id, [(0, info.length)])
    tree.write("a", b"z" * 5 * MIB)
    assert tree.client.stat("/t/a").length == 3 * MIB, "nothing was fresh for an hour"
    cli("refresh", named, "-r")
    assert tree.client.stat("/t/a").length == 5 * MIB
    again = tree.client.stat("/t/same")
    assert again.file_id == same.file_id
    assert tree.client.locate("/t/same", 0, 3 * MIB).locations[0].cached_bytes == 3 * MIB


def test_a_refresh_of_a_directory_shows_what_came_and_what_went(
    tree: Tree, cli: Callable[..., Any]
) -> None:
    files = ("d/went", "d/stays", "d/deep/f")
    for name in files:
        tree.write(name, b"1")
    for name in files:
        tree.strong(name)
    assert tree.names("/t/d") == ["deep", "stays", "went"]
    (tree.folder / "d/went").unlink()
    tree.write("d/came", b"2")
    assert tree.names("/t/d") == ["deep", "stays", "went"]
    assert tree.client.stat("/t/d/went").length == 1
    assert cli("refresh", "/t/d") == {"path": "/t/d", "files": 2}
    assert tree.names("/t/d") == ["came", "deep", "stays"]
    with pytest.raises(errors.PathNotFound):
        tree.client.stat("/t/d/went")
    (tree.folder / "d/deep/f").unlink()
    (tree.folder / "d/deep").rmdir()
    assert cli("refresh", "/t/d", "--recursive")["files"] == 2
    with pytest.raises(errors.PathNotFound):
        tree.client.stat("/t/d/deep/f")


def test_a_refresh_asks_about_immutable_files_too(tree: Tree, cli: Callable[..., Any]) -> None:
    tree.write("fixed/f", b"old")
    old = tree.strong("fixed/f")
    tree.write("fixed/f", b"new and longer")
    assert tree.client.stat("/t/fixed/f").version == old.version
    cli("refresh", "/t/fixed")
    assert tree.client.stat("/t/fixed/f").length == len(b"new and longer")


def test_a_refresh_of_a_file_that_is_gone_says_so(tree: Tree, cli: Callable[..., Any]) -> None:
    tree.write("gone", b"x")
    tree.strong("gone")
    (tree.folder / "gone").unlink()
    assert tree.client.stat("/t/gone").length == 1
    assert cli("refresh", "/t/gone", code=1)["error"] == "PathNotFound"
    with pytest.raises(errors.PathNotFound):
        tree.client.stat("/t/gone")
    assert cli("refresh", "/elsewhere", code=1)["error"] == "MountNotFound"


# -- set


def test_every_setting_that_may_change_has_a_way_to(sidecar: LoopSidecar) -> None:
    declared = {name for name, about in DECLARED.items() if about.running}
    assert set(sidecar.sidecar._admin._running.changes) == declared


VALUES = {
    "cache_capacity_bytes": "300MiB", "evict_high": "0.93", "evict_low": "0.5",
    "pin_share": "0.2", "scrub_rate_bytes": "3MiB",
    "fill_connections": "64", "fill_connections_per_file": "3", "fill_range_bytes": "1MiB",
    "fill_memory_bytes": "32MiB", "max_requests": "100", "max_requests_per_connection": "9",
    "freshness_ms": "7s", "list_freshness_ms": "3s", "log_level": "warning",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(n for n, about in DECLARED.items() if about.running))
def test_a_change_is_told_and_taken_back(
    sidecar: LoopSidecar, cli: Callable[..., Any], name: str
) -> None:
    before = cli("settings", "--running")[name]
    assert before["running"]
    told = cli("set", name, VALUES[name])
    try:
        assert told["previous"] == before["value"]
        now = cli("settings", "--running")[name]
        assert (now["value"], now["origin"]) == (told["value"], "millpond set")
        assert told["value"] != told["previous"]
    finally:
        sidecar.control.set(name, before["value"])


@pytest.mark.parametrize("name", sorted(n for n, about in DECLARED.items() if not about.running))
def test_what_takes_a_restart_says_how(
    sidecar: LoopSidecar, cli: Callable[..., Any], name: str
) -> None:
    assert not cli("settings", "--running")[name]["running"]
    error = cli("set", name, "whatever", code=1)
    assert error["error"] == "InvalidSetting"
    assert error["problem"] == f"{name} can't change while the sidecar runs"
    assert "restart" in error["remedy"]
    assert f"MILLPOND_{name.upper()}" in error["remedy"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("evict_hihg", "0.9", "Did you mean evict_high?"),
        ("evict_low", "0.97", "below evict_high"),
        ("evict_high", "7", "0.1 to 1.0"),
        ("freshness_ms", "soon", "0s to 1d"),
        ("cache_capacity_bytes", "auto", "Name a size"),
    ],
)
def test_a_bad_value_changes_nothing(
    sidecar: LoopSidecar, cli: Callable[..., Any], name: str, value: str, said: str
) -> None:
    before = sidecar.control.settings()
    error = cli("set", name, value, code=1)
    assert error["error"] == "InvalidSetting"
    assert said in json.dumps(error)
    assert sidecar.control.settings() == before


def test_a_smaller_capacity_evicts(sidecar: LoopSidecar, tree: Tree) -> None:
    tree.write("large", b"x" * 200 * MIB)
    info = tree.strong("large")
    tree.client.fill(info.path, info.file_id, [(0, info.length)])
    assert sidecar.control.stats().used_bytes > 190 * MIB
    sidecar.control.set("cache_capacity_bytes", "100MiB")
    try:
        until = time.monotonic() + 20
        while sidecar.control.stats().used_bytes > 95 * MIB:
            assert time.monotonic() < until
            time.sleep(0.02)
        assert sidecar.control.stats().capacity_bytes == 100 * MIB
    finally:
        sidecar.control.set("cache_capacity_bytes", "512MiB")
        sidecar.control.evict("/t")


def test_other_bounds_hold_at_once(sidecar: LoopSidecar, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"1")
    with sidecar.client() as client:
        sidecar.control.set("freshness_ms", "1h")
        sidecar.control.mount_add("/b", f"file://{tmp_path}")
        try:
            while not client.stat("/b/f", force=True).file_id:
                time.sleep(0.05)
            (tmp_path / "f").write_bytes(b"22")
            assert client.stat("/b/f").length == 1
            sidecar.control.set("freshness_ms", "0s")
            assert client.stat("/b/f").length == 2
            (mount,) = sidecar.control.mounts()
            assert mount.freshness_ms == 0
        finally:
            sidecar.control.mount_remove("/b")
            sidecar.control.set("freshness_ms", "30s")


def test_the_log_level_changes(sidecar: LoopSidecar) -> None:
    before = logging.getLogger("millpond").level
    try:
        sidecar.control.set("log_level", "debug")
        assert logging.getLogger("millpond").level == logging.DEBUG
    finally:
        sidecar.control.set("log_level", "info")
        logging.getLogger("millpond").setLevel(before)


def test_a_saved_change_outlives_the_sidecar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "my.toml"
    config.write_text('# mine\nevict_low = 0.5\nlog_format = "json"\n')
    config.chmod(0o640)
    env = {"MILLPOND_CONFIG": str(config)}
    monkeypatch.setenv("MILLPOND_DIR", str(tmp_path / "cache"))
    for name, value in (("fill_connections", "7"), ("evict_low", "0.6"), ("freshness_ms", "9s")):
        with ProcessSidecar(tmp_path / "cache", tmp_path / "log", **env) as sidecar:
            sidecar.await_client().close()
            assert app.run(["set", name, value, "--save"]) == 0
            assert capsys.readouterr().err == ""
            assert app.run(["set", "max_requests", "77"]) == 0
            assert "--save keeps it" in capsys.readouterr().err
            sidecar.process.kill()
            sidecar.process.wait(20)
    assert config.read_text() == (
        'freshness_ms = "9s"\nfill_connections = 7\n# mine\nevict_low = 0.6\nlog_format = "json"\n'
    )
    assert config.stat().st_mode & 0o777 == 0o640
    assert [p.name for p in tmp_path.glob("*toml*")] == ["my.toml"]
    with ProcessSidecar(tmp_path / "cache", tmp_path / "log", **env) as sidecar:
        sidecar.await_client().close()
        told = {s.name: s.value for s in sidecar.control.settings()}
        assert (told["fill_connections"], told["evict_low"], told["freshness_ms"]) == (
            "7", "0.6", "9s",
        )  # fmt: skip
        assert told["max_requests"] == "4096"


# -- stacks


def test_stacks_show_threads_and_tasks(sidecar: LoopSidecar, cli: Callable[..., Any]) -> None:
    told = cli("stacks")
    assert told["pid"] == os.getpid()
    assert not told["loop_stuck"]
    assert "Thread housekeeper" in told["stacks"]
    assert "_heal" in told["stacks"]
    assert "Task " in told["stacks"]


def test_stacks_are_told_while_the_loop_is_stuck(
    sidecar: LoopSidecar, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLPOND_DIR", str(sidecar.directory))
    monkeypatch.setattr(running, "LOOP_S", 0.5)
    monkeypatch.setattr(stacks, "STUCK_S", 1.2)
    stuck, go = threading.Event(), threading.Event()

    def stick_in_the_mud() -> None:
        stuck.set()
        go.wait(60)

    assert sidecar._loop is not None
    sidecar._loop.call_soon_threadsafe(stick_in_the_mud)
    try:
        assert stuck.wait(20)
        began = time.monotonic()
        told = sidecar.control.stacks()
        assert time.monotonic() - began < 5
        assert "stick_in_the_mud" in told.text
        until = time.monotonic() + 20
        while sidecar.control.stacks().loop_age_s < 1.5:
            assert time.monotonic() < until
            time.sleep(0.1)
        assert app.run(["stacks"]) == 0
        assert "the control loop has been stuck for " in capsys.readouterr().err
        with pytest.raises(errors.Overloaded, match=r"control loop does not answer.*stacks"):
            sidecar.control.stats()
    finally:
        go.set()
    assert sidecar.control.stats().version


def test_a_signal_writes_the_stacks_to_the_log(tmp_path: Path) -> None:
    """For when the control service does not answer."""
    log = tmp_path / "log"
    env = {k: v for k, v in os.environ.items() if not k.startswith("MILLPOND_")}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [
                sys.executable, "-c", "from millpond.cli import main; main()", "serve",
                "--cache-dir", str(tmp_path / "cache"), "--http-port", "0",
            ],
            env=env, stderr=out, stdout=out,
        )  # fmt: skip
    try:
        until = time.monotonic() + 30
        while True:
            try:
                with Control(tmp_path / "cache") as control:
                    assert control.stats().version
                break
            except errors.SidecarUnavailable:
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.05)
        process.send_signal(signal.SIGUSR1)
        while "Current thread" not in log.read_text():
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.02)
        assert process.poll() is None
    finally:
        process.terminate()
        assert process.wait(30) == 0
