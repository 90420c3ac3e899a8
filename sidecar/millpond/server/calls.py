"""Requests in hand: each is answered once, and never stays silent for long."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from millpond import metrics as m
from millpond.errors import MillpondError
from millpond.server import replies

if TYPE_CHECKING:
    import asyncio
    import threading
    from collections.abc import Callable

    from millpond.metrics import Metrics
    from millpond.server.core.session import Session

SILENCE_S = 0.075
TICK_S = 0.025
"""A frame at least every SILENCE_S + TICK_S = 100 ms."""


def _nothing_ready() -> int:
    return 0


class Channel(Protocol):
    """Where requests come from and replies go: a connection, or this process itself."""

    number: int
    session: Session
    writable: threading.Event

    def send(self, frame: bytes) -> None: ...

    def abort(self) -> None: ...


class Call:
    """One request of one connection, until its last reply."""

    __slots__ = ("began", "connection", "owner", "ready", "request", "spoke", "table", "verb")

    def __init__(self, table: Calls, connection: Channel, request: int, verb: str) -> None:
        self.table = table
        self.connection = connection
        self.owner = connection.number
        self.request = request
        self.verb = verb
        self.began = self.spoke = time.monotonic()
        self.ready: Callable[[], int] = _nothing_ready

    def progress(self, ready: int) -> None:
        self.more(replies.progress(self.request, ready))

    def more(self, frame: bytes) -> None:
        """A reply that is not the last."""
        if self in self.table.open:
            self.spoke = time.monotonic()
            self.connection.send(frame)

    def finish(self, frame: bytes) -> None:
        """The last reply. A second one is dropped, as is any to a connection that is gone."""
        if self.table.end(self):
            self.connection.session.answered(self.request)
            self.connection.send(frame)

    def fail(self, error: Exception) -> None:
        if self in self.table.open:
            name = error.name if isinstance(error, MillpondError) else "Internal"
            self.table.metrics.add(m.ERRORS, 1, name)
        self.finish(replies.error(self.request, error))


class Calls:
    """All requests in hand, and the clock that breaks their silence."""

    def __init__(self, loop: asyncio.AbstractEventLoop, metrics: Metrics) -> None:
        self._loop = loop
        self._ticking = False
        self.metrics = metrics
        self.open: dict[Call, None] = {}

    def begin(self, connection: Channel, request: int, verb: str) -> Call:
        call = Call(self, connection, request, verb)
        self.open[call] = None
        if not self._ticking:
            self._ticking = True
            self._loop.call_later(TICK_S, self._tick)
        return call

    def end(self, call: Call) -> bool:
        """Take a call out; False when it was out before."""
        if call not in self.open:
            return False
        del self.open[call]
        self.metrics.observe(m.REQUEST_SECONDS, time.monotonic() - call.began, call.verb)
        return True

    def drop(self, connection: Channel) -> None:
        """A connection is gone: nobody is left to answer."""
        for call in [c for c in self.open if c.connection is connection]:
            del self.open[call]

    def _tick(self) -> None:
        now = time.monotonic()
        for call in list(self.open):
            if now - call.spoke >= SILENCE_S:
                call.progress(call.ready())
        self._ticking = bool(self.open)
        if self._ticking:
            self._loop.call_later(TICK_S, self._tick)
