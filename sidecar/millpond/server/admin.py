"""The admin verbs: mounts, eviction by hand, statistics. All block but ``changes``."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from millpond import __version__
from millpond import metrics as m
from millpond.server import replies
from millpond.wire import millpond_pb2 as wire

if TYPE_CHECKING:
    from millpond.metrics import Metrics
    from millpond.namespace import Namespace
    from millpond.server.calls import Call
    from millpond.store import BlockStore

_CHANGES = frozenset({"mount_add", "mount_remove", "evict"})


class Admin:
    """Answers AdminRequest."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        store: BlockStore,
        namespace: Namespace,
        metrics: Metrics,
    ) -> None:
        self._loop = loop
        self._store = store
        self._namespace = namespace
        self._metrics = metrics
        self._began = time.monotonic()

    @property
    def uptime_s(self) -> float:
        return time.monotonic() - self._began

    def changes(self, verb: str) -> bool:
        """Whether a verb changes anything."""
        return verb in _CHANGES

    def run(self, call: Call, request: wire.AdminRequest) -> bytes:
        """[thread] The reply's frame. Raises what the namespace raises."""
        reply = wire.AdminReply()
        match request.WhichOneof("verb"):
            case "mount_add":
                asked = request.mount_add
                mount = self._namespace.add_mount(
                    asked.path, asked.store_uri, dict(asked.options), check=not asked.unchecked
                )
                reply.mount.CopyFrom(mount.to_wire())
            case "mount_remove":
                gone = self._namespace.remove_mount(request.mount_remove.path)
                reply.mount.CopyFrom(gone.to_wire())
            case "mounts":
                reply.mounts.CopyFrom(self._namespace.table.to_wire())
            case "evict":
                files, freed = self._namespace.evict(request.evict.path)
                reply.evict.CopyFrom(wire.EvictReply(files=files, bytes=freed))
            case _:
                reply.stats.CopyFrom(self.stats())
        return replies.encode(wire.Reply(id=call.request, admin=reply))

    def stats(self) -> wire.StatsReply:
        """[thread] Sums since start, from the store, the namespace and the clients' reports."""
        stats = self._store.stats()
        counters = asyncio.run_coroutine_threadsafe(self._counters(), self._loop).result()
        counters |= {
            "evicted_bytes": stats.evicted_bytes,
            "evicted_blocks": stats.evicted_blocks,
            "corrupt_pages": stats.corrupt_pages,
            "names_left_out": sum(self._namespace.left_out().values()),
        }
        mounts = [
            wire.MountStats(
                path=path, head=c.head, list=c.list, get=c.get, retries=c.retries,
                bytes_read=c.bytes_read,
            )
            for path, c in sorted(self._namespace.under_counters().items())
        ]  # fmt: skip
        return wire.StatsReply(
            capacity_bytes=stats.capacity_bytes,
            used_bytes=stats.used_bytes,
            free_disk_bytes=stats.free_disk_bytes,
            blocks=stats.blocks,
            metas=stats.metas,
            policy=stats.policy,
            uptime_s=self.uptime_s,
            version=__version__,
            counters=counters,
            mounts=mounts,
        )

    async def _counters(self) -> dict[str, int]:
        counters = self._metrics.client_counters()
        counters["miss_bytes"] = int(self._metrics.value(m.MISS_BYTES))
        counters["miss_reads"] = int(self._metrics.value(m.MISS_READS))
        return counters
