"""What a store over HTTP must pass besides: right bytes or an error when the network lies."""

from __future__ import annotations

import random
import time
from abc import abstractmethod
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from millpond.errors import FileChanged, StoreAnswerInvalid, StoreUnavailable
from millpond.testing.store_model import Fault, StoreModel
from millpond.testing.under_contract import StoreSite, UnderStoreContract, drain, fetch, names

if TYPE_CHECKING:
    from millpond.under.base import UnderStore

_DATA = random.Random(2).randbytes(1_000_000)


class HttpStoreSite(StoreSite):
    """A site whose stores go through ``model``. They retry within a second, and give up a silent
    connection after one."""

    model: StoreModel

    @abstractmethod
    def wrong_secret(self) -> UnderStore: ...

    def refused(self, key: str) -> UnderStore:
        return self.wrong_secret()


class HttpStoreContract(UnderStoreContract):
    """``site`` must be an ``HttpStoreSite`` with a model that has no faults and zero counters."""

    @pytest.fixture
    def version(self, site: HttpStoreSite, store: UnderStore) -> str:
        """Of ``f``, which holds ``_DATA``."""
        site.put("f.x", _DATA)
        return store.stat(site.key("f.x")).version

    def read_all(self, site: HttpStoreSite, store: UnderStore, version: str) -> bytes:
        return fetch(store, site.key("f.x"), 0, len(_DATA), version)

    @pytest.mark.parametrize("status", [500, 503])
    def test_5xx_is_retried(
        self, site: HttpStoreSite, store: UnderStore, version: str, status: int
    ) -> None:
        for on in ("HEAD", "LIST", "GET"):
            site.model.set(fault=Fault("status", on=on, times=2, status=status))
            assert store.stat(site.key("f.x")).version == version
            assert names(store.list(site.prefix)) == [(site.key("f.x"), False)]
            assert self.read_all(site, store, version) == _DATA
        assert store.counters.retries == 6

    def test_5xx_for_ever_ends_typed(
        self, site: HttpStoreSite, store: UnderStore, version: str
    ) -> None:
        site.model.set(fault=Fault("status", on="ALL"))
        with pytest.raises(StoreUnavailable):
            store.stat(site.key("f.x"))
        with pytest.raises(StoreUnavailable):
            store.list(site.prefix)
        with pytest.raises(StoreUnavailable):
            self.read_all(site, store, version)

    def test_a_storm_is_not_multiplied(
        self, site: HttpStoreSite, store: UnderStore, version: str
    ) -> None:
        site.model.set(fault=Fault("status", on="ALL"))
        site.model.reset_counters()
        for _ in range(200):
            with pytest.raises(StoreUnavailable):
                store.stat(site.key("f.x"))
        assert site.model.counters().requests["HEAD"] <= 200 + 110

    @pytest.mark.parametrize("kind", ["truncate", "reset", "stall"])
    @pytest.mark.parametrize("after_bytes", [0, 1, 400_000])
    def test_a_broken_body_goes_on_where_it_ended(
        self, site: HttpStoreSite, store: UnderStore, version: str, kind: str, after_bytes: int
    ) -> None:
        site.model.set(fault=Fault(kind, times=2, after_bytes=after_bytes, stall_s=3.0))
        assert self.read_all(site, store, version) == _DATA
        assert store.counters.retries == 2
        assert store.counters.bytes_read == len(_DATA)

    def test_truncation_for_ever_ends_typed(
        self, site: HttpStoreSite, store: UnderStore, version: str
    ) -> None:
        site.model.set(fault=Fault("truncate", after_bytes=0))
        with pytest.raises((StoreAnswerInvalid, StoreUnavailable)):
            self.read_all(site, store, version)

    @pytest.mark.parametrize("kind", ["content_length", "content_range"])
    @pytest.mark.parametrize("delta", [-7, 7])
    def test_a_lying_head_gives_right_bytes_or_an_error(
        self, site: HttpStoreSite, store: UnderStore, version: str, kind: str, delta: int
    ) -> None:
        key = site.key("f.x")
        site.model.set(fault=Fault(kind, delta=delta))
        got = bytearray()
        with pytest.raises((StoreAnswerInvalid, StoreUnavailable)):
            drain(store.read(key, 1000, 2000, version), got)
        assert _DATA[1000:2000].startswith(bytes(got))
        site.model.set(fault=Fault(kind, times=1, delta=delta))
        assert fetch(store, key, 1000, 2000, version) == _DATA[1000:2000]

    def test_replaced_in_mid_stream(
        self, site: HttpStoreSite, store: UnderStore, version: str
    ) -> None:
        site.model.set(fault=Fault("truncate", times=1, after_bytes=400_000))
        stream = store.read(site.key("f.x"), 0, len(_DATA), version)
        got = bytearray(next(stream))
        site.put("f.x", bytes(len(_DATA)))
        with pytest.raises(FileChanged):
            drain(stream, got)
        assert len(got) <= 400_000
        assert _DATA.startswith(bytes(got))

    def test_counters_are_those_of_the_server(
        self, site: HttpStoreSite, store: UnderStore, version: str
    ) -> None:
        site.model.reset_counters()
        before = (store.counters.head, store.counters.list, store.counters.get)
        site.model.set(fault=Fault("status", on="ALL", probability=0.3, times=6))

        def work(_: int) -> None:
            store.stat(site.key("f.x"))
            names(store.list(site.prefix))
            fetch(store, site.key("f.x"), 10, 20, version)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(10)))
        until = time.monotonic() + 10
        # The model counts bytes after it has sent them.
        while (served := site.model.counters()).bytes["GET"] < store.counters.bytes_read:
            assert time.monotonic() < until
            time.sleep(0.01)
        now = (store.counters.head, store.counters.list, store.counters.get)
        sent = tuple(n - b for n, b in zip(now, before, strict=True))
        assert sent == tuple(served.requests[kind] for kind in ("HEAD", "LIST", "GET"))
        # An answer that came too late was sent as well.
        assert served.bytes["GET"] >= store.counters.bytes_read == 10 * 10
