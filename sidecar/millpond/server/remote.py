"""Reading from elsewhere: status, listings and ranges of files over HTTP, for who has the token.

=====================================  ===========================================================
``GET /v1/mounts``                     a MountTable
``GET /v1/stat?path=…[&force=1]``      a FileInfo; ``ETag`` is a file's id in hex digits
``GET /v1/list?path=…[&recursive=1]``  frames, each a Reply with a ListReply; the last without
                                       ``more``: where it is missing, the listing is cut
``GET /v1/file?path=…``                bytes, with ``Range`` and ``If-Match`` as in any HTTP
=====================================  ===========================================================

Messages are those of the local protocol. What goes wrong is an Error message with the status that
fits; once bytes have left, the connection is cut short of the length that was announced.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
from contextlib import aclosing
from typing import TYPE_CHECKING

from aiohttp import web

from millpond import errors as e
from millpond import metrics as m
from millpond.server import replies
from millpond.server.line import Line
from millpond.server.ranges import entity_tag
from millpond.server.web_port import WebPort
from millpond.store import Extent
from millpond.wire import millpond_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from millpond.metrics import Metrics
    from millpond.namespace import Namespace
    from millpond.server.ranges import Ranges
    from millpond.server.verbs import Verbs

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = logging.getLogger(__name__)

PROTOBUF = "application/x-protobuf"
SLOW_CLIENT_S = 30.0
"""A client that takes nothing for so long is given up."""
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})?\Z")
_TAG = re.compile(r'"([0-9a-f]{32})"\Z')
_STATUS: dict[type[e.MillpondError], int] = {
    e.InvalidPath: 400, e.InvalidRequest: 400, e.Unauthenticated: 401, e.PermissionDenied: 403,
    e.PathNotFound: 404, e.MountNotFound: 404, e.IsADirectory: 409, e.NotADirectory: 409,
    e.FileChanged: 412, e.Internal: 500, e.StoreAnswerInvalid: 502, e.StoreUnavailable: 502,
    e.Overloaded: 503,
}  # fmt: skip


class RemoteReads:
    """The handlers; each request shows the token of the cache directory."""

    def __init__(
        self, verbs: Verbs, namespace: Namespace, ranges: Ranges, metrics: Metrics, token: str
    ) -> None:
        self._verbs = verbs
        self._namespace = namespace
        self._ranges = ranges
        self._metrics = metrics
        self._expected = f"Bearer {token}".encode()
        self._port = WebPort("remote_port")

    def routes(self) -> list[web.RouteDef]:
        served = {
            "mounts": self._mounts, "stat": self._stat, "list": self._list, "file": self._file,
        }  # fmt: skip
        return [
            web.get(f"/v1/{name}", self._guarded(handler), allow_head=False)
            for name, handler in served.items()
        ]

    async def listen(self, host: str, port: int) -> int:
        """Serve nothing but this at an address; the port taken. Raises AddressInUse."""
        app = web.Application()
        app.add_routes(self.routes())
        return await self._port.listen(app, host, port)

    async def stop(self) -> None:
        await self._port.stop()

    def _guarded(self, handler: Handler) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                self._authenticate(request)
                return await handler(request)
            except e.MillpondError as error:
                self._metrics.add(m.ERRORS, 1, error.name)
                return _refusal(error)

        return handle

    def _authenticate(self, request: web.Request) -> None:
        shown = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(shown, self._expected):
            raise e.Unauthenticated(
                "the token is " + ("wrong" if shown else "missing"),
                cause="a reader elsewhere shows the token of the sidecar's cache directory",
                remedy="Copy the file 'token' from that directory",
            )

    def _line(self, request: web.Request) -> Line:
        return Line(self._verbs, f"remote reader at {request.remote}")

    # -- handlers ----------------------------------------------------------------------------

    async def _mounts(self, _: web.Request) -> web.Response:
        return _message(self._namespace.table.to_wire().SerializeToString())

    async def _stat(self, request: web.Request) -> web.Response:
        with self._line(request) as line:
            stat = wire.StatRequest(path=_path(request), force=_flag(request, "force"))
            info = (await line.one("stat", stat=stat)).stat
        if not info.directory:  # cacheable or not, the id names the version to ask for
            info.file_id = entity_tag(info)
        return _message(info.SerializeToString(), {} if info.directory else _tag(info))

    async def _list(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": PROTOBUF})
        asked = wire.ListRequest(path=_path(request), recursive=_flag(request, "recursive"))
        try:
            with self._line(request) as line:
                async for frame, _ in line.replies("list", list=asked):
                    if not response.prepared:
                        await response.prepare(request)
                    await asyncio.wait_for(response.write(frame), SLOW_CLIENT_S)
        except (e.MillpondError, TimeoutError) as error:
            return self._cut(request, response, error)
        return response

    async def _file(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Accept-Ranges": "bytes"})
        response.content_type = "application/octet-stream"
        path = _path(request)
        try:
            with self._line(request) as line:
                info = await self._ranges.find(line, path, _wanted(request))
                if info.directory:
                    raise e.IsADirectory(f"{path} is a directory", remedy="Name a file in it")
                start, end = _range(request, info.length)
                response.headers.update(_tag(info))
                if "Range" in request.headers:
                    response.set_status(206)
                    response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{info.length}"
                response.content_length = end - start
                async with aclosing(self._ranges.read(line, info, start, end)) as parts:
                    async for part in parts:
                        await asyncio.wait_for(self._send(request, response, part), SLOW_CLIENT_S)
            if not response.prepared:
                await response.prepare(request)
        except (e.MillpondError, TimeoutError) as error:
            return self._cut(request, response, error)
        return response

    async def _send(
        self, request: web.Request, response: web.StreamResponse, part: bytes | Extent
    ) -> None:
        """Headers leave with the first bytes, so that what goes wrong before has its status."""
        try:
            if not response.prepared:
                await response.prepare(request)
            if isinstance(part, bytes):
                await response.write(part)
                self._metrics.add(m.REMOTE_BYTES, len(part), "memory")
                return
            if request.transport is None:
                raise ConnectionResetError("the client is gone")
            loop = asyncio.get_running_loop()
            await loop.sendfile(request.transport, part.file, part.offset, part.size)
            self._metrics.add(m.REMOTE_BYTES, part.size, "disk")
        finally:
            if isinstance(part, Extent):
                part.close()

    def _cut(
        self, request: web.Request, response: web.StreamResponse, error: Exception
    ) -> web.StreamResponse:
        """Too late for a status: the client sees that bytes are missing."""
        if not response.prepared:
            raise error
        log.info("a reader elsewhere was cut off: %s", error)
        if request.transport is not None:
            request.transport.abort()
        return response


def _message(body: bytes, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=body, headers={"Content-Type": PROTOBUF, **(headers or {})})


def _refusal(error: e.MillpondError) -> web.Response:
    headers = {"Content-Type": PROTOBUF}
    status = _STATUS.get(type(error), 500)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return web.Response(
        status=status, body=replies.error_message(error).SerializeToString(), headers=headers
    )


def _tag(info: wire.FileInfo) -> dict[str, str]:
    return {"ETag": f'"{entity_tag(info).hex()}"'}


def _path(request: web.Request) -> str:
    path = request.query.get("path")
    if path is None:
        raise e.InvalidRequest("no path was given", remedy="Add ?path=/mount/file")
    return path


def _flag(request: web.Request, name: str) -> bool:
    return request.query.get(name, "0") not in ("", "0", "false")


def _wanted(request: web.Request) -> bytes | None:
    text = request.headers.get("If-Match")
    if text is None or text.strip() == "*":
        return None
    found = _TAG.match(text.strip())
    if found is None:
        raise e.InvalidRequest(
            f"If-Match is {text[:80]!r}", remedy="Give the ETag that /v1/stat told"
        )
    return bytes.fromhex(found[1])


def _range(request: web.Request, length: int) -> tuple[int, int]:
    """The bytes asked for as [start, end); an empty file has none."""
    text = request.headers.get("Range")
    if text is None:
        return 0, length
    found = _RANGE.match(text.strip())
    start = int(found[1]) if found else length
    end = min(length, int(found[2]) + 1 if found and found[2] else length)
    if start >= end:
        raise e.InvalidRequest(
            f"Range is {text[:80]!r} of a file of {length} bytes",
            remedy="Ask for bytes=first-last within it",
        )
    return start, end
