"""The JVM client on a node without a cache directory: direct reads by the mounts it was given."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import crc32c
import pytest

from millpond.engine import mount_list, read_mounts
from millpond.wire import millpond_pb2 as wire
from tests.integration.jvm_probe import Probe, ProbeError
from tests.integration.test_jvm_client import MIB, S3A_KEYS, Folder, Site, content, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from millpond.testing.s3_gateway import S3Gateway

pytestmark = pytest.mark.timeout(600)  # the first run on a machine fetches S3A by Maven


@pytest.fixture(params=["file", "s3"])
def site(request: pytest.FixtureRequest, tmp_path: Path, s3_gateway: S3Gateway) -> Iterator[Site]:
    yield from running(request.param, tmp_path, s3_gateway)


def far_from(site: Site, *, cache_dir: Path) -> Probe:
    """A JVM on another node: all it has of the sidecar is what `spark-conf` prints."""
    table = read_mounts(site.sidecar.cache_dir)
    conf = {"fs.cache.dir": str(cache_dir), "fs.cache.mounts": mount_list(table)}
    for mount in table:
        conf |= mount.direct_conf
    s3a = not isinstance(site.store, Folder)
    return Probe(site.log, conf | (S3A_KEYS if s3a else {}), s3a=s3a)


def test_everything_is_read_directly_and_counted(site: Site, tmp_path: Path) -> None:
    data = content(5 * MIB + 17, seed=21)
    site.store.put("table/k=1/big", data)
    site.store.put("table/k=2/odd name", b"small")
    site.store.settle()
    site.sidecar.kill()
    with far_from(site, cache_dir=tmp_path / "absent") as probe:
        assert [r.path for r in probe.list("/")] == ["cache:/fresh", "cache:/m"]
        assert [r.path for r in probe.list("/m/table")] == [
            "cache:/m/table/k=1", "cache:/m/table/k=2",
        ]  # fmt: skip
        assert {(r.path, r.length) for r in probe.list("/m/table", verb="files")} == {
            ("cache:/m/table/k=1/big", len(data)), ("cache:/m/table/k=2/odd name", 5),
        }  # fmt: skip
        assert probe.ask("summary", "/m/table") == [str(len(data) + 5)]
        assert probe.status("/m/table/k=1/big").length == len(data)
        assert probe.status("/m/table").directory
        assert probe.ask("locations", "/m/table/k=1/big") == [f"0+{len(data)}@"]
        probe.open("/m/table/k=1/big")
        assert probe.skim() == (len(data), crc32c.crc32c(data))
        assert probe.pread(MIB, 5000) == data[MIB : MIB + 5000]
        ranges = [(i * MIB + 77, 50_000) for i in range(5)]
        assert probe.vectored(ranges) == [data[at : at + n] for at, n in ranges]
        probe.ask("planned", "s", "/m/table/k=1/big", "listed")
        assert probe.skim() == (len(data), crc32c.crc32c(data))
        probe.open("/m/table/k=2/odd name")
        assert probe.read(100) == b"small"
        counters = probe.counters()
        assert counters["direct_bytes"] == 2 * len(data) + 5000 + 5 * 50_000 + 5
        assert counters["fallback_no_cache_dir"] >= counters["direct_reads"]
        assert {k for k in counters if k.startswith("fallback_")} == {
            "fallback_no_cache_dir", "fallback_ready_mounts", "fallback_impossible_mounts",
        }  # fmt: skip
        assert counters["stats"] + counters["lists"] + counters["fills"] + counters["hellos"] == 0
        for path, kind in (
            ("/m/none", "PathNotFoundException"),
            ("/nowhere", "MountNotFoundException"),
            ("/m/table", "IsADirectoryException"),
        ):
            with pytest.raises(ProbeError) as met:
                probe.open(path)
            assert met.value.kind == kind
        with pytest.raises(ProbeError) as met:
            probe.ask("append", "/m/table/k=1/big")
        assert met.value.kind == "NotSupportedException"
        assert f"{site.store.uri.split('://')[1]}/table/k=1/big" in str(met.value)
    assert site.log.read_text().count("(no_cache_dir)") == 1, "logged once"


def test_a_file_replaced_in_mid_read_is_never_mixed(site: Site, tmp_path: Path) -> None:
    site.store.put("replaced", content(20 * MIB, seed=22))
    with far_from(site, cache_dir=tmp_path / "absent") as probe:
        probe.open("/m/replaced", "random")
        probe.pread(0, 100)
        new = content(20 * MIB, seed=23)
        site.store.put("replaced", new)
        with pytest.raises(ProbeError) as met:
            probe.pread(12 * MIB, 100)
        assert met.value.kind == "FileChangedException"
        probe.open("/m/replaced")
        assert probe.skim() == (len(new), crc32c.crc32c(new))


def test_a_cache_directory_that_appears_is_used_and_its_mounts_win(
    tmp_path: Path, s3_gateway: S3Gateway
) -> None:
    """The JVM is up before its node's sidecar has ever run."""
    (tmp_path / "data").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/f").write_bytes(b"what the setting names")
    store = Folder(tmp_path / "data")
    data = content(2 * MIB, seed=24)
    store.put("f", data)
    store.settle()
    site = Site(tmp_path, store)
    given = [wire.Mount(path="/m", store_uri=f"file://{tmp_path / 'elsewhere'}")]
    conf = {"fs.cache.dir": str(site.sidecar.cache_dir), "fs.cache.mounts": mount_list(given)}
    with Probe(site.log, conf) as probe:
        probe.open("/m/f")
        assert probe.read(100) == b"what the setting names"
        site.sidecar.cache_dir.mkdir(mode=0o750)
        probe.open("/m/f")
        assert probe.read(100) == b"what the setting names", "a directory without mounts"
        try:
            site.start()
            deadline = time.monotonic() + 20
            while probe.status("/m/f").length != len(data):
                assert time.monotonic() < deadline, "the sidecar is not found"
                time.sleep(0.05)
            while probe.counters()["hit_bytes"] < len(data):
                assert time.monotonic() < deadline, "the cache is not used"
                probe.open("/m/f")
                assert probe.skim() == (len(data), crc32c.crc32c(data))
        finally:
            site.sidecar.stop()


def test_with_neither_the_error_names_both_remedies(tmp_path: Path) -> None:
    with Probe(tmp_path / "log", {"fs.cache.dir": str(tmp_path / "absent")}) as probe:
        for verb in ("status", "list"):
            with pytest.raises(ProbeError) as met:
                probe.ask(verb, "/m/x")
            assert met.value.kind == "CacheDirUnusableException"
            assert "millpond serve" in str(met.value)
            assert "fs.cache.mounts" in str(met.value)


def test_mounts_that_do_not_parse_are_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ProbeError) as met:
        Probe(tmp_path / "log", {"fs.cache.mounts": "/m"})
    assert met.value.kind == "InvalidSettingException"
