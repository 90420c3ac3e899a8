"""Settings that change while the sidecar runs, and how each does."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from millpond import settings as declared
from millpond.errors import InvalidSetting, Overloaded
from millpond.server.core.schedule import Limits
from millpond.settings import DECLARED
from millpond.wire import millpond_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from millpond.namespace import Namespace
    from millpond.server.shell import FillService
    from millpond.server.verbs import Verbs
    from millpond.settings import Settings
    from millpond.store import BlockStore

log = logging.getLogger(__name__)
ORIGIN = "millpond set"
LOOP_S = 5.0


def limits_of(settings: Settings) -> Limits:
    """The bounds of fills."""
    return Limits(
        settings.fill_connections,
        settings.fill_connections_per_file,
        settings.fill_range_bytes,
        settings.fill_memory_bytes,
    )


def on_loop(loop: asyncio.AbstractEventLoop, work: Callable[[], Any]) -> Any:
    """[thread] What ``work`` returns on the control loop. Raises Overloaded when that is stuck."""

    async def run() -> Any:
        return work()

    future = asyncio.run_coroutine_threadsafe(run(), loop)
    try:
        return future.result(LOOP_S)
    except TimeoutError:
        future.cancel()
        raise Overloaded(
            "the sidecar's control loop does not answer",
            cause=f"it did nothing else for {LOOP_S:g} s",
            remedy="`millpond stacks` shows what it does",
        ) from None


class RunningSettings:
    """The settings as they are now. All methods block; any thread."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        settings: Settings,
        store: BlockStore,
        namespace: Namespace,
        verbs: Verbs,
        fills: FillService,
    ) -> None:
        self._loop = loop
        self._store = store
        self._namespace = namespace
        self._verbs = verbs
        self._fills = fills
        self._lock = threading.Lock()
        self.now = self._start = settings
        self.changes: dict[str, Callable[[Settings], object]] = {
            "cache_capacity_bytes": self._space,
            "evict_high": self._space,
            "evict_low": self._space,
            "pin_share": self._space,
            "scrub_rate_bytes": lambda new: store.set_scrub_rate(new.scrub_rate_bytes),
            "fill_connections": self._limits,
            "fill_connections_per_file": self._limits,
            "fill_range_bytes": self._limits,
            "fill_memory_bytes": self._limits,
            "max_requests": self._requests,
            "max_requests_per_connection": self._requests,
            "freshness_ms": self._bounds,
            "list_freshness_ms": self._bounds,
            "log_level": self._log,
        }
        """How a setting that was changed takes effect, by its name."""

    def all(self) -> wire.SettingsReply:
        return wire.SettingsReply(settings=[self._told(name) for name in DECLARED])

    def change(self, name: str, text: str) -> wire.Setting:
        """Change one until the sidecar stops. Raises InvalidSetting, and then nothing changed."""
        if name in DECLARED and not DECLARED[name].running:
            raise InvalidSetting(
                f"{name} can't change while the sidecar runs",
                cause="it is read at its start",
                remedy=f"Write it to {self.now.config_file}, or set {DECLARED[name].env[0]}, and "
                "restart the sidecar",
            )
        value = declared.parse(name, text, ORIGIN)
        if value is None:
            raise InvalidSetting(
                f"{name} can't become auto while the sidecar runs", remedy="Name a size"
            )
        with self._lock:
            before = self._told(name)
            origins = {**self.now.origins, name: ORIGIN}
            changed = replace(self.now, origins=origins, **{name: value})
            self.changes[name](changed)
            self.now = changed
            told = self._told(name)
        told.previous = before.value
        log.info("%s is %s, was %s: %s", name, told.value, told.previous, ORIGIN)
        return told

    def _told(self, name: str) -> wire.Setting:
        about, now = DECLARED[name], self.now
        return wire.Setting(
            name=name,
            value=about.kind.show(getattr(now, name)),
            origin=now.origin(name),
            running=about.running,
            start_origin=self._start.origin(name),
            config_file="" if now.config_file is None else os.fspath(now.config_file),
        )

    # -- how they take effect ----------------------------------------------------------------

    def _space(self, new: Settings) -> None:
        self._store.set_space(
            new.cache_capacity_bytes, new.evict_high, new.evict_low, new.pin_share
        )

    def _limits(self, new: Settings) -> None:
        on_loop(self._loop, lambda: self._fills.set_limits(limits_of(new)))

    def _requests(self, new: Settings) -> None:
        def change() -> None:
            self._verbs.budget.limit = new.max_requests
            self._verbs.max_per_connection = new.max_requests_per_connection
            self._fills.max_pending = max_pending(new)

        on_loop(self._loop, change)

    def _bounds(self, new: Settings) -> None:
        self._namespace.set_bounds(new.freshness_ms, new.list_freshness_ms)

    def _log(self, new: Settings) -> None:
        logging.getLogger("millpond").setLevel(new.log_level.upper())


def max_pending(settings: Settings) -> int:
    """Fills that may wait: the rest of the requests are for what is quick."""
    return max(1, settings.max_requests // 2)
