"""Reading from elsewhere: a real sidecar over a real S3 server, asked over HTTP alone."""

from __future__ import annotations

import os
import pickle
import random
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from millpond.errors import FileChanged, InvalidSetting, SidecarUnavailable, Unauthenticated
from millpond.model.sizes import MIB
from tests.fixtures.remote_site import RemoteSite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from millpond.testing.s3_gateway import S3Gateway

CONTENT = random.Random(17).randbytes(20 * MIB + 4_321)
OTHER = random.Random(18).randbytes(len(CONTENT))


@pytest.fixture
def site(tmp_path: Path, s3_gateway: S3Gateway) -> Iterator[RemoteSite]:
    with RemoteSite.open(tmp_path, s3_gateway) as site:
        yield site


def test_all_bytes_cold_and_warm(site: RemoteSite) -> None:
    path = site.put("d/big", CONTENT)
    site.put("d/small", b"tiny\nlines\n")
    site.put("d/empty", b"")
    site.put("d/odd name %41+ü&?#", CONTENT[:70_000])
    fs = site.fs()
    with fs.open(path) as file:
        assert file.read() == CONTENT
    before = site.store_calls()
    for reader in (fs, site.fs(), pickle.loads(pickle.dumps(site.fs()))):
        with reader.open(path) as file:
            assert file.read(5) == CONTENT[:5]
            file.seek(15 * MIB)
            target = bytearray(len(CONTENT))
            assert file.readinto(target) == len(CONTENT) - 15 * MIB
            assert target[: len(CONTENT) - 15 * MIB] == CONTENT[15 * MIB :]
            file.seek(-70_000, 2)
            assert b"".join(iter(lambda f=file: f.read(1_000), b"")) == CONTENT[-70_000:]
        parts = reader.cat_ranges([path] * 3, [0, 9, 16 * MIB - 3], [9, 10, 16 * MIB + 3])
        assert parts == [CONTENT[:9], CONTENT[9:10], CONTENT[16 * MIB - 3 : 16 * MIB + 3]]
    assert site.store_calls().get == before.get, "what is cached was asked of the store"
    assert fs.cat_file("/m/d/small") == b"tiny\nlines\n"
    assert fs.cat_file("/m/d/empty") == b""
    assert fs.cat_file("/m/d/odd name %41+ü&?#") == CONTENT[:70_000]
    found = {each["name"]: each["size"] for each in fs.ls("/m/d")}
    assert found == {
        "/m/d/big": len(CONTENT), "/m/d/small": 11, "/m/d/empty": 0,
        "/m/d/odd name %41+ü&?#": 70_000,
    }  # fmt: skip
    assert fs.ls("/", detail=False) == ["/m"]
    assert fs.info("/m/d")["type"] == "directory"
    with pytest.raises(FileNotFoundError):
        fs.open("/m/none")
    with pytest.raises(FileNotFoundError):
        fs.ls("/elsewhere")
    with pytest.raises(IsADirectoryError):
        fs.open("/m/d")
    assert not {name for name in fs.counters if name.startswith(("fallback", "direct"))}
    _, metrics = site.get("/metrics", port="http.port")
    sent = {
        line.split()[0].split('"')[1]: float(line.split()[1])
        for line in metrics.decode().splitlines()
        if line.startswith("millpond_remote_bytes_total{")
    }
    assert sent["disk"] >= 5 * MIB, "block files are sent as they are"


def test_who_has_no_token_gets_nothing(site: RemoteSite) -> None:
    path = site.put("secret", b"secret bytes")
    for port in ("remote.port", "http.port"):
        for target in ("mounts", "stat?path=/m/secret", "list?path=/m", "file?path=/m/secret"):
            for token in ("", "x", site.token[:-1], site.token + "0", "ü"):
                status, body = site.get(f"/v1/{target}", port=port, token=token)
                assert status == 401
                assert b"secret" not in body.replace(b"/m/secret", b"")
    assert site.get("/v1/file?path=/m/secret", port="http.port") == (200, b"secret bytes")
    for target in ("/metrics", "/health", "/"):
        assert site.get(target)[0] == 404, "the remote address serves files alone"
    wrong = site.fs(token="0" * 64)
    with pytest.raises(Unauthenticated, match="token is wrong"):
        wrong.cat_file(path)
    with pytest.raises(InvalidSetting, match="token"):
        site.fs(token="")
    with pytest.raises(InvalidSetting, match="host:port"):
        site.fs(sidecar="nowhere")


def test_http_as_it_is_spoken(site: RemoteSite) -> None:
    site.put("f", CONTENT[:100_000])
    site.put("d/x", b"")
    status, body = site.get("/v1/file?path=/m/f", Range="bytes=5-9")
    assert (status, body) == (206, CONTENT[5:10])
    assert site.get("/v1/file?path=/m/f", Range="bytes=99990-")[1] == CONTENT[99_990:100_000]
    assert site.get("/v1/file?path=/m/f", Range="bytes=99990-999999")[1] == CONTENT[99_990:100_000]
    assert site.get("/v1/file?path=/m/f", If_Match=f'"{"0" * 32}"')[0] == 412
    for bad in ("bytes=-5", "bytes=100000-", "bytes=9-5", "bytes=1-2,4-5", "lines=1-2"):
        assert site.get("/v1/file?path=/m/f", Range=bad)[0] == 400, bad
    assert site.get("/v1/file?path=/m/f", If_Match="W/x")[0] == 400
    assert site.get("/v1/file")[0] == 400
    for target, expected in (
        ("/m/none", 404), ("/elsewhere", 404), ("/m/d", 409), ("/m/../m/f", 400), ("%00", 400),
    ):  # fmt: skip
        assert site.get(f"/v1/file?path={target}")[0] == expected, target


def test_no_stream_has_bytes_of_two_versions(site: RemoteSite) -> None:
    path = site.put("big", CONTENT)
    fs = site.fs()
    with fs.open(path) as file:
        assert file.read(100) == CONTENT[:100]
        site.put("big", OTHER)
        file.seek(17 * MIB)
        with pytest.raises(FileChanged):
            file.read(100)
    site.client.stat("/m/big", force=True)
    with fs.open(path) as file:
        assert file.read() == OTHER
        site.put("big", CONTENT)
        file.seek(0)
        assert file.read() == OTHER, "its blocks are here: the version that was opened"


def test_it_goes_on_without_the_sidecar(site: RemoteSite) -> None:
    path = site.put("big", CONTENT)
    site.put("other", OTHER)
    fs = site.fs()
    with fs.open(path) as file:
        assert file.read(MIB) == CONTENT[:MIB]
        site.sidecar.process.kill()
        site.sidecar.process.wait()
        assert file.read() == CONTENT[MIB:]
    assert fs.cat_file("/m/other") == OTHER
    assert {e["name"] for e in fs.ls("/m")} == {"/m/big", "/m/other"}
    assert fs.counters["direct_bytes"] >= len(OTHER)
    never = site.fs(sidecar="127.0.0.1:9")
    with pytest.raises(SidecarUnavailable, match="another node"):
        never.cat_file(path)


def test_a_silent_sidecar_costs_its_deadline_once(site: RemoteSite) -> None:
    path = site.put("big", CONTENT)
    fs = site.fs()
    with fs.open(path) as file:
        assert file.read(100) == CONTENT[:100]
        os.kill(site.sidecar.process.pid, signal.SIGSTOP)
        try:
            file.seek(17 * MIB)
            read = b"".join(file.read(1_000) for _ in range(100))
            assert read == CONTENT[17 * MIB : 17 * MIB + 100_000]
            file.seek(0)
            assert file.read() == CONTENT
        finally:
            os.kill(site.sidecar.process.pid, signal.SIGCONT)
    assert 1 <= fs.counters["fallback_silence"] <= 10
    assert fs.counters["fallback_breaker_open"] >= 90


def test_a_client_that_takes_nothing_holds_no_memory(site: RemoteSite) -> None:
    site.put("big", CONTENT * 4)
    lines = []
    try:
        before = _resident_bytes(site.sidecar.process.pid)
        for _ in range(8):
            line = socket.create_connection(("127.0.0.1", int(site.node["remote.port"])))
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.sendall(
                b"GET /v1/file?path=/m/big HTTP/1.1\r\nHost: x\r\n"
                + f"Authorization: Bearer {site.token}\r\n\r\n".encode()
            )
            lines.append(line)
        for line in lines:
            assert line.recv(100).startswith(b"HTTP/1.1 200")
        assert site.fs().cat_file("/m/big", 0, 30 * MIB) == (CONTENT * 4)[: 30 * MIB]
        assert _resident_bytes(site.sidecar.process.pid) - before < 150 * MIB
    finally:
        for line in lines:
            line.close()


def _resident_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
