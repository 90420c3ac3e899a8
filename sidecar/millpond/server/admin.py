"""The handlers of the control service: mounts, eviction by hand, statistics. All block."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from millpond import __version__
from millpond import metrics as m
from millpond.server import pending_control
from millpond.server.running import RunningSettings, on_loop
from millpond.server.stacks import stacks
from millpond.wire import millpond_pb2 as wire

if TYPE_CHECKING:
    import asyncio

    from millpond.metrics import Metrics
    from millpond.namespace import Namespace
    from millpond.namespace.pins import Pin
    from millpond.server.explain import Explainer
    from millpond.server.pending_control import PendingControl
    from millpond.store import BlockStore

READS = pending_control.READS | {
    "explain", "mounts", "pins", "refresh", "settings", "stats", "stacks",
}  # fmt: skip
"""The handlers that change nothing; all others need ``control.token``."""


class Admin:
    """One method for each of the service: from its request to its reply, in any thread.

    They raise what the namespace and the store raise.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        store: BlockStore,
        namespace: Namespace,
        metrics: Metrics,
        running: RunningSettings,
        explainer: Explainer,
        pending: PendingControl,
    ) -> None:
        self._loop = loop
        self._store = store
        self._namespace = namespace
        self._metrics = metrics
        self._running = running
        self._explainer = explainer
        self.pending = pending
        self._began = time.monotonic()
        self.loop_seen_s = loop.time()
        """When the control loop last ran its clock."""

    @property
    def uptime_s(self) -> float:
        return time.monotonic() - self._began

    def mount_add(self, asked: wire.MountAddRequest) -> wire.Mount:
        mount = self._namespace.add_mount(
            asked.path, asked.store_uri, dict(asked.options), check=not asked.unchecked
        )
        return mount.to_wire()

    def mount_remove(self, asked: wire.MountRemoveRequest) -> wire.Mount:
        return self._namespace.remove_mount(asked.path).to_wire()

    def mounts(self, _: wire.MountsRequest) -> wire.MountTable:
        table = self._namespace.table.to_wire()
        found = self._namespace.unconditional()
        for mount in table.mounts:
            mount.unconditional = mount.path in found
        return table

    def evict(self, asked: wire.EvictRequest) -> wire.EvictReply:
        files, freed = self._namespace.evict(asked.path)
        return wire.EvictReply(files=files, bytes=freed)

    def pin(self, asked: wire.PinRequest) -> wire.PinInfo:
        return _pin(self._namespace.pin(asked.path, recursive=asked.recursive))

    def unpin(self, asked: wire.UnpinRequest) -> wire.PinInfo:
        return _pin(self._namespace.unpin(asked.path))

    def pins(self, _: wire.PinsRequest) -> wire.PinsReply:
        return wire.PinsReply(
            pins=map(_pin, self._namespace.pins.all()),
            pinned_bytes=self._store.stats().pinned_bytes,
            at_most_bytes=self._store.pins_at_most_bytes,
        )

    def refresh(self, asked: wire.RefreshRequest) -> wire.RefreshReply:
        files = self._namespace.refresh(asked.path, recursive=asked.recursive)
        return wire.RefreshReply(files=files)

    def explain(self, asked: wire.ExplainRequest) -> wire.ExplainReply:
        return self._explainer.explain(asked.path)

    def settings(self, _: wire.SettingsRequest) -> wire.SettingsReply:
        return self._running.all()

    def change_setting(self, asked: wire.ChangeSettingRequest) -> wire.Setting:
        return self._running.change(asked.name, asked.value)

    def stacks(self, _: wire.StacksRequest) -> wire.StacksReply:
        """Asks nothing of the loop: it is for when that is stuck."""
        age_s = max(0.0, self._loop.time() - self.loop_seen_s)
        return wire.StacksReply(pid=os.getpid(), loop_age_s=age_s, text=stacks(self._loop))

    def stats(self, _: wire.StatsRequest) -> wire.StatsReply:
        """Sums since start, from the store, the namespace and the clients' reports."""
        stats = self._store.stats()
        counters: dict[str, int] = on_loop(self._loop, self._counters)
        counters |= {
            "evicted_bytes": stats.evicted_bytes,
            "evicted_blocks": stats.evicted_blocks,
            "expired_bytes": stats.expired_bytes,
            "expired_blocks": stats.expired_blocks,
            "corrupt_pages": stats.corrupt_pages,
            "scrubbed_bytes": stats.scrubbed_bytes,
            "pinned_bytes": stats.pinned_bytes,
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
            disks=dict(self._store.disks()),
            part_bytes={mount: size for mount, (size, _) in self._store.parts().items()},
        )

    def _counters(self) -> dict[str, int]:
        """What the control loop counts."""
        counters = self._metrics.client_counters()
        counters["miss_bytes"] = int(self._metrics.value(m.MISS_BYTES))
        counters["miss_reads"] = int(self._metrics.value(m.MISS_READS))
        return counters


def _pin(pin: Pin) -> wire.PinInfo:
    return wire.PinInfo(
        path=pin.path, recursive=pin.recursive, files=pin.files, length=pin.length
    )  # fmt: skip
