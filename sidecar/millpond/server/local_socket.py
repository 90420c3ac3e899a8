"""The listening sockets of the local protocol.

A Unix socket for those whom the kernel names (root, the sidecar's user, the cache directory's
group), loopback TCP for those who show the token. Everything here runs on the control loop.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import stat
from typing import TYPE_CHECKING

from millpond.errors import AddressInUse, CacheDirUnusable
from millpond.server.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from millpond.server.verbs import Verbs

log = logging.getLogger(__name__)

READ_BYTES = 256 * 1024
BACKLOG = 1024
"""Connections that may wait: a full backlog of a Unix socket refuses at once, it does not queue."""


class LocalServer:
    """The listening sockets."""

    def __init__(self, verbs: Verbs) -> None:
        self._verbs = verbs
        self._unix: asyncio.Server | None = None
        self._tcp: asyncio.Server | None = None
        self._path: Path | None = None
        self._gid = -1
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
        self._unix = await loop.create_unix_server(self._connection, sock=sock, backlog=BACKLOG)
        self._path, self._gid = path, gid

    async def heal(self) -> None:
        """Listen anew where the socket file was deleted by hand. Raises as ``listen_unix``."""
        if self._path is not None and not await asyncio.to_thread(self._path.exists):
            old, self._unix = self._unix, None
            if old is not None:
                old.close()
            await self.listen_unix(self._path, self._gid)

    async def listen_tcp(self, host: str, port: int) -> int:
        """Listen on a loopback address; the port taken. Raises AddressInUse."""
        loop = asyncio.get_running_loop()
        sock = bind_tcp(host, port, "tcp_port")
        self._tcp = await loop.create_server(self._connection, sock=sock, backlog=BACKLOG)
        return int(sock.getsockname()[1])

    def stop_accepting(self) -> None:
        for server in (self._unix, self._tcp):
            if server is not None:
                server.close()
        path, self._path = self._path, None
        if path is not None:
            path.unlink(missing_ok=True)


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
