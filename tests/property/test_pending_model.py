"""Batches, the persister and the store against a simple model, with a crash at every step and
changes of the store by others.

The model of a key is what was last committed here and has not reached the store yet, else what the
store has. Whatever happens, this is what is seen; what leaves the node has been in the store; what
is replaced there was seen by who replaced it; and at the end all is there, but for conflicts, each
of which another has caused.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from millpond.errors import AlreadyExists, Conflict, PathNotFound, StoreUnavailable
from millpond.namespace.pending.persister import level
from millpond.namespace.pending.records import Batch, Entry, Op, State, new_id
from millpond.under.base import ABSENT
from tests.property.pending_site import Crash, MemoryStore, Node, Trouble

FILES = ["a", "b", "d/a", "d/_SUCCESS", "d/e/c", "_log/1"]
STEPS = 100
SHM = Path("/dev/shm")
keys = st.sampled_from(FILES)


@dataclass
class Local:
    """A commit of this node that has not reached the store; ``data`` None: a removal.

    ``since``: how much the key's history had when it was begun; ``first``: when the first of those
    before it was that had not reached the store either.
    """

    data: bytes | None
    since: int
    seq: int
    first: int


@dataclass
class Begun:
    """A batch that is open: (key, attempt) to data; and what it removes, as it was seen."""

    id: str
    files: dict[tuple[str, str], tuple[bytes, Entry, int]]
    removals: dict[str, tuple[str, int]]
    complete: bool = False


class PendingAgainstModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(dir=SHM if SHM.is_dir() else None))
        self.trouble = Trouble()
        self.store = MemoryStore(self.trouble)
        self.node = Node(self.base / "cache", self.store, self.trouble)
        self.local: dict[str, list[Local]] = {}
        self.open: dict[str, Begun] = {}
        self.allowed: set[tuple[str, str]] = set()
        self.contents = itertools.count(1)
        self.foreign: dict[str, list[int]] = {}
        """Where in a key's history the changes of others are."""
        self.data_of: dict[str, bytes] = {}
        self.since: dict[str, int] = {}
        """By version: what was written here, and ``Local.since``."""
        self.by_hand: set[str] = set()
        self.discarded: set[str] = set()
        self.turn = 0

    def teardown(self) -> None:
        try:
            self.trouble.clear()
            self.persist_all()
            self.check_the_end()
        finally:
            self.node.close()
            shutil.rmtree(self.base, ignore_errors=True)

    # -- the model

    def expected(self) -> dict[str, bytes]:
        seen = {
            k.removeprefix("data/"): data
            for k, (_, data) in self.store.objects.items()
            if k.startswith("data/")
        }
        for key, commits in self.local.items():
            data = commits[-1].data
            if data is None:
                seen.pop(key, None)
            else:
                seen[key] = data
        return seen

    def observe(self, key: str) -> int:
        """Somebody here looks at a key before he replaces it."""
        self.allowed.add((f"data/{key}", self.store.version(f"data/{key}")))
        return len(self.store.history.get(f"data/{key}", ()))

    def committed(self, entries: list[Entry], since: dict[str, int]) -> None:
        for entry in entries:
            key = entry.key.removeprefix("data/")
            data = self.data_of.get(entry.version) if entry.op is Op.PUT else None
            before = self.local.setdefault(key, [])
            first = min([since[key], *(c.first for c in before)])
            before.append(Local(data, since[key], entry.seq, first))

    def new_data(self, size: int = 1) -> bytes:
        return b"%d." % next(self.contents) * size

    def guarded(self, work: Any) -> Any:
        """Do what may end the process; None if it did, and the node is up again."""
        try:
            return work()
        except Crash:
            self.restart()
            return None
        finally:
            self.trouble.clear()

    def restart(self) -> None:
        """The node as its disk has it; what was in doubt is what the journal says."""
        known = {c.seq for commits in self.local.values() for c in commits}
        self.node.crash()
        journaled = self.node.pending.view.all()
        new = [e for e in journaled if e.seq not in known and e.seq > max(known, default=0)]
        self.committed(new, {e.key.removeprefix("data/"): self.since_of(e) for e in new})
        for batch in list(self.open):
            found = self.node.pending.journal.batch(batch)
            if found is None or found.state.value != "open":
                # whole or not at all: it was committed with all of its files
                begun = self.open.pop(batch)
                if found is not None and found.state.value == "committed":
                    mine = {e.key for e in new if e.batch == batch and e.op is Op.PUT}
                    taken = {f"data/{k}" for (k, a) in begun.files if a == "t1"}
                    assert mine == taken, "a batch is there in part"
        self.left()

    def since_of(self, entry: Entry) -> int:
        return self.since.get(entry.version or entry.key, 0)

    def left(self) -> None:
        """What is not pending any more has been in the store, or something after it is."""
        pending = {e.seq for e in self.node.pending.view.all()}
        for key, commits in list(self.local.items()):
            last = commits[-1]
            if last.seq in pending:
                self.local[key] = [c for c in commits if c.seq in pending]
                continue
            history = self.store.history.get(f"data/{key}", [])
            after = history[last.since :]
            # A removal has nothing to do where another's was faster.
            gone = last.data is None and None in [None, *history][last.first :]
            was = gone or last.data in after
            assert was, f"{key}: {last} left, and never was in the store: {after}"
            del self.local[key]

    # -- what happens

    @rule(key=keys, overwrite=st.booleans(), size=st.sampled_from([1, 1, 40_000]))
    def write(self, key: str, overwrite: bool, size: int) -> None:
        seen, data = self.expected(), self.new_data(size)
        since = self.observe(key)

        def work() -> None:
            writer = self.node.begin(f"/m/{key}", overwrite=overwrite)
            writer.write(data)
            self.commit_file(writer, key, data, since)

        try:
            self.guarded(work)
        except AlreadyExists:
            assert not overwrite
            assert key in seen
        except StoreUnavailable:
            return

    def commit_file(self, writer: Any, key: str, data: bytes, since: int) -> None:
        before = {e.seq for e in self.node.pending.view.all()}
        keep = self.node.pending.keep

        def kept(*args: Any) -> Entry:
            entry = keep(*args)
            self.data_of[entry.version], self.since[entry.version] = data, since
            return entry

        self.node.pending.keep = kept  # type: ignore[method-assign]
        try:
            writer.commit()
        finally:
            self.node.pending.keep = keep  # type: ignore[method-assign]
        new = [e for e in self.node.pending.view.all() if e.seq not in before]
        assert [e.key for e in new] == [f"data/{key}"]
        self.committed(new, {key: since})

    @rule(key=keys, other=st.sampled_from(["foreign", "delete", "same"]))
    def a_foreign_change(self, key: str, other: str) -> None:
        data: bytes | None = self.new_data()
        if other == "delete":
            data = None
        elif other == "same" and key in self.local and self.local[key][-1].data is not None:
            data = self.local[key][-1].data
        if data is not None or f"data/{key}" in self.store.objects:
            self.foreign.setdefault(f"data/{key}", []).append(
                len(self.store.history.get(f"data/{key}", ()))
            )
            self.store.change(f"data/{key}", data)

    @rule(
        writers=st.tuples(keys, keys, keys),
        attempts=st.tuples(*[st.sampled_from(["t1", "t1", "t2"])] * 3),
        removed=st.sampled_from([None, *FILES]),
    )
    def begin_a_batch(
        self, writers: tuple[str, ...], attempts: tuple[str, ...], removed: str | None
    ) -> None:
        if len(self.open) >= 2:
            return

        def work() -> None:
            batch = Batch(new_id(), "/m", "async", "batch", 1)
            self.node.pending.journal.begin(batch)
            begun = self.open[batch.id] = Begun(batch.id, {}, {})
            for key, attempt in zip(writers, attempts, strict=True):
                data, since = self.new_data(), self.observe(key)
                entry = self.node.kept(f"/m/{key}", data)
                self.data_of[entry.version], self.since[entry.version] = data, since
                version = self.version_seen(key)
                entry = replace(entry, attempt=attempt, expect=version, strict=False)
                [made] = self.node.pending.journal.stage(batch.id, [entry])
                begun.files[key, attempt] = (data, made, since)
            if removed is not None and (version := self.version_seen(removed)):
                begun.removals[removed] = (version, self.observe(removed))
            begun.complete = True

        with contextlib.suppress(StoreUnavailable):
            self.guarded(work)
        for batch, begun in list(self.open.items()):
            if not begun.complete:
                del self.open[batch]
                self.node.pending.drop(self.node.pending.journal.abort(batch))

    def version_seen(self, key: str) -> str:
        try:
            return self.node.namespace.stat(f"/m/{key}", force=True).version
        except PathNotFound:
            return ABSENT

    @precondition(lambda self: self.open)
    @rule(newest=st.booleans(), abort=st.sampled_from([False, False, True]))
    def end_a_batch(self, newest: bool, abort: bool) -> None:
        begun = list(self.open.values())[-1 if newest else 0]
        pending = self.node.pending

        def drop(entries: list[Entry]) -> None:
            pending.drop(entries)

        def work() -> None:
            if abort:
                drop(pending.journal.abort(begun.id))
                del self.open[begun.id]
                return
            removals = []
            since = {k: s for (k, a), (_, _, s) in begun.files.items() if a == "t1"}
            place = self.node.namespace.place("/m/x").mount.place
            for key, (version, seen) in begun.removals.items():
                self.since[f"data/{key}"] = seen
                since.setdefault(key, seen)
                removals.append(
                    Entry(begun.id, "/m", place, f"data/{key}", Op.DELETE, expect=version)
                )
            entries = pending.commit(
                lambda: pending.journal.commit(begun.id, ["t1"], removals), removals
            )
            pending.committed(entries)
            self.committed(entries, since)
            drop([e for (k, a), (_, e, _) in begun.files.items() if a != "t1"])
            del self.open[begun.id]

        try:
            self.guarded(work)
        except Conflict:
            seen = {k: s for (k, a), (_, _, s) in begun.files.items() if a == "t1"}
            seen |= {k: s for k, (_, s) in begun.removals.items()}
            gone = {v for v, _ in begun.removals.values()} & self.discarded
            assert gone or any(k in self.local or self.changed(k, s) for k, s in seen.items())
            pending.journal.abort(begun.id)
            self.open.pop(begun.id, None)

    def changed(self, key: str, since: int) -> bool:
        return len(self.store.history.get(f"data/{key}", ())) > since

    @rule(steps=st.integers(1, 8))
    def persist(self, steps: int) -> None:
        def work() -> None:
            self.node.now_s += 100
            self.node.persister.wake()
            for _ in range(steps):
                self.persist_one()

        self.guarded(work)

    def persist_one(self) -> bool:
        done = len(self.store.completed)
        before = {e.seq: e for e in self.node.pending.view.all()}
        more = self.node.persister.run_one()
        for key in self.store.completed[done:]:
            mine = [e for e in before.values() if e.key == key and e.op is Op.PUT]
            if mine:
                others = [e for e in before.values() if e.batch == mine[0].batch]
                assert not any(level(e) < level(mine[0]) for e in others), "before its data"
        self.left()
        return more

    @rule(kind=st.sampled_from(["crash", "crash", "down"]), after=st.integers(0, 25))
    def trouble_is_coming(self, kind: str, after: int) -> None:
        """In the next thing that is done."""
        self.trouble.plan(kind, after)

    @precondition(lambda self: self.turn % 3 == 0)
    @rule()
    def killed(self) -> None:
        self.restart()

    @rule()
    def evicted(self) -> None:
        self.trouble.clear()
        self.node.store.free(1 << 40)

    @precondition(lambda self: self.node.pending.view.conflicts)
    @rule(how=st.sampled_from(["again", "overwrite", "discard"]))
    def a_conflict_is_ended(self, how: str) -> None:
        self.trouble.clear()
        pending = self.node.pending
        stuck = next(e for e in pending.view.all() if e.state is State.CONFLICT)
        key = stuck.key.removeprefix("data/")
        if how == "discard":
            self.discarded.add(stuck.version)
            pending.discard(stuck)
            [given_up] = [c for c in self.local[key] if c.seq == stuck.seq]
            self.not_seen(key, given_up.first)
            commits = [c for c in self.local[key] if c.seq != stuck.seq]
            self.local[key] = commits
            if not commits:
                del self.local[key]
        else:
            pending.retry(stuck, overwrite=how == "overwrite")
            if how == "overwrite":
                self.by_hand.add(stuck.key)

    def not_seen(self, key: str, first: int) -> None:
        """What is staged was made on top of what hid the store since then."""
        for begun in self.open.values():
            for (name, attempt), (data, made, since) in begun.files.items():
                if name == key:
                    begun.files[name, attempt] = (data, made, min(since, first))

    # -- what holds

    @invariant()
    def it_is_seen(self) -> None:
        """All in a listing; the files in turn."""
        self.turn += 1
        self.check_seen(FILES[self.turn % len(FILES)])

    def check_seen(self, *keys: str) -> None:
        if self.trouble._left >= 0:
            return  # the next thing done is to meet it
        expected = self.expected()
        pages = self.node.namespace.list("/m", recursive=True)
        listed = {e.path: e.length for _, page in pages for e in page}
        assert listed == {k: len(v) for k, v in expected.items()}
        for key in keys:
            path = f"/m/{key}"
            if key in expected:
                assert self.node.read(path) == expected[key], key
            else:
                with pytest.raises(PathNotFound):
                    self.node.namespace.stat(path, force=True)

    @invariant()
    def nothing_foreign_was_overwritten(self) -> None:
        ours = set(self.data_of.values())
        for key, version in self.store.replaced:
            if (key, version) in self.allowed or key in self.by_hand:
                continue
            number = int(version.removeprefix("v")) if version else 0
            data = self.versions().get(number)
            assert data in ours, f"{key} {version} was another's"
        self.store.replaced.clear()

    def versions(self) -> dict[int, bytes | None]:
        return self.store.by_number

    def persist_all(self) -> None:
        for _ in range(40):
            self.node.now_s += 100
            self.node.persister.wake()
            while self.persist_one():
                pass

    def check_the_end(self) -> None:
        left = self.node.pending.view.all()
        stuck = [e for e in left if e.state is State.CONFLICT]
        for entry in stuck:
            changes = self.foreign.get(entry.key, ())
            assert any(at >= self.first_since(entry) for at in changes), (
                f"a conflict, and nobody changed the store: {entry}"
            )
        for entry in left:
            if entry.state is not State.CONFLICT:
                held = [e for e in stuck if e.batch == entry.batch and level(e) < level(entry)]
                waits = [e for e in left if e.batch == entry.batch and level(e) < level(entry)]
                assert held or waits, f"{entry} is stuck"
        self.check_seen(*FILES)

    def first_since(self, entry: Entry) -> int:
        key = entry.key.removeprefix("data/")
        return min((c.first for c in self.local.get(key, ())), default=0)


def model(examples: int) -> Any:
    """Runs of steps drawn by a seed, that a failure shows: ``MILLPOND_TEST_SEED`` repeats it."""
    number = int(os.environ.get("MILLPOND_TEST_SEED") or random.randrange(1 << 32))

    @seed(number)
    class Machine(PendingAgainstModel):
        pass

    case: Any = Machine.TestCase

    class Seeded(case):  # type: ignore[misc]
        def runTest(self) -> None:
            print(f"MILLPOND_TEST_SEED={number}")
            super().runTest()

    Seeded.settings = settings(
        max_examples=examples, stateful_step_count=STEPS, deadline=None,
        suppress_health_check=list(HealthCheck), phases=(Phase.generate,),
    )  # fmt: skip
    return Seeded


@pytest.mark.timeout(900)
class TestPendingModel(model(105)):  # type: ignore[misc]
    """More than 10,000 steps, at about 100 a run."""


@pytest.mark.full
@pytest.mark.timeout(7200)
class TestPendingModelCampaign(model(3000)):  # type: ignore[misc]
    """About 270,000 steps."""
