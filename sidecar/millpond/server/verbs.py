"""What each verb of the local protocol does, once a connection has read its request."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from millpond import __version__
from millpond import metrics as m
from millpond.errors import NotSupported
from millpond.model.paths import check_path, staged
from millpond.model.secrets import proven_name
from millpond.model.sizes import (
    BLOCK_BYTES,
    INLINE_FILE_BYTES,
    PAGE_BYTES,
    SECTION_BYTES,
    block_count,
)
from millpond.server import replies
from millpond.server.areas import StagingAreas
from millpond.server.batches import Batches
from millpond.server.calls import Calls
from millpond.server.core.session import Budget, Peer, Session
from millpond.server.core.visitors import Visitors
from millpond.server.rights import Rights
from millpond.server.writing import Writing
from millpond.wire import millpond_pb2 as wire

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from millpond.metrics import Metrics
    from millpond.namespace import Namespace
    from millpond.server.calls import Call, Channel
    from millpond.server.connection import Connection
    from millpond.server.shell import FillService
    from millpond.server.workers import Workers
    from millpond.store import BlockStore

MAX_TOUCHES = 8192
"""Touches taken of one report; a client that has more loses the rest, as lost reports are."""
MAX_BAD_PAGES = 256
SLOW_CLIENT_S = 30.0
ENDED = "batches that are over"
"""What their calls share the threads of, there being no store to name."""


class Verbs:
    """The handlers, and what all connections share."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        store: BlockStore,
        namespace: Namespace,
        fills: FillService,
        metrics: Metrics,
        *,
        disk: Workers,
        lookups: Workers,
        uploads: Workers,
        max_requests: int,
        max_per_connection: int,
        cache_gid: int,
        aliases: tuple[str, ...],
        batch_idle_s: float,
        staging_idle_s: float,
    ) -> None:
        self.loop = loop
        self.metrics = metrics
        self.budget = Budget(max_requests)
        self.max_per_connection = max_per_connection
        self.stat_cached: Callable[[str], bytes | None] = namespace.stat_cached_bytes
        self.stats_from_memory = 0
        self.connections: set[Connection] = set()
        self.visitors = Visitors()
        self.calls = Calls(loop, metrics)
        self._store = store
        self._namespace = namespace
        self._fills = fills
        self._disk = disk
        self._lookups = lookups
        self._uploads = uploads
        self.batches = Batches(namespace, self.counted, idle_s=batch_idle_s)
        self.areas = StagingAreas(namespace, self.batches.await_store, idle_s=staging_idle_s)
        self.writing = Writing(store, namespace, self.counted, self.batches, self.areas)
        self._uid = os.geteuid()
        self._gid = cache_gid
        self._aliases = aliases
        self._token = store.token.encode()
        self._control_token = store.control_token
        self._rights = Rights()
        self._by_transport = {"unix": 0, "tcp": 0}

    # -- connections -------------------------------------------------------------------------

    def may_connect(self, peer: Peer) -> bool:
        return peer.may_connect(self._uid, self._gid)

    def opened(self, connection: Connection, label: str) -> None:
        self.connections.add(connection)
        self._by_transport[label] += 1
        self.metrics.set(m.CONNECTIONS, self._by_transport[label], label)

    def closed(self, connection: Connection, label: str) -> None:
        self.connections.discard(connection)
        self._by_transport[label] -= 1
        self.metrics.set(m.CONNECTIONS, self._by_transport[label], label)
        self.forget(connection)

    def forget(self, channel: Channel) -> None:
        """Nobody is left to take its replies."""
        visitor = channel.session.visitor
        if visitor is not None:
            self.visitors.left(visitor, self.loop.time())
        self.calls.drop(channel)
        if self.writing.writes.known(channel.number):
            self._uploads.submit(partial(self.writing.vanished, channel.number))
        self._fills.closed(channel.number)

    def hello(self, session: Session, request: wire.Request) -> bytes:
        """Raises Unauthenticated, ProtocolMismatch."""
        asked = request.hello
        protocol = session.greet(asked.protocol_min, asked.protocol_max, asked.token, self._token)
        if asked.secret:
            session.prove(proven_name(self._control_token, asked.secret))
        self.metrics.add(m.REQUESTS, 1, "hello")
        if session.visitor is None:
            peer = session.peer
            session.visitor = self.visitors.greeted(
                asked.client, peer.uid, peer.pid, self.loop.time()
            )
        store = self._store
        return replies.encode(
            wire.Reply(
                id=request.id,
                hello=wire.HelloReply(
                    protocol=protocol,
                    version=__version__,
                    node_id=store.node_id,
                    aliases=self._aliases,
                    monotonic_ns=time.monotonic_ns(),
                    boot_id=store.boot_id,
                    cache_dir=os.fspath(store.directory),
                ),
            )
        )

    def counted(self, metric: m.Metric, value: float, label: str) -> None:
        """[thread] Count on the loop."""
        self.loop.call_soon_threadsafe(self.metrics.add, metric, value, *([label] if label else []))

    # -- requests ----------------------------------------------------------------------------

    def begin(self, connection: Channel, request: wire.Request, verb: str | None) -> None:
        """Take a request in hand; it is answered through its Call."""
        call = self.calls.begin(connection, request.id, verb or "unknown")
        self.metrics.add(m.REQUESTS, 1, call.verb)
        visitor = connection.session.visitor
        if visitor is not None:
            visitor.requests += 1
            visitor.seen_s = self.loop.time()
        match verb:
            case "stat":
                self._look_up(call, self._stat, request.stat)
            case "list":
                self._look_up(call, self._list, request.list)
            case "fill":
                self._fills.fill(call, request.fill)
            case "locate":
                self._look_up(call, self._locate, request.locate)
            case "report":
                self._report(call, request.report)
            case "begin" | "abort" | "mkdirs" | "set_times":
                self._change(self._lookups, call, verb, getattr(request, verb))
            case "commit" | "rename" | "delete":  # as long as what they move is large
                self._change(self._uploads, call, verb, getattr(request, verb))
            case "batch_begin" | "batch_replace" | "batch_abort":
                self._batch(self._lookups, call, verb, request)
            case "batch_commit":
                self._batch(self._uploads, call, verb, request)
            case "invalidate":
                changed = partial(self._in_thread, call, self._invalidate, request.invalidate)
                self._disk.submit(changed)
            case _:
                call.fail(
                    NotSupported(
                        "a verb this sidecar does not have",
                        cause=f"it is version {__version__}",
                        remedy="Upgrade the sidecar, or use the client of its version",
                    )
                )

    # One store that is slow must not take the threads of all others.

    def _look_up(self, call: Call, handler: Callable[[Call, Any], bytes], request: Any) -> None:
        store = self._namespace.store_of(request.path)
        self._lookups.submit(partial(self._in_thread, call, handler, request), of=store or None)

    def _change(self, workers: Workers, call: Call, verb: str, request: Any) -> None:
        path = self.writing.path_of(call.owner, verb, request)
        job = partial(self._in_thread, call, partial(self._write, verb), request)
        workers.submit(job, of=self._namespace.store_of(path) or None)

    def _batch(self, workers: Workers, call: Call, verb: str, request: wire.Request) -> None:
        asked = getattr(request, verb)
        job = partial(self._in_thread, call, partial(self._batch_verb, verb), asked)
        begin = verb == "batch_begin"
        path = asked.path if begin else self.batches.mount_in_memory(asked.batch)
        workers.submit(job, of=self._namespace.store_of(path) or ENDED)

    def _in_thread(self, call: Call, handler: Callable[[Call, Any], bytes], request: Any) -> None:
        """[thread] Run a handler that blocks; its frame is the last reply."""
        try:
            frame = handler(call, request)
        except Exception as e:
            self.loop.call_soon_threadsafe(call.fail, e)
        else:
            self.loop.call_soon_threadsafe(call.finish, frame)

    def _stat(self, call: Call, request: wire.StatRequest) -> bytes:
        info = self._looked(request.path, force=request.force)
        return replies.stat(call.request, info.SerializeToString())

    def _looked(self, path: str, *, force: bool = False) -> wire.FileInfo:
        path = check_path(path)
        if staged(path) is not None:
            return self.batches.stat(path)
        return self.areas.look(path, force=force)

    def _list(self, call: Call, request: wire.ListRequest) -> bytes:
        """One frame a page; all but the last are sent from here, no faster than they are taken."""
        last: wire.ListReply | None = None
        path = check_path(request.path)
        for directory, entries in self.areas.entries(path, recursive=request.recursive):
            if last is not None:
                frame = replies.encode(wire.Reply(id=call.request, more=True, list=last))
                if not call.connection.writable.wait(SLOW_CLIENT_S):
                    self.loop.call_soon_threadsafe(call.connection.abort)
                self.loop.call_soon_threadsafe(call.more, frame)
                last = wire.ListReply(entries=entries)
            else:
                last = wire.ListReply(directory=directory, entries=entries)
        return replies.encode(wire.Reply(id=call.request, list=last))

    def _locate(self, call: Call, request: wire.LocateRequest) -> bytes:
        info = self._looked(request.path)
        start = request.offset
        end = min(info.length, start + request.length)
        locations = []
        while start < end:
            stop = min(end, (start // SECTION_BYTES + 1) * SECTION_BYTES)
            cached = self._cached_bytes(info, start, stop)
            locations.append(
                wire.Location(
                    offset=start, length=stop - start, hosts=self._aliases, cached_bytes=cached
                )
            )
            start = stop
        reply = wire.LocateReply(locations=locations)
        return replies.encode(wire.Reply(id=call.request, locate=reply))

    def _cached_bytes(self, info: wire.FileInfo, start: int, end: int) -> int:
        """Bytes of the pages present in [start, end), no more than its length."""
        if not info.file_id:
            return 0
        if info.length <= INLINE_FILE_BYTES:
            meta = self._store.get_meta(info.store_path)
            whole = meta is not None and meta.file_id == info.file_id and meta.content is not None
            return end - start if whole else 0
        pages = 0
        for block in range(start // BLOCK_BYTES, block_count(end)):
            base = block * BLOCK_BYTES
            first = max(0, start - base) // PAGE_BYTES
            last = -(-min(BLOCK_BYTES, end - base) // PAGE_BYTES)
            bits = self._store.page_map(info.file_id, block)
            pages += (bits >> first & ((1 << (last - first)) - 1)).bit_count()
        return min(end - start, pages * PAGE_BYTES)

    def _report(self, call: Call, request: wire.ReportRequest) -> None:
        for touch in request.touches[:MAX_TOUCHES]:
            reads = min(touch.reads, 1000)
            if len(touch.file_id) == 16:
                self._store.touch(touch.file_id, touch.block, reads)
            elif len(touch.meta) == 32:
                self._store.touch_meta(touch.meta, reads)
        self.metrics.add_client_counters(request.counters)
        visitor = call.connection.session.visitor
        if visitor is not None:
            visitor.reported(request.counters)
        bad = [b for b in request.bad_pages[:MAX_BAD_PAGES] if len(b.file_id) == 16]
        if bad:
            self._disk.submit(partial(self._in_thread, call, self._bad_pages, bad))
        else:
            call.finish(replies.report(call.request))

    def _bad_pages(self, call: Call, pages: list[wire.BadPage]) -> bytes:
        for bad in pages:
            found = self._store.report_bad_page(bad.file_id, bad.block, bad.page, bad.generation)
            label = "rotten" if found else "good"
            self.loop.call_soon_threadsafe(self.metrics.add, m.BAD_PAGES, 1, label)
        return replies.report(call.request)

    def _write(self, verb: str, call: Call, request: Any) -> bytes:
        writing, reply = self.writing, wire.Reply(id=call.request)
        if verb not in ("commit", "abort"):  # they were let in when they began
            self._check_writer(call, writing.path_of(call.owner, verb, request))
        match verb:
            case "begin":
                reply.begin.CopyFrom(writing.begin(call.owner, request))
                if call not in self.calls.open:  # its connection ended meanwhile
                    writing.vanished(call.owner)
            case "commit":
                reply.commit.CopyFrom(writing.commit(call.owner, request))
            case "rename":
                reply.rename.CopyFrom(writing.rename(request))
            case "abort":
                writing.abort(call.owner, request.write)
                reply.done.SetInParent()
            case _:
                getattr(writing, verb)(request)
                reply.done.SetInParent()
        return replies.encode(reply)

    def _batch_verb(self, verb: str, call: Call, request: Any) -> bytes:
        reply = wire.Reply(id=call.request)
        begin = verb == "batch_begin"
        mount = request.path if begin else self.batches.mount_of(request.batch)
        self._check_writer(call, mount)
        made = getattr(self.batches, verb.removeprefix("batch_"))(request)
        if begin:
            reply.batch_begin.CopyFrom(made)
        else:
            reply.done.SetInParent()
        return replies.encode(reply)

    def _check_writer(self, call: Call, path: str) -> None:
        """Raises NotAWriter; who is named by no mount's writers changes nothing in it."""
        mount = self._namespace.table.find(check_path(path)) if path else None
        if mount is not None:
            self._rights.check(mount, call.connection.session.peer)

    def _invalidate(self, call: Call, request: wire.InvalidateRequest) -> bytes:
        self._namespace.invalidate(request.paths, tree=request.tree)
        reply = wire.Reply(id=call.request, invalidate=wire.InvalidateReply())
        return replies.encode(reply)
