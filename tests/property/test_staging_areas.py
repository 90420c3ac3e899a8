"""Staging areas against a plain tree of names.

A job on this node makes directories, writes, renames within staging and out of it, deletes; a
second node of the same job, which does not hold the area, writes into the store; the sidecar dies
before or after any step of the journal. All that time the job sees the files of the model, and
this node puts nothing into the store but what was renamed out.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from millpond.errors import MillpondError, PathNotFound
from millpond.under.base import ObjectStat
from millpond.wire import millpond_pb2 as wire
from tests.property.pending_site import Crash, MemoryStore, Node, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


OUT = "/m/out"
AREA = f"{OUT}/_temporary"
HELD = f"{AREA}/0"
NAMES = ("a", "b", "c")
STEPS = 150
Files = dict[str, bytes]


class TreeStore(MemoryStore):
    """With directories that were made, and renames, both as an object store has them."""

    atomic_rename = False

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble)
        self.made: set[str] = set()

    def stat(self, key: str) -> ObjectStat:
        if key in self.made and key not in self.objects:
            return ObjectStat(key, 0, 0, is_dir=True)
        return super().stat(key)

    def list(self, key: str, *, recursive: bool = False) -> Iterator[list[ObjectStat]]:
        try:
            yield from super().list(key, recursive=recursive)
        except PathNotFound:
            if key not in self.made:
                raise

    def mkdirs(self, key: str) -> None:
        self.made.add(key)

    def rename(self, source: str, target: str) -> None:
        for key in list(self.objects):
            if key == source or key.startswith(f"{source}/"):
                self.change(target + key[len(source) :], self.objects[key][1])
                self.change(key, None)

    def delete(self, key: str, *, recursive: bool = False) -> None:
        made = {each for each in self.made if each == key or each.startswith(f"{key}/")}
        self.made -= made
        try:
            super().delete(key, recursive=recursive)
        except PathNotFound:
            if not made:
                raise


def inside(path: str, top: str) -> bool:
    return path == top or path.startswith(f"{top}/")


def moved(files: Files, source: str, target: str) -> Files:
    """What a rename makes of files."""
    return {target + p[len(source) :] if inside(p, source) else p: d for p, d in files.items()}


class Job:
    """The same operations on a node and on the model: ``files``, by path."""

    def __init__(self, base: Path, rng: random.Random) -> None:
        self.rng, self.files = rng, Files()
        self.trouble = Trouble()
        self.store = TreeStore(self.trouble)
        self.store.made.add("data")
        self.node = Node(base, self.store, self.trouble)
        self.begin()

    def begin(self) -> None:
        self.node.writing.mkdirs(wire.MkdirsRequest(path=HELD))

    def path(self, top: str = HELD) -> str:
        return "/".join([top, *self.rng.choices(NAMES, k=self.rng.randint(1, 3))])

    def act(self, do: Callable[[], None], after: Files, *, fails: bool, works: bool) -> None:
        """One operation, in which the process may die. ``fails``, ``works``: it has to."""
        before = dict(self.files)
        if self.rng.random() < 0.15:
            self.trouble.plan("crash", self.rng.randint(0, 3))
        try:
            do()
        except Crash:
            self.node.crash()
            assert self.seen() in (before, after)
            self.files = self.seen()
            return
        except MillpondError:
            assert not works
            self.trouble.clear()
            return
        self.trouble.clear()
        assert not fails
        self.files = after

    def write(self) -> None:
        path, data = self.path(), self.rng.randbytes(self.rng.choice([0, 9, 70_000]))
        blocked = any(inside(p, path) or inside(path, p) for p in self.files if p != path)
        blocked |= path not in self.files and self.node.exists(path)  # an empty directory

        def do() -> None:
            writer = self.node.begin(path, overwrite=True)
            writer.write(data)
            writer.commit()

        self.act(do, self.files | {path: data}, fails=False, works=not blocked)

    def mkdirs(self) -> None:
        path = self.path()
        fails = path in self.files
        blocked = any(inside(path, p) for p in self.files)
        self.act(
            lambda: self.node.writing.mkdirs(wire.MkdirsRequest(path=path)),
            self.files, fails=fails, works=not blocked,
        )  # fmt: skip

    def move(self) -> None:
        self.rename(self.path(), self.path())

    def leave(self) -> None:
        self.rename(self.path(), self.path(OUT))

    def rename(self, source: str, target: str) -> None:
        if source == target:
            return
        there = any(inside(p, source) for p in self.files)
        taken = any(inside(p, target) for p in self.files)
        blocked = self.node.exists(target) or any(inside(target, p) for p in self.files)
        above = target.rpartition("/")[0]
        parent = above in (HELD, OUT) or any(inside(p, above) for p in self.files)
        below = inside(target, source)
        request = wire.RenameRequest(source=source, target=target)

        def do() -> None:
            self.node.writing.rename(request)

        works = there and parent and not blocked and not below
        self.act(do, moved(self.files, source, target), fails=taken or below, works=works)

    def delete(self) -> None:
        path = self.path(self.rng.choice([HELD, HELD, OUT]))
        if not any(inside(p, path) for p in self.files):
            return
        self.persist()
        request = wire.DeleteRequest(path=path, recursive=True)
        after = {p: d for p, d in self.files.items() if not inside(p, path)}
        self.node.writing.delete(request)
        self.files = after

    def other_node(self) -> None:
        """It writes what this node does not: tasks have directories of their own."""
        path, data = f"{HELD}/{self.rng.choice(NAMES)}-2/{self.rng.choice(NAMES)}", b"other"
        self.store.change("data" + path.removeprefix("/m"), data)
        self.files[path] = data

    def take_over(self) -> None:
        """What the other node wrote is renamed by this one, as a driver does."""
        source = f"{HELD}/{self.rng.choice(NAMES)}-2"
        if any(inside(p, source) for p in self.files):
            self.rename(source, self.path(self.rng.choice([HELD, OUT])))

    def persist(self) -> None:
        while self.node.persister.run_one():
            pass

    def crash(self) -> None:
        self.node.crash()

    def seen(self) -> Files:
        """What the job sees, by listings and by reading all of it."""
        found = dict(self._held())
        for _, page in self.node.areas.entries(OUT, recursive=True):
            for info in page:
                path = f"{OUT}/{info.path}"
                if not inside(path, AREA):
                    found[path] = self.node.read(path)
        return found

    def _held(self) -> Iterator[tuple[str, bytes]]:
        areas, pending = self.node.areas, self.node.pending
        if not areas.knows(HELD):
            return
        for _, page in areas.entries(HELD, recursive=True):
            for info in page:
                path = f"{HELD}/{info.path}"
                assert areas.look(path).version == info.version
                mount = self.node.namespace.table.mounts[0]
                spot = mount.spot(path)
                assert spot is not None
                name = pending.areas.at(spot)
                if name is None:
                    yield path, self.node.read(path)
                else:
                    entry = name.entry(mount.path, mount.place, spot.key)
                    yield path, pending.source(entry).read(0, name.length) if name.length else b""

    def check(self) -> None:
        assert self.seen() == self.files
        for key in self.store.completed:
            assert "_temporary" not in key, "what is staged here was put into the store"
        areas, view = self.node.pending.areas, self.node.pending.view
        held = view.bytes + sum(n.length for t in areas.tops() for _, n in areas.below(t))
        assert self.node.pending.room.bytes == held, "room is counted once for each file"

    def step(self) -> None:
        verbs = {
            self.write: 6, self.mkdirs: 2, self.move: 4, self.leave: 3, self.delete: 2,
            self.other_node: 1, self.take_over: 1, self.persist: 2, self.crash: 1,
        }  # fmt: skip
        [verb] = self.rng.choices(list(verbs), list(verbs.values()))
        verb()
        self.check()


@pytest.mark.parametrize("seed", range(4))
def test_a_job_sees_a_plain_tree(tmp_path: Path, seed: int) -> None:
    job = Job(tmp_path / "cache", random.Random(seed))
    try:
        for _ in range(STEPS):
            job.step()
        job.node.writing.delete(wire.DeleteRequest(path=AREA, recursive=True))
        job.persist()
        left = {p: d for p, d in job.files.items() if not inside(p, AREA)}
        job.files = left
        job.check()
        stored = {f"/m{k.removeprefix('data')}": d for k, (_, d) in job.store.objects.items()}
        assert stored == left
        assert not job.node.pending.areas.tops()
    finally:
        job.node.close()
