"""A line to this sidecar's own verbs: what comes in over HTTP is answered by the same handlers."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import TYPE_CHECKING, Any

from millpond.errors import SidecarUnavailable, from_wire
from millpond.server.core.session import Peer, Session
from millpond.wire import millpond_pb2 as wire
from millpond.wire.frames import LENGTH, PROTOCOL_MAX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Self

    from millpond.server.verbs import Verbs

_MANY = 4
"""Frames that may wait to be taken before who makes them is held up."""
_numbers = itertools.count(-1, -1)  # connections count upwards


class Line:
    """A channel for one request at a time. Belongs to the loop; close it when done."""

    def __init__(self, verbs: Verbs, client: str) -> None:
        self.number = next(_numbers)
        self.session = Session(Peer(), verbs.budget, verbs.max_per_connection)
        self.session.protocol = PROTOCOL_MAX
        self.visitor = verbs.visitors.greeted(client, None, None, verbs.loop.time())
        self.session.visitor = self.visitor
        self.writable = threading.Event()
        self.writable.set()
        self._verbs = verbs
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._last = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.writable.set()
        self._verbs.forget(self)
        self.session.close()

    def send(self, frame: bytes) -> None:
        self._frames.put_nowait(frame)
        if self._frames.qsize() > _MANY:
            self.writable.clear()

    def abort(self) -> None:
        self._frames.put_nowait(None)

    async def replies(self, verb: str, **fields: Any) -> AsyncIterator[tuple[bytes, wire.Reply]]:
        """All replies to a request but progress, as frames too. Raises what was answered."""
        self._last += 1
        self.session.admit(self._last)
        self._verbs.begin(self, wire.Request(id=self._last, **fields), verb)
        more = True
        while more:
            frame = await self._frames.get()
            if self._frames.qsize() <= _MANY:
                self.writable.set()
            if frame is None:
                raise SidecarUnavailable(
                    "the listing was given up", cause="it was taken too slowly"
                )
            reply = wire.Reply.FromString(frame[LENGTH.size :])
            if reply.id != self._last:
                continue
            kind, more = reply.WhichOneof("outcome"), reply.more
            if kind == "error":
                e = reply.error
                raise from_wire(e.code, e.problem, e.cause, e.remedy)
            if kind != "progress":
                yield frame, reply

    async def one(self, verb: str, **fields: Any) -> wire.Reply:
        """The last reply."""
        last: wire.Reply | None = None
        async for _, reply in self.replies(verb, **fields):
            last = reply
        assert last is not None
        return last
