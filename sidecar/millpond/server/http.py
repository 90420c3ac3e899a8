"""``/metrics`` for Prometheus and ``/health`` for people and probes, on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from millpond import __version__
from millpond import metrics as m
from millpond.server.local_socket import bind_tcp

if TYPE_CHECKING:
    from collections.abc import Callable

    from millpond.metrics import Metrics
    from millpond.namespace import Namespace
    from millpond.server.admin import Admin
    from millpond.server.shell import FillService
    from millpond.server.verbs import Verbs
    from millpond.store import BlockStore

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class HttpServer:
    """Serves what it reads from memory; nothing here blocks."""

    def __init__(
        self,
        store: BlockStore,
        namespace: Namespace,
        verbs: Verbs,
        fills: FillService,
        admin: Admin,
        metrics: Metrics,
        state: Callable[[], str],
    ) -> None:
        self._store = store
        self._namespace = namespace
        self._verbs = verbs
        self._fills = fills
        self._admin = admin
        self._metrics = metrics
        self._state = state
        self._runner: web.AppRunner | None = None

    async def listen(self, host: str, port: int) -> int:
        """The port taken. Raises AddressInUse."""
        sock = bind_tcp(host, port, "http_port")
        app = web.Application()
        app.add_routes([web.get("/metrics", self._get_metrics), web.get("/health", self._health)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.SockSite(self._runner, sock).start()
        return int(sock.getsockname()[1])

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _get_metrics(self, _: web.Request) -> web.Response:
        self._gather()
        return web.Response(
            body=self._metrics.render().encode(), headers={"Content-Type": PROMETHEUS}
        )

    def _gather(self) -> None:
        """Bring gauges, and sums kept elsewhere, up to date."""
        values, stats, core = self._metrics, self._store.stats(), self._fills.core
        values.set(m.STATS_FROM_MEMORY, self._verbs.stats_from_memory)
        values.set(m.IN_HAND, self._verbs.budget.in_hand)
        values.set(m.FETCHES_ACTIVE, core.active)
        values.set(m.FLYING_BYTES, core.flying_bytes)
        values.set(m.UPTIME, self._admin.uptime_s)
        values.set(m.CAPACITY, stats.capacity_bytes)
        values.set(m.USED, stats.used_bytes)
        values.set(m.FREE_DISK, stats.free_disk_bytes)
        values.set(m.BLOCKS, stats.blocks)
        values.set(m.METAS, stats.metas)
        values.set(m.EVICTED_BYTES, stats.evicted_bytes)
        values.set(m.EVICTED_BLOCKS, stats.evicted_blocks)
        values.set(m.CORRUPT_PAGES, stats.corrupt_pages)
        values.clear(m.STORE_REQUESTS)
        values.clear(m.STORE_BYTES)
        values.clear(m.STORE_LEFT_OUT)
        for mount, names in self._namespace.left_out().items():
            values.set(m.STORE_LEFT_OUT, names, mount)
        for mount, c in self._namespace.under_counters().items():
            values.set(m.STORE_BYTES, c.bytes_read, mount)
            for kind in ("head", "list", "get", "retries"):
                values.set(m.STORE_REQUESTS, getattr(c, kind), mount, kind)

    async def _health(self, _: web.Request) -> web.Response:
        state = self._state()
        body = {
            "status": state,
            "version": __version__,
            "node_id": self._store.node_id,
            "uptime_s": round(self._admin.uptime_s, 3),
            "mounts": len(self._namespace.table.mounts),
        }
        return web.json_response(body, status=200 if state == "ok" else 503)
