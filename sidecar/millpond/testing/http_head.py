"""Heads of HTTP/1.1 messages, as far as the store model needs them, and a buffered socket."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    import socket

_MAX_HEAD_BYTES = 256 << 10
_RECV_BYTES = 16 << 10


@dataclass(frozen=True, slots=True)
class Head:
    """``raw`` is what goes on the wire; names in ``headers`` are lower case."""

    raw: bytes
    start: str
    headers: tuple[tuple[str, str], ...]
    true_length: int | None
    """Content-Length as it came, whatever ``raw`` says after ``with_header``."""

    @classmethod
    def parse(cls, raw: bytes) -> Head:
        start, *lines = raw.decode("latin-1").split("\r\n")
        headers = tuple(
            (name.strip().lower(), value.strip())
            for name, colon, value in (line.partition(":") for line in lines)
            if colon
        )
        length = dict(headers).get("content-length")
        return cls(raw, start, headers, None if length is None else int(length))

    def get(self, name: str, default: str = "") -> str:
        return next((v for n, v in self.headers if n == name), default)

    @property
    def is_answer(self) -> bool:
        return self.start.startswith("HTTP/")

    @property
    def status(self) -> int:
        return int(self.start.split(" ")[1])

    @property
    def method(self) -> str:
        return self.start.split(" ")[0]

    @property
    def target(self) -> str:
        return self.start.split(" ")[1]

    @property
    def chunked(self) -> bool:
        return self.get("transfer-encoding").lower() == "chunked"

    @property
    def closes(self) -> bool:
        """Whether the sender ends the connection after this message."""
        said = self.get("connection").lower()
        return said == "close" or ("HTTP/1.0" in self.start and said != "keep-alive")

    def with_header(self, name: str, value: str) -> Head:
        kept = [
            line
            for line in self.raw.split(b"\r\n")
            if line and not line.lower().startswith(name.lower().encode() + b":")
        ]
        raw = b"\r\n".join([*kept, f"{name}: {value}".encode(), b"", b""])
        return replace(self, raw=raw)


def kind_of(request: Head) -> str:
    """HEAD, LIST, GET (of an object's data), PUT, POST, DELETE or OTHER (GET ?location, …)."""
    method = request.method
    if method in ("HEAD", "PUT", "POST", "DELETE"):
        return method
    parts = urlsplit("http://h" + request.target)
    query = parse_qs(parts.query, keep_blank_values=True)
    _, _, key = parts.path.lstrip("/").partition("/")
    if method != "GET":
        return "OTHER"
    if key:
        subresources = {"acl", "tagging", "uploadId", "attributes", "retention"}
        return "OTHER" if subresources & set(query) else "GET"
    listing = {"list-type", "prefix", "delimiter", "marker", "max-keys"}
    return "LIST" if listing & set(query) or not query else "OTHER"


class HttpStream:
    """A blocking socket with what was read beyond a head kept for later."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = bytearray()

    def head(self) -> Head | None:
        """The next head, None where the peer hung up before one."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > _MAX_HEAD_BYTES:
                raise ValueError("a head without an end")
            if not self._fill():
                return None
        return Head.parse(self._take(end + 4))

    def line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if not self._fill():
                raise ConnectionError("the body ended early")
        return self._take(end + 2)

    def exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            if not self._fill():
                raise ConnectionError("the body ended early")
        return self._take(count)

    def take_buffered(self, limit: int | None) -> bytes:
        return self._take(len(self._buffer) if limit is None else min(limit, len(self._buffer)))

    def discard_body(self, head: Head) -> None:
        """Read past a request's body. Chunked ones end the connection."""
        if head.chunked:
            raise ValueError("a chunked body can't be skipped")
        left = head.true_length or 0
        while left:
            left -= len(self.exactly(min(left, _RECV_BYTES)))

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def close(self) -> None:
        self.sock.close()

    def _fill(self) -> bool:
        data = self.sock.recv(_RECV_BYTES)
        self._buffer += data
        return bool(data)

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken
