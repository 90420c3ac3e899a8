"""The JVM client writes: through a real sidecar to S3 and to a folder, and without one."""

from __future__ import annotations

import base64
import os
import random
import signal
import time
from typing import TYPE_CHECKING

import crc32c
import pytest

from tests.integration.jvm_probe import Probe, ProbeError
from tests.integration.test_jvm_client import java_11, own_site, site

if TYPE_CHECKING:
    from tests.integration.test_jvm_client import Site

__all__ = ["own_site", "site"]
MIB = 1 << 20
CONTENT = random.Random(11).randbytes(37 * MIB + 4_321)
pytestmark = pytest.mark.timeout(600)


def patient(site: Site) -> Probe:
    """A JVM that a busy machine does not send to the store."""
    return site.probe(fs_cache_silence_ms="10000")


def write(probe: Probe, path: str, data: bytes, *, overwrite: bool = True) -> None:
    probe.ask("create", "o", path, "overwrite" if overwrite else "new")
    send(probe, data)
    probe.ask("finish", "o")


def send(probe: Probe, data: bytes) -> None:
    for at in range(0, len(data), 3 * MIB):
        probe.ask("put", "o", base64.b64encode(data[at : at + 3 * MIB]).decode())


def test_what_is_written_is_read(site: Site) -> None:
    with patient(site) as probe:
        for size in (0, 100, 65_537, len(CONTENT)):
            path, data = f"/m/jvm/{size}", CONTENT[:size]
            before = probe.counters()
            write(probe, path, data)
            assert probe.status(path).length == size
            probe.open(path)
            assert probe.skim() == (size, crc32c.crc32c(data))
            now = {k: v - before.get(k, 0) for k, v in probe.counters().items()}
            assert (now["writes"], now["written_bytes"], now["direct_writes"]) == (1, size, 0)
            if site.store.uri.startswith("s3"):  # a folder's file is too young to be cached
                assert (now["fills"], now["hit_bytes"], now["direct_bytes"]) == (0, size, 0)


def test_a_file_appears_when_it_is_closed(site: Site) -> None:
    with patient(site) as probe:
        probe.ask("create", "o", "/m/late/f", "new")
        send(probe, CONTENT)
        assert probe.ask("syncable", "o") == ["false"]
        with pytest.raises(ProbeError, match="visible and durable when it is closed"):
            probe.ask("sync", "o")
        with pytest.raises(ProbeError) as met:
            probe.status("/m/late/f")
        assert met.value.kind == "PathNotFoundException"
        probe.ask("finish", "o")
        probe.ask("finish", "o")
        assert probe.status("/m/late/f").length == len(CONTENT)
        assert probe.counters()["writes"] == 1
        with pytest.raises(ProbeError) as met:
            probe.ask("create", "p", "/m/late/f", "new")
        assert met.value.kind == "AlreadyExistsException"
        probe.ask("create", "p", "/m/late/g", "new")
        assert probe.ask("abort", "p") == ["false"]
        assert probe.ask("abort", "p") == ["true"]
        probe.ask("finish", "p")
        with pytest.raises(ProbeError):
            probe.status("/m/late/g")


def test_the_namespace(site: Site) -> None:
    with patient(site) as probe:
        assert probe.ask("mkdirs", "/m/names/a") == ["true"]
        write(probe, "/m/names/a/f", b"content")
        assert probe.ask("rename", "/m/names/absent", "/m/names/b") == ["false"]
        assert probe.ask("rename", "/m/names/a", "/m/names/b") == ["true"]
        assert probe.ask("rename", "/m/names/b/f", "/m/names/b/g") == ["true"]
        assert [r.path for r in probe.list("/m/names/b")] == ["cache:/m/names/b/g"]
        probe.ask("times", "/m/names/b/g", 1_600_000_000_000)
        if site.store.uri.startswith("file"):
            assert probe.status("/m/names/b/g").mtime_ms == 1_600_000_000_000
        with pytest.raises(ProbeError) as met:
            probe.ask("delete", "/m/names/b")
        assert met.value.kind == "DirectoryNotEmptyException"
        with pytest.raises(ProbeError) as met:
            probe.ask("rename", "/m/names/b/g", "/fresh/names/g")
        assert met.value.kind == "AcrossMountsException"
        with pytest.raises(ProbeError) as met:
            probe.ask("delete", "/m", "all")
        assert met.value.kind == "MountConflictException"
        assert probe.ask("delete", "/m/names", "all") == ["true"]
        assert probe.ask("delete", "/m/names", "all") == ["false"]


def test_a_sidecar_that_is_gone_is_passed_by(own_site: Site) -> None:
    """What is begun without it goes to the store; what has lost it is not written at all."""
    site = own_site
    site.sidecar.run("mount", "add", "/m/in/other", site.store.uri, *site.store.options)
    with patient(site) as probe:
        write(probe, "/m/old", b"old")
        write(probe, "/m/in/f", b"beside a mount")
        probe.ask("create", "lost", "/m/old", "overwrite")
        probe.ask("create", "o", "/m/lost", "new")
        send(probe, CONTENT)
        site.sidecar.kill()
        for name in ("o", "lost"):
            with pytest.raises(ProbeError) as met:
                probe.ask("finish", name)
            assert met.value.kind == "SidecarUnavailableException"
        write(probe, "/m/direct", b"by the connector")
        assert probe.counters()["direct_writes"] == 1
        assert probe.ask("rename", "/m/direct", "/m/renamed") == ["true"]
        probe.open("/m/renamed")
        assert probe.read(100) == b"by the connector"
        for verb in (("delete", "/m/in", "all"), ("rename", "/m/in", "/m/out")):
            with pytest.raises(ProbeError) as met:
                probe.ask(*verb)
            assert met.value.kind == "MountConflictException"
        probe.open("/m/in/f")
        assert probe.read(100) == b"beside a mount"
        site.sidecar.start()
        names = {r.path.rsplit("/", 1)[1] for r in probe.list("/m")}
        assert names >= {"old", "renamed", "present"}
        assert "lost" not in names
        probe.open("/m/old")
        assert probe.read(10) == b"old"


def test_a_silent_sidecar_commits_late_or_never(own_site: Site) -> None:
    with patient(own_site) as probe:
        probe.ask("create", "o", "/m/slow", "new")
        send(probe, b"slow")
        pid = own_site.sidecar.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            with pytest.raises(ProbeError, match="may not have been written"):
                probe.ask("finish", "o")
            assert time.monotonic() - began < 15
        finally:
            os.kill(pid, signal.SIGCONT)


def test_over_tcp_a_secret_says_who_writes(own_site: Site) -> None:
    """Java 11: the sidecar's own user finds its secret; another name is refused, and written by
    the engine's connector instead."""
    sidecar = own_site.sidecar
    with own_site.probe(java_11(), fs_cache_silence_ms="10000") as probe:
        probe.write("/m/own", CONTENT[:MIB])
        assert probe.counters()["direct_writes"] == 0
    other = own_site.directory / "secret"
    other.write_text(sidecar.run("writer-secret", "etl"))
    conf = {"fs_cache_silence_ms": "10000", "fs_cache_secret_file": str(other)}
    with own_site.probe(java_11(), **conf) as probe:
        probe.write("/m/others", CONTENT[:MIB])
        counters = probe.counters()
        assert (counters["direct_writes"], counters["fallback_permission"]) == (1, 1)
        probe.open("/m/others")
        assert probe.skim() == (MIB, crc32c.crc32c(CONTENT[:MIB]))
    other.write_text("etl:wrong")
    with own_site.probe(java_11(), **conf) as probe:
        probe.write("/m/wrong", CONTENT[:MIB])
        assert probe.counters()["fallback_unauthenticated"] > 0
