"""An S3 store that refuses, stalls, resets and forgets its keys: readers of both languages.

What is asserted everywhere: right bytes or a typed error, and how many requests reach the store.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from millpond.testing.s3_gateway import S3Gateway, free_port
from millpond.testing.store_model import Fault, StoreModel
from millpond.under.retry import RetryBudget
from tests.fixtures.fault_site import (
    RIGHT,
    FaultSite,
    Meanwhile,
    Place,
    by_jvm,
    by_python,
    content,
    storm,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# The first run on a machine fetches S3A by Maven.
pytestmark = pytest.mark.timeout(600)

BUDGET = RetryBudget()
S3A_REQUESTS = 60
"""What S3A itself sends for one read of a store that is down for ten seconds, with its defaults."""


class Servers:
    """A gateway whose keys may change, the model before it, and the bucket."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.gateway = S3Gateway(directory, port=free_port()).start()
        self.model = StoreModel(self.gateway.endpoint).start()
        self.bucket = self.gateway.new_bucket()

    def put(self, *names: str) -> None:
        for name in names:
            self.gateway.put_object(self.bucket, name, content(name))

    def new_keys(self, access_key: str, secret_key: str) -> None:
        """From now on the store knows these alone."""
        port = int(self.gateway.endpoint.rpartition(":")[2])
        self.gateway.stop()
        self.gateway = S3Gateway(
            self._directory, access_key=access_key, secret_key=secret_key, port=port
        ).start()

    def keys(self) -> dict[str, str]:
        return {
            "fs.s3a.access.key": self.gateway.access_key,
            "fs.s3a.secret.key": self.gateway.secret_key,
        }

    def requests(self) -> int:
        """Since they were last counted."""
        found = sum(self.model.counters().requests.values())
        self.model.reset_counters()
        return found

    def stop(self) -> None:
        self.model.stop()
        self.gateway.stop()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    made = Servers(tmp_path_factory.mktemp("gateway"))
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def site(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultSite]:
    keys = {"access_key": servers.gateway.access_key, "secret_key": servers.gateway.secret_key}
    directory = tmp_path_factory.mktemp("site")
    with FaultSite(directory, keys, servers.keys(), s3a=True) as site:
        yield site


@pytest.fixture
def place(site: FaultSite, servers: Servers) -> Iterator[Place]:
    servers.put("warm")
    options = servers.gateway.mount_options(servers.model.endpoint)
    place = site.mount(f"s3://{servers.bucket}", options)
    assert by_python(site.fs(), f"{place.kept}/warm").told == RIGHT
    assert by_jvm(site.jvm, f"{place.kept}/warm").told == RIGHT
    servers.requests()
    yield place
    servers.model.clear_faults()


def bound(requests: int, seconds: float) -> float:
    """The most that Python readers of a store that refuses everything may cost it: each request
    once by the sidecar and once by the reader's process, and both budgets of retries."""
    return 2 * (requests + BUDGET.capacity + BUDGET.per_s * seconds)


def fallbacks(counters: Mapping[str, int]) -> dict[str, int]:
    """Why reads went to the store, but for a sidecar that a busy machine held up."""
    found = {k: v for k, v in counters.items() if k.startswith("fallback_") and v}
    busy = ("fallback_silence", "fallback_breaker_open", "fallback_ready_mounts")
    return {k: v for k, v in found.items() if k not in busy}


def test_a_storm_of_503_ends_in_typed_errors_and_leaves_nothing_behind(
    site: FaultSite, servers: Servers, place: Place
) -> None:
    names = [f"storm{i}" for i in range(48)]
    servers.put(*names)
    fs = site.fs()
    asked = place.files(names) + 12 * [f"{place.now}/"]
    servers.model.set(fault=Fault("status", on="ALL", status=503))
    assert by_python(fs, f"{place.kept}/warm").told == RIGHT
    assert by_jvm(site.jvm, f"{place.kept}/warm").told == RIGHT
    assert servers.requests() == 0, "what is cached needs no store"

    began_s = time.monotonic()
    assert storm(fs, asked, threads=16) == {"StoreUnavailable": len(asked)}
    found, took_s = servers.requests(), time.monotonic() - began_s
    assert len(asked) <= found <= bound(len(asked), took_s)
    with Meanwhile(lambda: by_jvm(site.jvm, asked[0])) as job:
        # The sidecar says at once that it has no retries left: S3A has its own.
        time.sleep(2)
        refused = servers.requests()
        servers.model.clear_faults()
    assert job.outcome.told == RIGHT
    assert refused <= S3A_REQUESTS
    assert by_jvm(site.jvm, asked[1]).told == RIGHT
    servers.requests()
    assert storm(site.fs(), asked) == {RIGHT: len(asked)}
    assert servers.requests() <= 2 * len(asked), "HEAD and GET a file, and no retry"


def test_one_answer_in_five_refused_costs_no_reader_anything(
    site: FaultSite, servers: Servers, place: Place
) -> None:
    names = [f"fifth{i}" for i in range(60)]
    servers.put(*names)
    servers.model.set(fault=Fault("status", on="ALL", status=503, probability=0.2))
    fs = site.fs()
    assert storm(fs, place.files(names)) == {RIGHT: 60}
    assert fs.counters["direct_reads"] == 0, "the sidecar's retries were enough"
    assert servers.requests() <= 2 * 60 * 2


def test_reset_connections_are_asked_again(site: FaultSite, servers: Servers, place: Place) -> None:
    names = [f"reset{i}" for i in range(16)]
    servers.put(*names)
    fs = site.fs()
    fault = Fault("reset", on="GET", probability=0.3, after_bytes=300_000)
    servers.model.set(fault=fault)
    assert storm(fs, place.files(names[:12])) == {RIGHT: 12}
    servers.model.set(fault=Fault("reset", on="GET"))
    servers.requests()
    began_s = time.monotonic()
    assert storm(fs, place.files(names[12:])) == {"StoreUnavailable": 4}
    assert servers.requests() <= 4 + bound(4, time.monotonic() - began_s)
    servers.model.clear_faults()
    assert storm(fs, place.files(names)) == {RIGHT: 16}


@pytest.mark.parametrize("seconds", [2.0, pytest.param(10.0, marks=pytest.mark.full)])
def test_a_stall_is_waited_for(
    site: FaultSite, servers: Servers, place: Place, seconds: float
) -> None:
    stalled, other = f"stalled{seconds}", f"other{seconds}"
    servers.put(stalled, other)
    fs = site.fs()
    before = fallbacks(site.jvm.counters())
    fault = Fault("stall", on="GET", after_bytes=100_000, stall_s=seconds, times=1)
    servers.model.set(fault=fault)
    with (
        Meanwhile(lambda: by_jvm(site.jvm, f"{place.now}/{stalled}")) as java,
        Meanwhile(lambda: by_python(fs, f"{place.now}/{stalled}")) as python,
    ):
        while not servers.model.counters().faults:
            time.sleep(0.01)
        assert by_python(site.fs(), f"{place.now}/{other}").told == RIGHT
        assert not (java.ended and python.ended), "others are not held up"
    assert java.outcome.told == python.outcome.told == RIGHT
    assert max(java.outcome.seconds, python.outcome.seconds) >= seconds
    assert servers.requests() <= 8, "nobody asked twice"
    assert fallbacks(site.jvm.counters()) == before
    assert not fallbacks(fs.counters)


def test_expired_keys_are_named_and_new_ones_found(
    site: FaultSite, servers: Servers, place: Place, tmp_path: Path
) -> None:
    """The keys lie in files, as those do that a rotation writes."""
    names = ["key0", "key1", "key2", "key3"]
    servers.put(*names)
    first = servers.gateway
    files = {"access_key": tmp_path / "access", "secret_key": tmp_path / "secret"}

    def rotate() -> None:
        files["access_key"].write_text(servers.gateway.access_key)
        files["secret_key"].write_text(servers.gateway.secret_key)

    rotate()
    options = first.mount_options(servers.model.endpoint)
    options |= {name: f"file:{path}" for name, path in files.items()}
    rotated = site.mount(f"s3://{servers.bucket}", options)
    fs, jvm = site.fs(), site.jvm
    servers.new_keys("another-key", "another-secret")
    servers.requests()
    try:
        assert by_python(fs, f"{place.kept}/warm").told == RIGHT
        assert by_jvm(jvm, f"{place.kept}/warm").told == RIGHT
        assert servers.requests() == 0
        for path in (f"{rotated.now}/key0", f"{rotated.now}/"):
            for told in (by_python(fs, path), by_jvm(jvm, path)):
                assert told.told == "PermissionDenied"
                assert re.search("credentials|Forbidden", told.error)
        assert servers.requests() <= 4 * 3, "a refusal is not asked about again"
        with site.probe(servers.keys()) as engine:
            assert by_jvm(engine, f"{place.now}/key1").told == RIGHT, "by the engine's own keys"
        rotate()
        until_s = time.monotonic() + 20
        while by_python(fs, f"{rotated.now}/key2").told != RIGHT:
            assert time.monotonic() < until_s, "the sidecar never found the new keys"
            time.sleep(0.2)
        before = fallbacks(jvm.counters())
        assert by_jvm(jvm, f"{rotated.now}/key3").told == RIGHT
        assert fallbacks(jvm.counters()) == before
    finally:
        servers.new_keys(first.access_key, first.secret_key)


def test_an_expired_token_is_named_in_both_languages(
    site: FaultSite, servers: Servers, place: Place
) -> None:
    servers.put("token")
    path = f"{place.now}/token"
    fs = site.fs()
    servers.model.set(fault=Fault("status", on="ALL", status=400, code="ExpiredToken"))
    for told in (by_python(fs, path), by_jvm(site.jvm, path)):
        assert told.told == "PermissionDenied"
        assert "expired" in told.error
        assert "Renew them" in told.error
    assert servers.requests() <= 4 + S3A_REQUESTS
    servers.model.clear_faults()
    assert by_python(fs, path).told == by_jvm(site.jvm, path).told == RIGHT
