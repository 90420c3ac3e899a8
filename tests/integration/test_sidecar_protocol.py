"""Bad peers and bad frames: each gets a typed answer, and the sidecar lives on."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import urllib.request
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from millpond import errors
from millpond.settings import Settings
from millpond.wire import millpond_pb2 as wire
from millpond.wire.frames import MAX_FRAME_BYTES, FrameParser, frame
from millpond.wire.local_client import LocalClient
from tests.fixtures.sidecar import LoopSidecar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from millpond.testing.s3_gateway import S3Gateway

HELLO = wire.HelloRequest(protocol_min=1, protocol_max=1)


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopSidecar]:
    settings = Settings(
        cache_dir=tmp_path_factory.mktemp("protocol") / "cache",
        http_port=0,
        cache_capacity_bytes=1 << 30,
        max_requests_per_connection=8,
    )
    with LoopSidecar(settings) as sidecar:
        yield sidecar


class Raw:
    """A socket that says what it is told to."""

    def __init__(self, sidecar: LoopSidecar, *, tcp: bool = False) -> None:
        if tcp:
            address = ("127.0.0.1", sidecar.sidecar.tcp_port)
            self.sock = socket.create_connection(address, timeout=20)
        else:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(20)
            self.sock.connect(str(sidecar.directory / "sidecar.sock"))
        self._parser = FrameParser()
        self._replies: list[wire.Reply] = []

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def say(self, *requests: wire.Request) -> Raw:
        self.sock.sendall(b"".join(frame(r.SerializeToString()) for r in requests))
        return self

    def hear(self) -> wire.Reply:
        while not self._replies:
            data = self.sock.recv(65536)
            assert data, "closed without a word"
            self._replies += map(wire.Reply.FromString, self._parser.feed(data))
        return self._replies.pop(0)

    def closed(self) -> bool:
        try:
            return not self._replies and self.sock.recv(1) == b""
        except ConnectionResetError:
            return True


def code(reply: wire.Reply) -> type[errors.MillpondError]:
    return errors.BY_CODE[reply.error.code]


def alive(sidecar: LoopSidecar) -> bool:
    with sidecar.client() as client:
        return client.stat("/").directory


@pytest.mark.parametrize("token", [b"", b"0" * 64])
def test_tcp_without_the_token_is_unauthenticated(sidecar: LoopSidecar, token: bytes) -> None:
    with Raw(sidecar, tcp=True) as raw:
        hello = wire.HelloRequest(protocol_min=1, protocol_max=1, token=token)
        reply = raw.say(wire.Request(id=1, hello=hello)).hear()
        assert (reply.id, code(reply)) == (1, errors.Unauthenticated)
        assert raw.closed()
    assert alive(sidecar)


def test_tcp_with_the_token_serves(sidecar: LoopSidecar) -> None:
    token = (sidecar.directory / "token").read_text().strip()
    with LocalClient.connect_tcp("127.0.0.1", sidecar.sidecar.tcp_port, token) as client:
        assert client.hello.cache_dir == str(sidecar.directory)
        assert client.stat("/").directory


def test_a_request_before_hello_is_unauthenticated(sidecar: LoopSidecar) -> None:
    with Raw(sidecar) as raw:
        reply = raw.say(wire.Request(id=9, stat=wire.StatRequest(path="/"))).hear()
        assert (reply.id, code(reply)) == (9, errors.Unauthenticated)
        assert raw.closed()


def test_a_protocol_nobody_speaks_names_the_remedy(sidecar: LoopSidecar) -> None:
    with Raw(sidecar) as raw:
        hello = wire.HelloRequest(protocol_min=7, protocol_max=9)
        reply = raw.say(wire.Request(id=1, hello=hello)).hear()
        assert code(reply) is errors.ProtocolMismatch
        assert "7 to 9" in reply.error.cause
        assert reply.error.remedy == "Upgrade the sidecar"
        assert raw.closed()


@pytest.mark.parametrize("greeted", [False, True])
def test_an_oversize_frame_is_refused_at_its_length(sidecar: LoopSidecar, greeted: bool) -> None:
    with Raw(sidecar) as raw:
        if greeted:
            raw.say(wire.Request(id=1, hello=HELLO)).hear()
        raw.sock.sendall((MAX_FRAME_BYTES + 1).to_bytes(4, "little"))
        assert code(raw.hear()) is errors.FrameTooLarge
        assert raw.closed()
    assert alive(sidecar)


def test_a_stranger_may_not_send_large_frames(sidecar: LoopSidecar) -> None:
    with Raw(sidecar, tcp=True) as raw:
        raw.sock.sendall((1 << 20).to_bytes(4, "little"))
        assert code(raw.hear()) is errors.FrameTooLarge


def test_garbage_is_an_invalid_request(sidecar: LoopSidecar) -> None:
    rng = random.Random(3)
    for _ in range(100):
        with Raw(sidecar) as raw:
            raw.say(wire.Request(id=1, hello=HELLO)).hear()
            body = b"\xff" + rng.randbytes(rng.randrange(200))
            raw.sock.sendall(frame(body))
            assert code(raw.hear()) is errors.InvalidRequest
            assert raw.closed()
    for _ in range(50):
        with Raw(sidecar, tcp=True) as raw:
            raw.sock.sendall(rng.randbytes(300))
            raw.sock.shutdown(socket.SHUT_WR)
            while raw.sock.recv(65536):
                pass
    assert alive(sidecar)


def test_an_unknown_verb_is_not_supported_and_the_connection_goes_on(sidecar: LoopSidecar) -> None:
    with Raw(sidecar) as raw:
        raw.say(wire.Request(id=1, hello=HELLO)).hear()
        raw.sock.sendall(frame(b"\x08\x05\xa2\x06\x00"))  # id 5, field 100
        reply = raw.hear()
        assert (reply.id, code(reply)) == (5, errors.NotSupported)
        reply = raw.say(wire.Request(id=6, stat=wire.StatRequest(path="/"))).hear()
        assert (reply.id, reply.stat.directory) == (6, True)


def test_a_frame_in_single_bytes_is_read(sidecar: LoopSidecar) -> None:
    with Raw(sidecar) as raw:
        for byte in frame(wire.Request(id=1, hello=HELLO).SerializeToString()):
            raw.sock.sendall(bytes([byte]))
        assert raw.hear().hello.protocol == 1


@pytest.mark.parametrize("path", ["relative", "/a/../b", "/a\0b", "/x/%2e%2E/y", "/" + "x" * 9000])
def test_bad_paths_are_invalid(sidecar: LoopSidecar, path: str) -> None:
    with sidecar.client() as client, pytest.raises(errors.InvalidPath):
        client.stat(path)


def test_more_requests_than_allowed_are_overloaded(
    sidecar: LoopSidecar, s3_gateway: S3Gateway
) -> None:
    bucket = s3_gateway.new_bucket()
    sidecar.control.mount_add("/over", f"s3://{bucket}", s3_gateway.mount_options())
    os.kill(s3_gateway.pid, signal.SIGSTOP)
    try:
        with Raw(sidecar) as raw:
            raw.say(wire.Request(id=1, hello=HELLO)).hear()
            raw.say(
                *(
                    wire.Request(id=i, stat=wire.StatRequest(path=f"/over/{i}"))
                    for i in range(2, 11)
                )
            )
            reply = raw.hear()
            while reply.WhichOneof("outcome") == "progress":
                reply = raw.hear()
            assert (reply.id, code(reply)) == (10, errors.Overloaded)
            assert reply.error.retriable
            assert alive(sidecar)
    finally:
        os.kill(s3_gateway.pid, signal.SIGCONT)


def test_a_client_that_does_not_read_is_not_read_from(sidecar: LoopSidecar) -> None:
    with Raw(sidecar) as raw:
        raw.say(wire.Request(id=1, hello=HELLO)).hear()
        raw.sock.settimeout(0.5)
        ask = frame(wire.Request(id=2, locate=wire.LocateRequest(path="/none")).SerializeToString())
        with pytest.raises(TimeoutError):
            _say_for_ever(raw.sock, ask * 1000)
        assert alive(sidecar)


def _say_for_ever(sock: socket.socket, data: bytes) -> None:
    while True:
        sock.sendall(data)


def test_http_tells_health_and_metrics(sidecar: LoopSidecar) -> None:
    base = f"http://127.0.0.1:{sidecar.sidecar.http_port}"
    with sidecar.client() as client:
        client.report(counters={"hit_bytes": 3})
        before = _metric(base, "millpond_stats_from_memory_total")
        with urllib.request.urlopen(f"{base}/health", timeout=20) as answer:
            health = json.load(answer)
        assert (health["status"], health["node_id"]) == ("ok", client.hello.node_id)
        assert _metric(base, "millpond_client_total", name="hit_bytes") >= 3
        assert _metric(base, "millpond_connections", transport="unix") >= 1
        assert _metric(base, "millpond_cache_capacity_bytes") == 1 << 30
        assert _metric(base, "millpond_stats_from_memory_total") == before


def _metric(base: str, name: str, /, **labels: str) -> float:
    with urllib.request.urlopen(f"{base}/metrics", timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = answer.read().decode()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    raise AssertionError(f"{name} {labels} is not there")
