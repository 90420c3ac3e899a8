"""The namespace on a real block store and a real file store."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from typing import TYPE_CHECKING

import pytest
from crc32c import crc32c

from millpond.errors import (
    FileChanged,
    InvalidPath,
    InvalidSetting,
    IsADirectory,
    MountConflict,
    MountNotFound,
    NotADirectory,
    PathNotFound,
    StoreUnavailable,
)
from millpond.model.records import parse_mounts
from millpond.namespace import Namespace
from millpond.store import BlockStore
from millpond.wire import millpond_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OLD_S = time.time() - 3600


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for name in ("a", "d/b", "d/e/c"):
        write(root / name, name.encode())
    return root


@pytest.fixture
def store(tmp_path: Path) -> Iterator[BlockStore]:
    opened = BlockStore.open(tmp_path / "cache", capacity_bytes=64 << 20)
    yield opened
    opened.close()


@pytest.fixture
def namespace(store: BlockStore, tmp_path: Path) -> Iterator[Namespace]:
    opened = Namespace(store, tmp_path / "namespace.db")
    yield opened
    opened.close()


def write(file: Path, content: bytes) -> None:
    """A file whose change is long enough ago for its version to be strong."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    os.utime(file, (OLD_S, OLD_S))


def age(namespace: Namespace) -> None:
    """The file store takes what changed less than 2 s ago for weak (ctime can't be set)."""
    for mount in namespace.mounts():
        store = namespace._mounts.real_store(mount)
        store._clock_ns = lambda: time.time_ns() + 10**10  # type: ignore[attr-defined]


def names(namespace: Namespace, path: str, *, recursive: bool = False) -> list[str]:
    return [
        e.path + "/" * e.directory
        for _, page in namespace.list(path, recursive=recursive)
        for e in page
    ]


def test_a_stat_publishes_meta_and_stays_in_memory(
    namespace: Namespace, store: BlockStore, data: Path
) -> None:
    namespace.add_mount("/m", f"file://{data}", {})
    age(namespace)
    assert namespace.stat_cached("/m/a") is None
    info = namespace.stat("/m/a")
    assert (info.path, info.length, info.directory, info.meta_on_disk) == ("/m/a", 1, False, True)
    assert info.store_uri == f"file://{data}/a"
    assert namespace.stat_cached("/m/a") == info
    assert wire.FileInfo.FromString(namespace.stat_cached_bytes("/m/a") or b"") == info
    meta = store.get_meta(info.store_path)
    assert meta is not None
    assert (meta.file_id, meta.version, meta.length) == (info.file_id, info.version, 1)
    heads = namespace.under_counters()["/m"].head
    assert namespace.stat("/m/a") == info
    assert namespace.under_counters()["/m"].head == heads


def test_a_listing_spares_the_stats(namespace: Namespace, data: Path) -> None:
    namespace.add_mount("/m", f"file://{data}", {})
    age(namespace)
    assert names(namespace, "/m/d") == ["b", "e/"]
    before = namespace.under_counters()["/m"].head
    assert namespace.stat("/m/d/b").meta_on_disk
    assert namespace.stat("/m/d/e").directory
    assert namespace.stat("/m/d").directory
    assert namespace.under_counters()["/m"].head == before


def test_a_weak_version_is_not_cached(namespace: Namespace, store: BlockStore, data: Path) -> None:
    namespace.add_mount("/m", f"file://{data}", {})
    write(data / "a", b"just now")
    info = namespace.stat("/m/a")
    assert (info.file_id, info.meta_on_disk) == (b"", False)
    assert store.get_meta(info.store_path) is None
    assert namespace.stat_cached("/m/a") is None
    [(_, page)] = namespace.list("/m")
    assert {e.path: e.file_id for e in page} == {"a": b"", "d": b""}


def test_errors_name_the_path(namespace: Namespace, data: Path) -> None:
    namespace.add_mount("/m", f"file://{data}", {})
    with pytest.raises(PathNotFound, match=rf"^/m/zz does not exist: file://{data}/zz"):
        namespace.stat("/m/zz")
    with pytest.raises(PathNotFound, match=r"^/m/zz does not exist"):
        namespace.list("/m/zz")
    with pytest.raises(NotADirectory):
        namespace.list("/m/a")
    with pytest.raises(MountNotFound):
        namespace.stat("/zz")
    with pytest.raises(InvalidPath):
        namespace.stat("/m/../a")
    with pytest.raises(IsADirectory):
        namespace.locate(namespace.stat("/m/d"))


def test_a_read_that_fails_names_the_path(namespace: Namespace, data: Path) -> None:
    namespace.add_mount("/m", f"file://{data}", {})
    odd = data / "two\nlines"
    write(odd, bytes(3 << 20))
    age(namespace)
    file = namespace.locate(namespace.stat("/m/two\nlines"))
    running = file.read(0, file.length)
    next(running)
    write(odd, b"another")
    uri = rf"file://{data}/two\\nlines"
    changed = rf"^/m/two\nlines has changed since it was opened: {uri} has changed"
    for read in (running, file.read(0, 1)):
        with pytest.raises(FileChanged, match=changed):
            next(read)
    odd.unlink()
    with pytest.raises(PathNotFound, match=rf"^/m/two\nlines does not exist: {uri} does not exist"):
        next(file.read(0, 1))


def test_nested_mounts_and_the_way_to_them(namespace: Namespace, data: Path) -> None:
    write(data.parent / "other/x", b"x")
    other = f"file://{data.parent}/other"
    namespace.add_mount("/deep/m", f"file://{data}", {})
    namespace.add_mount("/deep/m/d/e", other, {})
    namespace.add_mount("/deep/m/new/n", other, {})
    assert names(namespace, "/") == ["deep/"]
    assert names(namespace, "/deep") == ["m/"]
    assert names(namespace, "/deep/m") == ["a", "d/", "new/"]
    assert names(namespace, "/deep/m/d") == ["b", "e/"]
    assert names(namespace, "/deep/m/d/e") == ["x"]
    assert names(namespace, "/deep/m/new") == ["n/"]
    assert namespace.stat("/deep/m/new").directory
    assert namespace.stat("/deep").directory
    assert namespace.stat("/").directory
    everything = ["deep/m/a", "deep/m/d/b", "deep/m/d/e/x", "deep/m/new/n/x"]
    assert names(namespace, "/", recursive=True) == everything
    assert names(namespace, "/deep/m", recursive=True) == [p[7:] for p in everything]
    namespace.remove_mount("/deep/m/d/e")
    assert names(namespace, "/deep/m/d/e") == ["c"]


def test_a_mount_shadows_what_was_known(namespace: Namespace, data: Path) -> None:
    write(data.parent / "other/b", b"another")
    namespace.add_mount("/m", f"file://{data}", {})
    age(namespace)
    assert namespace.stat("/m/d/b").length == 3
    namespace.add_mount("/m/d", f"file://{data.parent}/other", {})
    assert namespace.stat_cached("/m/d/b") is None
    assert namespace.stat("/m/d/b").length == 7


def test_pages_of_a_thousand(namespace: Namespace, data: Path) -> None:
    for i in range(2500):
        (data / "many").mkdir(exist_ok=True)
        (data / "many" / f"{i:04}").touch()
    namespace.add_mount("/m", f"file://{data}", {})
    pages = list(namespace.list("/m/many"))
    assert [len(page) for _, page in pages] == [1000, 1000, 500]
    assert {head.path for head, _ in pages} == {"/m/many"}
    assert [e.path for _, page in pages for e in page] == [f"{i:04}" for i in range(2500)]
    (data / "empty").mkdir()
    assert list(namespace.list("/m/empty")) == [(namespace.stat("/m/empty"), [])]


def test_small_content_goes_into_meta_of_that_version_only(
    namespace: Namespace, store: BlockStore, data: Path
) -> None:
    namespace.add_mount("/m", f"file://{data}", {})
    age(namespace)
    info = namespace.stat("/m/a")
    namespace.inlined(info, b"a")
    meta = store.get_meta(info.store_path)
    assert meta is not None
    assert meta.content == b"a"
    again = namespace.stat("/m/a", force=True)
    kept = store.get_meta(again.store_path)
    assert kept is not None
    assert kept.content == b"a", "a renewed stamp keeps the content"
    assert kept.validated_ns > meta.validated_ns
    write(data / "a", b"b")
    changed = namespace.stat("/m/a", force=True)
    namespace.inlined(info, b"a")
    now = store.get_meta(changed.store_path)
    assert now is not None
    assert (now.file_id, now.content) == (changed.file_id, None)


def test_recall_knows_old_versions_only_while_meta_does(namespace: Namespace, data: Path) -> None:
    namespace.add_mount("/m", f"file://{data}", {"freshness": "0"})
    age(namespace)
    info = namespace.stat("/m/a")
    assert namespace.stat_cached("/m/a") is None, "freshness 0: nothing is ready in memory"
    recalled = namespace.recall("/m/a", info.file_id)
    assert recalled is not None
    assert (recalled.version, recalled.length) == (info.version, 1)
    assert namespace.recall("/m/a", bytes(16)) is None
    assert namespace.recall("/zz", info.file_id) is None
    namespace.changed("/m/a")
    assert namespace.recall("/m/a", info.file_id) is None


def test_evict_forgets_files_and_frees_blocks(
    namespace: Namespace, store: BlockStore, data: Path
) -> None:
    namespace.add_mount("/m", f"file://{data}", {})
    age(namespace)
    infos = [namespace.stat(p) for p in ("/m/a", "/m/d/b", "/m/d/e/c")]
    writer = store.writer(infos[1].file_id, 0, 3)
    writer.put(0, b"d/b")
    writer.close()
    assert store.page_map(infos[1].file_id, 0) == 1
    files, freed = namespace.evict("/m/d")
    assert files == 2
    assert freed > 0
    assert store.page_map(infos[1].file_id, 0) == 0
    assert store.get_meta(infos[1].store_path) is None
    assert namespace.stat_cached("/m/a") is not None
    assert namespace.evict("/m/a")[0] == 1
    assert namespace.evict("/")[0] == 0
    assert namespace.stat("/m/d/b").file_id == infos[1].file_id


def test_evict_finds_blocks_whose_meta_was_deleted(
    namespace: Namespace, store: BlockStore, data: Path
) -> None:
    namespace.add_mount("/m", f"file://{data}", {})
    age(namespace)
    idents = [namespace.stat(p).file_id for p in ("/m/a", "/m/d/b", "/m/d/e/c")]
    stray = bytes(range(16))  # of a version or a mount that is gone

    def blocks() -> list[int]:
        return [store.page_map(f, 0) for f in (*idents, stray)]

    for ident in (*idents, stray):
        writer = store.writer(ident, 0, 3)
        writer.put(0, b"abc")
        writer.close()
    shutil.rmtree(store.directory / "meta")
    assert namespace.evict("/m/d/b")[0] == 1
    assert blocks() == [1, 0, 1, 1]
    files, freed = namespace.evict("/m")
    assert (files, freed > 0) == (2, True)
    assert blocks() == [0, 0, 0, 1]
    files, freed = namespace.evict("/")
    assert (files, freed > 0) == (1, True)
    assert blocks() == [0, 0, 0, 0]
    assert (store.stats().blocks, list((store.directory / "blocks").glob("*/*"))) == (0, [])
    assert namespace.evict("/") == (0, 0)


def test_mounts_survive_and_are_published(
    namespace: Namespace, store: BlockStore, data: Path, tmp_path: Path
) -> None:
    options = {"freshness": "5s", "list_freshness": "1s", "immutable": "*.p", "read_only": "true"}
    mount = namespace.add_mount("/m", f"file://{data}/", options)
    file = (store.directory / "mounts").read_bytes()
    [published] = wire.MountTable.FromString(parse_mounts(file, crc32c)).mounts
    assert published == mount.to_wire()
    assert (published.store_uri, published.freshness_ms, published.read_only) == (
        f"file://{data}", 5000, True,
    )  # fmt: skip
    namespace.close()
    again = Namespace(store, tmp_path / "namespace.db")
    assert [m.to_wire() for m in again.mounts()] == [published]
    assert names(again, "/m") == ["a", "d/"]
    again.remove_mount("/m")
    assert again.mounts() == []
    file = (store.directory / "mounts").read_bytes()
    assert not wire.MountTable.FromString(parse_mounts(file, crc32c)).mounts
    again.close()


def test_a_mount_is_checked_unless_told_otherwise(namespace: Namespace, data: Path) -> None:
    with pytest.raises(PathNotFound, match=r"zz does not exist.*--no-check"):
        namespace.add_mount("/z", f"file://{data}/zz", {})
    assert namespace.mounts() == []
    namespace.add_mount("/z", f"file://{data}/zz", {}, check=False)
    with pytest.raises(MountConflict):
        namespace.add_mount("/z", f"file://{data}", {})
    with pytest.raises(InvalidSetting, match=r"mount /y: .*no option nonsense"):
        namespace.add_mount("/y", f"file://{data}", {"nonsense": "1"})
    with pytest.raises(InvalidSetting, match="option freshness of mount /y"):
        namespace.add_mount("/y", f"file://{data}", {"freshness": "soon"})


def test_a_mount_whose_secret_is_gone_harms_no_other(
    store: BlockStore, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "secrets.db"
    monkeypatch.setenv("SOME_SECRET", "s3cret")
    first = Namespace(store, database)
    options = {
        "endpoint": "http://127.0.0.1:1", "access_key": "plain-key",
        "secret_key": "env:SOME_SECRET",
    }  # fmt: skip
    first.add_mount("/s3", "s3a://bucket", options, check=False)
    first.add_mount("/m", f"file://{data}", {})
    shown = json.dumps(first.mounts()[1].shown_options()) + repr(first.mounts())
    published = (store.directory / "mounts").read_bytes()
    for secret in ("s3cret", "plain-key"):
        assert secret not in shown
        assert secret.encode() not in published
    first.close()
    monkeypatch.delenv("SOME_SECRET")
    second = Namespace(store, database)
    assert second.stat("/m/a").length == 1
    with pytest.raises(InvalidSetting, match=r"mount /s3: .*SOME_SECRET") as e:
        second.stat("/s3/a")
    assert "plain-key" not in str(e.value)
    second.close()


def test_a_removed_mount_answers_no_more(namespace: Namespace, data: Path) -> None:
    namespace.add_mount("/m", f"file://{data}", {})
    age(namespace)
    located = namespace.locate(namespace.stat("/m/a"))
    assert b"".join(located.read(0, 1)) == b"a"
    namespace.remove_mount("/m")
    assert namespace.stat_cached("/m/a") is None
    with pytest.raises(MountNotFound):
        namespace.stat("/m/a")
    with pytest.raises(StoreUnavailable):
        next(located.read(0, 1))


def test_many_askers_one_request(namespace: Namespace, data: Path) -> None:
    namespace.add_mount("/m", f"file://{data}", {})
    age(namespace)
    under = namespace._mounts.real_store(namespace.mounts()[0])
    gate, entered = threading.Event(), threading.Event()
    real = under.list

    def slow(key: str, *, recursive: bool = False):  # type: ignore[no-untyped-def]
        entered.set()
        assert gate.wait(30)
        return real(key, recursive=recursive)

    under.list = slow  # type: ignore[method-assign]
    before = namespace.under_counters()["/m"].list
    flights = namespace._validation._flights
    threads = [threading.Thread(target=names, args=(namespace, "/m")) for _ in range(10)]
    for thread in threads:
        thread.start()
    assert entered.wait(30)
    until = time.monotonic() + 30
    while flights.shared < 8:  # one runs, one leads the next, eight share it
        assert time.monotonic() < until
        threading.Event().wait(0.001)
    gate.set()
    for thread in threads:
        thread.join(30)
    assert namespace.under_counters()["/m"].list - before == 2


def test_memory_answers_within_microseconds(namespace: Namespace, data: Path) -> None:
    namespace.add_mount("/m", f"file://{data}", {})
    age(namespace)
    namespace.stat("/m/d/e/c")

    def once(ask: object, times: int = 2000) -> float:
        began = time.thread_time_ns()
        for _ in range(times):
            ask("/m/d/e/c")  # type: ignore[operator]
        return (time.thread_time_ns() - began) / times / 1000

    # CPU of this thread, best of several: other load on the machine is no part of it.
    assert min(once(namespace.stat_cached_bytes) for _ in range(20)) < 5
    assert min(once(namespace.stat_cached) for _ in range(20)) < 10


def test_evict_takes_nested_mounts_along_and_names_the_path(
    namespace: Namespace, data: Path
) -> None:
    write(data.parent / "other/x", b"x")
    namespace.add_mount("/m", f"file://{data}", {})
    namespace.add_mount("/m/n", f"file://{data.parent}/other", {})
    namespace.add_mount("/m/n/o", f"file://{data}/d", {})
    age(namespace)
    for path in ("/m/a", "/m/n/x", "/m/n/o/b"):
        namespace.stat(path)
    assert namespace.evict("/m")[0] == 3
    with pytest.raises(PathNotFound, match="/m/none does not exist"):
        namespace.evict("/m/none")


def test_the_cache_itself_is_no_store(namespace: Namespace, store: BlockStore) -> None:
    for folder in (store.directory, store.directory / "blocks", store.directory.parent):
        with pytest.raises(MountConflict, match="cache directory"):
            namespace.add_mount("/m", f"file://{folder}", {})
    assert not namespace.mounts()


def test_mounts_outlive_their_database(store: BlockStore, data: Path, tmp_path: Path) -> None:
    database = tmp_path / "namespace.db"
    options = {"freshness": "7s"}
    namespace = Namespace(store, database)
    namespace.add_mount("/m", f"file://{data}", options)
    for file in tmp_path.glob("namespace.db*"):
        file.unlink()
    namespace._mounts.heal()
    namespace.add_mount("/n", f"file://{data}/d", {})
    namespace.close()
    again = Namespace(store, database)
    assert [(m.path, m.options) for m in again.mounts()] == [("/m", options), ("/n", {})]
    assert database.stat().st_mode & 0o777 == 0o600
    again.close()


@pytest.mark.parametrize("name", ["t/metadata/version-hint.text", "t/_delta_log/_last_checkpoint"])
def test_a_tables_pointer_is_never_answered_from_before(
    namespace: Namespace, store: BlockStore, data: Path, name: str
) -> None:
    write(data / name, b"1")
    namespace.add_mount("/m", f"file://{data}", {"freshness": "1h", "list_freshness": "1h"})
    age(namespace)
    first = namespace.stat(f"/m/{name}")
    assert namespace.stat_cached(f"/m/{name}") is None
    meta = store.get_meta(first.store_path)
    assert meta is not None
    assert meta.weak, "a client would open it without asking"
    write(data / name, b"12")
    assert namespace.stat(f"/m/{name}").length == 2


def test_the_names_in_a_tables_log_are_never_from_before(namespace: Namespace, data: Path) -> None:
    write(data / "t/_delta_log/0.json", b"1")
    namespace.add_mount("/m", f"file://{data}", {"list_freshness": "1h"})
    assert names(namespace, "/m/t/_delta_log") == ["0.json"]
    write(data / "t/_delta_log/1.json", b"1")
    assert names(namespace, "/m/t/_delta_log") == ["0.json", "1.json"]
