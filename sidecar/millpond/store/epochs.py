"""The epoch table: 4096 counters in memory shared with every client; see ``model/records.py``.

A client that keeps a parsed meta or stamp trusts it while its slot stands still and the lease names
the table. Each start makes a new table: what a crash left unsaid between a rename and its bump is
said by the new id.
"""

from __future__ import annotations

import mmap
import os
import secrets
import threading
from typing import TYPE_CHECKING

from millpond.model.paths import epoch_slot
from millpond.model.records import EPOCHS_BYTES, EPOCHS_HEADER_BYTES, pack_epochs

if TYPE_CHECKING:
    from millpond.store.tree import Tree

_TABLES_KEPT = 4
_MASK = (1 << 64) - 1


class Epochs:
    """The table that the lease names, and the few before it that a client may still look at."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._path = tree.directory / "epochs"
        self._lock = threading.Lock()
        self._tables: list[memoryview] = []
        self.id = 0
        self._inode = -1
        self._create()

    def _create(self) -> None:
        ident = secrets.randbits(64)
        inode = self._tree.replace("epochs", pack_epochs(ident)).st_ino
        fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        try:
            table = memoryview(mmap.mmap(fd, EPOCHS_BYTES))[EPOCHS_HEADER_BYTES:].cast("Q")
        finally:
            os.close(fd)
        with self._lock:
            # Clients look at the old table until the lease names the new one: both move.
            self._tables = [*self._tables[1 - _TABLES_KEPT :], table]
            self.id, self._inode = ident, inode

    def bump(self, digest: bytes) -> None:
        """Say that the meta or dirs file of this path has changed: after the change."""
        slot = epoch_slot(digest)
        with self._lock:
            for table in self._tables:
                table[slot] = (table[slot] + 1) & _MASK

    def heal(self) -> None:
        """Make a new table where the file was deleted or replaced by hand."""
        try:
            info = os.stat(self._path)
            if info.st_ino == self._inode and info.st_size == EPOCHS_BYTES:
                return
        except FileNotFoundError:
            pass
        self._create()
