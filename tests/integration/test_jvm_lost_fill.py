"""A sidecar killed while a read waits for its Fill: the read goes on in the store."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import crc32c
import pytest

from millpond.engine import read_mounts
from millpond.testing.store_model import Fault, StoreModel
from tests.integration.test_jvm_client import MIB, Bucket, Site, await_fallback, content

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from millpond.testing.s3_gateway import S3Gateway
    from tests.integration.jvm_probe import Probe

SILENCE_S = 0.4
# The decision is held to a second by its counter; the rest is the connector on a busy machine.
WHOLE_S = SILENCE_S + 2.0
AT = 24 * MIB
COUNT = 3 * MIB

# The first run on a machine fetches S3A by Maven.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def model(s3_gateway: S3Gateway) -> Iterator[StoreModel]:
    with StoreModel(s3_gateway.endpoint) as made:
        yield made


def stream(probe: Probe) -> bytes:
    probe.ask("seek", "s", AT)
    return probe.read(COUNT)


def pread(probe: Probe) -> bytes:
    return probe.pread(AT, COUNT)


def vectored(probe: Probe) -> bytes:
    return b"".join(probe.vectored([(AT + i * MIB, MIB) for i in range(COUNT // MIB)]))


@pytest.mark.parametrize("read", [stream, pread, vectored])
def test_a_read_whose_fill_dies_goes_on_directly(
    tmp_path: Path, s3_gateway: S3Gateway, model: StoreModel, read: Callable[[Probe], bytes]
) -> None:
    data = content(32 * MIB, seed=31)
    store = Bucket(s3_gateway, s3_gateway.new_bucket(), model.endpoint)
    store.put("present", b"for the connector")
    store.put("lost", data)
    site = Site(tmp_path, store)
    try:
        site.start()
        with site.probe() as probe, ThreadPoolExecutor(1) as reader:
            load_s3a(probe, site)
            probe.open("/m/lost", "random")
            assert probe.pread(0, 100) == data[:100]
            await_fallback(probe)
            before = probe.counters()
            assert before["direct_bytes"] == 0
            model.set(fault=Fault("stall", stall_s=120.0))
            asked = model.counters().faults
            waiting: Future[bytes] = reader.submit(read, probe)
            try:
                await_faults(model, asked + 1)
                with pytest.raises(TimeoutError):
                    waiting.result(3 * SILENCE_S)  # the sidecar lives: a slow store is no silence
                model.clear_faults()
            finally:
                site.sidecar.kill()
            killed_s = time.monotonic()
            assert waiting.result(60) == data[AT : AT + COUNT]
            took_s = time.monotonic() - killed_s
            after = probe.counters()
            print(f"{took_s:.3f} s after the kill, decided in {after['decide_ms_max']} ms")
            assert after["direct_bytes"] == COUNT
            assert any(after.get(f"fallback_sidecar_{how}") for how in ("gone", "absent"))
            assert after["decide_ms_max"] <= 1000
            assert took_s <= WHOLE_S
            probe.ask("seek", "s", 0)
            assert probe.skim() == (len(data), crc32c.crc32c(data))
    finally:
        site.sidecar.stop()


def load_s3a(probe: Probe, site: Site) -> None:
    """The first GET of a JVM loads S3A's classes: seconds that are not the fallback's."""
    (direct, _) = read_mounts(site.sidecar.cache_dir)
    for key, value in direct.direct_conf.items():
        probe.ask("conf", key, value)
    probe.ask("fs", direct.store_uri)
    probe.open(f"{direct.store_uri}/present", name="s3a")
    probe.skim(name="s3a")
    probe.ask("close", "s3a")
    probe.ask("fs", "cache:///")


def await_faults(model: StoreModel, count: int) -> None:
    deadline = time.monotonic() + 30
    while model.counters().faults < count:
        assert time.monotonic() < deadline, "no GET was held"
        time.sleep(0.01)
