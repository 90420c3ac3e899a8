"""What one process holds of a cache directory: descriptors, connections, stores, counters.

A fork takes none of it along: the child makes its own at the first use (``CacheFileSystem.here``).
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from typing import TYPE_CHECKING

from millpond.client.blocks import BlockPool
from millpond.client.cachedir import CacheDir
from millpond.client.reporter import Reporter
from millpond.client.sidecar import Sidecar, Trouble
from millpond.errors import MillpondError, StoreNotSupported
from millpond.under.registry import open_store
from millpond.wire import millpond_pb2 as wire

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping
    from pathlib import Path

    from millpond.client.cachedir import ClientMount
    from millpond.model.records import Meta
    from millpond.under.base import UnderStore

log = logging.getLogger("millpond.client")
_S3_CONF = {
    "endpoint": "endpoint",
    "endpoint.region": "region",
    "path.style.access": "path_style",
}


class Stores:
    """The stores that a process reads directly, and its counters; thread-safe."""

    def __init__(self, store_options: Mapping[str, str], counters: Counter[str]) -> None:
        self._store_options = dict(store_options)
        self._counters = counters
        self._lock = threading.Lock()
        self._stores: dict[str, tuple[str, UnderStore]] = {}
        self._told: set[str] = set()
        self._pid = os.getpid()

    def __del__(self) -> None:
        if hasattr(self, "_pid"):
            for _, store in self._stores.values():
                store.close()

    def count(self, name: str, by: int = 1) -> None:
        with self._lock:
            self._counters[name] += by

    def fallback(self, reason: str, cause: str) -> None:
        """A read goes to the store: counted each time, logged the first time."""
        self.count(f"fallback_{reason}")
        with self._lock:
            first = reason not in self._told
            self._told.add(reason)
        if first:
            log.warning("reading the store directly (%s): %s", reason, cause)

    def store(self, mount: ClientMount) -> UnderStore:
        """The store of a mount, read with this user's own credentials. Raises StoreNotSupported."""
        uri = mount.wire.store_uri
        with self._lock:
            known = self._stores.get(mount.path)
        if known is not None and known[0] == uri:
            return known[1]
        store, _ = open_store(uri, _options(mount) | self._store_options)
        if store.store_id != mount.wire.store_id:
            store.close()
            raise StoreNotSupported(
                f"{uri} here is another store than the one that is mounted",
                cause="its endpoint or account differs",
                remedy="Pass store_options= with the endpoint of the mount",
            )
        with self._lock:
            self._stores[mount.path] = (uri, store)
        return store

    def meta(self, path: str) -> Meta | None:
        """What is recorded here of a store path; without a cache directory nothing."""
        return None

    def sidecar_lives(self) -> bool:
        """Whether a sidecar of this node renews its lease."""
        return False

    def read_store(
        self, mount: ClientMount, path: str, version: str, start: int, view: memoryview
    ) -> None:
        """Fill ``view`` from the store: that version, or FileChanged."""
        at = 0
        for part in self.store(mount).read(mount.key(path), start, start + len(view), version):
            view[at : at + len(part)] = part
            at += len(part)
        self.count("direct_reads")
        self.count("direct_bytes", at)


class Process(Stores):
    """Shared by all open files of one file system in one process; thread-safe."""

    def __init__(
        self,
        directory: Path,
        silence_s: float,
        store_options: Mapping[str, str],
        counters: Counter[str],
    ) -> None:
        super().__init__(store_options, counters)
        self.dir = CacheDir(directory)
        self.sidecar = Sidecar(self.dir, silence_s, self.count)
        self.reporter = Reporter(counters)
        self.blocks = BlockPool(directory, self.reporter.block, self._bad_page)
        _LIVE.add(self)

    def __del__(self) -> None:
        if hasattr(self, "sidecar"):
            # A forked child may have got the lock from a thread that it has not got.
            self.sidecar.close(locked=os.getpid() == self._pid)
        super().__del__()

    def count(self, name: str, by: int = 1) -> None:
        super().count(name, by)
        self.reporter.soon(self._report)

    def hit(self, size: int) -> None:
        """So many bytes came from this node's disk."""
        with self._lock:
            self._counters["hit_bytes"] += size
            self._counters["hit_reads"] += 1
        self.reporter.soon(self._report)

    def meta(self, path: str) -> Meta | None:
        return self.dir.meta(path)

    def sidecar_lives(self) -> bool:
        return self.dir.lease_good()

    def trusted(self) -> bool:
        """Whether meta and stamps may be believed without asking."""
        return self.dir.lease_good() and self.sidecar.clocks_agree()

    def flush(self) -> None:
        """Report what was read and not reported yet."""
        self.reporter.flush(self._report)

    def _report(self, touches: list[wire.Touch], counters: Mapping[str, int]) -> bool:
        """Whether the sidecar has it; while no lease is good, nobody is asked."""
        if not self.dir.lease_good():
            return False
        try:
            self.sidecar.call("", lambda c: c.report(touches=touches, counters=counters))
        except (Trouble, MillpondError) as e:
            log.debug("what was read was not reported: %s", e)
            return False
        return True

    def _bad_page(self, file_id: bytes, block: int, page: int, generation: int) -> None:
        self.count("bad_pages")
        bad = wire.BadPage(file_id=file_id, block=block, page=page, generation=generation)
        try:
            self.sidecar.call("reports", lambda c: c.report(bad_pages=[bad]))
        except Trouble as e:
            log.debug("a bad page was not reported: %s", e)


_LIVE: weakref.WeakSet[Process] = weakref.WeakSet()


@atexit.register
def _flush_all() -> None:
    """A program that reads and ends is counted too."""
    for each in list(_LIVE):
        each.flush()


# What a parent noted is the parent's to tell, and its locks may be held for ever in a child.
os.register_at_fork(after_in_child=_LIVE.clear)


def _options(mount: ClientMount) -> dict[str, str]:
    """What the mount says of its store's place, in the words of the store's driver."""
    if mount.wire.store_uri.startswith("hdfs:"):
        return dict(mount.wire.direct_conf)
    head = f"fs.s3a.bucket.{mount.wire.root}."
    conf = {k.removeprefix(head): v for k, v in mount.wire.direct_conf.items()}
    options = {ours: conf[theirs] for theirs, ours in _S3_CONF.items() if theirs in conf}
    if "Anonymous" in conf.get("aws.credentials.provider", ""):
        options["anonymous"] = "true"
    return options
