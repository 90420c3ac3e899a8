"""What every store that can be written must pass; a part of ``UnderStoreContract``."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from millpond.errors import (
    Conflict,
    DirectoryNotEmpty,
    IsADirectory,
    MillpondError,
    NotADirectory,
    PathNotFound,
    StoreUnavailable,
)
from millpond.under.base import ABSENT, BytesSource

if TYPE_CHECKING:
    from millpond.testing.under_contract import StoreSite
    from millpond.under.base import Buffer, UnderStore, Upload

BIG_BYTES = (5 << 20) + 77
"""More than one part of ``StoreSite.small_parts``."""


class FailingSource(BytesSource):
    """A source that can't be read from some byte on, as a block whose page fails its checksum."""

    fails_at = 0

    def read(self, start: int, end: int) -> Buffer:
        if end > self.fails_at:
            raise StoreUnavailable("the source fails")
        return super().read(start, end)


class Surprise(BytesSource):
    """A source during whose reading another writes the same key."""

    def __init__(self, data: bytes, site: StoreSite, key: str) -> None:
        super().__init__(data)
        object.__setattr__(self, "_act", lambda: site.put(key, b"foreign"))

    def read(self, start: int, end: int) -> Buffer:
        act = self.__dict__.pop("_act", None)
        if act is not None:
            act()
        return super().read(start, end)


def _completes(upload: Upload, start: threading.Barrier) -> bool:
    start.wait()
    try:
        upload.complete(ABSENT)
    except Conflict:
        upload.abort()
        return False
    return True


class WriteContract:
    """The guarantees of ``millpond.under.base`` about writing, one test each."""

    exclusive = False
    """Whether the store itself lets one of several creations of a name win."""

    def content(self, store: UnderStore, key: str) -> bytes:
        found = store.stat(key)
        if not found.length:
            return b""
        return b"".join(map(bytes, store.read(key, 0, found.length, found.version)))

    def listed(self, store: UnderStore, key: str) -> list[str]:
        return [e.key for page in store.list(key, recursive=True) for e in page]

    def seen(self, site: StoreSite, store: UnderStore) -> dict[str, bytes]:
        """All files, as listings and their content show them."""
        found = {key: self.content(store, key) for key in self.listed(store, site.prefix)}
        for page in store.list(site.key("d")):
            assert all(e.key in found for e in page)
        return found

    def prepared(self, site: StoreSite, store: UnderStore, there: bool) -> dict[str, bytes]:
        """A directory of one file, with ``there`` also of ``x``, and small parts; what is seen."""
        site.small_parts(store)
        site.put("d/other", b"1")
        if there:
            site.put("d/x", b"before")
        return self.seen(site, store)

    def test_put_and_replace(self, site: StoreSite, store: UnderStore) -> None:
        key = site.key("new/dir/f")
        first = store.put(key, BytesSource(b"one"))
        assert self.content(store, key) == b"one"
        assert first in ("", store.stat(key).version)
        second = store.put(key, BytesSource(b"three"))
        assert self.content(store, key) == b"three"
        assert second == "" or second != first
        assert store.stat(site.key("new/dir")).is_dir
        assert self.listed(store, site.key("new")) == [key]

    def test_put_of_nothing(self, site: StoreSite, store: UnderStore) -> None:
        store.put(site.key("e"), BytesSource(b""))
        found = store.stat(site.key("e"))
        assert (found.length, found.is_dir) == (0, False)

    def test_put_of_many_parts(self, site: StoreSite, store: UnderStore) -> None:
        site.small_parts(store)
        data = random.Random(3).randbytes(BIG_BYTES)
        version = store.put(site.key("big"), BytesSource(data))
        assert self.content(store, site.key("big")) == data
        assert version in ("", store.stat(site.key("big")).version)

    def test_put_of_odd_names(self, site: StoreSite, store: UnderStore) -> None:
        for odd in site.odd_keys:
            store.put(site.key(f"w/{odd}"), BytesSource(odd.encode()))
        keys = sorted(self.listed(store, site.key("w")))
        assert keys == sorted(site.key(f"w/{k}") for k in site.odd_keys)
        for odd in site.odd_keys:
            assert self.content(store, site.key(f"w/{odd}")) == odd.encode(), odd

    @pytest.mark.parametrize("big", [False, True])
    def test_exclusive_create(self, site: StoreSite, store: UnderStore, big: bool) -> None:
        site.small_parts(store)
        data = bytes(BIG_BYTES if big else 10)
        key = site.key("x")
        store.put(key, BytesSource(data), expect=ABSENT)
        with pytest.raises(Conflict):
            store.put(key, BytesSource(b"y" * len(data)), expect=ABSENT)
        assert self.content(store, key) == data

    @pytest.mark.parametrize("big", [False, True])
    def test_conditional_replace(self, site: StoreSite, store: UnderStore, big: bool) -> None:
        site.small_parts(store)
        data = bytes(BIG_BYTES if big else 10)
        key = site.key("x")
        site.put("x", b"before")
        version = store.stat(key).version
        store.put(key, BytesSource(data), expect=version)
        with pytest.raises(Conflict):
            store.put(key, BytesSource(b"late"), expect=version)
        assert self.content(store, key) == data
        with pytest.raises(Conflict):
            store.put(site.key("absent"), BytesSource(b"late"), expect=version)
        with pytest.raises(PathNotFound):
            store.stat(site.key("absent"))

    @pytest.mark.parametrize("there", [False, True])
    def test_a_change_meanwhile_is_a_conflict(
        self, site: StoreSite, store: UnderStore, there: bool
    ) -> None:
        """Another writes while the parts are on their way."""
        site.small_parts(store)
        if there:
            site.put("x", b"before")
        expect = store.stat(site.key("x")).version if there else ABSENT
        with pytest.raises(Conflict):
            store.put(site.key("x"), Surprise(bytes(BIG_BYTES), site, "x"), expect=expect)
        assert self.content(store, site.key("x")) == b"foreign"
        assert self.listed(store, site.prefix) == [site.key("x")]

    @pytest.mark.parametrize("there", [False, True])
    def test_an_upload_that_fails_leaves_nothing(
        self, site: StoreSite, store: UnderStore, there: bool
    ) -> None:
        site.small_parts(store)
        site.put("d/other", b"1")
        if there:
            site.put("d/x", b"before")
        source = FailingSource(bytes(BIG_BYTES))
        object.__setattr__(source, "fails_at", BIG_BYTES - 1)
        with pytest.raises(MillpondError):
            store.put(site.key("d/x"), source)
        names = ["d/other", "d/x"] if there else ["d/other"]
        assert self.listed(store, site.key("d")) == [site.key(n) for n in names]
        if there:
            assert self.content(store, site.key("d/x")) == b"before"
        assert site.left_behind() == []

    @pytest.mark.parametrize("there", [False, True])
    @pytest.mark.parametrize("big", [False, True])
    def test_an_upload_appears_when_it_is_completed(
        self, site: StoreSite, store: UnderStore, big: bool, there: bool
    ) -> None:
        before = self.prepared(site, store, there)
        data = random.Random(5).randbytes(BIG_BYTES if big else 10)
        sent = store.counters.bytes_written
        upload = store.upload(site.key("d/x"), BytesSource(data))
        if big and store.uploads_ahead:
            assert store.counters.bytes_written - sent == len(data)
        assert self.seen(site, store) == before
        expect = store.stat(site.key("d/x")).version if there else ABSENT
        version = upload.complete(expect)
        assert store.counters.bytes_written - sent == len(data)
        assert self.seen(site, store) == {**before, site.key("d/x"): data}
        assert version in ("", store.stat(site.key("d/x")).version)
        upload.abort()
        assert self.content(store, site.key("d/x")) == data, "nothing is left to abort"
        assert site.left_behind() == []

    @pytest.mark.parametrize("there", [False, True])
    @pytest.mark.parametrize("big", [False, True])
    def test_an_aborted_upload_leaves_nothing(
        self, site: StoreSite, store: UnderStore, big: bool, there: bool
    ) -> None:
        before = self.prepared(site, store, there)
        upload = store.upload(site.key("d/x"), BytesSource(bytes(BIG_BYTES if big else 10)))
        for _ in range(2):
            upload.abort()
        assert self.seen(site, store) == before
        assert site.left_behind() == []

    @pytest.mark.parametrize("there", [False, True])
    @pytest.mark.parametrize("big", [False, True])
    def test_of_two_uploads_one_wins(
        self, site: StoreSite, store: UnderStore, big: bool, there: bool
    ) -> None:
        """Each is completed under the condition that held when both were sent. The one that lost
        may still win under another."""
        site.small_parts(store)
        site.put("other", b"1")
        if there:
            site.put("x", b"before")
        key = site.key("x")
        expect = store.stat(key).version if there else ABSENT
        size = BIG_BYTES if big else 10
        first, second = (store.upload(key, BytesSource(c * size)) for c in (b"1", b"2"))
        second.complete(expect)
        with pytest.raises(Conflict):
            first.complete(expect)
        assert self.content(store, key) == b"2" * size
        first.complete()
        assert self.content(store, key) == b"1" * size
        assert site.left_behind() == []

    def test_of_uploads_at_once_one_wins(self, site: StoreSite, store: UnderStore) -> None:
        """Which the store itself has to see to."""
        if not self.exclusive:
            pytest.skip("the store looks, then writes")
        rivals = 4
        for turn in range(2):
            key = site.key(f"x{turn}")
            data = [bytes([turn, i]) for i in range(rivals)]
            uploads = [store.upload(key, BytesSource(each)) for each in data]
            start = threading.Barrier(rivals)
            with ThreadPoolExecutor(rivals) as pool:
                won = list(pool.map(lambda u, start=start: _completes(u, start), uploads))
            assert won.count(True) == 1, won
            assert self.content(store, key) == data[won.index(True)]

    def test_put_below_a_file(self, site: StoreSite, store: UnderStore) -> None:
        site.put("f", b"1")
        if site.object_store:
            pytest.skip("an object store has keys, and no parents")
        with pytest.raises(NotADirectory):
            store.put(site.key("f/below"), BytesSource(b"1"))
        with pytest.raises(NotADirectory):
            store.mkdirs(site.key("f/below"))

    def test_put_over_a_directory(self, site: StoreSite, store: UnderStore) -> None:
        if site.object_store:
            pytest.skip("an object store may have both")
        site.put("d/f", b"1")
        with pytest.raises((IsADirectory, Conflict)):
            store.put(site.key("d"), BytesSource(b"1"))
        assert self.listed(store, site.key("d")) == [site.key("d/f")]

    def test_mkdirs(self, site: StoreSite, store: UnderStore) -> None:
        for _ in range(2):
            store.mkdirs(site.key("a/b/c"))
            assert store.stat(site.key("a/b/c")).is_dir
            assert store.stat(site.key("a/b")).is_dir
        assert self.listed(store, site.key("a")) == []

    def test_delete(self, site: StoreSite, store: UnderStore) -> None:
        site.put("d/f", b"1")
        site.put("d/e/g", b"1")
        site.make_directory("d/empty")
        with pytest.raises(DirectoryNotEmpty):
            store.delete(site.key("d"))
        assert len(self.listed(store, site.key("d"))) == 2
        store.delete(site.key("d/empty"))
        with pytest.raises(PathNotFound):
            store.stat(site.key("d/empty"))
        store.delete(site.key("d/e/g"))
        assert store.stat(site.key("d/e")).is_dir, "the directory above stays"
        site.put("d-e", b"beside it")
        store.delete(site.key("d"), recursive=True)
        with pytest.raises(PathNotFound):
            store.stat(site.key("d"))
        assert self.content(store, site.key("d-e")) == b"beside it"
        with pytest.raises(PathNotFound):
            store.delete(site.key("d"), recursive=True)

    def test_rename_of_a_file(self, site: StoreSite, store: UnderStore) -> None:
        odd = site.odd_keys[0]
        site.put("d/f", b"content")
        site.make_directory("e")
        store.rename(site.key("d/f"), site.key(f"e/{odd}"))
        assert self.content(store, site.key(f"e/{odd}")) == b"content"
        with pytest.raises(PathNotFound):
            store.stat(site.key("d/f"))
        assert store.stat(site.key("d")).is_dir
        with pytest.raises(PathNotFound):
            store.rename(site.key("d/f"), site.key("e/g"))

    def test_rename_of_a_tree(self, site: StoreSite, store: UnderStore) -> None:
        site.small_parts(store)
        big = random.Random(4).randbytes(BIG_BYTES)
        files = {"f": b"1", "a b/g%": b"2", "a b/c/h": big}
        for name, data in files.items():
            site.put(f"d/{name}", data)
        site.make_directory("d/empty")
        site.make_directory("to")
        store.rename(site.key("d"), site.key("to/t"))
        found = {k: self.content(store, k) for k in self.listed(store, site.key("to/t"))}
        assert found == {site.key(f"to/t/{name}"): data for name, data in files.items()}
        assert store.stat(site.key("to/t/empty")).is_dir
        with pytest.raises(PathNotFound):
            store.stat(site.key("d"))

    def test_rename_to_a_name_that_is_taken(self, site: StoreSite, store: UnderStore) -> None:
        if site.object_store:
            pytest.skip("who renames in an object store has looked before")
        site.put("f", b"1")
        site.put("g", b"2")
        with pytest.raises(Conflict):
            store.rename(site.key("f"), site.key("g"))
        assert self.content(store, site.key("g")) == b"2"

    def test_set_times(self, site: StoreSite, store: UnderStore) -> None:
        site.put("f", b"1")
        if not site.sets_times:
            pytest.skip("the store keeps its own times")
        store.set_times(site.key("f"), 1_600_000_000_000, -1)
        assert store.stat(site.key("f")).mtime_ms == 1_600_000_000_000

    def test_writes_are_counted(self, site: StoreSite, store: UnderStore) -> None:
        store.put(site.key("f"), BytesSource(b"0123456789"))
        assert store.counters.put >= 1
        assert store.counters.bytes_written == 10
        before = store.counters.delete
        store.delete(site.key("f"))
        assert store.counters.delete == before + 1
