"""One listening HTTP port of the sidecar."""

from __future__ import annotations

from aiohttp import web

from millpond.server.local_socket import bind_tcp

_GRACE_S = 1.0


class WebPort:
    """Serves an application from ``listen`` to ``stop``."""

    def __init__(self, setting: str) -> None:
        """``setting``: the one that names the port, for the error."""
        self._setting = setting
        self._runner: web.AppRunner | None = None

    async def listen(self, app: web.Application, host: str, port: int) -> int:
        """The port taken. Raises AddressInUse."""
        sock = bind_tcp(host, port, self._setting)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GRACE_S)
        await self._runner.setup()
        await web.SockSite(self._runner, sock).start()
        return int(sock.getsockname()[1])

    async def stop(self) -> None:
        """What is being answered may end for a second. Does nothing where nothing listens."""
        if self._runner is not None:
            await self._runner.cleanup()
