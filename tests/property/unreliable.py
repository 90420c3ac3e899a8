"""A store whose answers come late, or never."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeVar

from millpond.errors import StoreUnavailable
from millpond.under.base import UnderStore, Upload

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

    from millpond.under.base import Buffer, ObjectStat, Source

T = TypeVar("T")


class Unreliable(UnderStore):
    """``real``, of whose calls a share of ``fails`` ends in StoreUnavailable: half of them are done
    all the same. Thread-safe."""

    def __init__(self, real: UnderStore, chance: random.Random, *, slow_s: float) -> None:
        self.real, self._chance, self._slow_s = real, chance, slow_s
        self.fails = 0.0
        self.scheme, self.store_id, self.root = real.scheme, real.store_id, real.root
        self.counters, self.distant = real.counters, real.distant
        self.atomic_rename = real.atomic_rename
        self._lock = threading.Lock()
        self.failed = 0

    def _fails(self) -> bool:
        with self._lock:
            chosen = self._chance.random() < self.fails / 2
            self.failed += chosen
        return chosen

    def _late(self) -> None:
        with self._lock:
            rest_s = self._slow_s * self._chance.random() ** 3
        time.sleep(rest_s)

    def call(self, work: Callable[[], T]) -> T:
        if self._fails():
            raise StoreUnavailable("the request was lost")
        self._late()
        done = work()
        self._late()
        if self._fails():
            raise StoreUnavailable("the answer was lost")
        return done

    def stat(self, key: str) -> ObjectStat:
        return self.call(lambda: self.real.stat(key))

    def list(self, key: str, *, recursive: bool = False) -> Iterator[list[ObjectStat]]:
        yield from self.call(lambda: list(self.real.list(key, recursive=recursive)))

    def read(self, key: str, start: int, end: int, version: str) -> Iterator[Buffer]:
        yield from self.call(lambda: [*map(bytes, self.real.read(key, start, end, version))])

    def upload(self, key: str, source: Source) -> Upload:
        return _Upload(self, self.call(lambda: self.real.upload(key, source)))

    def delete(self, key: str, *, recursive: bool = False) -> None:
        self.call(lambda: self.real.delete(key, recursive=recursive))

    def mkdirs(self, key: str) -> None:
        self.call(lambda: self.real.mkdirs(key))

    def rename(self, source: str, target: str) -> None:
        self.call(lambda: self.real.rename(source, target))

    def set_times(self, key: str, mtime_ms: int, atime_ms: int) -> None:
        self.call(lambda: self.real.set_times(key, mtime_ms, atime_ms))

    def close(self) -> None:
        self.real.close()


class _Upload(Upload):
    """Completed again it asks the store anew, where that can tell; else it says what was done."""

    def __init__(self, store: Unreliable, real: Upload) -> None:
        self._store, self._real = store, real
        self._done: str | None = None

    def complete(self, expect: str | None = None) -> str:
        if self._done is not None and not self._store.distant:
            return self._done
        return self._store.call(lambda: self._complete(expect))

    def _complete(self, expect: str | None) -> str:
        self._done = self._real.complete(expect)
        return self._done

    def abort(self) -> None:
        self._real.abort()
