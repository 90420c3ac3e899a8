"""When files were last seen to have another version: a bounded memory, for those who ask why."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

BOUND = 4096
"""Files kept, the longest unchanged forgotten first."""


class Changes:
    """By store path. Thread-safe; memory only."""

    def __init__(self) -> None:
        self._at_ms: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, store_path: str) -> None:
        """Another version than the one known was met, now."""
        with self._lock:
            self._at_ms[store_path] = time.time_ns() // 1_000_000
            self._at_ms.move_to_end(store_path)
            while len(self._at_ms) > BOUND:
                self._at_ms.popitem(last=False)

    def last_ms(self, store_path: str) -> int | None:
        """Unix time in ms; None: not seen to change, or forgotten."""
        return self._at_ms.get(store_path)
