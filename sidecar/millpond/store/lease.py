"""The lease: renewed every second by a thread of its own, which also heals the directory."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import time
from typing import TYPE_CHECKING

from crc32c import crc32c

from millpond.errors import MillpondError
from millpond.model.records import Lease

if TYPE_CHECKING:
    from collections.abc import Callable

    from millpond.store.epochs import Epochs
    from millpond.store.tree import Tree

log = logging.getLogger(__name__)
RENEW_EVERY_S = 1.0


class LeaseKeeper:
    """Keeps ``lease`` fresh until stopped. A lease that can't be renewed runs out by itself."""

    def __init__(self, tree: Tree, epochs: Epochs, boot_id: bytes, instance: int) -> None:
        self._tree, self._epochs = tree, epochs
        self._boot_id, self._instance = boot_id, instance
        self._protocols = (0, 0)
        self._spare = _open_spare()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.healed: Callable[[], None] = lambda: None  # called after each look at the directory

    def start(self, protocol_min: int, protocol_max: int) -> None:
        """Write the first lease before returning, then renew it."""
        self._protocols = (protocol_min, protocol_max)
        self._renew()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        failing = False
        while not self._stop.wait(RENEW_EVERY_S):
            try:
                self._tree.heal()
                self._epochs.heal()
                self.healed()
                self._renew()
                failing = False
            except (OSError, MillpondError) as e:
                if not failing:
                    log.error("the lease is not renewed: clients go to the store: %s", e)
                failing = True

    def _renew(self) -> None:
        """Write the lease; when the process is out of descriptors, with the one kept for this."""
        try:
            self._write()
        except OSError as e:
            if e.errno != errno.EMFILE or self._spare < 0:
                raise
            self._close_spare()
            self._write()
        finally:
            if self._spare < 0:
                with contextlib.suppress(OSError):
                    self._spare = _open_spare()

    def _close_spare(self) -> None:
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1

    def _write(self) -> None:
        lease = Lease(
            time.monotonic_ns(), self._boot_id, self._instance, self._epochs.id, os.getpid(),
            *self._protocols,
        )  # fmt: skip
        self._tree.replace("lease", lease.pack(crc32c))

    def stop(self) -> None:
        """End the lease at once: no client trusts meta after this. Idempotent."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            path = self._tree.directory / "lease"
            with contextlib.suppress(OSError, MillpondError):
                if Lease.parse(path.read_bytes(), crc32c).instance == self._instance:
                    path.unlink()
        self._close_spare()


def _open_spare() -> int:
    return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
