"""Reading where no sidecar runs: another node's is asked over HTTP, as ``server/remote.py`` says.

The deadline is on silence, as beside a sidecar; what it can't give is read from the store.
"""

from __future__ import annotations

import http.client
import os
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from google.protobuf.message import DecodeError

from millpond.client.cachedir import ClientMount, Mounts
from millpond.client.process import Stores
from millpond.client.reader import BaseReader
from millpond.client.sidecar import Lines, Trouble
from millpond.errors import (
    InvalidSetting,
    MillpondError,
    SidecarUnavailable,
    Unauthenticated,
    from_wire,
)
from millpond.model.sizes import MIB
from millpond.wire import millpond_pb2 as wire
from millpond.wire.frames import FrameParser

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator, Mapping

    from millpond.client.reader import Version

SILENCE_S = 2.0
MOUNTS_EVERY_S = 1.0
PROTOBUF = "application/x-protobuf"
MAX_MESSAGE_BYTES = 8 * MIB
AHEAD_BYTES = 4 * MIB
_FIRST_AHEAD_BYTES = 256 << 10
_CHUNK_BYTES = 256 << 10


class RemoteClient:
    """One kept connection; used by one call at a time.

    Every method raises the error that the sidecar answered, or SidecarUnavailable when it is gone
    or says nothing for ``silence_s``.
    """

    def __init__(self, host: str, port: int, token: str, silence_s: float) -> None:
        self._name = f"{host}:{port}"
        self._http = http.client.HTTPConnection(host, port, timeout=silence_s)
        self._headers = {"Authorization": f"Bearer {token}"}
        with self._unless_gone():
            self._http.connect()

    def close(self) -> None:
        self._http.close()

    def mounts(self) -> wire.MountTable:
        return wire.MountTable.FromString(self._message("mounts"))

    def stat(self, path: str, *, force: bool = False) -> wire.FileInfo:
        more = "&force=1" if force else ""
        return wire.FileInfo.FromString(self._message("stat", f"path={quote(path)}{more}"))

    def list(self, path: str) -> Iterator[wire.ListReply]:
        """Page by page; the first carries the directory."""
        parser, more = FrameParser(), True
        with self._unless_gone():
            response = self._get("list", f"path={quote(path)}")
            while more:
                data = response.read1(_CHUNK_BYTES)
                if not data:
                    raise ConnectionResetError("the listing ends before its end")
                for message in parser.feed(data):
                    reply = wire.Reply.FromString(message)
                    if reply.WhichOneof("outcome") == "error":
                        raise _error(reply.error)
                    more = reply.more
                    yield reply.list
            response.read()

    def read(self, path: str, tag: bytes, start: int, view: memoryview) -> int:
        """Bytes read into ``view``: at least one, fewer than asked for where the line broke."""
        done = 0
        with self._unless_gone():
            response = self._get(
                "file", f"path={quote(path)}",
                {"If-Match": f'"{tag.hex()}"', "Range": f"bytes={start}-{start + len(view) - 1}"},
            )  # fmt: skip
            try:
                while done < len(view):
                    count = response.readinto(view[done:])
                    if not count:
                        raise ConnectionResetError("it was cut off")
                    done += count
            except (OSError, http.client.HTTPException):
                self._http.close()
                if not done:
                    raise
        return done

    def _message(self, what: str, query: str = "") -> bytes:
        with self._unless_gone():
            return self._get(what, query).read(MAX_MESSAGE_BYTES)

    def _get(
        self, what: str, query: str, more: Mapping[str, str] | None = None
    ) -> http.client.HTTPResponse:
        self._http.request("GET", f"/v1/{what}?{query}", headers={**self._headers, **(more or {})})
        response = self._http.getresponse()
        if response.status < 300:
            return response
        body = response.read(MAX_MESSAGE_BYTES)
        if response.getheader("Content-Type") == PROTOBUF:
            raise _error(wire.Error.FromString(body))
        raise SidecarUnavailable(
            f"what answers at {self._name} is no sidecar, or an old one",
            cause=f"{response.status} {response.reason}",
            remedy="Name the address that its settings remote_host and remote_port say",
        )

    @contextmanager
    def _unless_gone(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException, DecodeError) as e:
            self._http.close()
            raise SidecarUnavailable(
                f"no sidecar answers at {self._name}",
                cause=str(e) or type(e).__name__,
                remedy="See that it runs, with remote_host set to an address of its node",
            ) from e


def _error(told: wire.Error) -> MillpondError:
    return from_wire(told.code, told.problem, told.cause, told.remedy)


class RemoteSidecar(Lines[RemoteClient]):
    """The sidecar of another node."""

    def __init__(
        self, address: str, token: str, silence_s: float, count: Callable[[str], None]
    ) -> None:
        super().__init__(count)
        self._host, self._port = parse_address(address)
        self._token = token
        self._silence_s = silence_s

    def _connect(self) -> RemoteClient:
        return RemoteClient(self._host, self._port, self._token, self._silence_s)


class RemoteMounts(Mounts):
    """The other node's mounts, as they stood within the last second, or when it last answered.

    Raises SidecarUnavailable where it never did.
    """

    def __init__(self, sidecar: RemoteSidecar) -> None:
        self._sidecar = sidecar
        self._known: dict[str, ClientMount] | None = None
        self._asked_s = 0.0

    def mounts(self) -> dict[str, ClientMount]:
        now = time.monotonic()
        if self._known is None or now - self._asked_s >= MOUNTS_EVERY_S:
            try:
                table = self._sidecar.call("mounts", lambda c: c.mounts())
                self._known = {each.path: ClientMount(each) for each in table.mounts}
            except Trouble as e:
                if isinstance(e.__cause__, Unauthenticated):
                    raise e.__cause__ from None
                if self._known is None:
                    raise SidecarUnavailable(
                        "the sidecar of another node can't be asked what is mounted",
                        cause=str(e),
                        remedy="See that it runs, and that address and token are its own",
                    ) from e
            self._asked_s = now
        return self._known


class RemoteProcess(Stores):
    """What one process holds of another node's sidecar; the counterpart of ``Process``."""

    def __init__(
        self,
        address: str,
        token: str,
        silence_s: float,
        store_options: Mapping[str, str],
        counters: Counter[str],
    ) -> None:
        super().__init__(store_options, counters)
        self.sidecar = RemoteSidecar(address, token, silence_s, self.count)
        self.dir = RemoteMounts(self.sidecar)

    def __del__(self) -> None:
        if hasattr(self, "sidecar"):
            self.sidecar.close(locked=os.getpid() == self._pid)
        super().__del__()

    def trusted(self) -> bool:
        """What lies on the other node's disk can't be seen from here."""
        return False


class RemoteReader(BaseReader[RemoteProcess]):
    """Reads one version by ranges; small sequential reads come out of one that reads ahead."""

    def __init__(self, mount: ClientMount, version: Version) -> None:
        super().__init__(mount, version)
        self._ahead = (0, b"")
        self._lock = threading.Lock()

    def read(self, process: RemoteProcess, start: int, end: int) -> bytes:
        start, end = max(0, start), min(end, self.version.length)
        out = bytearray(max(0, end - start))
        if out:
            self.readinto(process, start, memoryview(out))
        return bytes(out)

    def readinto(self, process: RemoteProcess, start: int, view: memoryview) -> None:
        at = 0
        while at < len(view):
            at += self._some(process, start + at, view[at:])
        self._next = start + len(view)

    def _some(self, process: RemoteProcess, position: int, view: memoryview) -> int:
        version = self.version
        if not version.file_id:
            return self._direct(process, position, view, Trouble(version.direct, version.path))
        start, data = self._ahead
        held = data[max(0, position - start) :][: len(view)] if position >= start else b""
        if held:
            view[: len(held)] = held
            return len(held)
        window = self._wanted(position, len(view))
        target = memoryview(bytearray(window)) if window else view
        try:
            done = process.sidecar.call(
                "reads", lambda c: c.read(version.path, version.file_id, position, target)
            )
        except Trouble as e:
            return self._direct(process, position, view, e)
        process.count("remote_bytes", done)
        if not window:
            return done
        self._ahead = (position, bytes(target[:done]))
        count = min(done, len(view))
        view[:count] = target[:count]
        return count

    def _wanted(self, position: int, size: int) -> int:
        """Bytes to ask for where more than these is worth having; 0: these alone."""
        with self._lock:
            if position != self._next or size >= AHEAD_BYTES:
                self._window = 0
                return 0
            self._window = min(AHEAD_BYTES, max(_FIRST_AHEAD_BYTES, 2 * self._window))
            return min(self.version.length - position, max(size, self._window))


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of ``host:port``. Raises InvalidSetting."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InvalidSetting(
            f"sidecar is {text!r}", cause="it is no host:port", remedy="Write it as node-1:8898"
        )
    return host.strip("[]"), int(port)


def read_token(given: str | None, path: str | os.PathLike[str] | None) -> str:
    """The token of another node's sidecar. Raises InvalidSetting."""
    try:
        token = given if path is None else Path(path).expanduser().read_text("ascii")
    except (OSError, UnicodeDecodeError) as e:
        raise InvalidSetting(
            f"token_file is {str(path)!r}",
            cause=str(e),
            remedy="Name a copy of the token",
        ) from e
    if not token or not token.strip().isascii() or "\n" in token.strip():
        raise InvalidSetting(
            "another node's sidecar is read with its token",
            cause="none was given" if not token else "that is none",
            remedy="Pass token= or token_file=; it is the file 'token' in its cache directory",
        )
    return token.strip()
