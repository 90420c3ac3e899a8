"""A node that is written to, and its store in memory: both may fail at any step."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from millpond.client.writer import StagedWriter
from millpond.errors import (
    Conflict,
    DirectoryNotEmpty,
    FileChanged,
    NotADirectory,
    PathNotFound,
    StoreUnavailable,
)
from millpond.model.sizes import MIB
from millpond.namespace import Namespace
from millpond.server.areas import StagingAreas
from millpond.server.batches import Batches
from millpond.server.persisting import Persister
from millpond.server.writing import Writing
from millpond.store import BlockStore
from millpond.under.base import ABSENT, ObjectStat, RequestCounters, UnderStore, Upload
from millpond.under.tree import order, pages
from millpond.wire import millpond_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import Any

    from millpond.namespace.pending.journal import Journal
    from millpond.namespace.pending.records import Entry
    from millpond.under.base import Buffer, Source

OWNER = 1
ROOTS = ("", "data")
"""Directories that are always there."""


class Crash(BaseException):
    """The process ended here. Nothing handles it."""


class Trouble:
    """Where the next failure comes: at the ``at``-th of the steps named, counted from now."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self._kind = ""
        self._left = -1

    def plan(self, kind: str, after: int) -> None:
        self._kind, self._left = kind, after

    def clear(self) -> None:
        self._left = -1

    def step(self, name: str) -> None:
        """Raises Crash, or StoreUnavailable where a store's step is to fail."""
        if self._left < 0:
            return
        if self._kind == "down" and not name.startswith("store"):
            return
        self._left -= 1
        if self._left < 0:
            if self._kind == "down":
                raise StoreUnavailable(f"the store failed at {name}")
            raise Crash(name)


class MemoryStore(UnderStore):
    """Objects by key, conditional, listed at once. ``history``: all that a key ever had."""

    scheme, root = "memory", "bucket"
    store_id = "0123456789abcdef"
    distant = True

    def __init__(self, trouble: Trouble) -> None:
        self.counters = RequestCounters()
        self.objects: dict[str, tuple[str, bytes]] = {}
        self.history: dict[str, list[bytes | None]] = {}
        self.replaced: list[tuple[str, str]] = []
        """(key, version) of what this node has replaced or deleted."""
        self.completed: list[str] = []
        self._trouble = trouble
        self._versions = itertools.count(1)
        self.by_number: dict[int, bytes] = {}

    def change(self, key: str, data: bytes | None) -> str:
        """By anybody."""
        self.history.setdefault(key, []).append(data)
        if data is None:
            self.objects.pop(key, None)
            return ""
        number = next(self._versions)
        version = f"v{number}"
        self.by_number[number] = data
        self.objects[key] = (version, data)
        return version

    def version(self, key: str) -> str:
        return self.objects[key][0] if key in self.objects else ABSENT

    def _children(self, key: str, *, recursive: bool) -> list[ObjectStat]:
        inside = f"{key}/" if key else ""
        found: dict[str, ObjectStat] = {}
        for each, (version, data) in self.objects.items():
            if each.startswith(inside):
                name, slash, _ = each[len(inside) :].partition("/")
                if slash and not recursive:
                    found[name] = ObjectStat(inside + name, 0, 0, is_dir=True)
                else:
                    found[each] = ObjectStat(each, len(data), 1_000, version)
        return sorted(found.values(), key=order)

    def stat(self, key: str) -> ObjectStat:
        self._trouble.step("store stat")
        if key in self.objects:
            version, data = self.objects[key]
            return ObjectStat(key, len(data), 1_000, version)
        if key in ROOTS or self._children(key, recursive=True):
            return ObjectStat(key, 0, 0, is_dir=True)
        raise PathNotFound(f"no {key}")

    def read(self, key: str, start: int, end: int, version: str) -> Iterator[Buffer]:
        self._trouble.step("store read")
        if key not in self.objects:
            raise PathNotFound(f"no {key}")
        now, data = self.objects[key]
        if now != version:
            raise FileChanged(f"{key} is {now}")
        yield data[start:end]

    def upload(self, key: str, source: Source) -> Upload:
        self._trouble.step("store upload")
        return MemoryUpload(self, key, bytes(source.read(0, source.length)), self._trouble)

    def delete(self, key: str, *, recursive: bool = False) -> None:
        self._trouble.step("store delete")
        if key in self.objects:
            gone = [key]
        elif not (gone := [e.key for e in self._children(key, recursive=True)]):
            raise PathNotFound(f"no {key}")
        elif not recursive:
            raise DirectoryNotEmpty(key)
        for each in gone:
            self.replaced.append((each, self.version(each)))
            self.change(each, None)
        self._trouble.step("store deleted")

    def rename(self, source: str, target: str) -> None:
        for each in [key for key in self.objects if f"{key}/".startswith(f"{source}/")]:
            self.replaced.append((each, self.version(each)))
            self.change(target + each[len(source) :], self.objects[each][1])
            self.change(each, None)

    def close(self) -> None:
        pass

    def list(self, key: str, *, recursive: bool = False) -> Iterator[list[ObjectStat]]:
        self._trouble.step("store list")
        if key in self.objects:
            raise NotADirectory(f"{key} is a file")
        found = self._children(key, recursive=recursive)
        if key not in ROOTS and not found:
            raise PathNotFound(f"no {key}")
        yield from pages(found)


class MemoryUpload(Upload):
    def __init__(self, store: MemoryStore, key: str, data: bytes, trouble: Trouble) -> None:
        self._store, self._key, self._data, self._trouble = store, key, data, trouble
        self._done = ""

    def complete(self, expect: str | None = None) -> str:
        self._trouble.step("store complete")
        if self._done:
            return self._done
        now = self._store.version(self._key)
        if expect is not None and now != expect:
            raise Conflict(f"{self._key} is {now}, not {expect}")
        if now:
            self._store.replaced.append((self._key, now))
        self._done = self._store.change(self._key, self._data)
        self._store.completed.append(self._key)
        self._trouble.step("store completed")
        return self._done

    def abort(self) -> None:
        pass


class FragileJournal:
    """A journal before and after each of whose steps the process may end."""

    def __init__(self, journal: Journal, trouble: Trouble) -> None:
        self._journal, self._trouble = journal, trouble

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._journal, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._trouble.step(f"before {name}")
            done = method(*args, **kwargs)
            self._trouble.told.append(f"{name} {args} {kwargs} -> {done}")
            self._trouble.step(f"after {name}")
            return done

        return call


class Direct:
    """What a connection asks of the verbs, without one."""

    def __init__(self, writing: Writing) -> None:
        self._writing = writing

    def begin(self, path: str, **fields: Any) -> wire.BeginReply:
        fields.setdefault("files", 1)
        return self._writing.begin(OWNER, wire.BeginRequest(path=path, **fields))

    def commit(self, write: int, length: int, files: Iterable[str]) -> wire.FileInfo:
        request = wire.CommitRequest(write=write, length=length, files=files)
        return self._writing.commit(OWNER, request).info

    def close(self) -> None:
        pass


class _Begun:
    """A write that was begun, whose commit is not sent."""

    def __init__(self, begun: wire.BeginReply) -> None:
        self._begun = begun
        self.files: list[str] = []

    def begin(self, path: str, **_: Any) -> wire.BeginReply:
        return self._begun

    def commit(self, write: int, length: int, files: Iterable[str]) -> wire.FileInfo:
        self.files = list(files)
        return wire.FileInfo()


class Node:
    """The cache directory of a node, opened, with ``key`` of a store at /m. ``crash`` drops all
    memory; the disk stays."""

    under: Any

    def __init__(
        self, directory: Path, store: UnderStore, trouble: Trouble, key: str = "data"
    ) -> None:
        self.directory, self.under, self.trouble, self.key = directory, store, trouble, key
        self.now_s = 0.0
        self._open()
        self.namespace.add_mount(
            "/m", "s3a://bucket/data", {"write": "async", "freshness": "0s"}, check=False
        )

    def _open(self) -> None:
        self.store = BlockStore.open(self.directory, capacity_bytes=256 * MIB, await_pins=True)
        self.namespace = Namespace(
            self.store, self.directory / "namespace.db",
            open_store=lambda uri, options: (self.under, self.key),
        )  # fmt: skip
        self.pending = self.namespace.pending
        self.pending.journal = FragileJournal(  # type: ignore[assignment]
            self.pending.journal, self.trouble
        )
        self.persister = Persister(
            self.namespace, lambda *_: None, clock=lambda: self.now_s, step=self.trouble.step
        )
        self.batches = batches = Batches(self.namespace, lambda *_: None, idle_s=600)
        self.areas = StagingAreas(self.namespace, batches.await_store, idle_s=600)
        self.writing = Writing(
            self.store, self.namespace, lambda *_: None, batches, self.areas
        )  # fmt: skip

    def close(self) -> None:
        self.trouble.clear()
        self.namespace.close()
        self.store.close()

    def crash(self) -> None:
        """All memory is gone, and the process starts again."""
        self.close()
        self._open()

    def begin(self, path: str, *, overwrite: bool, write_type: str = "") -> StagedWriter:
        direct: Any = Direct(self.writing)
        return StagedWriter(
            direct, self.directory, path, overwrite=overwrite, write_type=write_type
        )

    def kept(self, path: str, data: bytes) -> Entry:
        """A file for a batch: its blocks are durable, and nobody's yet."""
        begun = self.writing.begin(OWNER, wire.BeginRequest(path=path, files=1, overwrite=True))
        direct: Any = _Begun(begun)
        writer = StagedWriter(direct, self.directory, path)
        writer.write(data)
        writer.commit()
        write, files = self.writing.writes.commit(OWNER, begun.write, direct.files)
        try:
            taken = self.store.staging.take(files, write.file_id, len(data))
            return self.pending.keep(self.namespace.place(path), taken)
        finally:
            self.store.staging.discard(list(write.files.values()))
            self.writing.writes.committed(OWNER)

    def exists(self, path: str) -> bool:
        """As a writer sees it, in staging too."""
        try:
            self.areas.look(path)
        except PathNotFound:
            return False
        return True

    def read(self, path: str) -> bytes:
        """By the namespace, as a fill would."""
        located = self.namespace.locate(self.namespace.stat(path))
        if not located.length:
            return b""
        return b"".join(bytes(part) for part in located.read(0, located.length))
