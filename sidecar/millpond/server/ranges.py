"""The bytes of a range of one file version, wherever they are: block files, a fill, the store."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from millpond.errors import FileChanged
from millpond.model.paths import file_id
from millpond.model.sizes import BLOCK_BYTES, MIB
from millpond.server.workers import Workers
from millpond.wire import millpond_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from typing import TypeVar

    from millpond.namespace import Namespace
    from millpond.server.line import Line
    from millpond.store import BlockStore, Extent

    T = TypeVar("T")

FIRST_BYTES = MIB
"""The first piece is small enough to come inside the reply to its Fill."""
PIECE_BYTES = 4 * MIB
WINDOW_BYTES = 32 * MIB
ROUNDS = 2
THREADS = 8
_WAITING = 4
"""Buffers of a store's answer that wait to be sent."""
_LOOK_S = 1.0


def entity_tag(info: wire.FileInfo) -> bytes:
    """What names the version of a file, cacheable or not: its file id."""
    return info.file_id or file_id(info.store_path, info.version)


class Ranges:
    """Finds versions and reads them. Belongs to the loop; what blocks runs in threads."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        store: BlockStore,
        namespace: Namespace,
    ) -> None:
        self._loop = loop
        self._store = store
        self._namespace = namespace
        # Threads of its own: a slow reader elsewhere must not hold up the engines of this node.
        self._threads = Workers("remote", THREADS)

    async def find(self, line: Line, path: str, tag: bytes | None) -> wire.FileInfo:
        """The file at ``path``, in the version that ``tag`` names; None: the one it has now.

        Raises FileChanged where it is gone as far as is known: a version whose blocks are here
        may be read though the store has a newer one.
        """
        if tag is not None:
            known = await self._in(partial(self._namespace.recall, path, tag))
            if known is not None:
                return known
        for force in (False, True):
            info = (await line.one("stat", stat=wire.StatRequest(path=path, force=force))).stat
            if tag is None or entity_tag(info) == tag:
                return info
        raise FileChanged(
            f"{path} has another version than the one that was asked for",
            cause=f"the store now has version {info.version!r}",
            remedy="Open the file again",
        )

    async def read(
        self, line: Line, info: wire.FileInfo, start: int, end: int
    ) -> AsyncGenerator[bytes | Extent, None]:
        """The bytes [start, end), in order and without gaps. Who takes an extent closes it."""
        if not info.file_id:
            async with aclosing(self._stored(info, start, end)) as stored:
                async for part in stored:
                    yield part
            return
        at, size = start, FIRST_BYTES
        while at < end:
            stop = min(end, at + size, (at // BLOCK_BYTES + 1) * BLOCK_BYTES)
            async with aclosing(self._piece(line, info, at, stop, end)) as pieces:
                async for piece in pieces:
                    yield piece
            at, size = stop, PIECE_BYTES

    def close(self, timeout_s: float) -> bool:
        """Wait for what threads still do. Blocks."""
        return self._threads.close(timeout_s)

    async def _piece(
        self, line: Line, info: wire.FileInfo, start: int, stop: int, end: int
    ) -> AsyncGenerator[bytes | Extent, None]:
        for round in range(ROUNDS):
            if (extent := await self._extent(info, start, stop)) is not None:
                line.visitor.hit_bytes += extent.size if round == 0 else 0
                yield extent
                return
            request = wire.FillRequest(
                path=info.path, file_id=info.file_id, stream=1, inline_max=FIRST_BYTES,
                ranges=[wire.Range(offset=start, length=stop - start)],
                window=min(WINDOW_BYTES, end - stop),
                intent=wire.Intent.SEQUENTIAL if end > stop else wire.Intent.RANDOM,
            )  # fmt: skip
            fill = (await line.one("fill", fill=request)).fill
            if fill.result == wire.FillResult.INLINE:
                yield fill.data
                return
            if fill.result == wire.FillResult.DIRECT:
                break
        else:
            if (extent := await self._extent(info, start, stop)) is not None:
                yield extent
                return
        async with aclosing(self._stored(info, start, stop)) as stored:
            async for part in stored:
                yield part

    async def _extent(self, info: wire.FileInfo, start: int, stop: int) -> Extent | None:
        block, begin = divmod(start, BLOCK_BYTES)
        opened = partial(self._store.open_extent, info.file_id, block, begin, begin + stop - start)
        found = await self._in(opened)
        if found is not None:
            self._store.touch(info.file_id, block)
        return found

    async def _stored(
        self, info: wire.FileInfo, start: int, end: int
    ) -> AsyncGenerator[bytes, None]:
        """From the store, no faster than it is taken."""
        arrived: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        room, gone = threading.Semaphore(_WAITING), threading.Event()

        def tell(what: bytes | Exception | None) -> None:
            self._loop.call_soon_threadsafe(arrived.put_nowait, what)

        def pump() -> None:
            try:
                for part in self._namespace.locate(info).read(start, end):
                    while not room.acquire(timeout=_LOOK_S):
                        if gone.is_set():
                            return
                    if gone.is_set():
                        return
                    tell(bytes(part))
                tell(None)
            except Exception as e:
                tell(e)

        self._threads.submit(pump)
        try:
            while (part := await arrived.get()) is not None:
                if isinstance(part, Exception):
                    raise part
                yield part
                room.release()
        finally:
            gone.set()

    async def _in(self, ask: Callable[[], T]) -> T:
        future: asyncio.Future[T] = self._loop.create_future()

        def settle(answer: Any, error: Exception | None) -> None:
            if future.cancelled():
                if answer is not None and hasattr(answer, "close"):
                    answer.close()
            elif error is not None:
                future.set_exception(error)
            else:
                future.set_result(answer)

        def run() -> None:
            try:
                answer, error = ask(), None
            except Exception as e:
                answer, error = None, e
            self._loop.call_soon_threadsafe(settle, answer, error)

        self._threads.submit(run)
        return await future
