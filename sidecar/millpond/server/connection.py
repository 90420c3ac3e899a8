"""One connection of the local protocol: frames in, replies out, and the path of Stat."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from millpond import metrics as m
from millpond.errors import (
    InvalidRequest,
    MillpondError,
    Overloaded,
    PermissionDenied,
    Unauthenticated,
)
from millpond.server import replies
from millpond.server.core.session import Peer, Session
from millpond.wire.frames import MAX_FRAME_BYTES, FrameParser
from millpond.wire.millpond_pb2 import Request

if TYPE_CHECKING:
    from millpond.server.verbs import Verbs

GREETING_BYTES = 64 * 1024
"""Cap of a frame before Hello was accepted."""
GREETING_S = 10.0
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
        self._late = self.verbs.loop.call_later(GREETING_S, self._not_greeted)
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
        self._late.cancel()
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
        ready = self.session.protocol > 0
        for message in messages:
            plain = replies.plain_stat(message) if ready else None
            if plain is not None and (info := cached(plain[1])) is not None:
                verbs.stats_from_memory += 1
                out.append(replies.stat_numbered(plain[0], info))
                continue
            try:
                request = Request.FromString(message)
            except DecodeError as e:
                self.send(b"".join(out))
                self.refuse(
                    InvalidRequest("a frame that is not a Request", cause=str(e) or "bad protobuf")
                )
                return
            verb = request.WhichOneof("verb")
            if verb == "stat" and ready:
                asked = request.stat
                if not asked.force and (info := cached(asked.path)) is not None:
                    verbs.stats_from_memory += 1
                    out.append(replies.stat(request.id, info))
                    continue
            if not self._other(request, verb):
                break
            ready = self.session.protocol > 0
        if out:
            self.send(out[0] if len(out) == 1 else b"".join(out))

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
        self._late.cancel()
        self.send(frame)
        return True

    def _not_greeted(self) -> None:
        self.refuse(
            Unauthenticated(
                f"no Hello came within {GREETING_S:g} s",
                remedy="Begin each connection with Hello",
            )
        )

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
    pid, uid, gid = _UCRED.unpack(data)
    groups = {gid}
    with contextlib.suppress(OSError):  # more groups than fit: the primary one must do
        raw = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 1024)
        groups.update(memoryview(raw)[: len(raw) // 4 * 4].cast("I"))
    return Peer(uid, frozenset(groups), pid or None)  # 0: of another pid namespace
