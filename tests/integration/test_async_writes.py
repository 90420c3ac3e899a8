"""Files that are acknowledged before their store has them."""

from __future__ import annotations

import json
import random
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from millpond.cli import app
from millpond.errors import (
    AlreadyExists,
    Conflict,
    MountConflict,
    NoSpace,
    NotSupported,
    PathNotFound,
    StoreUnavailable,
)
from millpond.model.sizes import MIB
from millpond.settings import Settings
from millpond.testing.store_model import Fault, StoreModel
from tests.fixtures.async_site import ASYNC, Site, opened
from tests.fixtures.sidecar import LoopSidecar
from tests.fixtures.waiting import eventually
from tests.fixtures.write_site import stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from millpond.testing.s3_gateway import S3Gateway

CONTENT = random.Random(8).randbytes(35 * MIB + 77)
OLD = b"what the store had"
SILENT_MS = 8_000


@pytest.fixture(scope="module")
def shared(s3_gateway: S3Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with opened(tmp_path_factory.mktemp("async"), s3_gateway) as site:
        yield site


@pytest.fixture
def site(shared: Site) -> Iterator[Site]:
    """Nothing is pending, before and after."""
    yield shared
    shared.model.clear_faults()
    shared.model.set(latency_ms=0)
    shared.sidecar.control.persist_retry("/", discard=True)
    shared.persisted()
    for path in ("/s3", "/local"):
        for name in shared.names(path):
            shared.client.delete(f"{path}/{name}", recursive=True)


@pytest.fixture
def mortal(s3_gateway: S3Gateway, tmp_path: Path) -> Iterator[Site]:
    """One that is killed."""
    with opened(tmp_path, s3_gateway) as site:
        yield site


@pytest.mark.parametrize("mount", ["/s3", "/local"])
@pytest.mark.parametrize("size", [0, 10, 65_537, len(CONTENT)])
def test_it_is_read_at_once_and_reaches_the_store(site: Site, mount: str, size: int) -> None:
    path = f"{mount}/d/{size}"
    info = site.write(path, CONTENT[:size])
    assert info.version.startswith("born:")
    assert (info.length, site.read(path)) == (size, CONTENT[:size])
    site.persisted()
    after = site.client.stat(path, force=True)
    if mount == "/s3":
        assert stored(site, f"d/{size}") == CONTENT[:size]
        assert (after.version, after.mtime_ms) == (info.version, info.mtime_ms), "plans stay right"
    else:
        assert (site.base / "d" / str(size)).read_bytes() == CONTENT[:size]
    assert site.read(path) == CONTENT[:size]
    assert site.names(f"{mount}/d") == [str(size)]


def test_a_silent_store_is_not_waited_for(site: Site) -> None:
    site.write("/s3/d/before", OLD)
    site.persisted()
    asked = site.client.begin("/s3/d/new", write_type="async")
    site.client.abort(asked.write)
    with site.writer("/s3/d/new") as writer:
        writer.write(CONTENT)
        site.model.set(latency_ms=SILENT_MS)
        began = time.monotonic()
        writer.commit()
        assert time.monotonic() - began < 5
    assert site.read("/s3/d/new") == CONTENT
    site.model.set(latency_ms=0)
    assert site.names("/s3/d") == ["before", "new"]
    assert site.names("/s3") == ["d"]
    assert site.names("/s3", recursive=True) == ["d/before", "d/new"]


def test_a_hit_costs_no_call_before_and_after(site: Site) -> None:
    for name, size in (("small", 10), ("large", MIB)):
        site.write(f"/s3/{name}", CONTENT[:size])
        for _ in range(2):
            fs = site.fs()
            assert fs.cat_file(f"/s3/{name}") == CONTENT[:size]
            assert fs.counters["hit_bytes"] == size
            assert fs.counters["fills"] == 0
            site.persisted()


@pytest.mark.parametrize("when", ["before", "mid", "completed"])
def test_killed(mortal: Site, tmp_path: Path, when: str) -> None:
    """Whenever the sidecar dies, what was acknowledged is there, and reaches the store once."""
    site = mortal
    site.write("/s3/f", OLD)
    site.persisted()
    with site.writer("/s3/f") as writer:
        writer.write(CONTENT)
        site.model.set(latency_ms=SILENT_MS if when == "before" else 1500)
        info = writer.commit()
    if when == "mid":
        eventually("an upload is under way", lambda: site.gateway.uploads(site.bucket), 30)
    elif when == "completed":
        eventually("the store has it", lambda: stored(site, "f") == CONTENT, 30)
        assert site.state("/s3/f") == "completing"
    site.restart(tmp_path / "log")
    assert site.read("/s3/f") == CONTENT
    assert site.client.stat("/s3/f").version == info.version
    site.model.set(latency_ms=0)
    site.persisted()
    assert stored(site, "f") == CONTENT
    assert site.client.stat("/s3/f", force=True).version == info.version
    assert site.read("/s3/f") == CONTENT
    site.restart(tmp_path / "log")
    assert site.client.stat("/s3/f", force=True).version == info.version


def test_a_foreign_change_is_a_conflict_and_nothing_is_lost(mortal: Site, tmp_path: Path) -> None:
    site = mortal
    site.write("/s3/f", OLD)
    site.persisted()
    with site.writer("/s3/f") as writer:
        writer.write(b"ours")
        site.gateway.put_object(site.bucket, "data/f", b"foreign")
        writer.commit()
    control = site.sidecar.control
    left = control.persist_wait("/s3")
    assert (left.files, left.conflicts) == (1, 1)
    assert stored(site, "f") == b"foreign"
    assert site.read("/s3/f") == b"ours"
    site.restart(tmp_path / "log")
    control = site.sidecar.control
    assert site.state("/s3/f") == "conflict"
    control.persist_retry("/s3/f")
    assert control.persist_wait("/s3").conflicts == 1, "nothing has changed"
    with pytest.raises(Conflict, match="persist retry"):
        site.client.delete("/s3/f")
    with pytest.raises(MountConflict, match="persist wait"):
        control.mount_remove("/s3")
    control.persist_retry("/s3/f", overwrite=True)
    site.persisted()
    assert stored(site, "f") == b"ours"


def test_a_conflict_is_discarded(site: Site) -> None:
    with site.writer("/s3/f") as writer:
        writer.write(b"ours")
        site.gateway.put_object(site.bucket, "data/f", b"foreign")
        writer.commit()
    assert site.sidecar.control.persist_wait("/s3").conflicts == 1
    site.sidecar.control.persist_retry("/s3/f", discard=True)
    assert site.read("/s3/f") == b"foreign"
    assert site.sidecar.control.persists().files == 0


def test_changes_of_what_is_pending_wait_for_it(site: Site) -> None:
    site.write("/s3/d/a", b"a")
    site.write("/s3/d/b", b"b")
    assert site.client.rename("/s3/d/a", "/s3/d/c") == "/s3/d/c"
    assert site.names("/s3/d") == ["b", "c"]
    site.write("/s3/d/e/f", b"f")
    site.client.delete("/s3/d", recursive=True)
    site.persisted()
    with pytest.raises(PathNotFound):
        site.client.stat("/s3/d/e/f", force=True)
    assert stored(site, "d/b") is None


def test_the_last_of_many_counts(site: Site) -> None:
    site.write("/s3/f", b"0")
    site.persisted()
    for number in range(1, 6):
        site.write("/s3/f", str(number).encode() * 10)
        assert site.read("/s3/f") == str(number).encode() * 10
    with pytest.raises(AlreadyExists):
        site.client.begin("/s3/f", overwrite=False)
    site.persisted()
    assert stored(site, "f") == b"5" * 10
    assert site.sidecar.control.persists().files == 0


def test_who_was_first_stays(site: Site) -> None:
    with site.writer("/s3/f", overwrite=False) as writer:
        writer.write(b"second")
        site.write("/s3/f", b"first")
        with pytest.raises(Conflict):
            writer.commit()
    assert site.read("/s3/f") == b"first"


def test_what_is_pending_is_not_evicted(site: Site) -> None:
    with site.writer("/s3/f") as writer:
        writer.write(CONTENT)
        site.model.set(latency_ms=SILENT_MS)
        writer.commit()
    site.sidecar.control.evict("/s3/f")
    fs = site.fs()
    assert fs.cat_file("/s3/f") == CONTENT
    assert fs.counters["fills"] == 0
    site.model.set(latency_ms=0)


def test_a_store_that_refuses_is_tried_again(site: Site) -> None:
    with site.writer("/s3/f") as writer:
        writer.write(OLD)
        site.model.set(fault=Fault("status", on="ALL", status=403, code="AccessDenied"))
        writer.commit()
    persists = site.sidecar.control.persists
    eventually("a try has failed", lambda: persists("/s3").entries[0].detail, 30)
    assert site.state("/s3/f") in ("dirty", "completing")
    site.model.clear_faults()
    site.persisted()
    assert stored(site, "f") == OLD


def test_readers_and_writers_at_once(site: Site) -> None:
    """Every reader sees one whole file, and none older than one that was acknowledged before."""
    acknowledged, failures = [0], []

    def read() -> None:
        client = site.connect()
        while not failures and acknowledged[0] < 40:
            at_least = acknowledged[0]
            try:
                data = site.read("/s3/f") if at_least else b""
            except (PathNotFound, StoreUnavailable) as e:
                failures.append(e)
                break
            if at_least and (len(set(data)) != 1 or data[0] < at_least or len(data) != 100_000):
                failures.append((at_least, data[:1], len(data)))
        client.close()

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(1, 41):
        site.write("/s3/f", bytes([number]) * 100_000)
        acknowledged[0] = number
    for reader in readers:
        reader.join()
    assert failures == []
    site.persisted()
    assert stored(site, "f") == bytes([40]) * 100_000


def test_write_types_by_file_and_by_glob(site: Site, s3_gateway: S3Gateway) -> None:
    add = site.sidecar.control.mount_add
    options = s3_gateway.mount_options() | {"write": "around:**/raw/**, async:*.tmp, through"}
    mount = add("/rules", f"s3://{site.bucket}/rules", options, check=False)
    assert list(mount.control.write) == ["around:**/raw/**", "async:*.tmp", "through"]
    assert site.write("/rules/x.tmp", b"1").version.startswith("born:")
    through = site.write("/rules/x", CONTENT[:MIB])
    around = site.write("/rules/raw/x", CONTENT[:MIB])
    site.persisted()
    assert not through.version.startswith("born:")
    fs = site.fs()
    assert fs.cat_file("/rules/x") == fs.cat_file("/rules/raw/x") == CONTENT[:MIB]
    assert fs.counters["hit_bytes"] == MIB, "what is written around is not kept"
    assert around.length == MIB
    with pytest.raises(NotSupported, match="through, async, cache, around"):
        site.client.begin("/rules/y", write_type="later")


@pytest.fixture
def cli(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """Runs a command with --json; what it printed, or its error."""
    monkeypatch.setenv("MILLPOND_DIR", str(site.directory))

    def run(*words: str, code: int = 0) -> Any:
        assert app.run([*words, "--json"]) == code
        out, err = capsys.readouterr()
        return json.loads(out or err)

    return run


def test_the_queue_is_seen_and_conflicts_are_ended(site: Site, cli: Callable[..., Any]) -> None:
    with site.writer("/s3/q/f") as writer:
        writer.write(b"ours")
        site.gateway.put_object(site.bucket, "data/q/f", b"foreign")
        writer.commit()
    told = cli("persist", "wait", "/s3/q", "--timeout", "30s", code=1)
    [entry] = told["entries"]
    assert (entry["path"], entry["state"], entry["length"]) == ("/s3/q/f", "conflict", 4)
    assert "not what" in entry["detail"]
    assert cli("persist", "ls", "/s3/other")["files"] == 0
    assert cli("persist", "ls", "/s3")["conflicts"] == 1
    assert cli("persist", "retry", "/s3/q", "--overwrite")["files"] == 1
    assert cli("persist", "wait")["files"] == 0
    assert stored(site, "q/f") == b"ours"
    wrong = cli("persist", "retry", "/s3/q", "--overwrite", "--discard", code=1)
    assert wrong["error"] == "InvalidRequest"
    assert cli("persist", "wait", "--timeout", "soon", code=1)["error"] == "InvalidRequest"


def test_batches_are_seen_and_aborted(site: Site, cli: Callable[..., Any]) -> None:
    begun = site.client.batch_begin("/s3", write_type="async", name="daily")
    site.write(f"/s3/{begun.staging}/t1/f", b"12345")
    [batch] = [b for b in cli("batch", "ls") if b["batch"] == begun.batch]
    assert (batch["state"], batch["files"], batch["bytes"]) == ("open", 1, 5)
    assert (batch["name"], batch["mount"]) == ("daily", "/s3")
    shown = cli("batch", "show", begun.batch[:8])
    assert [e["path"] for e in shown["entries"]] == ["/s3/f"]
    assert cli("batch", "abort", begun.batch)["state"] == "aborted"
    assert begun.batch not in [b["batch"] for b in cli("batch", "ls")]
    assert begun.batch in [b["batch"] for b in cli("batch", "ls", "--all")]
    assert cli("batch", "show", "0" * 32, code=1)["error"] == "InvalidRequest"
    with pytest.raises(PathNotFound):
        site.client.stat("/s3/f", force=True)


def test_pending_data_does_not_fill_the_disk(
    tmp_path: Path, s3_gateway: S3Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer waits for room, and gets it when the store answers again."""
    settings = Settings(
        cache_dir=tmp_path / "cache", http_port=0, cache_capacity_bytes=128 * MIB,
        pending_share=0.1,
    )  # fmt: skip
    with StoreModel(s3_gateway.endpoint) as model, LoopSidecar(settings) as sidecar:
        site = Site(sidecar, s3_gateway, tmp_path, endpoint=model.endpoint, options=ASYNC)
        room = sidecar.sidecar.namespace.pending.room
        model.set(fault=Fault("status", on="PUT", status=403, code="AccessDenied"))
        site.write("/s3/first", CONTENT[: 8 * MIB])
        monkeypatch.setattr(room, "_wait_s", 0.1)
        with pytest.raises(NoSpace, match="persist ls"):
            site.write("/s3/second", CONTENT[: 8 * MIB])
        with pytest.raises(PathNotFound):
            site.client.stat("/s3/second")
        assert site.read("/s3/first") == CONTENT[: 8 * MIB]
        monkeypatch.setattr(room, "_wait_s", 30)
        writer = threading.Thread(target=site.write, args=("/s3/second", CONTENT[: 8 * MIB]))
        writer.start()
        model.clear_faults()
        writer.join(60)
        assert stored(site, "first") == CONTENT[: 8 * MIB]
        left = sidecar.control.persist_wait("/", timeout_s=30)
        assert (left.files, room.bytes) == (0, 0)
        assert stored(site, "second") == CONTENT[: 8 * MIB]
        site.close()
