"""What every store must pass: subclass ``UnderStoreContract`` and provide the fixture ``site``.

A store over HTTP subclasses ``HttpStoreContract`` instead, which also puts the store model between
store and server and injects faults.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import pytest

from millpond.errors import (
    FileChanged,
    IsADirectory,
    MillpondError,
    NotADirectory,
    PathNotFound,
    PermissionDenied,
    StoreUnavailable,
)
from millpond.testing.write_contract import WriteContract

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from millpond.under.base import Buffer, ObjectStat, UnderStore

MANY = 1050
"""More than a page of any known store."""


class StoreSite(ABC):
    """A place with a store in it, and hands to change it behind the store's back.

    Keys given to these methods are relative to ``prefix``, which each test has to itself.
    """

    prefix: str
    odd_keys: Sequence[str]
    """Names that this kind of store can hold and a careless driver would mangle."""

    @abstractmethod
    def open(self) -> UnderStore:
        """A new store; the site closes it."""

    @abstractmethod
    def put(self, key: str, data: bytes) -> None:
        """Create or replace, so that the next version is a strong one."""

    @abstractmethod
    def delete(self, key: str) -> None: ...

    @abstractmethod
    def make_directory(self, key: str) -> None:
        """An empty directory, as other clients of this kind of store leave them."""

    @abstractmethod
    def many(self) -> str:
        """The whole key of a directory holding ``f00000`` … , ``MANY`` one-byte files, ``MANY``-odd
        ones of them below ``d/``; may be shared between tests."""

    @abstractmethod
    def refused(self, key: str) -> UnderStore:
        """A store that may not read the object ``key``."""

    object_store = False
    """Whether it is keys and bytes: any key is possible beside any other."""
    sets_times = True

    def small_parts(self, store: UnderStore) -> None:
        """Have ``store`` send what is larger than 5 MiB in several parts, if it sends parts."""
        return

    def left_behind(self) -> list[str]:
        """What an upload that failed has left in the store, however invisible."""
        return []

    def key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if key else self.prefix


def fetch(store: UnderStore, key: str, start: int, end: int, version: str) -> bytes:
    return b"".join(bytes(buffer) for buffer in store.read(key, start, end, version))


def drain(stream: Iterator[Buffer], into: bytearray) -> None:
    """Keep what came before an error."""
    for buffer in stream:
        into += buffer


def names(pages: Iterator[list[ObjectStat]]) -> list[tuple[str, bool]]:
    return [(entry.key, entry.is_dir) for page in pages for entry in page]


def in_order(entries: Sequence[tuple[str, bool]]) -> bool:
    keys = [(key + "/" if is_dir else key).encode() for key, is_dir in entries]
    return keys == sorted(keys)


class UnderStoreContract(WriteContract):
    """The guarantees of ``millpond.under.base``, one test each."""

    @pytest.fixture
    def site(self) -> StoreSite:
        raise NotImplementedError("provide a StoreSite")

    @pytest.fixture
    def store(self, site: StoreSite) -> Iterator[UnderStore]:
        store = site.open()
        yield store
        store.close()

    def test_stat_and_read_of_a_file(self, site: StoreSite, store: UnderStore) -> None:
        data = random.Random(1).randbytes(300_000)
        site.put("a/f", data)
        found = store.stat(site.key("a/f"))
        assert (found.key, found.length, found.is_dir) == (site.key("a/f"), len(data), False)
        assert found.mtime_ms > 0
        assert found.version
        assert fetch(store, found.key, 0, len(data), found.version) == data

    @pytest.mark.parametrize("span", [(0, 1), (0, 10), (9, 10), (3, 7), (0, 9)])
    def test_any_range(self, site: StoreSite, store: UnderStore, span: tuple[int, int]) -> None:
        site.put("f", b"0123456789")
        version = store.stat(site.key("f")).version
        start, end = span
        assert fetch(store, site.key("f"), start, end, version) == b"0123456789"[start:end]

    def test_empty_file(self, site: StoreSite, store: UnderStore) -> None:
        site.put("d/empty", b"")
        assert store.stat(site.key("d/empty")).length == 0
        assert names(store.list(site.key("d"))) == [(site.key("d/empty"), False)]

    def test_names_are_taken_raw(self, site: StoreSite, store: UnderStore) -> None:
        for odd in site.odd_keys:
            site.put(f"odd/{odd}", odd.encode())
        listed = [e for page in store.list(site.key("odd"), recursive=True) for e in page]
        assert sorted(e.key for e in listed) == sorted(site.key(f"odd/{k}") for k in site.odd_keys)
        for entry in listed:
            odd = entry.key.removeprefix(site.key("odd/"))
            assert store.stat(entry.key) == entry
            read = fetch(store, entry.key, 0, entry.length, entry.version)
            assert read == odd.encode(), odd

    def test_listing_of_one_level_and_of_all(self, site: StoreSite, store: UnderStore) -> None:
        for key in ("t/a", "t/a-b", "t/d/x", "t/d-e", "t/d/e/y", "t/d0"):
            site.put(key, b"1")
        level = names(store.list(site.key("t")))
        expected = [("t/a", False), ("t/a-b", False), ("t/d-e", False), ("t/d", True),
                    ("t/d0", False)]  # fmt: skip
        assert level == [(site.key(k), is_dir) for k, is_dir in expected]
        deep = names(store.list(site.key("t"), recursive=True))
        assert [k.removeprefix(site.key("t/")) for k, _ in deep] == [
            "a", "a-b", "d-e", "d/e/y", "d/x", "d0",
        ]  # fmt: skip
        assert not any(is_dir for _, is_dir in deep)

    def test_listing_agrees_with_stat(self, site: StoreSite, store: UnderStore) -> None:
        site.put("t/a", b"12345")
        site.put("t/d/x", b"1")
        for page in store.list(site.key("t")):
            for entry in page:
                found = store.stat(entry.key)
                assert (found.version, found.length, found.is_dir, found.weak) == (
                    entry.version, entry.length, entry.is_dir, entry.weak,
                )  # fmt: skip
                assert entry.is_dir or found.mtime_ms == entry.mtime_ms

    def test_many_files_are_listed_once_and_in_order(
        self, site: StoreSite, store: UnderStore
    ) -> None:
        directory = site.many()
        deep = names(store.list(directory, recursive=True))
        level = names(store.list(directory))
        for listed in (deep, level):
            assert in_order(listed)
            assert len(set(listed)) == len(listed)
        assert len(deep) == MANY
        below = [key for key, _ in deep if key.startswith(f"{directory}/d/")]
        assert len(level) == MANY - len(below) + 1

    def test_directories(self, site: StoreSite, store: UnderStore) -> None:
        site.put("t/d/x", b"1")
        site.make_directory("t/empty")
        for key in ("t", "t/d", "t/empty"):
            found = store.stat(site.key(key))
            assert (found.is_dir, found.length, found.version) == (True, 0, "")
        assert names(store.list(site.key("t"))) == [
            (site.key("t/d"), True), (site.key("t/empty"), True),
        ]  # fmt: skip
        assert names(store.list(site.key("t/empty"))) == []
        assert names(store.list(site.key("t"), recursive=True)) == [(site.key("t/d/x"), False)]

    def test_absent(self, site: StoreSite, store: UnderStore) -> None:
        site.put("t/f-suffix", b"1")
        for key in ("t/f", "nothing", "t/f-suffix/below"):
            with pytest.raises(PathNotFound):
                store.stat(site.key(key))
            with pytest.raises(PathNotFound):
                store.list(site.key(key))

    def test_listing_a_file_is_no_directory(self, site: StoreSite, store: UnderStore) -> None:
        site.put("f", b"1")
        with pytest.raises(NotADirectory):
            store.list(site.key("f"))

    def test_replaced_file_gives_no_byte(self, site: StoreSite, store: UnderStore) -> None:
        for second in (b"after!", b"longer than before"):
            site.put("f", b"before")
            old = store.stat(site.key("f"))
            site.put("f", second)
            new = store.stat(site.key("f"))
            assert new.version != old.version
            with pytest.raises(FileChanged):
                next(store.read(site.key("f"), 0, 6, old.version))
            assert fetch(store, site.key("f"), 0, 6, new.version) == second[:6]

    def test_shortened_file_is_changed(self, site: StoreSite, store: UnderStore) -> None:
        site.put("f", b"0123456789")
        old = store.stat(site.key("f"))
        site.put("f", b"01")
        with pytest.raises(FileChanged):
            next(store.read(site.key("f"), 5, 10, old.version))

    def test_deleted_file_is_absent(self, site: StoreSite, store: UnderStore) -> None:
        site.put("f", b"before")
        old = store.stat(site.key("f"))
        site.delete("f")
        with pytest.raises(PathNotFound):
            store.stat(site.key("f"))
        with pytest.raises(PathNotFound):
            next(store.read(site.key("f"), 0, 6, old.version))

    def test_reading_a_directory(self, site: StoreSite, store: UnderStore) -> None:
        site.put("d/f", b"1")
        with pytest.raises((IsADirectory, PathNotFound)):
            next(store.read(site.key("d"), 0, 1, "x:1"))

    def test_refused(self, site: StoreSite, store: UnderStore) -> None:
        site.put("f", b"secret")
        version = store.stat(site.key("f")).version
        refused = site.refused("f")
        with pytest.raises(PermissionDenied):
            next(refused.read(site.key("f"), 0, 6, version))
        refused.close()

    def test_counters(self, site: StoreSite, store: UnderStore) -> None:
        site.put("d/f.x", b"0123456789")
        version = store.stat(site.key("d/f.x")).version
        names(store.list(site.key("d")))
        fetch(store, site.key("d/f.x"), 2, 8, version)
        counted = store.counters
        assert (counted.head, counted.list, counted.get) == (1, 1, 1)
        assert (counted.bytes_read, counted.retries) == (6, 0)

    def test_one_identity(self, site: StoreSite, store: UnderStore) -> None:
        other = site.open()
        assert (other.store_id, other.root) == (store.store_id, store.root)
        assert len(store.store_id) == 16
        assert int(store.store_id, 16) >= 0

    def test_closing(self, site: StoreSite, store: UnderStore) -> None:
        site.put("f", b"0123456789")
        version = store.stat(site.key("f")).version
        store.close()
        store.close()
        with pytest.raises(StoreUnavailable):
            store.stat(site.key("f"))
        with pytest.raises(StoreUnavailable):
            next(store.read(site.key("f"), 0, 1, version))

    def test_abandoned_reads_do_no_harm(self, site: StoreSite, store: UnderStore) -> None:
        data = bytes(4 << 20)
        site.put("f", data)
        version = store.stat(site.key("f")).version
        for _ in range(3):
            next(store.read(site.key("f"), 0, len(data), version))
        assert fetch(store, site.key("f"), 0, len(data), version) == data

    def test_errors_are_ours_and_one_line(self, site: StoreSite, store: UnderStore) -> None:
        with pytest.raises(MillpondError) as caught:
            store.stat(site.key("nothing"))
        assert "\n" not in str(caught.value)
