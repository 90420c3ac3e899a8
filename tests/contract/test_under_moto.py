"""S3 against moto, which takes keys that no file system does, and markers of other clients."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from millpond.errors import Conflict, PathNotFound, PermissionDenied, StoreUnavailable
from millpond.testing.store_model import Fault, StoreModel
from millpond.testing.under_contract import UnderStoreContract, names
from millpond.testing.write_contract import BIG_BYTES
from millpond.under import s3_errors
from millpond.under.base import ABSENT, BytesSource
from millpond.under.retry import RetryPolicy
from millpond.under.s3 import _TOLD_KEYS, S3Store
from tests.fixtures.s3_site import S3Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from millpond.testing.moto import MotoServer
    from millpond.under.base import UnderStore
    from millpond.under.s3_wire import Answer

ODD_KEYS = (
    "a//b", "a/../b", "./x", "a/.", "..", "/lead", "100%", "%2F", "a b", "a+b", "é", "e\u0301",
    "c\tx", "\x01", "…/…", "q?x", "h#h", "<&>", "日本",
)  # fmt: skip


@pytest.fixture(scope="module")
def model(moto_server: MotoServer) -> Iterator[StoreModel]:
    with StoreModel(moto_server.endpoint) as model:
        yield model


@pytest.fixture(scope="module")
def bucket(moto_server: MotoServer) -> str:
    return moto_server.new_bucket()


class TestMoto(UnderStoreContract):
    # moto checks no signatures.
    test_refused = None  # type: ignore[assignment]

    @pytest.fixture
    def site(self, moto_server: MotoServer, bucket: str, model: StoreModel) -> Iterator[S3Site]:
        site = S3Site(moto_server, bucket, model, ODD_KEYS)
        yield site
        site.close()

    def test_folder_markers_are_directories(self, site: S3Site, store: UnderStore) -> None:
        site.put("d_$folder$", b"")
        site.put("e_$folder$", b"")
        site.put("e/f", b"1")
        site.put("g/", b"")
        site.put("data_$folder$", b"a file with content")
        assert names(store.list(site.prefix)) == [
            (site.key("d"), True),
            (site.key("data_$folder$"), False),
            (site.key("e"), True),
            (site.key("g"), True),
        ]
        assert store.stat(site.key("d")).is_dir
        assert names(store.list(site.key("d"))) == []
        assert names(store.list(site.key("g"))) == []
        deep = [key for key, _ in names(store.list(site.prefix, recursive=True))]
        assert deep == [site.key("data_$folder$"), site.key("e/f")]

    def test_directories_without_a_name(self, site: S3Site, store: UnderStore) -> None:
        site.put("a//b", b"1")
        assert names(store.list(site.key("a"))) == [(site.key("a/"), True)]
        assert store.stat(site.key("a/")).is_dir
        assert names(store.list(site.key("a/"))) == [(site.key("a//b"), False)]

    @pytest.mark.parametrize("big", [False, True])
    @pytest.mark.parametrize("there", [False, True])
    @pytest.mark.parametrize("for_good", [False, True])
    def test_a_completion_whose_answer_was_lost(
        self, site: S3Site, store: UnderStore, big: bool, there: bool, for_good: bool
    ) -> None:
        """Repeated by the store, or by who was told that it does not answer. (The gateway keeps no
        metadata, and so no mark.)"""
        site.small_parts(store)
        assert isinstance(store, S3Store)
        store._retrier.policy = RetryPolicy(attempts=2, base_s=0.001)
        if there:
            site.put("x", b"before")
        expect = store.stat(site.key("x")).version if there else ABSENT
        data = bytes(BIG_BYTES if big else 10)
        upload = store.upload(site.key("x"), BytesSource(data))
        lost = Fault("stall", on="POST" if big else "PUT", times=-1 if for_good else 1, stall_s=2.0)
        site.model.set(fault=lost)
        if for_good:
            with pytest.raises(StoreUnavailable):
                upload.complete(expect)
            site.model.clear_faults()
        version = upload.complete(expect)
        assert store.stat(site.key("x")).version == version
        assert self.content(store, site.key("x")) == data
        assert site.left_behind() == []

    @pytest.mark.parametrize("big", [False, True])
    def test_one_that_knows_no_conditions_takes_them_at_once(
        self, site: S3Site, store: UnderStore, monkeypatch: pytest.MonkeyPatch, big: bool
    ) -> None:
        """Before anybody has tried them: what is there is looked at before."""
        site.small_parts(store)
        assert isinstance(store, S3Store)
        send = store._wire.send

        def refused(
            method: str, key: str, query: Any = None, headers: Any = None, body: Any = None
        ) -> Answer:
            if method != "GET" and {"If-None-Match", "If-Match"} & set(headers or {}):
                raise s3_errors.refusal(501, "NotImplemented", "", bucket="b", key=key)
            return send(method, key, query, headers, body)

        monkeypatch.setattr(store._wire, "send", refused)
        first, second = (bytes([n]) * (BIG_BYTES if big else 10) for n in (1, 2))
        made = store.put(site.key("x"), BytesSource(first), expect=ABSENT)
        with pytest.raises(Conflict):
            store.put(site.key("x"), BytesSource(second), expect=ABSENT)
        again = store.put(site.key("x"), BytesSource(second), expect=made)
        with pytest.raises(Conflict):
            store.put(site.key("x"), BytesSource(first), expect=made)
        assert store.stat(site.key("x")).version == again
        assert self.content(store, site.key("x")) == second
        assert not store.try_conditions(site.prefix)
        assert site.left_behind() == []

    def test_one_that_knows_no_conditions_and_deletes_nothing_takes_commits(
        self, site: S3Site, store: UnderStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert isinstance(store, S3Store)
        send = store._wire.send

        def refused(
            method: str, key: str, query: Any = None, headers: Any = None, body: Any = None
        ) -> Answer:
            if "If-None-Match" in (headers or {}):
                raise s3_errors.refusal(501, "NotImplemented", "", bucket="b", key=key)
            if method == "DELETE":
                raise s3_errors.refusal(403, "AccessDenied", "", bucket="b", key=key)
            return send(method, key, query, headers, body)

        monkeypatch.setattr(store._wire, "send", refused)
        assert not store.try_conditions(site.prefix)
        assert store.conditional is False
        for name, data in (("a", b"first"), ("b", b"second")):
            site.put(name, data)
        store.claim(site.key("a"), site.key("v1"))
        with pytest.raises(Conflict):
            store.claim(site.key("b"), site.key("v1"))
        assert self.content(store, site.key("v1")) == b"first"

    def test_a_marker_with_content_is_no_directory(self, site: S3Site, store: UnderStore) -> None:
        for name in ("data", "data.x"):
            site.put(f"{name}_$folder$", b"a file with content")
            with pytest.raises(PathNotFound):
                store.stat(site.key(name))

    @pytest.mark.parametrize(("suffix", "heads"), [("", 0), (".avro", 1)])
    def test_what_is_not_there_costs_a_list_and_at_most_a_head(
        self, site: S3Site, store: UnderStore, suffix: str, heads: int
    ) -> None:
        for beside in ("-1/x", "-10", ".crc", "0", "_$folder$x"):
            site.put(f"part{suffix}{beside}", b"1")
        before = replace(store.counters)
        for name in (f"nothing{suffix}", f"part{suffix}"):
            with pytest.raises(PathNotFound):
                store.stat(site.key(name))
        assert store.counters.head - before.head == 2 * heads
        assert store.counters.list - before.list == 2

    @pytest.mark.parametrize("suffix", ["", ".d"])
    @pytest.mark.parametrize("made", ["/x", "_$folder$", None])
    def test_directories_among_many_names_that_begin_alike(
        self, site: S3Site, store: UnderStore, suffix: str, made: str | None
    ) -> None:
        name = f"many{suffix}"
        for number in range(2 * _TOLD_KEYS):
            site.put(f"{name}-{number}", b"1")
        if made is None:
            with pytest.raises(PathNotFound):
                store.stat(site.key(name))
        else:
            site.put(f"{name}{made}", b"")
            assert store.stat(site.key(name)).is_dir

    def test_a_policy_that_allows_to_list_only_below_a_directory(
        self, site: S3Site, store: UnderStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As ``s3:prefix`` = ``d/*`` does: moto checks no policies."""
        assert isinstance(store, S3Store)
        site.put("d/x", b"1")
        send = store._wire.send

        def guarded(
            verb: str, key: str, query: dict[str, str] | None = None, **more: Any
        ) -> Answer:
            if query and "prefix" in query and not query["prefix"].endswith("/"):
                raise PermissionDenied("the store refuses")
            return send(verb, key, query, **more)

        monkeypatch.setattr(store._wire, "send", guarded)
        assert store.stat(site.key("d")).is_dir
        with pytest.raises(PathNotFound):
            store.stat(site.key("e"))
