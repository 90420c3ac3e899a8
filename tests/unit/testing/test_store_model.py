"""The store model does what it says, and costs what it says."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from millpond.testing.http_head import Head, kind_of
from millpond.testing.store_model import Fault, StoreModel
from millpond.under.s3 import S3Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from millpond.testing.s3_gateway import S3Gateway

SIZE = 4 << 20


@pytest.fixture
def model(s3_gateway: S3Gateway) -> Iterator[StoreModel]:
    with StoreModel(s3_gateway.endpoint) as model:
        yield model


@pytest.fixture
def store(s3_gateway: S3Gateway, model: StoreModel) -> Iterator[S3Store]:
    bucket = s3_gateway.new_bucket()
    s3_gateway.put_object(bucket, "f.x", bytes(SIZE))
    store = S3Store(bucket, s3_gateway.mount_options(model.endpoint))
    yield store
    store.close()


def read(store: S3Store, end: int = SIZE) -> bytes:
    return b"".join(bytes(b) for b in store.read("f.x", 0, end, store.stat("f.x").version))


def test_counts_by_kind(store: S3Store, model: StoreModel) -> None:
    read(store)
    list(store.list(""))
    counted = model.counters()
    assert {k: n for k, n in counted.requests.items() if n} == {"GET": 1, "HEAD": 1, "LIST": 1}
    assert counted.bytes["GET"] == SIZE
    assert counted.connections == 1
    model.reset_counters()
    assert not any(model.counters().requests.values())


def test_latency_and_rate_may_change_while_it_runs(store: S3Store, model: StoreModel) -> None:
    def took_s() -> float:
        began_s = time.monotonic()
        read(store)
        return time.monotonic() - began_s

    model.set(latency_ms=100)
    assert took_s() >= 0.2  # a HEAD and a GET
    model.set(latency_ms=0, rate_mb_s=20)
    assert took_s() >= SIZE / 20e6 * 0.95
    model.set(latency_ms=100, rate_mb_s=0)
    with ThreadPoolExecutor(4) as pool:
        began_s = time.monotonic()
        list(pool.map(lambda _: store.stat("f.x"), range(4)))
        assert 0.1 <= time.monotonic() - began_s < 0.4


def test_flips_the_byte_that_was_named(store: S3Store, model: StoreModel) -> None:
    model.set(fault=Fault("flip", after_bytes=70_000, times=1))
    got = read(store)
    assert [i for i, byte in enumerate(got) if byte] == [70_000]
    assert model.counters().faults == 1
    assert not any(read(store))


def test_faults_with_probability(store: S3Store, model: StoreModel) -> None:
    model.set(fault=Fault("status", on="HEAD", probability=0.2))
    for _ in range(30):
        store.stat("f.x")
    assert store.counters.retries == model.counters().faults


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="known"):
        Fault("explode")


def test_it_ends_when_stopped(s3_gateway: S3Gateway) -> None:
    import os

    model = StoreModel(s3_gateway.endpoint).start()
    pid = model.pid
    model.stop()
    model.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    ("request_line", "kind"),
    [
        ("GET /b/k", "GET"), ("GET /b/k?versionId=1", "GET"), ("GET /b/k?acl", "OTHER"),
        ("GET /b?list-type=2&prefix=x", "LIST"), ("GET /b/?prefix=", "LIST"), ("GET /b", "LIST"),
        ("GET /b?location", "OTHER"), ("HEAD /b/k", "HEAD"), ("PUT /b/k", "PUT"),
        ("POST /b?delete", "POST"), ("DELETE /b/k", "DELETE"), ("OPTIONS /", "OTHER"),
    ],
)  # fmt: skip
def test_kinds(request_line: str, kind: str) -> None:
    assert kind_of(Head.parse(f"{request_line} HTTP/1.1\r\n\r\n".encode())) == kind


def test_self_cost() -> None:
    from millpond.testing.store_model_cost import self_cost

    # 0.44 on a quiet machine; the bound only catches a copy through Python.
    assert self_cost(64 << 20)["cpu_s_per_gib"] < 2
