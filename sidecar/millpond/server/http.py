"""The HTTP port, on loopback: the dashboard, ``/metrics`` for Prometheus, ``/health`` for probes.

None of these asks for a token, so none says more than sums, names of mounts and who is connected:
no store URI, no path of a file, no secret. A page of another site must not read them through this
user's browser either, so the Host of a request has to be this node by address or by name.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from aiohttp import web

from millpond import __version__
from millpond.server.web_port import WebPort

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.typedefs import Handler

    from millpond.metrics import Metrics
    from millpond.namespace import Namespace
    from millpond.server.admin import Admin
    from millpond.server.dashboard import Dashboard
    from millpond.server.gauges import Gauges
    from millpond.server.remote import RemoteReads
    from millpond.store import BlockStore

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class HttpServer:
    """Serves what it reads from memory; nothing here blocks."""

    def __init__(
        self,
        store: BlockStore,
        namespace: Namespace,
        admin: Admin,
        gauges: Gauges,
        metrics: Metrics,
        dashboard: Dashboard,
        remote: RemoteReads,
        state: Callable[[], str],
        names: tuple[str, ...],
    ) -> None:
        self._store = store
        self._namespace = namespace
        self._admin = admin
        self._gauges = gauges
        self._metrics = metrics
        self._dashboard = dashboard
        self._remote = remote
        self._state = state
        self._names = {"localhost", *(n.lower() for n in names)}
        self._port = WebPort("http_port")

    async def listen(self, host: str, port: int) -> int:
        """The port taken. Raises AddressInUse."""
        app = web.Application(middlewares=[self._own_host])
        app.add_routes([web.get("/metrics", self._get_metrics), web.get("/health", self._health)])
        app.add_routes(self._dashboard.routes())
        app.add_routes(self._remote.routes())
        return await self._port.listen(app, host, port)

    async def stop(self) -> None:
        await self._port.stop()

    @web.middleware
    async def _own_host(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """A name that an attacker's DNS points here is not ours; an address can't be one."""
        name = (request.url.host or "").lower()
        if name not in self._names and not _is_address(name):
            return web.Response(
                status=403,
                text=f"{request.host!r} is not a name of this node.\n"
                "Use localhost, an address, or a name in the setting node_aliases.\n",
            )
        return await handler(request)

    async def _get_metrics(self, _: web.Request) -> web.Response:
        self._gauges.refresh()
        return web.Response(
            body=self._metrics.render().encode(), headers={"Content-Type": PROMETHEUS}
        )

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


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
