"""A small synchronous client of the local protocol: for Python readers, the CLI and tests."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from millpond import __version__
from millpond.errors import (
    FrameTooLarge,
    MillpondError,
    ProtocolMismatch,
    SidecarUnavailable,
    from_wire,
)
from millpond.wire import millpond_pb2 as wire
from millpond.wire.frames import LENGTH, MAX_FRAME_BYTES, PROTOCOL_MAX, PROTOCOL_MIN, frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

SILENCE_S = 10.0


class LocalClient:
    """One connection to one sidecar, greeted; used by one call at a time, from any thread.

    Every method raises the error that the sidecar answered, or SidecarUnavailable when it is gone
    or says nothing for ``silence_s``.
    """

    def __init__(
        self, sock: socket.socket, token: str = "", silence_s: float = SILENCE_S, secret: str = ""
    ) -> None:
        self._sock = sock
        self._lock = threading.Lock()
        self._last = 0
        sock.settimeout(silence_s)
        try:
            self.hello = self._greet(token, secret)
        except BaseException:
            self.close()
            raise

    @classmethod
    def connect(cls, directory: Path, *, silence_s: float = SILENCE_S) -> LocalClient:
        """Connect to the sidecar of a cache directory by its Unix socket."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(silence_s)
        try:
            sock.connect(os.fspath(directory / "sidecar.sock"))
        except OSError as e:
            sock.close()
            raise SidecarUnavailable(
                f"no sidecar answers in {directory}",
                cause=e.strerror or str(e),
                remedy="Start it with 'millpond serve', or name its cache directory",
            ) from e
        return cls(sock, silence_s=silence_s)

    @classmethod
    def connect_tcp(
        cls, host: str, port: int, token: str, *, silence_s: float = SILENCE_S, secret: str = ""
    ) -> LocalClient:
        """Connect over TCP with the token of the cache directory, and to write with a secret."""
        try:
            sock = socket.create_connection((host, port), timeout=silence_s)
        except OSError as e:
            raise SidecarUnavailable(
                f"no sidecar answers at {host}:{port}",
                cause=e.strerror or str(e),
                remedy="Start it with 'millpond serve'",
            ) from e
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(sock, token, silence_s, secret)

    def close(self) -> None:
        self._sock.close()

    def __enter__(self) -> LocalClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- verbs -------------------------------------------------------------------------------

    def stat(self, path: str, *, force: bool = False) -> wire.FileInfo:
        return self._one(stat=wire.StatRequest(path=path, force=force)).stat

    def list(self, path: str, *, recursive: bool = False) -> Iterator[wire.ListReply]:
        """Page by page; the first carries the directory."""
        request = wire.ListRequest(path=path, recursive=recursive)
        for reply in self._replies(list=request):
            if reply.WhichOneof("outcome") == "list":
                yield reply.list

    def fill(
        self,
        path: str,
        file_id: bytes,
        ranges: Iterable[tuple[int, int]],
        *,
        window: int = 0,
        intent: wire.Intent = wire.Intent.UNKNOWN,
        inline_max: int = 0,
        stream: int = 0,
        on_progress: Callable[[int], object] | None = None,
    ) -> wire.FillReply:
        """``ranges`` are (offset, length)."""
        request = wire.FillRequest(
            path=path, file_id=file_id, window=window, intent=intent, inline_max=inline_max,
            stream=stream, ranges=[wire.Range(offset=o, length=n) for o, n in ranges],
        )  # fmt: skip
        answer: wire.Reply | None = None
        for answer in self._replies(fill=request):
            if answer.WhichOneof("outcome") == "progress" and on_progress is not None:
                on_progress(answer.progress.ready)
        assert answer is not None
        return answer.fill

    def locate(self, path: str, offset: int, length: int) -> wire.LocateReply:
        request = wire.LocateRequest(path=path, offset=offset, length=length)
        return self._one(locate=request).locate

    def invalidate(self, *paths: str, tree: bool = False) -> None:
        """The store has changed at these paths, with ``tree`` also anywhere below them."""
        self._one(invalidate=wire.InvalidateRequest(paths=paths, tree=tree))

    # -- writing: a write belongs to this connection

    def begin(
        self, path: str, *, overwrite: bool = True, parent: bool = False, files: int = 1,
        write: int = 0, write_type: str = "",
    ) -> wire.BeginReply:  # fmt: skip
        request = wire.BeginRequest(
            path=path, overwrite=overwrite, parent=parent, files=files, write=write,
            write_type=write_type,
        )  # fmt: skip
        return self._one(begin=request).begin

    def commit(self, write: int, length: int, files: Iterable[str]) -> wire.FileInfo:
        return self._one(
            commit=wire.CommitRequest(write=write, length=length, files=files)
        ).commit.info

    def abort(self, write: int) -> None:
        self._one(abort=wire.AbortRequest(write=write))

    def rename(self, source: str, target: str, *, into: bool = False, again: bool = False) -> str:
        """Where it lies now. ``again``: it was asked for before, and the answer was lost."""
        request = wire.RenameRequest(source=source, target=target, into=into, again=again)
        return self._one(rename=request).rename.path

    def delete(self, path: str, *, recursive: bool = False) -> None:
        self._one(delete=wire.DeleteRequest(path=path, recursive=recursive))

    def mkdirs(self, path: str) -> None:
        self._one(mkdirs=wire.MkdirsRequest(path=path))

    def set_times(self, path: str, mtime_ms: int, atime_ms: int = -1) -> None:
        request = wire.SetTimesRequest(path=path, mtime_ms=mtime_ms, atime_ms=atime_ms)
        self._one(set_times=request)

    # -- batches: they belong to nobody's connection

    def batch_begin(
        self, path: str, *, write_type: str = "", name: str = ""
    ) -> wire.BatchBeginReply:
        request = wire.BatchBeginRequest(path=path, write_type=write_type, name=name)
        return self._one(batch_begin=request).batch_begin

    def batch_replace(self, batch: str, *paths: str, recursive: bool = True) -> None:
        """The commit removes what is there now. Without paths: the batch is in use."""
        request = wire.BatchReplaceRequest(batch=batch, paths=paths, recursive=recursive)
        self._one(batch_replace=request)

    def batch_commit(
        self, batch: str, attempts: Iterable[str] | None = None, *, dynamic: bool = False
    ) -> None:
        """Of the attempts named; None: of all."""
        named = attempts or ()
        request = wire.BatchCommitRequest(
            batch=batch, attempts=named, dynamic=dynamic, all=attempts is None
        )
        self._one(batch_commit=request)

    def batch_abort(self, batch: str) -> None:
        self._one(batch_abort=wire.BatchAbortRequest(batch=batch))

    def report(
        self,
        *,
        touches: Iterable[wire.Touch] = (),
        bad_pages: Iterable[wire.BadPage] = (),
        counters: Mapping[str, int] | None = None,
    ) -> None:
        self._one(
            report=wire.ReportRequest(touches=touches, bad_pages=bad_pages, counters=counters)
        )

    # -- frames ------------------------------------------------------------------------------

    def _greet(self, token: str, secret: str) -> wire.HelloReply:
        hello = wire.HelloRequest(
            protocol_min=PROTOCOL_MIN, protocol_max=PROTOCOL_MAX, client=f"python {__version__}",
            token=token.encode(), secret=secret.encode(), monotonic_ns=time.monotonic_ns(),
        )  # fmt: skip
        reply = self._one(hello=hello).hello
        if not PROTOCOL_MIN <= reply.protocol <= PROTOCOL_MAX:
            raise ProtocolMismatch(f"the sidecar chose protocol {reply.protocol}")
        return reply

    def _one(self, **verb: Any) -> wire.Reply:
        for reply in self._replies(**verb):
            if not reply.more:
                return reply
        raise AssertionError("a call ends with its last reply")

    def _replies(self, **verb: Any) -> Iterator[wire.Reply]:
        """All replies to one request, up to the last. Raises what the sidecar answered."""
        with self._lock:
            self._last += 1
            request = wire.Request(id=self._last, **verb)
            self._send(frame(request.SerializeToString()))
            more = True
            while more:
                reply = wire.Reply.FromString(self._receive())
                if reply.id not in (0, self._last):
                    continue  # the rest of a call that its caller left early
                if reply.WhichOneof("outcome") == "error":
                    e = reply.error
                    raise from_wire(e.code, e.problem, e.cause, e.remedy)
                more = reply.more
                yield reply

    def _send(self, data: bytes) -> None:
        try:
            self._sock.sendall(data)
        except OSError as e:
            raise _gone(e) from e

    def _receive(self) -> bytes:
        (length,) = LENGTH.unpack(self._exactly(LENGTH.size))
        if length > MAX_FRAME_BYTES:
            raise FrameTooLarge(f"a frame of {length} bytes", cause=f"cap {MAX_FRAME_BYTES}")
        return self._exactly(length)

    def _exactly(self, size: int) -> bytes:
        data = bytearray(size)
        view, at = memoryview(data), 0
        while at < size:
            try:
                n = self._sock.recv_into(view[at:])
            except OSError as e:
                raise _gone(e) from e
            if n == 0:
                raise _gone(None)
            at += n
        return bytes(data)


def _gone(cause: OSError | None) -> MillpondError:
    return SidecarUnavailable(
        "the sidecar is gone" if cause is None else "the sidecar does not answer",
        cause="it closed the connection" if cause is None else str(cause),
        remedy="See its log, and start it again",
    )
