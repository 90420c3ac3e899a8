"""explain: each state that a block may be in, brought about on a running sidecar."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from crc32c import crc32c

from millpond import errors
from millpond.cli import app
from millpond.model import block as layout
from millpond.model.paths import block_name
from millpond.settings import Settings
from millpond.wire import millpond_pb2 as wire
from tests.fixtures.sidecar import LoopSidecar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from millpond.wire.millpond_pb2 import FileInfo

MIB = 1 << 20
BLOCK = 16 * MIB


class Site:
    """A folder mounted at /e, in a cache of 128 MiB."""

    def __init__(self, sidecar: LoopSidecar, folder: Path) -> None:
        self.sidecar, self.folder = sidecar, folder
        folder.mkdir()
        self.mount()
        self.client = sidecar.client()

    def mount(self, **options: str) -> None:
        self.sidecar.control.mount_add("/e", f"file://{self.folder}", options)

    def remount(self, **options: str) -> None:
        self.sidecar.control.mount_remove("/e")
        self.mount(**options)

    def write(self, name: str, length: int, fill: bytes = b"x") -> FileInfo:
        """A file, once its version is strong."""
        (self.folder / name).write_bytes(fill * length)
        while not (info := self.client.stat(f"/e/{name}", force=True)).file_id:
            time.sleep(0.05)
        return info

    def read(self, info: FileInfo, start: int, length: int) -> int:
        return self.client.fill(info.path, info.file_id, [(start, length)]).result

    def states(self, path: str) -> list[tuple[int, int, str]]:
        """(first, count, state) of each run."""
        runs = self.sidecar.control.explain(path).runs
        return [(r.first, r.count, wire.BlockState.Name(r.state).lower()) for r in runs]

    def close(self) -> None:
        self.client.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    settings = Settings(
        cache_dir=tmp_path / "cache", http_port=0, cache_capacity_bytes=128 * MIB
    )  # fmt: skip
    with LoopSidecar(settings) as sidecar:
        site = Site(sidecar, tmp_path / "folder")
        yield site
        site.close()


def test_read_and_never_read_and_evicted(site: Site) -> None:
    began_ms = time.time_ns() // 1_000_000
    info = site.write("f", 5 * BLOCK + 7)
    assert site.states("/e/f") == [(0, 6, "never_read")]
    site.read(info, BLOCK, 2 * BLOCK)
    site.read(info, 5 * BLOCK, 7)
    site.read(info, 0, 3 * MIB)
    assert site.states("/e/f") == [
        (0, 1, "partly_here"), (1, 2, "here"), (3, 2, "never_read"), (5, 1, "here"),
    ]  # fmt: skip
    first = site.sidecar.control.explain("/e/f").runs[0]
    assert first.pages == 48
    site.sidecar.control.evict("/e/f")
    absent = [s for first, count, s in site.states("/e/f") for _ in range(count)]
    assert absent == ["dropped"] * 3 + ["never_read"] * 2 + ["dropped"]
    told = site.sidecar.control.explain("/e/f")
    assert told.runs[0].at_ms >= told.history_since_ms >= began_ms - 60_000
    assert (told.history_events, told.history_bound) == (4, 65_536)
    assert site.read(info, BLOCK, BLOCK) == wire.PRESENT
    assert (1, 1, "here") in site.states("/e/f")


def test_what_made_room_for_others_was_evicted(site: Site) -> None:
    old = site.write("old", 2 * BLOCK)
    new = site.write("new", 9 * BLOCK)
    site.read(old, 0, 2 * BLOCK)
    for at in range(9):
        site.read(new, at * BLOCK, BLOCK)
    lost = [s for path in ("/e/old", "/e/new") for s in site.states(path) if s[2] == "evicted"]
    assert lost
    assert site.sidecar.control.stats().counters["evicted_blocks"] >= sum(n for _, n, _ in lost)


def test_a_small_file(site: Site) -> None:
    info = site.write("small", 5000)
    assert site.states("/e/small") == [(0, 1, "never_read")]
    site.read(info, 0, 5000)
    assert site.states("/e/small") == [(0, 1, "here")]
    site.write("none", 0)
    assert site.states("/e/none") == []


def test_a_file_that_changed(site: Site) -> None:
    info = site.write("f", 2 * BLOCK)
    site.read(info, 0, 2 * BLOCK)
    before_ms = time.time_ns() // 1_000_000
    new = site.write("f", 3 * BLOCK, b"y")
    site.read(new, 0, BLOCK)
    assert site.states("/e/f") == [(0, 1, "here"), (1, 2, "version_changed")]
    assert site.sidecar.control.explain("/e/f").runs[1].at_ms >= before_ms


def test_a_file_that_just_changed_is_not_cacheable(site: Site) -> None:
    (site.folder / "f").write_bytes(b"x" * 2 * BLOCK)
    told = site.sidecar.control.explain("/e/f")
    assert [(r.count, r.state) for r in told.runs] == [(2, wire.NOT_CACHEABLE)]
    assert told.runs[0].detail


def test_rules_and_direct_reads_are_named(site: Site) -> None:
    info = site.write("f", 3 * BLOCK)
    rule = "bypass scan=sequential"
    site.remount(admission=rule)
    info = site.client.stat("/e/f", force=True)
    assert site.states("/e/f") == [(0, 3, "never_read")], "only scans are not admitted"
    site.client.fill(info.path, info.file_id, [(0, 5)], intent=wire.SEQUENTIAL)
    (run,) = site.sidecar.control.explain("/e/f").runs
    assert (run.state, run.detail) == (wire.NOT_ADMITTED, rule)
    assert run.at_ms
    site.remount(admission="bypass min=20MiB")
    (run,) = site.sidecar.control.explain("/e/f").runs
    assert (run.state, run.detail, run.at_ms) == (wire.NOT_ADMITTED, "bypass min=20MiB", 0)


def test_a_fill_that_was_turned_away_is_bypassed(site: Site) -> None:
    info = site.write("f", BLOCK)
    site.sidecar.control.set("max_requests", "1")
    site.sidecar.sidecar._fills.max_pending = 0
    assert site.read(info, 0, 5) == wire.DIRECT
    (run,) = site.sidecar.control.explain("/e/f").runs
    assert (run.state, run.detail) == (wire.BYPASSED, "too_busy")


def test_a_bad_page_is_told(site: Site) -> None:
    info = site.write("f", 2 * BLOCK)
    site.read(info, 0, 2 * BLOCK)
    file = site.sidecar.directory / block_name(info.file_id, 1)
    with file.open("r+b") as out:
        header = layout.Header.parse(out.read(layout.READ_BYTES), crc32c)[0]
        out.seek(layout.page_offset(3))
        out.write(b"rotten")
    page = wire.BadPage(file_id=info.file_id, block=1, page=3, generation=header.generation)
    site.client.report(bad_pages=[page])
    assert site.states("/e/f") == [(0, 1, "here"), (1, 1, "bad")]


def test_a_block_deleted_by_hand_was_dropped(site: Site) -> None:
    info = site.write("f", 2 * BLOCK)
    site.read(info, 0, 2 * BLOCK)
    (site.sidecar.directory / block_name(info.file_id, 0)).unlink()
    until = time.monotonic() + 20
    while site.states("/e/f") != [(0, 1, "dropped"), (1, 1, "here")]:
        # Met by whoever looks once its writer is closed.
        assert time.monotonic() < until, site.states("/e/f")
        site.client.locate("/e/f", 0, info.length)
        time.sleep(0.05)


def test_what_is_no_file_is_an_error(site: Site) -> None:
    with pytest.raises(errors.IsADirectory):
        site.sidecar.control.explain("/e")
    with pytest.raises(errors.PathNotFound):
        site.sidecar.control.explain("/e/none")


def test_the_command(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MILLPOND_DIR", str(site.sidecar.directory))
    info = site.write("f", 4 * BLOCK)
    site.read(info, 0, 2 * BLOCK)

    def run(*words: str) -> tuple[str, str]:
        assert app.run(["explain", "cache:///e/f", *words]) == 0
        out, err = capsys.readouterr()
        return out, err

    out, err = run()
    assert "4 blocks of 16 MiB, 32 MiB of 64 MiB here" in out
    assert [line.split()[:2] for line in out.splitlines()[2:]] == [["2", "here"], ["2", "never"]]
    assert "History: since " in err
    assert "(the last 65536 are kept)" in err
    out, _ = run("--blocks")
    assert [line.split()[:2] for line in out.splitlines()[2:]] == [
        ["0-1", "here"], ["2-3", "never"],
    ]  # fmt: skip
    said: dict[str, Any] = json.loads(run("--json")[0])
    assert [(s["state"], s["blocks"], s["bytes"]) for s in said["states"]] == [
        ("here", 2, 2 * BLOCK), ("never_read", 2, 0),
    ]  # fmt: skip
    assert "blocks" not in said
    said = json.loads(run("--json", "--blocks")[0])
    assert [(b["first"], b["count"]) for b in said["blocks"]] == [(0, 2), (2, 2)]
    assert said["history"]["kept"] == 65_536
