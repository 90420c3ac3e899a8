"""The JVM client where no sidecar runs: another node's is read over HTTP."""

from __future__ import annotations

import os
import random
import signal
from typing import TYPE_CHECKING

import crc32c
import pytest

from millpond.model.sizes import MIB
from tests.fixtures.remote_site import RemoteSite
from tests.integration.jvm_probe import Probe, ProbeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from millpond.testing.s3_gateway import S3Gateway

CONTENT = random.Random(27).randbytes(20 * MIB + 4_321)
OTHER = random.Random(28).randbytes(len(CONTENT))
pytestmark = pytest.mark.timeout(600)  # the first run on a machine fetches S3A by Maven


@pytest.fixture
def site(tmp_path: Path, s3_gateway: S3Gateway) -> Iterator[RemoteSite]:
    with RemoteSite.open(tmp_path, s3_gateway) as site:
        yield site


def probe(site: RemoteSite, tmp_path: Path, **conf: str) -> Probe:
    named = {
        "fs.cache.dir": str(tmp_path / "none"),
        "fs.cache.sidecar": site.address,
        "fs.cache.sidecar.token.file": str(site.directory / "token"),
        "fs.s3a.access.key": site.gateway.access_key,
        "fs.s3a.secret.key": site.gateway.secret_key,
    }
    given = {k.replace("_", "."): v for k, v in conf.items()}
    return Probe(tmp_path / "jvm.log", named | given, s3a=True)


def whole(probe: Probe, path: str, data: bytes) -> None:
    probe.open(path)
    assert probe.skim() == (len(data), crc32c.crc32c(data))


def test_all_bytes_cold_and_warm(site: RemoteSite, tmp_path: Path) -> None:
    files = {
        "/m/d/big": CONTENT, "/m/d/small": b"tiny", "/m/d/empty": b"",
        "/m/d/odd name %41+ü": CONTENT[:70_000],
    }  # fmt: skip
    for path, data in files.items():
        site.put(path.removeprefix("/m/"), data)
    with probe(site, tmp_path) as jvm:
        found = {row.path.removeprefix("cache:"): row.length for row in jvm.list("/m/d")}
        assert found == {path: len(data) for path, data in files.items()}
        for path, data in files.items():
            whole(jvm, path, data)
        before = site.store_calls()
        whole(jvm, "/m/d/big", CONTENT)
        jvm.open("/m/d/big")
        assert jvm.pread(17 * MIB, 1_000) == CONTENT[17 * MIB : 17 * MIB + 1_000]
        assert jvm.buffer(16 * MIB - 5, 10) == CONTENT[16 * MIB - 5 : 16 * MIB + 5]
        jvm.ask("seek", "s", 0)
        assert jvm.read(100_000, step=333) == CONTENT[:100_000]
        ranges = [(9, 5), (5 * MIB, MIB), (19 * MIB, 70_000)]
        assert jvm.vectored(ranges) == [CONTENT[at : at + n] for at, n in ranges]
        assert site.store_calls().get == before.get, "what is cached was asked of the store"
        counters = jvm.counters()
        assert counters["remote_bytes"] >= 2 * len(CONTENT)
        assert counters["direct_bytes"] == 0
        reasons = (n for n in counters if n.startswith("fallback_") and not n.endswith("_mounts"))
        assert [name for name in reasons if counters[name]] == []
        with pytest.raises(ProbeError) as missing:
            jvm.open("/m/none")
        assert missing.value.kind == "PathNotFoundException"


def test_a_wrong_token_is_told(site: RemoteSite, tmp_path: Path) -> None:
    site.put("f", b"bytes")
    (tmp_path / "wrong").write_text("0" * 64)
    wrong = {"fs_cache_sidecar_token_file": str(tmp_path / "wrong")}
    with probe(site, tmp_path, **wrong) as jvm, pytest.raises(ProbeError) as refused:
        jvm.open("/m/f")
    assert refused.value.kind == "UnauthenticatedException"
    with pytest.raises(ProbeError) as none:
        probe(site, tmp_path, fs_cache_sidecar_token_file="").close()
    assert none.value.kind == "InvalidSettingException"


def test_no_stream_has_bytes_of_two_versions(site: RemoteSite, tmp_path: Path) -> None:
    site.put("big", CONTENT)
    with probe(site, tmp_path) as jvm:
        jvm.open("/m/big")
        assert jvm.pread(0, 100) == CONTENT[:100]
        site.put("big", OTHER)
        with pytest.raises(ProbeError) as changed:
            jvm.pread(17 * MIB, 100)
        assert changed.value.kind == "FileChangedException"
        site.client.stat("/m/big", force=True)
        whole(jvm, "/m/big", OTHER)


def test_it_goes_on_without_the_sidecar(site: RemoteSite, tmp_path: Path) -> None:
    site.put("big", CONTENT)
    site.put("other", OTHER)
    with probe(site, tmp_path) as jvm:
        jvm.open("/m/big")
        assert jvm.read(MIB) == CONTENT[:MIB]
        site.sidecar.process.kill()
        site.sidecar.process.wait()
        rest = CONTENT[MIB:]
        assert jvm.skim() == (len(rest), crc32c.crc32c(rest))
        whole(jvm, "/m/other", OTHER)
        assert len(jvm.list("/m")) == 2
        assert jvm.counters()["direct_bytes"] >= len(OTHER)


def test_a_silent_sidecar_costs_its_deadline_once(site: RemoteSite, tmp_path: Path) -> None:
    site.put("big", CONTENT)
    with probe(site, tmp_path) as jvm:
        jvm.open("/m/big")
        assert jvm.pread(0, 100) == CONTENT[:100]
        os.kill(site.sidecar.process.pid, signal.SIGSTOP)
        try:
            for at in range(100):
                assert jvm.pread(17 * MIB + at, 100) == CONTENT[17 * MIB + at :][:100]
        finally:
            os.kill(site.sidecar.process.pid, signal.SIGCONT)
        counters = jvm.counters()
        assert 1 <= counters["fallback_silence"] <= 10
        assert counters["fallback_breaker_open"] >= 90
