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


FILES = {
    "read": 5 * BLOCK + 7, "small": 5000, "none": 0, "changed": 2 * BLOCK, "rules": 3 * BLOCK,
    "busy": BLOCK, "bad": 2 * BLOCK, "hand": 2 * BLOCK, "command": 4 * BLOCK,
}  # fmt: skip


class Site:
    """A folder mounted at /e."""

    def __init__(self, sidecar: LoopSidecar, folder: Path) -> None:
        self.sidecar, self.folder = sidecar, folder
        folder.mkdir()
        sidecar.control.mount_add("/e", f"file://{folder}")
        self.client = sidecar.client()

    def write(self, **lengths: int) -> None:
        """Files, once their versions are strong: 2 s after the last change."""
        for name, length in lengths.items():
            (self.folder / name).write_bytes(b"x" * length)
        for name in lengths:
            while not self.client.stat(f"/e/{name}", force=True).file_id:
                time.sleep(0.05)

    def file(self, name: str) -> FileInfo:
        return self.client.stat(f"/e/{name}")

    def read(self, info: FileInfo, start: int, length: int) -> int:
        return self.client.fill(info.path, info.file_id, [(start, length)]).result

    def states(self, path: str) -> list[tuple[int, int, str]]:
        """(first, count, state) of each run."""
        runs = self.sidecar.control.explain(path).runs
        return [(r.first, r.count, wire.BlockState.Name(r.state).lower()) for r in runs]

    def close(self) -> None:
        self.client.close()


def site_of(folder: Path, capacity_bytes: int, files: dict[str, int]) -> Iterator[Site]:
    settings = Settings(
        cache_dir=folder / "cache", http_port=0, cache_capacity_bytes=capacity_bytes
    )  # fmt: skip
    with LoopSidecar(settings) as sidecar:
        site = Site(sidecar, folder / "folder")
        site.write(**files)
        yield site
        site.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from site_of(tmp_path_factory.mktemp("explain"), 512 * MIB, FILES)


def test_read_and_never_read_and_evicted(site: Site) -> None:
    info = site.file("read")
    assert site.states("/e/read") == [(0, 6, "never_read")]
    site.read(info, BLOCK, 2 * BLOCK)
    site.read(info, 5 * BLOCK, 7)
    site.read(info, 0, 3 * MIB)
    assert site.states("/e/read") == [
        (0, 1, "partly_here"), (1, 2, "here"), (3, 2, "never_read"), (5, 1, "here"),
    ]  # fmt: skip
    first = site.sidecar.control.explain("/e/read").runs[0]
    assert first.pages == 48
    before = site.sidecar.control.explain("/e/read")
    site.sidecar.control.evict("/e/read")
    absent = [s for first, count, s in site.states("/e/read") for _ in range(count)]
    assert absent == ["dropped"] * 3 + ["never_read"] * 2 + ["dropped"]
    told = site.sidecar.control.explain("/e/read")
    assert told.runs[0].at_ms >= told.history_since_ms > 0
    assert told.history_events - before.history_events == 4
    assert told.history_bound == 65_536
    assert site.read(info, BLOCK, BLOCK) == wire.PRESENT
    assert (1, 1, "here") in site.states("/e/read")


def test_what_made_room_for_others_was_evicted(tmp_path: Path) -> None:
    for site in site_of(tmp_path, 128 * MIB, {"old": 2 * BLOCK, "new": 9 * BLOCK}):
        for name in ("old", "new"):
            info = site.file(name)
            for at in range(0, info.length, BLOCK):
                site.read(info, at, BLOCK)
        lost = [s for path in ("/e/old", "/e/new") for s in site.states(path) if s[2] == "evicted"]
        assert lost
        counters = site.sidecar.control.stats().counters
        assert counters["evicted_blocks"] >= sum(count for _, count, _ in lost)


def test_what_nobody_read_within_the_ttl_has_expired(site: Site) -> None:
    site.sidecar.control.mount_add("/ttl", f"file://{site.folder}/ttl", {"ttl": "1s"}, check=False)
    (site.folder / "ttl").mkdir()
    (site.folder / "ttl/f").write_bytes(b"x" * BLOCK)
    while not (info := site.client.stat("/ttl/f", force=True)).file_id:
        time.sleep(0.05)
    site.read(info, 0, BLOCK)
    until = time.monotonic() + 30
    while site.states("/ttl/f") != [(0, 1, "expired")]:
        assert time.monotonic() < until, site.states("/ttl/f")
        time.sleep(0.1)


def test_a_small_file(site: Site) -> None:
    info = site.file("small")
    assert site.states("/e/small") == [(0, 1, "never_read")]
    site.read(info, 0, 5000)
    assert site.states("/e/small") == [(0, 1, "here")]
    assert site.states("/e/none") == []


def test_a_file_that_changed(site: Site) -> None:
    site.read(site.file("changed"), 0, 2 * BLOCK)
    before_ms = time.time_ns() // 1_000_000
    (site.folder / "changed").write_bytes(b"y" * 3 * BLOCK)
    site.client.stat("/e/changed", force=True)
    told = site.sidecar.control.explain("/e/changed")
    assert [(r.count, r.state) for r in told.runs] == [(3, wire.NOT_CACHEABLE)], "just now"
    assert told.runs[0].detail
    site.write(changed=3 * BLOCK)
    site.read(site.file("changed"), 0, BLOCK)
    assert site.states("/e/changed") == [(0, 1, "here"), (1, 2, "version_changed")]
    assert site.sidecar.control.explain("/e/changed").runs[1].at_ms >= before_ms


def test_rules_and_direct_reads_are_named(site: Site) -> None:
    control = site.sidecar.control
    for path, rule in (("/scans", "bypass scan=sequential"), ("/large", "bypass min=20MiB")):
        control.mount_add(path, f"file://{site.folder}", {"admission": rule})
    info = site.client.stat("/scans/rules")
    assert site.states("/scans/rules") == [(0, 3, "never_read")], "only scans are not admitted"
    site.client.fill(info.path, info.file_id, [(0, 5)], intent=wire.SEQUENTIAL)
    (run,) = control.explain("/scans/rules").runs
    assert (run.state, run.detail) == (wire.NOT_ADMITTED, "bypass scan=sequential")
    assert run.at_ms
    (run,) = control.explain("/large/rules").runs
    assert (run.state, run.detail, run.at_ms) == (wire.NOT_ADMITTED, "bypass min=20MiB", 0)


def test_a_fill_that_was_turned_away_is_bypassed(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fills = site.sidecar.sidecar._fills
    before, fills.max_pending = fills.max_pending, 0
    try:
        assert site.read(site.file("busy"), 0, 5) == wire.DIRECT
    finally:
        fills.max_pending = before
    (run,) = site.sidecar.control.explain("/e/busy").runs
    assert (run.state, run.detail) == (wire.BYPASSED, "too_busy")
    monkeypatch.setenv("MILLPOND_DIR", str(site.sidecar.directory))
    assert app.run(["explain", "/e/busy"]) == 0
    assert "its last read: sent to the store: too many fills in hand" in capsys.readouterr().out


def test_a_bad_page_is_told(site: Site) -> None:
    info = site.file("bad")
    site.read(info, 0, 2 * BLOCK)
    file = site.sidecar.directory / block_name(info.file_id, 1)
    with file.open("r+b") as out:
        header = layout.Header.parse(out.read(layout.READ_BYTES), crc32c)[0]
        out.seek(layout.page_offset(3))
        out.write(b"rotten")
    page = wire.BadPage(file_id=info.file_id, block=1, page=3, generation=header.generation)
    site.client.report(bad_pages=[page])
    assert site.states("/e/bad") == [(0, 1, "here"), (1, 1, "bad")]


def test_a_block_deleted_by_hand_was_dropped(site: Site) -> None:
    info = site.file("hand")
    site.read(info, 0, 2 * BLOCK)
    (site.sidecar.directory / block_name(info.file_id, 0)).unlink()
    until = time.monotonic() + 20
    while site.states("/e/hand") != [(0, 1, "dropped"), (1, 1, "here")]:
        # Met by whoever looks once its writer is closed.
        assert time.monotonic() < until, site.states("/e/hand")
        site.client.locate("/e/hand", 0, info.length)
        time.sleep(0.05)


def test_what_is_no_file_is_an_error(site: Site) -> None:
    with pytest.raises(errors.IsADirectory):
        site.sidecar.control.explain("/e")
    with pytest.raises(errors.PathNotFound):
        site.sidecar.control.explain("/e/nowhere")


def test_the_command(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MILLPOND_DIR", str(site.sidecar.directory))
    site.read(site.file("command"), 0, 2 * BLOCK)

    def run(*words: str) -> tuple[str, str]:
        assert app.run(["explain", "cache:///e/command", *words]) == 0
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
