"""A store with a memory of all it ever held, and a client's own judgement of what is on disk.

Both are written from what is promised (``model/records.py``, ``under/base.py``), not from how the
namespace does it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from crc32c import crc32c

from millpond.errors import MillpondError, PathNotFound
from millpond.model.paths import dir_name, meta_name, path_hash
from millpond.model.records import DirStamp, Meta
from millpond.under.base import ObjectStat, RequestCounters, UnderStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

STORE_ID = "0123456789abcdef"
Entries = list[ObjectStat]
T = TypeVar("T", Meta, DirStamp)


@dataclass
class History:
    """What one key held, since when: (time, version or None where it is absent)."""

    changes: list[tuple[int, str | None]] = field(default_factory=lambda: [(-(1 << 62), None)])

    @property
    def now(self) -> str | None:
        return self.changes[-1][1]

    def held(self, version: str | None, since_ns: int, until_ns: int) -> bool:
        """Whether ``version`` was true at some moment of [since, until]."""
        ends = [at for at, _ in self.changes[1:]] + [1 << 62]
        return any(
            v == version and start <= until_ns and end > since_ns
            for (start, v), end in zip(self.changes, ends, strict=True)
        )

    def always_present(self, since_ns: int, until_ns: int) -> bool:
        return not self.held(None, since_ns, until_ns)


class World(UnderStore):
    """A store whose every answer is true at the moment when it is made, and may be slow.

    ``meanwhile`` is called once within each request, before or after the answer is made (for a
    LIST: between two entries): what happens there overlaps the request.
    """

    scheme = "s3"
    store_id = STORE_ID
    root = "b"

    def __init__(self, clock: Callable[[], int]) -> None:
        self.clock = clock
        self.keys: dict[str, History] = {}
        self.weak: set[str] = set()
        self.counters = RequestCounters()
        self.meanwhile: Callable[[], None] | None = None
        self.late = False

    def write(self, key: str, version: str | None) -> None:
        self.keys.setdefault(key, History()).changes.append((self.clock(), version))

    def history(self, key: str) -> History:
        return self.keys.get(key, History())

    def held_directory(self, key: str, present: bool, since_ns: int, until_ns: int) -> bool:
        """Whether there was anything (or not) below ``key`` at some moment of [since, until]."""
        below = [h for k, h in list(self.keys.items()) if k.startswith(f"{key}/")]
        moments = [at for h in below for at, _ in h.changes if since_ns < at <= until_ns]
        return any(
            any(not h.held(None, at, at) for h in below) == present for at in [since_ns, *moments]
        )

    def _happen(self) -> None:
        action, self.meanwhile = self.meanwhile, None
        if action is not None:
            action()

    def _describe(self, key: str) -> ObjectStat | None:
        version = self.history(key).now
        if version is None:
            return None
        return ObjectStat(key, len(version), 1000, version, version in self.weak)

    def stat(self, key: str) -> ObjectStat:
        self.counters.head += 1
        late = self.late
        if late:
            self._happen()
        found = self._describe(key)
        if found is None and any(
            k.startswith(f"{key}/") and h.now is not None for k, h in list(self.keys.items())
        ):
            found = ObjectStat(key, 0, 0, is_dir=True)
        if not late:
            self._happen()
        if found is None:
            raise PathNotFound(f"{key} does not exist")
        return found

    def list(self, key: str, *, recursive: bool = False) -> Iterator[Entries]:
        self.counters.list += 1
        inside = f"{key}/" if key else ""
        last, count, found = "", 0, False
        seen: set[str] = set()
        while True:
            if count == (2 if self.late else 0):
                self._happen()
            count += 1
            live = [k for k, h in list(self.keys.items()) if h.now is not None]
            after = sorted(k for k in live if k.startswith(inside) and k > last)
            if not after:
                break
            found, last = True, after[0]
            below = last[len(inside) :]
            if recursive or "/" not in below:
                entry = self._describe(last)
                if entry is not None:  # else another thread has just deleted it
                    yield [entry]
            elif (name := inside + below.partition("/")[0]) not in seen:
                seen.add(name)
                yield [ObjectStat(name, 0, 0, is_dir=True)]
        self._happen()
        if not found and key:
            raise PathNotFound(f"{key} does not exist")

    def read(self, key: str, start: int, end: int, version: str) -> Iterator[bytes]:
        raise NotImplementedError("nobody reads data here")

    def close(self) -> None:
        pass

    def opener(self, uri: str, options: Mapping[str, str]) -> tuple[World, str]:
        """What ``open_store`` is for a real store."""
        return self, uri.removeprefix("s3a://b").strip("/")


class Client:
    """Reads the cache directory as an engine does, without the sidecar."""

    def __init__(self, directory: Path, boot_id: bytes) -> None:
        self.directory = directory
        self.boot_id = boot_id

    def opens(self, key: str, now_ns: int, bound_ns: int) -> str | None:
        """The version that a client would open without asking anybody; None: it would ask."""
        parent = key.rpartition("/")[0]
        stamp = self._read(dir_name(path_hash(f"{STORE_ID}/b/{parent}")), DirStamp)
        meta = self._read(meta_name(path_hash(f"{STORE_ID}/b/{key}")), Meta)  # after the stamp
        if meta is None or meta.boot_id != self.boot_id:
            return None
        assert not meta.weak, "a weak version has no meta"
        covered = (
            stamp is not None
            and stamp.boot_id == self.boot_id
            and meta.validated_ns >= stamp.covers_from_ns
            and 0 <= now_ns - stamp.validated_ns <= bound_ns
        )
        own = 0 <= now_ns - meta.validated_ns <= bound_ns
        return meta.version if own or covered else None

    def _read(self, name: str, kind: type[T]) -> T | None:
        try:
            return kind.parse((self.directory / name).read_bytes(), crc32c)
        except (FileNotFoundError, MillpondError):
            return None
