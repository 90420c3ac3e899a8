"""Brings metrics up to date that are kept elsewhere, and sums them for the dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millpond import metrics as m
from millpond.server.core.history import Totals

if TYPE_CHECKING:
    from millpond.metrics import Metrics
    from millpond.namespace import Namespace
    from millpond.server.admin import Admin
    from millpond.server.shell import FillService
    from millpond.server.verbs import Verbs
    from millpond.store import BlockStore


class Gauges:
    """Reads memory only, on the control loop."""

    def __init__(
        self,
        store: BlockStore,
        namespace: Namespace,
        verbs: Verbs,
        fills: FillService,
        admin: Admin,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._namespace = namespace
        self._verbs = verbs
        self._fills = fills
        self._admin = admin
        self._metrics = metrics

    def refresh(self) -> None:
        """Set what has to be looked up."""
        values, stats, core = self._metrics, self._store.stats(), self._fills.core
        values.set(m.STATS_FROM_MEMORY, self._verbs.stats_from_memory)
        values.set(m.IN_HAND, self._verbs.budget.in_hand)
        values.set(m.FETCHES_ACTIVE, core.active)
        values.set(m.FLYING_BYTES, core.flying_bytes)
        values.set(m.UPTIME, self._admin.uptime_s)
        values.set(m.CAPACITY, stats.capacity_bytes)
        values.set(m.USED, stats.used_bytes)
        values.set(m.FREE_DISK, stats.free_disk_bytes)
        values.set(m.FREE_INODES, stats.free_disk_inodes)
        values.set(m.BLOCKS, stats.blocks)
        values.set(m.METAS, stats.metas)
        values.set(m.EVICTED_BYTES, stats.evicted_bytes)
        values.set(m.EVICTED_BLOCKS, stats.evicted_blocks)
        values.set(m.EXPIRED_BYTES, stats.expired_bytes)
        values.set(m.EXPIRED_BLOCKS, stats.expired_blocks)
        values.clear(m.MOUNT_BYTES)
        for mount, (size, _) in self._store.parts().items():
            values.set(m.MOUNT_BYTES, size, mount)
        values.set(m.PINNED_BYTES, stats.pinned_bytes)
        values.set(m.CORRUPT_PAGES, stats.corrupt_pages)
        values.set(m.DISKS_DROPPED, sum(bool(why) for _, why in self._store.disks()))
        values.set(m.SCRUBBED_BYTES, stats.scrubbed_bytes)
        view = self._namespace.pending.view
        values.set(m.PENDING, len(view) - view.kept)
        values.set(m.PENDING_BYTES, view.bytes)
        values.set(m.PENDING_CONFLICTS, view.conflicts)
        values.set(m.KEPT_BYTES, view.kept_bytes)
        values.clear(m.STORE_REQUESTS)
        values.clear(m.STORE_BYTES)
        values.clear(m.STORE_LEFT_OUT)
        for mount, names in self._namespace.left_out().items():
            values.set(m.STORE_LEFT_OUT, names, mount)
        for mount, c in self._namespace.under_counters().items():
            values.set(m.STORE_BYTES, c.bytes_read, mount)
            for kind in ("head", "list", "get", "retries"):
                values.set(m.STORE_REQUESTS, getattr(c, kind), mount, kind)

    def totals(self) -> Totals:
        """The sums that the dashboard draws over time."""
        told = self._metrics.client_counters()
        stores = self._namespace.under_counters().values()
        stats = self._store.stats()
        return Totals(
            hit_bytes=told.get("hit_bytes", 0),
            hit_reads=told.get("hit_reads", 0),
            miss_bytes=self._metrics.value(m.MISS_BYTES),
            miss_reads=self._metrics.value(m.MISS_READS),
            direct_bytes=told.get("direct_bytes", 0),
            direct_reads=told.get("direct_reads", 0),
            store_requests=sum(c.head + c.list + c.get for c in stores),
            store_bytes=sum(c.bytes_read for c in stores),
            fallbacks=sum(v for k, v in told.items() if k.startswith("fallback_")),
            evicted_bytes=stats.evicted_bytes,
            used_bytes=stats.used_bytes,
        )
