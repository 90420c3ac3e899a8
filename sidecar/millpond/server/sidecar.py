"""The sidecar process: what it is made of, how it starts and how it stops."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
import time
from typing import TYPE_CHECKING

from millpond import metrics as m
from millpond.errors import MillpondError
from millpond.metrics import Metrics
from millpond.namespace import Namespace
from millpond.server.admin import Admin
from millpond.server.dashboard import Dashboard
from millpond.server.explain import Explainer
from millpond.server.gauges import Gauges
from millpond.server.grpc_server import ControlServer
from millpond.server.http import HttpServer
from millpond.server.local_socket import Exhaustion, LocalServer
from millpond.server.pending_control import PendingControl
from millpond.server.persisting import Persister
from millpond.server.ranges import Ranges
from millpond.server.remote import RemoteReads
from millpond.server.running import RunningSettings, limits_of, max_pending
from millpond.server.shell import FillService
from millpond.server.verbs import Verbs
from millpond.server.workers import Workers
from millpond.store import BlockStore, node
from millpond.wire.frames import PROTOCOL_MAX, PROTOCOL_MIN

if TYPE_CHECKING:
    from pathlib import Path

    from millpond.settings import Settings

log = logging.getLogger(__name__)

DISK_THREADS = 4
LOOKUP_THREADS = 64
LOOKUPS_PER_STORE = 16
UPLOAD_THREADS = 32
UPLOADS_PER_STORE = 16
STOP_S = 10.0
"""Time that running fetches and look-ups get at a stop; what lasts longer is left behind."""
SWITCH_INTERVAL_S = 0.00003
"""How long a thread may keep the interpreter while another waits for it.

Each of the control loop's system calls gives the interpreter up, and a dozen fetching threads may
be before it when it wants it back; ``tests/bench/sidecar_mixed.py`` measures what that costs.
"""
LAG_EVERY_S = 1.0
HEAL_EVERY_S = 1.0


class Sidecar:
    """One sidecar on one cache directory.

    ``start`` to ``stop`` belong to one event loop; ``run`` is all of it, with signals.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.state = "starting"
        self.socket_path: Path = settings.cache_dir / "sidecar.sock"
        self.tcp_port = 0
        self.http_port = 0
        self.remote_port = 0
        self._stopping = asyncio.Event()
        self._lag: asyncio.TimerHandle | None = None
        self._healing: asyncio.Task[None] | None = None

    # -- life --------------------------------------------------------------------------------

    def run(self) -> None:
        """Start, serve until SIGTERM or SIGINT, stop. Raises MillpondError when it can't start."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        await self.start()
        await self.serve_forever()

    async def start(self) -> None:
        """Open the store, listen, publish the addresses, then the lease.

        Raises CacheDirUnusable, AddressInUse; nothing is left open then.
        """
        loop = asyncio.get_running_loop()
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        exhaustion = Exhaustion(lambda: self.metrics.add(m.ACCEPT_ERRORS), time.monotonic)
        loop.set_exception_handler(exhaustion.handle)
        self.store = await asyncio.to_thread(self._open_store)
        try:
            self.namespace = await asyncio.to_thread(self._open_namespace)
        except BaseException:
            await asyncio.to_thread(self.store.close)
            raise
        self.store.set_scrub_rate(self.settings.scrub_rate_bytes)
        self._assemble(loop)
        try:
            await self._listen()
        except BaseException:
            await self.stop()
            raise
        gc.collect()
        gc.freeze()  # what lives as long as the process need not be traversed again
        self.state = "ok"
        self._watch_lag(loop, loop.time())
        self._dashboard.start()
        self._persister.start()
        self._healing = asyncio.create_task(self._heal())
        log.info("serving %s, tcp %s, http %s", self.socket_path, self.tcp_port, self.http_port)

    async def serve_forever(self) -> None:
        """Serve until ``request_stop`` or a signal, then stop."""
        try:
            await self._stopping.wait()
        finally:
            await self.stop()

    def request_stop(self) -> None:
        """Have ``serve_forever`` return. On the loop."""
        self._stopping.set()

    async def stop(self) -> None:
        """Take no more connections, answer who waits, end fills, give up the lease, snapshot."""
        if self.state == "stopped":
            return
        self.state = "stopping"
        if self._lag is not None:
            self._lag.cancel()
        self._dashboard.stop()
        if self._healing is not None:
            self._healing.cancel()
            await asyncio.gather(self._healing, return_exceptions=True)
        self._server.stop_accepting()
        self._fills.stop()
        await asyncio.sleep(0)  # replies written above leave before connections close
        for connection in list(self._verbs.connections):
            connection.close()
        await asyncio.gather(self._http.stop(), self._remote.stop())
        until = time.monotonic() + STOP_S
        ends = (
            self._control.stop, self._persister.stop, self._fills.join, self._ranges.close,
            self._uploads.close, self._lookups.close, self._disk.close,
        )  # fmt: skip
        for join in ends:
            if not await asyncio.to_thread(join, max(0.1, until - time.monotonic())):
                log.warning("work that did not end in %s s is left behind", STOP_S)
        try:
            await asyncio.to_thread(self.namespace.pending_mounts.flag, idle_s=0)
        except MillpondError as e:
            log.warning("%s", e)
        await asyncio.to_thread(self.store.close)
        await asyncio.to_thread(self.namespace.close)
        self.state = "stopped"
        log.info("stopped")

    # -- parts -------------------------------------------------------------------------------

    def _open_store(self) -> BlockStore:
        s = self.settings
        return BlockStore.open(
            s.cache_dir,
            capacity_bytes=s.cache_capacity_bytes,
            policy=s.cache_policy,
            high=s.evict_high,
            low=s.evict_low,
            aliases=self.aliases,
            pin_share=s.pin_share,
            await_pins=True,
            disks=s.cache_dirs,
        )

    def _open_namespace(self) -> Namespace:
        s = self.settings
        return Namespace(
            self.store,
            s.cache_dir / "namespace.db",
            freshness_ms=s.freshness_ms,
            list_freshness_ms=s.list_freshness_ms,
            pending_share=s.pending_share,
        )

    @property
    def aliases(self) -> tuple[str, ...]:
        """The names engines know this node by."""
        return self.settings.node_aliases or node.own_names()

    def _assemble(self, loop: asyncio.AbstractEventLoop) -> None:
        s = self.settings
        self._disk = Workers("disk", DISK_THREADS)
        self._lookups = Workers("lookup", LOOKUP_THREADS, share=LOOKUPS_PER_STORE)
        self._uploads = Workers("upload", UPLOAD_THREADS, share=UPLOADS_PER_STORE)
        self._fills = FillService(
            loop, self.store, self.namespace, self.metrics, limits_of(s),
            disk=self._disk, lookups=self._lookups, max_pending=max_pending(s),
        )  # fmt: skip
        self._verbs = Verbs(
            loop, self.store, self.namespace, self._fills, self.metrics,
            disk=self._disk, lookups=self._lookups, uploads=self._uploads,
            max_requests=s.max_requests, max_per_connection=s.max_requests_per_connection,
            cache_gid=s.cache_dir.stat().st_gid, aliases=self.aliases,
            batch_idle_s=s.batch_idle_ms / 1000, staging_idle_s=s.staging_idle_ms / 1000,
        )  # fmt: skip
        self.commit_files = self._verbs.writing.commit_files
        self.namespace.pending.room.tell = lambda met: self._verbs.counted(m.PENDING_HELD, 1, met)
        self._persister = Persister(self.namespace, self._verbs.counted)
        self._server = LocalServer(self._verbs)
        running = RunningSettings(loop, s, self.store, self.namespace, self._verbs, self._fills)
        explainer = Explainer(self.store, self.namespace, self._fills.bypasses)
        admin = self._admin = Admin(
            loop, self.store, self.namespace, self.metrics, running, explainer,
            PendingControl(
                self.namespace, self._persister, self._verbs.batches, self._verbs.areas
            ),
        )  # fmt: skip
        gauges = Gauges(self.store, self.namespace, self._verbs, self._fills, admin, self.metrics)
        self._dashboard = Dashboard(
            loop, self.store, self.namespace, self._verbs, gauges, self.metrics,
            lambda: self.state, self.aliases,
        )  # fmt: skip

        def counted(method: str, error: str) -> None:
            loop.call_soon_threadsafe(self._count, method, error)

        self._control = ControlServer(admin, self.store.token, self.store.control_token, counted)
        self._ranges = Ranges(loop, self.store, self.namespace)
        self._remote = RemoteReads(
            self._verbs, self.namespace, self._ranges, self.metrics, self.store.token
        )  # fmt: skip
        self._http = HttpServer(
            self.store, self.namespace, admin, gauges, self.metrics, self._dashboard, self._remote,
            lambda: self.state, self.aliases,
        )  # fmt: skip

    async def _listen(self) -> None:
        s = self.settings
        gid = self.store.directory.stat().st_gid
        self.tcp_port = await self._server.listen_tcp(s.tcp_host, s.tcp_port)
        self.http_port = await self._http.listen(s.http_host, s.http_port)
        if s.remote_host:
            self.remote_port = await self._remote.listen(s.remote_host, s.remote_port)
        await asyncio.to_thread(self._control.listen, self.store.directory, gid)
        await self._server.listen_unix(self.socket_path, gid)
        published = {
            # Below the directory: engines may see that under another path.
            "socket": self.socket_path.name,
            "tcp.host": s.tcp_host,
            "tcp.port": str(self.tcp_port),
            "http.port": str(self.http_port),
            "remote.host": s.remote_host,
            "remote.port": str(self.remote_port),
        }
        await asyncio.to_thread(lambda: self.store.publish_node(**published))
        await asyncio.to_thread(self.store.start_lease, PROTOCOL_MIN, PROTOCOL_MAX)

    def _count(self, method: str, error: str) -> None:
        self.metrics.add(m.CONTROL_REQUESTS, 1, method)
        if error:
            self.metrics.add(m.ERRORS, 1, error)

    def _watch_lag(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        """Observe how late a timer runs, once a second."""
        late = max(0.0, loop.time() - due)
        self._admin.loop_seen_s = loop.time()
        self.metrics.observe(m.LOOP_LAG_SECONDS, late)
        next_due = loop.time() + LAG_EVERY_S
        self._lag = loop.call_at(next_due, self._watch_lag, loop, next_due)

    async def _heal(self) -> None:
        """Put the sockets back when they, or the whole directory, were deleted by hand; drop the
        batches and staging areas that nobody calls for any more, and tell of mounts that hold
        nothing any more."""
        while True:
            await asyncio.sleep(HEAL_EVERY_S)
            try:
                await self._server.heal()
                await asyncio.to_thread(self._control.heal)
                await asyncio.to_thread(self._verbs.batches.expire)
                await asyncio.to_thread(self._verbs.areas.expire)
                await asyncio.to_thread(self.namespace.pending_mounts.expire)
                await asyncio.to_thread(self.namespace.pending_mounts.flag)
            except MillpondError as e:
                log.warning("%s", e)
