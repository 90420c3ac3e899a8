"""A JVM that reads and writes ``s3a://`` through the cache, as a subclass of S3A and before S3A.

The mount is fresh for an hour: what is right within it is right because the sidecar was told.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

import millpond_jars
from millpond.wire.local_client import LocalClient
from tests.integration.jvm_probe import Probe, ProbeError
from tests.integration.test_jvm_client import S3A_KEYS, Bucket, Site, content, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from millpond.testing.s3_gateway import S3Gateway

pytestmark = pytest.mark.timeout(600)  # the first run on a machine fetches S3A by Maven

SUBCLASS = {"fs.s3a.impl": "io.millpond.fs.s3a.TransparentS3AFileSystem"}
WRAPPER = {
    "fs.s3a.impl": "io.millpond.fs.TransparentFileSystem",
    "fs.cache.delegate.s3a": "org.apache.hadoop.fs.s3a.S3AFileSystem",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, s3_gateway: S3Gateway) -> Iterator[Site]:
    for made in running("s3", tmp_path_factory.mktemp("transparent"), s3_gateway):
        made.sidecar.run("mount", "rm", "/fresh")
        yield made


@pytest.fixture(params=["subclass", "wrapper"])
def impl(request: pytest.FixtureRequest) -> dict[str, str]:
    return SUBCLASS if request.param == "subclass" else WRAPPER


def bucket(site: Site) -> Bucket:
    assert isinstance(site.store, Bucket)
    return site.store


def own(site: Site, conf: dict[str, str]) -> dict[str, str]:
    """The settings of the site's S3A jobs, with other classes behind the scheme."""
    return {
        "fs.cache.dir": str(site.sidecar.cache_dir),
        "fs.s3a.endpoint": bucket(site).gateway.endpoint,
        "fs.s3a.endpoint.region": "us-east-1",
        "fs.s3a.path.style.access": "true",
        "fs.s3a.connection.ssl.enabled": "false",
        # A busy machine is no silent sidecar, but in the test of one.
        "fs.cache.silence.ms": "10000",
        **S3A_KEYS,
        **conf,
    }


def probe(site: Site, conf: dict[str, str], **more: str) -> Probe:
    """A JVM set up so; ``silence`` is the setting of that name."""
    if silence := more.pop("silence", None):
        more["fs.cache.silence.ms"] = silence
    jars = [millpond_jars.client(), millpond_jars.s3a()]
    settings = own(site, conf) | more
    return Probe(site.log, settings, f"s3a://{bucket(site).name}/", s3a=True, jars=jars)


def text(jvm: Probe, uri: str) -> bytes:
    jvm.open(uri)
    return jvm.read(1 << 20)


def test_what_it_writes_is_seen_at_once(
    site: Site, impl: dict[str, str], request: pytest.FixtureRequest
) -> None:
    folder = request.node.callspec.id
    uri = f"s3a://{bucket(site).name}/data/{folder}"
    with probe(site, impl) as jvm, LocalClient.connect(site.sidecar.cache_dir) as sidecar:

        def known(name: str) -> int:
            return sidecar.stat(f"/m/{folder}/{name}").length

        site.store.put(f"{folder}/f", b"one")
        assert text(jvm, f"{uri}/f") == b"one"
        site.store.put(f"{folder}/f", b"another")
        assert text(jvm, f"{uri}/f") == b"one", "the cache is not in use"
        jvm.ask("planned", "s", f"{uri}/f", "listed")
        assert jvm.read(100) == b"another", "a plan of the store's is the store's version"

        for number, builder in ((100, False), (1000, True), (10, False)):
            jvm.write(f"{uri}/f", b"x" * number, builder=builder)
            assert known("f") == number
            assert text(jvm, f"{uri}/f") == b"x" * number
        jvm.ask("rename", f"{uri}/f", f"{uri}/g")
        assert text(jvm, f"{uri}/g") == b"x" * 10
        with pytest.raises(ProbeError, match="FileNotFoundException"):
            jvm.open(f"{uri}/f")
        jvm.write(f"{uri}/g", b"again")
        assert text(jvm, f"{uri}/g") == b"again"
        assert jvm.ask("locations", f"{uri}/g") == ["0+5@node-1,10.0.0.7"]


def test_a_sidecar_that_did_not_hear_of_a_write_is_told_later(
    site: Site, impl: dict[str, str], request: pytest.FixtureRequest
) -> None:
    name = f"silent-{request.node.callspec.id}"
    uri = f"s3a://{bucket(site).name}/data/{name}"
    site.store.put(name, b"old")
    with probe(site, impl, silence="400") as jvm:
        assert text(jvm, uri) == b"old"
        os.kill(site.sidecar.pid, signal.SIGSTOP)
        try:
            jvm.write(uri, b"newer")
            assert text(jvm, uri) == b"newer"
        finally:
            os.kill(site.sidecar.pid, signal.SIGCONT)
        assert text(jvm, uri) == b"newer"
        deadline = time.monotonic() + 30
        with LocalClient.connect(site.sidecar.cache_dir, silence_s=20) as sidecar:
            while sidecar.stat(f"/m/{name}").length != 5:
                assert time.monotonic() < deadline, "the sidecar was not told"
                time.sleep(0.1)
        assert text(jvm, uri) == b"newer"


def test_what_is_not_for_the_cache_is_the_connectors(site: Site, impl: dict[str, str]) -> None:
    at = bucket(site)
    at.gateway.put_object(at.name, "elsewhere/f", b"not mounted")
    site.store.put("kept/out", b"excluded")
    site.store.put("big", content(3 << 20, seed=31))
    exclude = {"fs.cache.transparent.exclude": f"s3://{at.name}/data/kept/**"}
    with probe(site, impl, **exclude) as jvm:
        assert text(jvm, f"s3a://{at.name}/elsewhere/f") == b"not mounted"
        assert text(jvm, f"s3a://{at.name}/data/kept/out") == b"excluded"
        jvm.open(f"s3a://{at.name}/data/big")
        assert jvm.pread(1 << 20, 5000) == content(3 << 20, seed=31)[1 << 20 :][:5000]
        jvm.ask("end")  # reports what there is to report
    counters = site.sidecar.run("stats")
    assert "not_mounted" in counters
    assert "excluded" in counters


@pytest.mark.parametrize(
    ("conf", "says"),
    [
        (SUBCLASS | {"fs.cache.transparent.include": "warehouse/**"}, "it names no scheme"),
        (WRAPPER | {"fs.cache.transparent.exclude": "s3a://b/{x}"}, "no wildcard"),
        ({"fs.s3a.impl": WRAPPER["fs.s3a.impl"]}, "fs.cache.delegate.s3a"),
        (WRAPPER | {"fs.cache.delegate.s3a": "no.such.Class"}, "no.such.Class"),
    ],
)
def test_a_wrong_setting_is_said_at_once(site: Site, conf: dict[str, str], says: str) -> None:
    with pytest.raises(ProbeError, match="InvalidSettingException") as met:
        probe(site, conf)
    assert says in str(met.value)


def test_switched_off_it_is_the_connector_alone(site: Site, impl: dict[str, str]) -> None:
    site.store.put("off", b"one")
    with probe(site, impl, **{"fs.cache.transparent": "false"}) as jvm:
        uri = f"s3a://{bucket(site).name}/data/off"
        assert text(jvm, uri) == b"one"
        site.store.put("off", b"two")
        assert text(jvm, uri) == b"two"


def test_the_cache_of_a_session_falls_back_to_the_plain_connector(
    site: Site, impl: dict[str, str], tmp_path: Path
) -> None:
    """``cache://`` beside an ``s3a://`` of ours: its direct reads do not come back to it."""
    site.store.put("direct", b"direct")
    at = bucket(site)
    direct = {
        f"fs.s3a.bucket.{at.name}.endpoint": at.gateway.endpoint,
        f"fs.s3a.bucket.{at.name}.path.style.access": "true",
        "fs.s3a.endpoint.region": "us-east-1",
        "fs.cache.dir": str(tmp_path / "absent"),
        "fs.cache.mounts": f"/m={at.uri}",
    }
    jars = [millpond_jars.client(), millpond_jars.s3a()]
    with Probe(site.log, {**direct, **S3A_KEYS, **impl}, s3a=True, jars=jars) as jvm:
        assert text(jvm, "/m/direct") == b"direct"


ODD = ["50% off", "%41", "a b", "a+b", "a:b", "é ü", "x=1,y=2", "q?v", "tail.", "[0]{1}*", "#1"]


def test_odd_names_are_read_and_written(site: Site) -> None:
    at = bucket(site)
    base = f"s3a://{at.name}/data"
    with probe(site, SUBCLASS) as jvm:
        for name in ODD:
            uri = f"{base}/odd/{name}/{name}"
            site.store.put(f"odd/{name}/{name}", name.encode())
            assert text(jvm, uri) == name.encode()
            site.store.put(f"odd/{name}/{name}", b"from the side")
            assert text(jvm, uri) == name.encode(), "the cache is not in use"
            jvm.write(uri, b"mine")
            assert text(jvm, uri) == b"mine"
        # Hadoop's paths have no empty names, with the cache or without.
        twice = f"{base}//odd//a b/a b"
        assert text(jvm, twice) == b"mine"
        jvm.write(twice, b"once more")
        assert text(jvm, f"{base}/odd/a b/a b") == b"once more"
        assert text(jvm, f"{base}/odd/../odd/a b/a b") == b"once more"

        # A mount that is read-only is so for cache://, not for the store's own URIs.
        more = ("-o", "freshness=1h", "-o", "read_only=true")
        site.sidecar.run("mount", "add", "/ro", f"{at.uri}/odd/a b", *at.options, *more)
        try:
            assert text(jvm, f"{base}/odd/a b/a b") == b"once more"
            jvm.write(f"{base}/odd/a b/a b", b"again")
            assert text(jvm, f"{base}/odd/a b/a b") == b"again"
        finally:
            site.sidecar.run("mount", "rm", "/ro")


def test_settings_of_unkind_users(site: Site, tmp_path: Path) -> None:
    """In one JVM, each on a file system of its own: a cached file that changed reads as before."""
    at = bucket(site)
    uri = f"s3a://{at.name}/data/unkind"
    only = f"fs.s3a.bucket.{at.name}."
    cases: dict[str, tuple[dict[str, str], bool]] = {
        "as it is": ({}, True),
        "a glob that matches nothing": ({"fs.cache.transparent.include": "s3a://no/**"}, False),
        "a glob that matches all": ({"fs.cache.transparent.include": "**"}, True),
        "all excluded": ({"fs.cache.transparent.exclude": "**"}, False),
        "excluded wins": (
            {"fs.cache.transparent.include": "**", "fs.cache.transparent.exclude": f"{uri}*"}, False
        ),
        "commas alone": ({"fs.cache.transparent.include": " , ,"}, True),
        "switched off": ({"fs.cache.transparent": "false"}, False),
        "no cache directory": ({"fs.cache.dir": str(tmp_path / "none")}, False),
        "an endpoint of the bucket": (
            {f"{only}endpoint": at.gateway.endpoint, "fs.s3a.endpoint": "http://127.0.0.1:1"}, True
        ),
        "another name of the store": (
            {
                "fs.s3a.endpoint": at.gateway.endpoint.replace("127.0.0.1", "localhost"),
                "fs.cache.transparent.endpoint": at.gateway.endpoint,
            },
            True,
        ),
        "encrypted by the client": ({"presto.s3.kms-key-id": "some-key"}, False),
    }  # fmt: skip
    with probe(site, SUBCLASS) as jvm:
        for name, (conf, cached) in cases.items():
            file = f"unkind {name}"
            site.store.put(file, b"before")
            for key, value in conf.items():
                jvm.ask("conf", key, value)
            jvm.ask("fs", f"s3a://{at.name}/")
            assert text(jvm, f"{uri} {name}") == b"before", name
            site.store.put(file, b"aside")
            assert text(jvm, f"{uri} {name}") == (b"before" if cached else b"aside"), name
            jvm.write(f"{uri} {name}", b"mine")
            assert text(jvm, f"{uri} {name}") == b"mine", name
            for key in conf:
                jvm.ask("unset", key)
            for key, value in own(site, SUBCLASS).items():
                jvm.ask("conf", key, value)
        jvm.ask("fs", f"s3a://{at.name}/")
        jvm.ask("end")
        with pytest.raises(ProbeError, match=r"(?i)closed"):
            jvm.open(f"{uri} as it is")
        jvm.ask("conf", "fs.s3n.impl", SUBCLASS["fs.s3a.impl"])
        jvm.ask("fs", f"s3n://{at.name}/")
        uri = uri.replace("s3a:", "s3n:")
        site.store.put("unkind", b"by the oldest name")
        assert text(jvm, uri) == b"by the oldest name"
        site.store.put("unkind", b"aside")
        assert text(jvm, uri) == b"by the oldest name", "the cache is not in use"
        jvm.write(uri, b"mine")
        assert text(jvm, uri) == b"mine"
