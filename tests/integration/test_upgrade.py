"""Sidecar and clients of two releases: the newer sidecar serves both, what can't be is said.

The next release is this one with other numbers: of the local protocol, and of the layouts on disk,
but for ``mounts``, which every client has to read.
"""

from __future__ import annotations

import random
import subprocess
import sys
from typing import TYPE_CHECKING

import crc32c
import pytest

import millpond_jars
from millpond.testing.store_model import Fault, StoreModel
from tests.bench.jvm import ROOT, classpath, compiled
from tests.fixtures.pending_site import PendingSite
from tests.fixtures.sidecar import ProcessSidecar
from tests.integration.jvm_probe import Probe, ProbeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from millpond.testing.s3_gateway import S3Gateway

pytestmark = pytest.mark.timeout(600)

OURS = random.Random(6).randbytes((18 << 20) + 7)
STORED = random.Random(7).randbytes((17 << 20) + 3)
NEXT_WIRE = "from millpond.wire import frames; frames.PROTOCOL_MAX = 2"
NEXT_DISK = """
from millpond.model import block, records
plain = records.pack_mounts
def pack_mounts(table, crc):
    records.FORMAT = 1
    try:
        return plain(table, crc)
    finally:
        records.FORMAT = 2
records.pack_mounts = pack_mounts
block.FORMAT = records.FORMAT = 2
block.READABLE = records.READABLE = frozenset({1, 2})
from millpond.store import node
node.FORMAT = 2
"""
PATIENT = {"fs.cache.silence.ms": "10000"}
GREETING = ROOT / "jars/client/src/main/java/io/millpond/fs/rpc/Greeting.java"


@pytest.fixture(scope="module")
def model(s3_gateway: S3Gateway) -> Iterator[StoreModel]:
    with StoreModel(s3_gateway.endpoint) as model:
        yield model


@pytest.fixture
def site(tmp_path: Path, s3_gateway: S3Gateway, model: StoreModel) -> Iterator[PendingSite]:
    """One whose sidecar is of this release."""
    site = PendingSite(tmp_path, s3_gateway, model)
    yield site
    model.clear_faults()
    site.close()


def restart(site: PendingSite, before: str = "") -> None:
    """The sidecar ends, and one of another release takes its directory."""
    site.sidecar.__exit__()
    site.sidecar = ProcessSidecar(site.directory, site.directory.parent / "log", before=before)
    site.sidecar.await_client().close()


def formats(site: PendingSite) -> set[int]:
    """Those of the blocks on disk."""
    found = (path.read_bytes()[8:12] for path in site.directory.glob("blocks/??/*/*"))
    return {int.from_bytes(each, "little") for each in found}


def reads(site: PendingSite, probe: Probe, path: str, data: bytes) -> None:
    """Both clients of this release read it whole, and from the middle."""
    probe.open(path)
    assert probe.skim() == (len(data), crc32c.crc32c(data)), path
    middle = len(data) // 2
    assert probe.pread(middle, min(1000, middle)) == data[middle:][: min(1000, middle)]
    assert site.fs().cat_file(path) == data


def writes(site: PendingSite, probe: Probe, kind: str) -> None:
    """Both clients of this release write."""
    probe.write(f"/held/jvm-{kind}", OURS, write_type=kind)
    with site.fs().open(f"/held/python-{kind}", "wb", write_type=kind) as file:
        file.write(OURS)
    probe.write(f"/held/tiny-{kind}", b"tiny", write_type=kind)


def reads_written(site: PendingSite, probe: Probe, kind: str) -> None:
    for name in ("jvm", "python"):
        reads(site, probe, f"/held/{name}-{kind}", OURS)
    reads(site, probe, f"/held/tiny-{kind}", b"tiny")


@pytest.mark.parametrize("next_release", [NEXT_WIRE, NEXT_DISK], ids=["wire", "disk"])
def test_a_newer_sidecar_serves_the_clients_of_before(site: PendingSite, next_release: str) -> None:
    """What it wrote, what the release before wrote, and what is pending; nothing past it."""
    site.gateway.put_object(site.bucket, "held/stored", STORED)
    with site.probe(**PATIENT) as probe:
        reads(site, probe, "/held/stored", STORED)
    restart(site, next_release)
    site.gateway.put_object(site.bucket, "held/later", STORED)
    with site.probe(**PATIENT) as probe:
        reads(site, probe, "/held/stored", STORED)
        reads(site, probe, "/held/later", STORED)
        writes(site, probe, "through")
        reads_written(site, probe, "through")
        site.model.set(fault=[Fault("status", on=on) for on in ("PUT", "POST")])
        writes(site, probe, "async")
        assert site.sidecar.control.persists("/held").files == 3
        reads_written(site, probe, "async")
        site.model.clear_faults()
        assert site.sidecar.control.persist_wait("/held", timeout_s=60).files == 0
        reads_written(site, probe, "async")
        probe.ask("rename", "/held/tiny-async", "/held/renamed")
        reads(site, probe, "/held/renamed", b"tiny")
        counters = probe.counters()
    assert (counters["direct_bytes"], counters["direct_writes"]) == (0, 0), counters
    assert formats(site) == ({1, 2} if next_release == NEXT_DISK else {1})


def test_an_older_sidecar_does_not_start_on_a_newer_directory(site: PendingSite) -> None:
    restart(site, NEXT_DISK)
    site.model.set(fault=[Fault("status", on=on) for on in ("PUT", "POST")])
    with site.probe(**PATIENT) as probe:
        writes(site, probe, "async")
    site.sidecar.__exit__()
    log = site.directory.parent / "older.log"
    with ProcessSidecar(site.directory, log) as older:
        assert older.process.wait(30) != 0
    said = log.read_text()
    assert "the cache directory has format 2" in said
    assert "Start the newer release again" in said
    restart(site, NEXT_DISK)
    with site.probe(**PATIENT) as probe:
        reads_written(site, probe, "async")


def newer_client(site: PendingSite) -> Probe:
    """A JVM with the jar of the next release, which speaks no protocol of this one."""
    source = GREETING.read_text()
    for name in ("PROTOCOL_MIN", "PROTOCOL_MAX"):
        assert f"{name} = 1;" in source
        source = source.replace(f"{name} = 1;", f"{name} = 2;")
    source = source.replace("com.google.protobuf", "io.millpond.shaded.protobuf")
    made = site.directory.parent / "Greeting.java"
    made.write_text(source)
    jars = [millpond_jars.client(), *classpath("3.4.1", s3a=False)]
    patched = compiled("greeting", [made], jars)
    conf = {
        "fs.cache.dir": str(site.directory),
        "fs.s3a.access.key": site.gateway.access_key,
        "fs.s3a.secret.key": site.gateway.secret_key,
    }
    log = site.directory.parent / "jvm.log"
    return Probe(log, conf, s3a=True, jars=[patched, millpond_jars.client()])


def test_a_newer_client_says_that_the_sidecar_is_older(site: PendingSite) -> None:
    """It reads and writes the store; where that would go past pending data, it says why not."""
    site.gateway.put_object(site.bucket, "free/stored", STORED)
    with newer_client(site) as probe:
        probe.open("/free/stored")
        assert probe.skim() == (len(STORED), crc32c.crc32c(STORED))
        probe.write("/free/written", OURS)
        counters = probe.counters()
        assert counters["fallback_protocol_mismatch"] > 0
        assert counters["direct_writes"] == 1
        log = (site.directory.parent / "jvm.log").read_text()
        assert "the client speaks 2 to 2, the sidecar 1 to 1" in log
        assert "Upgrade the sidecar" in log
        assert site.fs().cat_file("/free/written") == OURS

        site.model.set(fault=[Fault("status", on=on) for on in ("PUT", "POST")])
        site.fs().pipe("/held/pending", b"pending", write_type="async")
        for refused in (
            lambda: probe.write("/held/other", b"1"),
            lambda: probe.ask("delete", "/held/never", "false"),
            lambda: probe.list("/held"),
        ):
            with pytest.raises(ProbeError, match="share no protocol"):
                refused()


def test_a_newer_python_client_too(site: PendingSite) -> None:
    script = (
        "import sys, pathlib\n"
        "from millpond.wire import frames\n"
        "frames.PROTOCOL_MIN = frames.PROTOCOL_MAX = 2\n"
        "from millpond.wire.local_client import LocalClient\n"
        "LocalClient.connect(pathlib.Path(sys.argv[1]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(site.directory)], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "ProtocolMismatch: client and sidecar share no protocol" in done.stderr
    assert "Upgrade the sidecar" in done.stderr
