"""Files that were acknowledged before the store had them, and a sidecar that is killed: no client
of either language sees less than was acknowledged, nor anything older.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from typing import TYPE_CHECKING

import crc32c
import pytest

from millpond.errors import InvalidSetting
from millpond.testing.store_model import Fault, StoreModel
from tests.fixtures.pending_site import ALREADY, UNREACHABLE, Client, Jvm, PendingSite, Python
from tests.fixtures.waiting import eventually
from tests.integration.jvm_probe import ProbeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from millpond.testing.s3_gateway import S3Gateway

# The first run on a machine fetches S3A by Maven.
pytestmark = pytest.mark.timeout(600)

OURS = random.Random(3).randbytes((19 << 20) + 5)
SIZES = {"jvm": len(OURS), "python": len(OURS), "streamed": len(OURS), "small": 700, "empty": 0}


@pytest.fixture(scope="module")
def model(s3_gateway: S3Gateway) -> Iterator[StoreModel]:
    with StoreModel(s3_gateway.endpoint) as model:
        yield model


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, s3_gateway: S3Gateway, model: StoreModel
) -> Iterator[PendingSite]:
    site = PendingSite(tmp_path_factory.mktemp("site"), s3_gateway, model)
    yield site
    site.close()


def write(site: PendingSite) -> None:
    """By each way that a writer can say it."""
    fs = site.fs()
    for name in ("python", "streamed", "empty"):
        with fs.open(f"/held/{name}", "wb", write_type="async") as file:
            file.write(OURS[: SIZES[name]])
    site.jvm.write("/held/small", OURS[: SIZES["small"]], write_type="async")
    with site.probe(**{"fs.cache.write.type": "async"}) as probe:
        probe.write("/held/jvm", OURS)


def all_is_read(site: PendingSite, client: Client) -> None:
    for name, size in SIZES.items():
        assert client.length(f"/held/{name}") == size, name
        assert client.read(f"/held/{name}") == OURS[:size], name


def a_busy_sidecar_is_waited_for(site: PendingSite, client: Client) -> None:
    """Silent for longer than a client waits elsewhere, and yet its lease holds."""
    name = f"busy{type(client).__name__}"
    site.gateway.put_object(site.bucket, f"held/{name}", ALREADY)
    pid = site.sidecar.process.pid
    os.kill(pid, signal.SIGSTOP)
    wake = threading.Timer(1.2, os.kill, (pid, signal.SIGCONT))
    wake.start()
    try:
        assert client.length(f"/held/{name}") == len(ALREADY)
    finally:
        wake.join()


def the_other_mount_is_read(client: Client) -> None:
    assert client.read("/free/never") == ALREADY
    assert client.list("/free") >= 1


def test_a_sidecar_that_dies_before_the_store_has_it(site: PendingSite, model: StoreModel) -> None:
    """From the acknowledgement to the store and beyond, the sidecar killed twice."""
    site.gateway.put_object(site.bucket, "held/python", b"older")
    site.gateway.put_object(site.bucket, "held/streamed", b"older")
    model.set(fault=[Fault("status", on=on) for on in ("PUT", "POST")])
    write(site)
    assert site.sidecar.control.persists("/held").entries
    for client in (Python(site), Jvm(site)):
        a_busy_sidecar_is_waited_for(site, client)
    python, path = site.fs(), "/held/streamed"
    kept = site.jvm.open(path, name="kept")
    with python.open(path) as file:
        assert file.read(100) == site.jvm.read(100, name=kept) == OURS[:100]
        site.kill()
        model.clear_faults()
        for client in (Python(site), Jvm(site)):
            site.asked()
            all_is_read(site, client)
            for ask in (
                lambda c=client: c.read("/held/never"),
                lambda c=client: c.length("/held/none"),
                lambda c=client: c.list("/held"),
                lambda c=client: c.write("/held/python"),
                lambda c=client: c.delete("/held/python"),
                lambda c=client: c.rename("/held/python", "/held/other"),
            ):
                assert client.refusal(ask) == UNREACHABLE
            assert site.asked() == 0
            the_other_mount_is_read(client)

        site.restart()
        left = site.sidecar.control.persist_wait("/held", timeout_s=60)
        assert left.files == 0, left
        for name, size in SIZES.items():
            if size:  # who waits for the store does not wait for what is known here of it
                path = f"/held/{name}"
                eventually(
                    f"{name} is as the store names it", lambda p=path: site.meta(p).store_version
                )
        with site.store_uris() as probe:
            site.asked()
            probe.ask("planned", "s", f"s3a://{site.bucket}/held/python", "listed")
            assert probe.skim() == (len(OURS), crc32c.crc32c(OURS))
            assert model.counters().requests["GET"] == 0, "one version by both its names"
        site.kill()
        for client in (Python(site), Jvm(site)):
            site.asked()
            all_is_read(site, client)
            gets = model.counters().requests["GET"]
            assert gets == 0, "what is here is not fetched"
            assert client.list("/held") == len(SIZES) + 3
            assert client.read("/held/never") == ALREADY
        site.evict(path)
        assert file.read() == OURS[100:], "opened while it was pending"
    assert site.jvm.skim(name=kept) == (len(OURS) - 100, crc32c.crc32c(OURS[100:]))


def test_a_write_type_that_is_none(site: PendingSite) -> None:
    with pytest.raises(InvalidSetting, match="allowed: through, async, cache, around"):
        site.fs().open("/free/f", "wb", write_type="later")
    with pytest.raises(ProbeError, match="allowed: through, async, cache, around") as met:
        site.jvm.write("/free/f", b"1", write_type="later")
    assert met.value.kind == "InvalidSettingException"
    with pytest.raises(ProbeError, match="allowed: through, async, cache, around"):
        site.probe(**{"fs.cache.write.type": "later"})
