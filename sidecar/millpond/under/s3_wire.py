"""Signed S3 requests over HTTP/1.1 with the key passed through byte for byte.

botocore signs, http.client speaks. Why not obstore: its paths drop leading and trailing slashes and
refuse ``a//b``, ``..`` and control characters, one such key fails a whole LIST, its own checks hide
what a store really answered, and it spends more CPU per byte, with TLS or without.
"""

from __future__ import annotations

import http.client
import io
import select
import socket
import ssl
import struct
import threading
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from millpond.errors import (
    InvalidSetting,
    MillpondError,
    PermissionDenied,
    StoreUnavailable,
)
from millpond.under import s3_errors
from millpond.under.s3_sign import Signer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botocore.credentials import Credentials

    from millpond.under.s3_options import S3Options

_MAX_IDLE = 64
_MAX_DOCUMENT_BYTES = 16 << 20
_BUFFERED_BYTES = io.DEFAULT_BUFFER_SIZE
_NETWORK = (OSError, http.client.HTTPException)
_OF_WHAT_IS_THERE = frozenset({"if-match", "x-amz-copy-source"})
"""A PUT with one of these needs an object."""


class Answer:
    """The head of a successful answer, its body unread. Give it back with ``close``."""

    def __init__(self, wire: S3Wire, conn: http.client.HTTPConnection) -> None:
        self._wire = wire
        self._conn: http.client.HTTPConnection | None = conn
        self._plain: socket.socket | None = None
        self._response = conn.getresponse()
        self.status = self._response.status

    def header(self, name: str) -> str | None:
        return self._response.getheader(name)

    @property
    def length(self) -> int | None:
        """Content-Length of the body, None where the store did not say."""
        return self._response.length

    def readinto(self, buffer: memoryview) -> int:
        """Fill ``buffer`` with what comes of the body; fewer bytes only at its end, early or not,
        or when the store falls silent; 0 at the end."""
        try:
            return self._received(buffer)
        except http.client.IncompleteRead:
            return 0
        except BlockingIOError:
            raise self._wire.unreachable(TimeoutError()) from None
        except _NETWORK as e:
            raise self._wire.unreachable(e) from None

    def _received(self, buffer: memoryview) -> int:
        """A large body of known length goes from the socket to the buffer by one call of the
        system; anything else as ``http.client`` does it, which wakes for each segment."""
        response = self._response
        left = response.length
        if self._plain is None:
            sock = None if self._conn is None else self._conn.sock
            if sock is None or isinstance(sock, ssl.SSLSocket) or response.chunked or left is None:
                return response.readinto(buffer)
            if left <= _BUFFERED_BYTES:
                return response.readinto(buffer)
            # What came with the head is taken first; after that nothing is buffered any more.
            n = response.fp.readinto1(buffer[:left])
            self._plain = sock
            sock.settimeout(None)  # from here on the kernel keeps the time: SO_RCVTIMEO
        else:
            n = 0
        want = min(len(buffer), left or 0)
        if n < want:
            n += self._plain.recv_into(buffer[n:want], want - n, socket.MSG_WAITALL)
        response.length = (left or 0) - n
        if not response.length:
            response.close()
        return n

    def document(self) -> bytes:
        """The whole body, for XML. Closes the answer."""
        try:
            body = self._response.read(_MAX_DOCUMENT_BYTES)
        except _NETWORK as e:
            raise self._wire.unreachable(e) from None
        finally:
            self.close()
        return body

    def finish(self) -> None:
        """Read what is left of a body known to be empty (HEAD), and close."""
        try:
            self._response.read()
        except _NETWORK as e:
            raise self._wire.unreachable(e) from None
        finally:
            self.close()

    def close(self) -> None:
        """Keep the connection if the body was read to its end, else drop it. Idempotent."""
        conn, self._conn = self._conn, None
        if conn is None:
            return
        if self._response.isclosed() and not self._response.will_close:
            if self._plain is not None:
                self._plain.settimeout(self._wire.timeout_s)
            self._wire._give_back(conn)
        else:
            self._response.close()
            conn.close()


class S3Wire:
    """Connections to one endpoint, for one bucket, with one source of credentials. Thread-safe."""

    def __init__(
        self,
        options: S3Options,
        credentials: Callable[[], Credentials | None],
        bucket: str,
        *,
        timeout_s: float = 15.0,
    ) -> None:
        parts = urlsplit(options.endpoint)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        # A dot in the bucket's name would fail the wildcard certificate of the store's host.
        in_host = bool(bucket) and not options.path_style and "." not in bucket
        self._netloc = f"{bucket}.{parts.netloc}" if in_host else parts.netloc
        self._origin = f"{parts.scheme}://{self._netloc}"
        in_path = bucket and not in_host
        self._path = f"/{quote(bucket, safe='-_.~')}/" if in_path else "/"
        self._signer = Signer(credentials, options.region)
        self._bucket = bucket
        self.timeout_s = timeout_s
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []
        self._closed = False

    def send(
        self,
        method: str,
        key: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | memoryview | None = None,
    ) -> Answer:
        """One request, repeated only with other credentials where those it had were refused.

        Raises what any answer but 2xx means.
        """
        # Sorted and quoted here and not by the signer, so that what is signed is what is sent.
        text = "&".join(
            f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}"
            for k, v in sorted((query or {}).items())
        )
        target = self._path + quote(key, safe="/-_.~") + ("?" + text if text else "")
        while True:
            signed_with = self._signer.credentials
            answer = self._exchange(signed_with, method, target, headers or {}, body)
            if 200 <= answer.status < 300:
                return answer
            makes = method == "PUT" and not _OF_WHAT_IS_THERE & {n.lower() for n in headers or ()}
            refusal = self._refusal(signed_with, answer, method, target, key, makes=makes)
            renewed = isinstance(refusal, PermissionDenied) and self._signer.renewed(signed_with)
            if not renewed:
                raise refusal

    def _exchange(
        self,
        credentials: Credentials | None,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | memoryview | None,
    ) -> Answer:
        named = {**headers, "Host": self._netloc}
        signed = self._signer.headers(credentials, method, self._origin + target, named, body)
        try:
            conn = self._connection()
            try:
                conn.request(method, target, body=body, headers=signed)
                return Answer(self, conn)
            except BaseException:
                conn.close()
                raise
        except _NETWORK as e:
            raise self.unreachable(e) from None

    def _refusal(
        self,
        credentials: Credentials | None,
        answer: Answer,
        method: str,
        target: str,
        key: str,
        *,
        makes: bool,
    ) -> MillpondError:
        region = answer.header("x-amz-bucket-region") or ""
        status, code, named = answer.status, "", ""
        if method != "HEAD":
            code, named = s3_errors.error_code(answer.document())
        answer.close()
        if method == "HEAD" and status == 400:
            # An expired token, for one: a HEAD has no body to say so.
            said = self._exchange(credentials, "GET", target, {"Range": "bytes=0-0"}, None)
            if said.status == status:
                code, named = s3_errors.error_code(said.document())
            said.close()
        return s3_errors.refusal(
            status, code, named or region, bucket=self._bucket, key=key, makes=makes
        )

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for conn in idle:
            conn.close()

    def unreachable(self, error: Exception) -> MillpondError:
        """What trouble on the way to the store means. Names the endpoint, never a header."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return InvalidSetting(
                f"the certificate of {self._origin} is not trusted",
                cause=error.verify_message,
                remedy="Name the authority's certificates in SSL_CERT_FILE, or correct the "
                "endpoint",
            )
        if isinstance(error, TimeoutError):
            cause = "no answer in time"
        elif isinstance(error, ssl.SSLError):
            cause = f"TLS: {error.reason}"
        else:
            cause = getattr(error, "strerror", None) or type(error).__name__
        return StoreUnavailable(
            f"the store at {self._origin} can't be reached or hung up",
            cause=cause,
            remedy="Check the mount's endpoint, and the network to it",
        )

    def _connection(self) -> http.client.HTTPConnection:
        while True:
            with self._lock:
                if self._closed:
                    raise StoreUnavailable("the store was closed", cause="its mount is gone")
                conn = self._idle.pop() if self._idle else None
            if conn is None:
                return self._connect()
            # Readable while idle: the store has hung up. Using it would cost a retry.
            if conn.sock is not None and not _readable(conn.sock):
                return conn
            conn.close()

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls is not None:
            return http.client.HTTPSConnection(
                self._netloc, timeout=self.timeout_s, context=self._tls
            )
        conn = http.client.HTTPConnection(self._netloc, timeout=self.timeout_s)
        conn.connect()
        whole, part = divmod(self.timeout_s, 1)
        silence = struct.pack("@ll", int(whole), int(part * 1e6))
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, silence)
        return conn

    def _give_back(self, conn: http.client.HTTPConnection) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < _MAX_IDLE:
                self._idle.append(conn)
                return
        conn.close()


def _readable(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
