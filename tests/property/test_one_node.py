"""One node changes a real store that no other touches: nothing it writes may end as a conflict.

Threads write, replace, delete and rename the same few files and directories, by an unreliable
store. Each thread notes what it asked for and when, so that it is known in the end which contents a
key may have: not what a later change has certainly replaced, and not nothing where something
certainly stayed.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from millpond.errors import (
    AlreadyExists,
    Conflict,
    DirectoryNotEmpty,
    FileChanged,
    InvalidPath,
    IsADirectory,
    NotADirectory,
    NotSupported,
    PathNotFound,
    StoreUnavailable,
)
from millpond.namespace.pending.records import State
from millpond.server.persisting import Persister
from millpond.under.registry import open_store
from millpond.wire import millpond_pb2 as wire
from tests.fixtures.waiting import eventually
from tests.property.pending_site import Node, Trouble
from tests.property.unreliable import Unreliable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from millpond.namespace.pending.records import Entry
    from millpond.testing.s3_gateway import S3Gateway
    from millpond.under.base import UnderStore

FILES = ["f", "g", "a/f", "a/g", "a/c/f", "b/f", "b/c/f", "e/f"]
DIRECTORIES = ["a", "b", "a/c", "b/c", "e"]
REFUSALS = (
    AlreadyExists, Conflict, DirectoryNotEmpty, FileChanged, InvalidPath, IsADirectory,
    NotADirectory, NotSupported, PathNotFound,
)  # fmt: skip
FAILS = 0.06
SLOW_S = 0.02


@dataclass
class Change:
    """What was asked for at ``key`` and below it, ``began_s`` to ``ended_s``; ``to``: of a rename,
    ``data``: of a file. ``done`` None: nobody knows."""

    kind: str
    key: str
    to: str = ""
    data: bytes = b""
    began_s: float = field(default_factory=time.monotonic)
    ended_s: float = 0.0
    done: bool | None = None

    def touches(self, key: str) -> bool:
        return any(at and f"{key}/".startswith(f"{at}/") for at in (self.key, self.to))


class OneNode:
    def __init__(self, base: Path, store: UnderStore, at: str, seed: int, threads: int) -> None:
        self.chance = random.Random(seed)
        self.store = Unreliable(store, random.Random(seed + 1), slow_s=SLOW_S * (threads > 1))
        self.node = Node(base / "cache", self.store, Trouble(), at)
        self.node.persister = Persister(self.node.namespace, lambda *_: None)
        self.changes: list[Change] = []
        self.conflicts: list[str] = []
        self.how: Counter[str] = Counter()
        self.errors: list[BaseException] = []
        self.left = 0
        self._lock = threading.Lock()
        self._watch()
        self.node.persister.start()

    def _watch(self) -> None:
        pending = self.node.pending
        advance = pending.advance

        def advanced(entry: Entry, state: State, detail: str = "") -> Entry | None:
            if state is State.CONFLICT:
                self.conflicts.append(f"{entry.key}: {detail}")
            return advance(entry, state, detail)

        pending.advance = advanced  # type: ignore[method-assign]

    # -- changes

    def _change(self, kind: str, key: str, work: Callable[[], object], **said: Any) -> None:
        change = Change(kind, key, **said)
        with self._lock:
            self.changes.append(change)
        try:
            work()
            change.done = True
        except REFUSALS as e:
            # A store that copies object by object may have done a part.
            change.done = False if kind == "write" or self.store.atomic_rename else None
            kind = f"{kind}: {e.name}"
        except StoreUnavailable:
            kind = f"{kind}: failed"
        change.ended_s = time.monotonic()
        with self._lock:
            self.how[kind] += 1

    def write(self) -> None:
        with self._lock:
            self.left -= 1
            number = self.left
            # The S3 server has a file system beneath: it can't have a file for a directory.
            odd = not self.store.distant and self.chance.random() < 0.05
            key = self.chance.choice(DIRECTORIES if odd else FILES)
            overwrite = self.chance.random() < 0.8
            through = self.chance.random() < 0.2
            rest_s = self.chance.choice([0, 0, SLOW_S])
            data = f"{number} ".encode() * self.chance.choice([1, 1, 20_000])

        def work() -> None:
            writer = self.node.begin(
                f"/m/{key}", overwrite=overwrite, write_type="through" if through else ""
            )
            time.sleep(rest_s)
            writer.write(data)
            writer.commit()

        self._change("write", key, work, data=data)

    def delete(self) -> None:
        key = self._pick(FILES * 2 + DIRECTORIES)
        request = wire.DeleteRequest(path=f"/m/{key}", recursive=key in DIRECTORIES)
        self._change("delete", key, lambda: self.node.writing.delete(request))

    def rename(self) -> None:
        names = self.chance.choice([FILES, DIRECTORIES])
        key, to = self._pick(names), self._pick(names)
        if key != to:
            request = wire.RenameRequest(source=f"/m/{key}", target=f"/m/{to}")
            self._change("rename", key, lambda: self.node.writing.rename(request), to=to)

    def mkdirs(self) -> None:
        key = self._pick(DIRECTORIES)
        request = wire.MkdirsRequest(path=f"/m/{key}")
        self._change("mkdirs", key, lambda: self.node.writing.mkdirs(request))

    def set_times(self) -> None:
        key = self._pick(FILES)
        request = wire.SetTimesRequest(path=f"/m/{key}", mtime_ms=1_000, atime_ms=-1)
        self._change("times", key, lambda: self.node.writing.set_times(request))

    def _pick(self, names: list[str]) -> str:
        with self._lock:
            return self.chance.choice(names)

    # -- all of them

    def run(self, count: int, threads: int) -> None:
        self.left = count
        self.store.fails = FAILS
        working = [threading.Thread(target=self._run) for _ in range(threads)]
        for thread in working:
            thread.start()
        while any(thread.is_alive() for thread in working):
            self.node.persister.hurry()
            working[0].join(0.02)
        self.store.fails = 0.0
        if self.errors:
            raise self.errors[0]
        self.node.persister.hurry()
        eventually("all is in the store", self._settled, within_s=30)

    def _settled(self) -> bool:
        self.node.persister.hurry()
        return all(e.state is State.CONFLICT for e in self.node.pending.view.all())

    def _run(self) -> None:
        works = (
            [self.write] * 10
            + [self.delete] * 2
            + [self.rename] * 3
            + [self.mkdirs, self.set_times]
        )
        try:
            while self.left > 0 and not self.errors:
                self.chance.choice(works)()
        except BaseException as e:
            self.errors.append(e)

    # -- what is there in the end

    def check(self) -> None:
        assert self.conflicts == []
        stored = dict(self._stored())
        assert {k: self.node.read(f"/m/{k}") for k in stored} == stored
        pages = self.node.areas.entries("/m", recursive=True)
        assert sorted(e.path for _, page in pages for e in page) == sorted(stored)
        for key in FILES + DIRECTORIES:
            self._check_key(key, stored.get(key))

    def _check_key(self, key: str, data: bytes | None) -> None:
        written = {c.data: c for c in self.changes if c.kind == "write"}
        of_key = [c for c in self.changes if c.touches(key) and c.done is not False]
        if data is None:
            for made in of_key:
                if made.done and made.kind == "write" and made.key == key:
                    gone = [
                        c
                        for c in of_key
                        if c.kind not in ("mkdirs", "times") and c.ended_s > made.began_s
                    ]
                    assert any(c.kind != "write" for c in gone), f"{key} is lost: {made}"
            return
        first = written[data]
        assert first.done is not False, f"{key} has what was refused: {first}"
        ways = [c for c in of_key if c is first or (c.kind == "rename" and self._at(c.to, key))]
        last_s = max(c.ended_s for c in ways if c.ended_s >= first.began_s)
        for after in of_key:
            if after.done and after.began_s > last_s and after.kind in ("write", "delete"):
                if after.kind == "write" and after.key != key:
                    continue
                raise AssertionError(f"{key} is older than {after}: {first}")

    @staticmethod
    def _at(above: str, key: str) -> bool:
        return f"{key}/".startswith(f"{above}/")

    def _stored(self) -> Iterator[tuple[str, bytes]]:
        real = self.store.real
        at = self.node.key
        for page in real.list(at, recursive=True):
            for each in page:
                parts = real.read(each.key, 0, each.length, each.version)
                data = b"".join(map(bytes, parts))
                yield each.key[len(at) + 1 :], data


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[UnderStore, str]]:
    """With the key of a directory that is there."""
    if request.param == "file":
        (tmp_path / "data").mkdir()
        made, key = open_store(f"file://{tmp_path}/data", {})
    else:
        gateway: S3Gateway = request.getfixturevalue("s3_gateway")
        bucket = gateway.new_bucket()
        gateway.put_object(bucket, "data/")
        made, key = open_store(f"s3://{bucket}/data", gateway.mount_options())
    yield made, key
    made.close()


@pytest.mark.parametrize("threads", [1, 6])
@pytest.mark.parametrize("count", [100, pytest.param(6_000, marks=pytest.mark.full)])
@pytest.mark.timeout(3600)
def test_what_one_node_writes_is_no_conflict(
    store: tuple[UnderStore, str], tmp_path: Path, count: int, threads: int
) -> None:
    number = int(os.environ.get("MILLPOND_TEST_SEED") or random.randrange(1 << 32))
    print(f"MILLPOND_TEST_SEED={number}")
    one = OneNode(tmp_path, *store, number, threads)
    try:
        one.run(count, threads)
        print(dict(one.how), one.store.failed)
        one.check()
    finally:
        one.node.persister.stop(30)
        one.node.close()
