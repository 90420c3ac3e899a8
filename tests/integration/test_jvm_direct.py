"""What the JVM client asks of the store while no sidecar answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import crc32c
import pytest

from millpond.testing.store_model import StoreModel
from tests.integration.jvm_probe import ProbeError
from tests.integration.test_jvm_client import MIB, Bucket, Folder, Site, content

if TYPE_CHECKING:
    from pathlib import Path

    from millpond.testing.s3_gateway import S3Gateway

# The first run on a machine fetches S3A by Maven.
pytestmark = pytest.mark.timeout(600)


def test_without_a_sidecar_the_store_is_asked_no_more_than_needed(
    tmp_path: Path, s3_gateway: S3Gateway
) -> None:
    data = content(3 * MIB, seed=16)
    with StoreModel(s3_gateway.endpoint) as model:
        store = Bucket(s3_gateway, s3_gateway.new_bucket(), model.endpoint)
        store.put("cached", data)
        for i in range(4):
            store.put(f"absent{i}", data)
        site = Site(tmp_path, store)
        try:
            site.start()
            with site.probe() as probe:
                probe.open("/m/cached")
                assert probe.skim() == (len(data), crc32c.crc32c(data))
        finally:
            site.sidecar.kill()
        with site.probe() as probe:

            def asked(how: str, path: str, *more: str) -> tuple[int, ...]:
                model.reset_counters()
                probe.ask(how, "s", path, *more)
                assert probe.skim() == (len(data), crc32c.crc32c(data))
                requests = model.counters().requests
                return tuple(requests[kind] for kind in ("HEAD", "LIST", "GET"))

            assert asked("open", "/m/cached") == (1, 0, 0)
            assert asked("planned", "/m/cached", "status") == (1, 0, 0)
            assert asked("planned", "/m/cached", "listed") == (0, 1, 0)
            # each another file: the connector remembers bytes of its own
            assert asked("open", "/m/absent0") == (1, 0, 1)
            assert asked("planned", "/m/absent1", "status") == (1, 0, 1)
            assert asked("planned", "/m/absent2", "listed") == (0, 1, 1)
            probe.ask("planned", "s", "/m/absent3", "status")
            store.put("absent3", data[:MIB])
            with pytest.raises(ProbeError) as met:
                probe.skim()
            assert met.value.kind == "FileChangedException"


def test_what_is_not_admitted_is_asked_for_once_and_read_directly(tmp_path: Path) -> None:
    data = content(20 * MIB, seed=17)
    (tmp_path / "data").mkdir()
    store = Folder(tmp_path / "data", ("--admission", "bypass glob=*.tmp scan=unknown"))
    store.put("a.tmp", data)
    site = Site(tmp_path, store)
    try:
        site.start()
        with site.probe() as probe:
            probe.open("/m/a.tmp")
            assert probe.skim() == (len(data), crc32c.crc32c(data))
            counters = probe.counters()
            assert counters["fills"] == 1, "a stream asks again for what is not admitted"
            assert counters["direct_bytes"] == len(data)
            assert counters["fallback_told_direct"] > 0
            ranges = [(0, 100), (5 * MIB, 1000)]
            assert probe.vectored(ranges) == [data[a : a + n] for a, n in ranges]
            assert probe.counters()["direct_bytes"] == len(data), "vectored reads are admitted"
    finally:
        site.sidecar.stop()
