"""Uploads of files whose batch is open: sent, and not to appear before the batch is committed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millpond.namespace.pending.records import Entry
    from millpond.under.base import Source, UnderStore, Upload


class Ahead:
    """They are this process's own: after a restart the files are sent again. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent: dict[str, Upload] = {}

    def send(self, store: UnderStore, entry: Entry, source: Source) -> None:
        """Returns when the store has the bytes. Nothing, where it takes them only at the end."""
        if store.uploads_ahead:
            upload = store.upload(entry.key, source)
            with self._lock:
                self._sent[entry.version] = upload

    def take(self, entry: Entry) -> Upload | None:
        """Whoever takes it ends it."""
        with self._lock:
            return self._sent.pop(entry.version, None)

    def forget(self, entry: Entry) -> None:
        upload = self.take(entry)
        if upload is not None:
            upload.abort()
