"""The local protocol on sockets: connections, frames, and the path of Stat.

A Unix socket for those whom the kernel names (root, the sidecar's user, the cache directory's
group), loopback TCP for those who show the token. Everything here runs on the control loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import stat
import struct
import threading
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from millpond import metrics as m
from millpond.errors import (
    AddressInUse,
    CacheDirUnusable,
    InvalidRequest,
    MillpondError,
    Overloaded,
    PermissionDenied,
    Unauthenticated,
)
from millpond.server import replies
from millpond.server.core.frames import MAX_FRAME_BYTES, FrameParser
from millpond.server.core.session import Peer, Session
from millpond.wire.millpond_pb2 import Request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from millpond.server.verbs import Verbs

log = logging.getLogger(__name__)

GREETING_BYTES = 64 * 1024
"""Cap of a frame before Hello was accepted."""
READ_BYTES = 256 * 1024
_SO_PEERGROUPS = 59
_UCRED = struct.Struct("iII")


class Connection(asyncio.BufferedProtocol):
    """One client. Pauses reading while the client does not take its replies.

    ``buffer`` is shared by all connections of a loop: a selector loop calls ``get_buffer``, reads,
    and calls ``buffer_updated`` without anything between. A plain Protocol would have asyncio take
    256 KiB afresh for every read, which costs more than all the rest of a Stat.
    """

    def __init__(self, verbs: Verbs, number: int, buffer: memoryview) -> None:
        self.verbs = verbs
        self._buffer = buffer
        self.number = number
        self.session = Session(Peer(), verbs.budget, verbs.max_per_connection)
        self.writable = threading.Event()
        self.writable.set()
        self._parser = FrameParser(GREETING_BYTES)
        self._transport: asyncio.Transport | None = None
        self._label = "tcp"

    # -- asyncio -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        sock = transport.get_extra_info("socket")
        if sock.family == socket.AF_UNIX:
            self._label = "unix"
            self.session.peer = peer_of(sock)
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.verbs.opened(self, self._label)
        if sock.family == socket.AF_UNIX and not self.verbs.may_connect(self.session.peer):
            self.refuse(
                PermissionDenied(
                    f"user {self.session.peer.uid} may not use this sidecar",
                    cause="it is neither its user nor in the group of the cache directory",
                    remedy="Add the user to that group",
                )
            )

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.writable.set()
        self.verbs.closed(self, self._label)
        self.session.close()

    def pause_writing(self) -> None:
        self.writable.clear()
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self.writable.set()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        try:
            messages = self._parser.feed(bytes(self._buffer[:nbytes]))
        except MillpondError as e:
            self.refuse(e)
            return
        out: list[bytes] = []
        verbs = self.verbs
        cached = verbs.stat_cached
        for message in messages:
            try:
                request = Request.FromString(message)
            except DecodeError as e:
                self.send(b"".join(out))
                self.refuse(
                    InvalidRequest("a frame that is not a Request", cause=str(e) or "bad protobuf")
                )
                return
            verb = request.WhichOneof("verb")
            if verb == "stat" and self.session.protocol:
                asked = request.stat
                if not asked.force and (info := cached(asked.path)) is not None:
                    verbs.stats_from_memory += 1
                    out.append(replies.stat(request.id, info))
                    continue
            if not self._other(request, verb):
                break
        if out:
            self.send(b"".join(out))

    # -- requests ----------------------------------------------------------------------------

    def _other(self, request: Request, verb: str | None) -> bool:
        """All but a Stat answered from memory. False: the connection is being closed."""
        if verb == "hello":
            return self._hello(request)
        if not self.session.ready:
            self.refuse(
                Unauthenticated(
                    "a request came before Hello", remedy="Begin each connection with Hello"
                ),
                request.id,
            )
            return False
        try:
            self.session.admit(request.id)
        except Overloaded as e:
            self.verbs.metrics.add(m.ERRORS, 1, e.name)
            self.send(replies.error(request.id, e))
            return True
        self.verbs.begin(self, request, verb)
        return True

    def _hello(self, request: Request) -> bool:
        try:
            frame = self.verbs.hello(self.session, request)
        except MillpondError as e:
            self.refuse(e, request.id)
            return False
        self._parser.max_frame_bytes = MAX_FRAME_BYTES
        self.send(frame)
        return True

    def send(self, frame: bytes) -> None:
        if self._transport is not None and frame:
            self._transport.write(frame)

    def refuse(self, error: MillpondError, request: int = 0) -> None:
        """Say why, and close."""
        self.verbs.metrics.add(m.REFUSED, 1, error.name)
        self.send(replies.error(request, error))
        self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close without sending what is buffered."""
        if self._transport is not None:
            self._transport.abort()


def peer_of(sock: socket.socket) -> Peer:
    """Who the kernel says is at the other end of a Unix socket, with all groups."""
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    _, uid, gid = _UCRED.unpack(data)
    groups = {gid}
    with contextlib.suppress(OSError):  # more groups than fit: the primary one must do
        raw = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 1024)
        groups.update(memoryview(raw)[: len(raw) // 4 * 4].cast("I"))
    return Peer(uid, frozenset(groups))


class LocalServer:
    """The listening sockets."""

    def __init__(self, verbs: Verbs) -> None:
        self._verbs = verbs
        self._servers: list[asyncio.Server] = []
        self._path: Path | None = None
        self._last = 0
        self._buffer = memoryview(bytearray(READ_BYTES))

    def _connection(self) -> Connection:
        self._last += 1
        return Connection(self._verbs, self._last, self._buffer)

    async def listen_unix(self, path: Path, gid: int) -> None:
        """Listen at ``path``, replacing a socket that nobody answers at.

        Raises AddressInUse where somebody does, CacheDirUnusable where it can't be.
        """
        loop = asyncio.get_running_loop()
        sock = await loop.run_in_executor(None, _bind_unix, path, gid)
        self._servers.append(await loop.create_unix_server(self._connection, sock=sock))
        self._path = path

    async def listen_tcp(self, host: str, port: int) -> int:
        """Listen on a loopback address; the port taken. Raises AddressInUse."""
        loop = asyncio.get_running_loop()
        sock = bind_tcp(host, port, "tcp_port")
        self._servers.append(await loop.create_server(self._connection, sock=sock))
        return int(sock.getsockname()[1])

    def stop_accepting(self) -> None:
        for server in self._servers:
            server.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _bind_unix(path: Path, gid: int) -> socket.socket:
    text = os.fspath(path)
    _remove_stale(text)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            sock.bind(text)
        except OSError as e:
            raise CacheDirUnusable(
                f"can't listen at {text}",
                cause=str(e),
                remedy="Choose a cache directory with a shorter path (a socket's is < 108 bytes)"
                if "too long" in str(e)
                else "See that the directory can be written",
            ) from e
        os.chmod(text, 0o660)
        if os.stat(text).st_gid != gid:
            os.chown(text, -1, gid)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _remove_stale(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise CacheDirUnusable(f"{path} is not a socket", remedy="Move it away")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            os.unlink(path)
            return
        except OSError as e:
            raise _in_use(path, "socket", str(e)) from e
    raise _in_use(path, "socket", "another process answers there")


def bind_tcp(host: str, port: int, setting: str) -> socket.socket:
    """A bound socket. Raises AddressInUse naming the setting to change."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.setblocking(False)
    except OSError as e:
        sock.close()
        raise _in_use(f"{host}:{port}", setting, e.strerror or str(e)) from e
    return sock


def _in_use(address: str, setting: str, cause: str) -> AddressInUse:
    remedy = (
        "Stop the other process"
        if setting == "socket"
        else f"Stop the other process, or set {setting} to another port (0: any free one)"
    )
    return AddressInUse(f"can't listen at {address}", cause=cause, remedy=remedy)


class Exhaustion:
    """Counts accepts that failed for want of descriptors or memory; logs once a minute."""

    CODES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
    EVERY_S = 60.0

    def __init__(self, count: Callable[[], None], now: Callable[[], float]) -> None:
        self._count = count
        self._now = now
        self._logged = float("-inf")

    def handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """The loop's exception handler: asyncio itself tries the accept again in a second."""
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in self.CODES:
            self._count()
            if self._now() - self._logged >= self.EVERY_S:
                self._logged = self._now()
                log.warning("connections wait: %s; raise the limit of open files", error.strerror)
            return
        loop.default_exception_handler(context)
