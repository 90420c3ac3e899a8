"""The store model's data path: one thread a client connection, bodies moved by ``splice``.

Heads are parsed, bodies are not looked at: from the upstream's socket through a pipe to the
client's socket without a copy into Python. Requests pass unchanged, ``Host`` included, since the
signature covers it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import select
import socket
import struct
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from millpond.testing.http_head import Head, HttpStream, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from millpond.testing.atomic import Turns

KINDS = ("DELETE", "GET", "HEAD", "LIST", "OTHER", "POST", "PUT")
FAULTS = ("content_length", "content_range", "flip", "reset", "stall", "status", "truncate")
_PIPE_BYTES = 1 << 20
_PACE_S = 0.004


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with answers of kind ``on`` (or ``ALL``).

    ``status``: answers ``status`` with the S3 error ``code`` instead of asking. ``truncate``,
    ``reset``, ``stall``: the body ends, the connection is reset, or nothing comes for ``stall_s``,
    after ``after_bytes`` of it. ``content_length`` and ``content_range`` lie by ``delta``.
    ``flip``: the byte at ``after_bytes`` has its lowest bit turned. ``times`` bounds how often
    (-1: no bound).
    """

    kind: str
    on: str = "GET"
    times: int = -1
    probability: float = 1.0
    after_bytes: int = 0
    status: int = 503
    code: str = "SlowDown"
    stall_s: float = 5.0
    delta: int = 1

    def __post_init__(self) -> None:
        if self.kind not in FAULTS or self.on not in (*KINDS, "ALL"):
            raise ValueError(f"fault {self.kind!r} on {self.on!r}; known: {', '.join(FAULTS)}")


@dataclass(slots=True)
class ModelState:
    """Settings and counters that the connections share. Every method is thread-safe."""

    latency_ms: float = 0.0
    rate_mb_s: float = 0.0
    faults: list[Fault] = field(default_factory=list)
    turns: Turns | None = None
    """Set where each answer has to be of one version."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _requests: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    _bytes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    _injected: int = 0
    _connections: int = 0

    def change(self, given: Mapping[str, Any]) -> None:
        """``fault`` replaces all faults: one, several, or none. Raises ValueError, TypeError."""
        unknown = set(given) - {"latency_ms", "rate_mb_s", "fault"}
        if unknown:
            raise ValueError(f"no setting {', '.join(sorted(unknown))}")
        faults = given.get("fault") or []
        parsed = [Fault(**f) for f in (faults if isinstance(faults, list) else [faults])]
        with self._lock:
            self.latency_ms = float(given.get("latency_ms", self.latency_ms))
            self.rate_mb_s = float(given.get("rate_mb_s", self.rate_mb_s))
            if "fault" in given:
                self.faults = parsed

    def settings(self) -> dict[str, Any]:
        with self._lock:
            return {
                "latency_ms": self.latency_ms,
                "rate_mb_s": self.rate_mb_s,
                "fault": [asdict(f) for f in self.faults],
            }

    def counted(self) -> dict[str, Any]:
        with self._lock:
            return {
                "requests": dict(self._requests),
                "bytes": dict(self._bytes),
                "faults": self._injected,
                "connections": self._connections,
                "cpu_s": time.process_time(),
            }

    def reset(self) -> None:
        with self._lock:
            self._requests = dict.fromkeys(KINDS, 0)
            self._bytes = dict.fromkeys(KINDS, 0)
            self._injected = self._connections = 0

    def connected(self) -> None:
        with self._lock:
            self._connections += 1

    def sent(self, kind: str, count: int) -> None:
        with self._lock:
            self._bytes[kind] += count

    def arrived(self, kind: str) -> Fault | None:
        """Count a request; the fault it meets, if any."""
        with self._lock:
            self._requests[kind] += 1
            for i, fault in enumerate(self.faults):
                if fault.on not in (kind, "ALL") or fault.times == 0:
                    continue
                if fault.probability < 1 and random.random() >= fault.probability:
                    continue
                if fault.times > 0:
                    self.faults[i] = replace(fault, times=fault.times - 1)
                self._injected += 1
                return fault
        return None


class _Hangup(Exception):
    """This client connection ends here."""


class Relay:
    """One client connection and the upstream connection that serves it."""

    def __init__(self, client: socket.socket, upstream: tuple[str, int], state: ModelState) -> None:
        self._client = HttpStream(client)
        self._upstream_at = upstream
        self._upstream: HttpStream | None = None
        self._state = state
        self._pipe = os.pipe()
        fcntl.fcntl(self._pipe[1], fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def run(self) -> None:
        self._state.connected()
        try:
            # A client that hangs up, or an upstream that does, ends the connection and no more.
            with contextlib.suppress(OSError, _Hangup, ValueError):
                while self._exchange():
                    pass
        finally:
            self._client.close()
            if self._upstream is not None:
                self._upstream.close()
            for fd in self._pipe:
                os.close(fd)

    def _exchange(self) -> bool:
        """One request and its answer; whether the connection lives on."""
        request = self._client.head()
        if request is None:
            return False
        arrived_s = time.monotonic()
        kind = kind_of(request)
        fault = self._state.arrived(kind)
        if request.get("expect", "").lower() == "100-continue":
            self._client.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if fault is not None and fault.kind == "status":
            self._client.discard_body(request)
            self._hold(arrived_s)
            self._client.send(_refusal(fault, head_only=kind == "HEAD"))
            return True
        upstream = self._connected()
        turns = self._state.turns
        with turns.take(kind, request.target) if turns else contextlib.nullcontext():
            answer = self._asked(upstream, request)
        self._hold(arrived_s)
        return self._answer(upstream, request, answer, kind, fault)

    def _asked(self, upstream: HttpStream, request: Head) -> Head:
        upstream.send(request.raw)
        self._body(self._client, upstream, request, lambda _: None)
        answer = upstream.head()
        while answer is not None and answer.status < 200:
            answer = upstream.head()
        if answer is None:
            raise _Hangup
        return answer

    def _answer(
        self, upstream: HttpStream, request: Head, answer: Head, kind: str, fault: Fault | None
    ) -> bool:
        empty = request.method == "HEAD" or answer.status in (204, 304)
        if fault is not None and fault.kind in ("content_length", "content_range"):
            answer = _lie(answer, fault)
        if fault is not None and fault.kind == "stall" and not fault.after_bytes:
            time.sleep(fault.stall_s)
        self._client.send(answer.raw)
        if not empty:
            self._send_body(upstream, answer, kind, fault)
        if fault is not None and fault.kind == "content_length":
            return False
        if answer.closes:
            upstream.close()
            self._upstream = None
        return not (answer.closes or request.closes)

    def _send_body(
        self, upstream: HttpStream, answer: Head, kind: str, fault: Fault | None
    ) -> None:
        began_s = time.monotonic()
        total = 0

        def sent(count: int) -> None:
            nonlocal total
            total += count
            self._state.sent(kind, count)
            rate = self._state.rate_mb_s * 1e6
            if rate > 0:
                ahead_s = began_s + total / rate - time.monotonic()
                # Few long sleeps and large moves: waking up is most of what pacing costs.
                if ahead_s > _PACE_S or total == answer.true_length:
                    time.sleep(max(0.0, ahead_s))

        if fault is None or answer.chunked or not answer.true_length:
            self._body(upstream, self._client, answer, sent)
            return
        first = min(fault.after_bytes, answer.true_length)
        if fault.kind in ("truncate", "reset", "stall", "flip"):
            self._move(upstream, self._client, first, sent)
        else:
            first = 0
        if fault.kind == "truncate":
            raise _Hangup
        if fault.kind == "reset":
            linger = struct.pack("ii", 1, 0)
            self._client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            raise _Hangup
        if fault.kind == "stall" and fault.after_bytes:
            time.sleep(fault.stall_s)
        if fault.kind == "flip" and first < answer.true_length:
            byte = upstream.exactly(1)
            self._client.send(bytes([byte[0] ^ 1]))
            sent(1)
            first += 1
        self._move(upstream, self._client, answer.true_length - first, sent)

    def _body(
        self, source: HttpStream, sink: HttpStream, head: Head, moved: Callable[[int], None]
    ) -> None:
        if not head.chunked:
            if head.true_length is None:
                if head.is_answer:
                    self._move(source, sink, None, moved)
                return
            self._move(source, sink, head.true_length, moved)
            return
        while True:
            line = source.line()
            sink.send(line)
            size = int(line.split(b";")[0], 16)
            if size == 0:
                while (line := source.line()) != b"\r\n":
                    sink.send(line)
                sink.send(line)
                return
            self._move(source, sink, size + 2, moved)

    def _move(
        self,
        source: HttpStream,
        sink: HttpStream,
        count: int | None,
        moved: Callable[[int], None],
    ) -> None:
        """``count`` bytes, or all until the source ends."""
        left = float("inf") if count is None else count
        ready = source.take_buffered(None if count is None else count)
        if ready:
            sink.send(ready)
            left -= len(ready)
            moved(len(ready))
        limit = _PIPE_BYTES
        if self._state.rate_mb_s > 0:
            limit = max(64 << 10, min(limit, int(self._state.rate_mb_s * 1e6 * _PACE_S)))
        read_end, write_end = self._pipe
        while left > 0:
            n = os.splice(source.sock.fileno(), write_end, int(min(left, limit)))
            if n == 0:
                if count is None:
                    raise _Hangup
                raise ConnectionError("the body ended early")
            queued = n
            while queued:
                queued -= os.splice(read_end, sink.sock.fileno(), queued)
            left -= n
            moved(n)

    def _hold(self, arrived_s: float) -> None:
        """The answer's first byte leaves no sooner than the latency after the request came."""
        left_s = arrived_s + self._state.latency_ms / 1000 - time.monotonic()
        if left_s > 0:
            time.sleep(left_s)

    def _connected(self) -> HttpStream:
        old = self._upstream
        if old is not None:
            if not select.select([old.sock], [], [], 0)[0]:
                return old
            old.close()
        sock = socket.create_connection(self._upstream_at)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._upstream = HttpStream(sock)
        return self._upstream


def _lie(answer: Head, fault: Fault) -> Head:
    if fault.kind == "content_length":
        return answer.with_header("Content-Length", str((answer.true_length or 0) + fault.delta))
    span, slash, total = answer.get("content-range", "").removeprefix("bytes ").partition("/")
    first, dash, last = span.partition("-")
    if not (slash and dash):
        return answer
    moved = f"bytes {int(first) + fault.delta}-{int(last) + fault.delta}/{total}"
    return answer.with_header("Content-Range", moved)


def _refusal(fault: Fault, *, head_only: bool) -> bytes:
    body = f"<Error><Code>{fault.code}</Code><Message>injected</Message></Error>".encode()
    head = f"HTTP/1.1 {fault.status} Injected\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Content-Type: application/xml\r\n\r\n" + (b"" if head_only else body)
