"""Which requests to a store must not overlap for each answer to be of one version. Thread-safe.

S3 promises that an answer's head and body are of one version. The JuiceFS gateway reads an object's
ETag and opens its data in two steps, so that one replaced in between comes with the other's ETag.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHANGES = ("PUT", "POST", "DELETE")
_LISTINGS = ""


class _Shared:
    """A lock that many hold for reading or one for writing; who waits to write comes first."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._readers = self._waiting = 0
        self._writing = False

    @contextmanager
    def reading(self) -> Iterator[None]:
        with self._free:
            self._free.wait_for(lambda: not self._writing and not self._waiting)
            self._readers += 1
        try:
            yield
        finally:
            with self._free:
                self._readers -= 1
                self._free.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._free:
            self._waiting += 1
            self._free.wait_for(lambda: not self._writing and not self._readers)
            self._waiting -= 1
            self._writing = True
        try:
            yield
        finally:
            with self._free:
                self._writing = False
                self._free.notify_all()


class Turns:
    """A change of a key takes turns with reads of that key, and with listings."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: dict[str, _Shared] = {}

    @contextmanager
    def take(self, kind: str, target: str) -> Iterator[None]:
        """Held while a request (``store_relay.KINDS``) is with the store, to its answer's head."""
        key = unquote(urlsplit("http://h" + target).path)
        with ExitStack() as held:
            if kind in _CHANGES:
                held.enter_context(self._of(key).writing())
                held.enter_context(self._of(_LISTINGS).writing())
            else:
                held.enter_context(self._of(_LISTINGS if kind == "LIST" else key).reading())
            yield

    def _of(self, key: str) -> _Shared:
        with self._lock:
            return self._keys.setdefault(key, _Shared())
