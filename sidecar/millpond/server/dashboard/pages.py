"""The dashboard's routes: the page, its style, its script; and the clock that takes samples."""

from __future__ import annotations

import asyncio
import math
import pwd
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from millpond import metrics as m
from millpond.server.core.history import EVERY_S, History
from millpond.server.dashboard.charts import HEIGHT, WIDTH
from millpond.server.dashboard.view import DEFAULT_WINDOW, WINDOWS, Facts, Window, build

if TYPE_CHECKING:
    from collections.abc import Callable

    import jinja2

    from millpond.metrics import Metrics
    from millpond.namespace import Namespace
    from millpond.server.gauges import Gauges
    from millpond.server.verbs import Verbs
    from millpond.store import BlockStore

FILES = Path(__file__).parent / "files"
KEPT_S = 1.0
"""How long a page is given again: many viewers cost no more than one."""
MAX_USERS = 1000
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
TYPES = {"dashboard.css": "text/css", "dashboard.js": "text/javascript"}


class Dashboard:
    """One page, made from memory. ``start`` to ``stop`` belong to the control loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        store: BlockStore,
        namespace: Namespace,
        verbs: Verbs,
        gauges: Gauges,
        metrics: Metrics,
        state: Callable[[], str],
        names: tuple[str, ...],
    ) -> None:
        self._loop = loop
        self._store = store
        self._namespace = namespace
        self._verbs = verbs
        self._gauges = gauges
        self._metrics = metrics
        self._state = state
        self._name = names[0] if names else store.node_id
        self._history = History()
        self._timer: asyncio.TimerHandle | None = None
        self._users: dict[int, str] = {}
        self._made: dict[str, tuple[float, str]] = {}

    def start(self) -> None:
        """Begin to take samples."""
        self._sample(self._loop.time())

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/", self._page), *(web.get(f"/{name}", self._file) for name in TYPES)]

    def _sample(self, due_s: float) -> None:
        """Keep the sums under the time they were due at, so that bins of time fit them."""
        self._history.add(due_s, self._gauges.totals())
        next_s = (math.floor(self._loop.time() / EVERY_S) + 1) * EVERY_S
        self._timer = self._loop.call_at(next_s, self._sample, next_s)

    async def _file(self, request: web.Request) -> web.Response:
        name = request.path.removeprefix("/")
        text = await asyncio.to_thread((FILES / name).read_text)
        return web.Response(text=text, content_type=TYPES[name], headers=HEADERS)

    async def _page(self, request: web.Request) -> web.Response:
        name = request.query.get("window", DEFAULT_WINDOW)
        window = WINDOWS.get(name)
        if window is None:
            return web.Response(
                status=404, text=f"No such window. There are: {', '.join(WINDOWS)}.\n"
            )
        now = self._loop.time()
        kept = self._made.get(name)
        if kept is None or not 0 <= now - kept[0] < KEPT_S:
            kept = self._made[name] = (now, await self._render(window))
        return web.Response(text=kept[1], content_type="text/html", headers=HEADERS)

    async def _render(self, window: Window) -> str:
        template = await asyncio.to_thread(_template)
        await self._learn_users()
        page = build(self._facts(), self._history, window)
        # Some milliseconds of work: the loop answers others meanwhile.
        return await asyncio.to_thread(template.render, page=page, box=(WIDTH, HEIGHT))

    async def _learn_users(self) -> None:
        """Look up names of users that are new here; a directory service may be slow to say."""
        uids = {v.uid for v in self._verbs.visitors.recent(self._loop.time()) if v.uid is not None}
        for uid in uids - self._users.keys():
            if len(self._users) < MAX_USERS:
                self._users[uid] = await asyncio.to_thread(_user, uid)

    def _facts(self) -> Facts:
        self._gauges.refresh()
        values, now = self._metrics, self._loop.time()
        return Facts(
            state=self._state(),
            name=self._name,
            at=time.strftime("%H:%M:%S UTC", time.gmtime()),
            uptime_s=values.value(m.UPTIME),
            now_s=now,
            totals=self._gauges.totals(),
            stats=self._store.stats(),
            mounts=list(self._namespace.table.mounts),
            store_requests=values.values(m.STORE_REQUESTS),
            store_bytes=values.values(m.STORE_BYTES),
            left_out=values.values(m.STORE_LEFT_OUT),
            fills=values.values(m.FILLS),
            misses=values.values(m.MISSES),
            bypassed=values.values(m.BYPASSED),
            told=values.client_counters(),
            visitors=self._verbs.visitors.recent(now),
            users=self._users,
            in_hand=int(values.value(m.IN_HAND)),
            fetching=int(values.value(m.FETCHES_ACTIVE)),
            flying_bytes=values.value(m.FLYING_BYTES),
        )


@cache
def _template() -> jinja2.Template:
    """Read at the first look: a sidecar that nobody looks at does without the engine."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FILES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("dashboard.html")


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
