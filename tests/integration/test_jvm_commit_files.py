"""Commit files from the JVM: by renames and creations, with a sidecar and without one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.fixtures.sidecar import ProcessSidecar
from tests.fixtures.write_site import WriteSite, stored
from tests.integration.jvm_probe import Probe, ProbeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from millpond.testing.s3proxy import S3Proxy


class Site(WriteSite):
    sidecar: ProcessSidecar

    def kill(self) -> None:
        self.client.close()
        self.sidecar.process.kill()
        self.sidecar.process.wait()

    @contextmanager
    def jvm(self, log: Path, hadoop: str | None = None) -> Iterator[Probe]:
        conf = {
            "fs.cache.dir": str(self.directory),
            "fs.cache.silence.ms": "10000",
            "fs.AbstractFileSystem.cache.impl": "io.millpond.fs.CacheAbstractFileSystem",
            "fs.s3a.access.key": self.gateway.access_key,
            "fs.s3a.secret.key": self.gateway.secret_key,
        }
        with Probe(log, conf, s3a=True, hadoop=hadoop) as probe:
            yield probe


@pytest.fixture
def site(conditional_s3: S3Proxy, tmp_path: Path) -> Iterator[Site]:
    with ProcessSidecar(tmp_path / "cache", tmp_path / "log") as sidecar:
        sidecar.await_client().close()
        site = Site(sidecar, conditional_s3, tmp_path)
        yield site
        site.close()


def commit(jvm: Probe, table: str, name: str, data: bytes) -> bool:
    """As Iceberg does it."""
    temporary = f"{table}/metadata/{data.hex()}.metadata.json"
    jvm.write(temporary, data)
    return jvm.ask("rename", temporary, f"{table}/metadata/{name}") == ["true"]


def test_renames(site: Site, tmp_path: Path) -> None:
    with site.jvm(tmp_path / "jvm") as jvm:
        for table in ("/s3/t", "/local/t"):
            assert commit(jvm, table, "v1.metadata.json", b"1")
            assert not commit(jvm, table, "v1.metadata.json", b"2")
            with pytest.raises(ProbeError) as told:  # as Delta asks, by FileContext
                jvm.change("context rename", f"{table}/metadata/v1.metadata.json", b"",
                           other=f"{table}/metadata/{b'2'.hex()}.metadata.json")  # fmt: skip
            assert told.value.kind.endswith("AlreadyExistsException")
            assert site.read(f"{table}/metadata/v1.metadata.json") == b"1"
        site.kill()
        for table in ("/s3/t", "/local/t"):
            assert commit(jvm, table, "v2.metadata.json", b"3")
            assert not commit(jvm, table, "v1.metadata.json", b"4")
    assert stored(site, "t/metadata/v1.metadata.json") == b"1"
    assert stored(site, "t/metadata/v2.metadata.json") == b"3"
    assert stored(site, f"t/metadata/{b'3'.hex()}.metadata.json") is None
    assert (site.base / "t/metadata/v1.metadata.json").read_bytes() == b"1"
    assert (site.base / "t/metadata/v2.metadata.json").read_bytes() == b"3"


def test_creations_without_a_sidecar(site: Site, tmp_path: Path) -> None:
    """S3A takes the condition: of two streams that are open at once, one ends well."""
    name = "/s3/t/_delta_log/1.json"
    site.kill()
    with site.jvm(tmp_path / "jvm") as jvm:
        for stream in ("a", "b"):
            jvm.ask("create", stream, name, "new")
            jvm.ask("put", stream, "YQ==")
        jvm.ask("finish", "a")
        with pytest.raises(ProbeError):
            jvm.ask("finish", "b")
        with pytest.raises(ProbeError) as told:
            jvm.ask("create", "c", "/local/t/_delta_log/1.json", "new")
        assert told.value.kind == "NotSupportedException"
    assert stored(site, "t/_delta_log/1.json") == b"a"


def test_a_connector_that_takes_no_condition_is_refused(site: Site, tmp_path: Path) -> None:
    with site.jvm(tmp_path / "jvm", hadoop="3.4.1") as jvm:
        jvm.write("/s3/t/metadata/x.metadata.json", b"1")
        site.kill()
        with pytest.raises(ProbeError, match="Start the sidecar") as told:
            jvm.ask("rename", "/s3/t/metadata/x.metadata.json", "/s3/t/metadata/v1.metadata.json")
        assert told.value.kind == "NotSupportedException"
    assert stored(site, "t/metadata/v1.metadata.json") is None
    assert stored(site, "t/metadata/x.metadata.json") == b"1"
