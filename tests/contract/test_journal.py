"""What every journal of pending data has to keep to."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from millpond.errors import BatchEnded, CacheDirUnusable, Conflict, NoSpace
from millpond.namespace.database import PENDING_SCHEMA, PLAIN_SCHEMA, Database
from millpond.namespace.pending.areas import Areas, Changes, Name
from millpond.namespace.pending.records import (
    Alias,
    Batch,
    BatchState,
    Entry,
    Op,
    State,
    born,
    new_id,
)
from millpond.namespace.pending.sqlite import SqliteJournal
from millpond.under.base import ABSENT

if TYPE_CHECKING:
    from pathlib import Path

    from millpond.namespace.pending.journal import Journal


def put(key: str, **fields: object) -> Entry:
    made = Entry(new_id(), "/m", "store/bucket", key, Op.PUT, born(), 5, 1_000)
    return replace(made, **fields)  # type: ignore[arg-type]


def removal(key: str, expect: str | None) -> Entry:
    return Entry(new_id(), "/m", "store/bucket", key, Op.DELETE, expect=expect)


def alias_of(entry: Entry, store_version: str = "v1") -> Alias:
    return Alias(entry.place, entry.key, store_version, entry.version, entry.length, entry.mtime_ms)


class JournalContract(ABC):
    """``open`` opens the same journal again: what was done before is there."""

    @abstractmethod
    def open(self) -> Journal: ...

    @pytest.fixture
    def journal(self) -> Journal:
        return self.open()

    @pytest.fixture
    def batch(self, journal: Journal) -> str:
        batch = Batch(new_id(), "/m", "async", "daily", 7)
        journal.begin(batch)
        return batch.id

    def test_a_new_one_is_empty(self, journal: Journal) -> None:
        assert journal.batches() == []
        assert journal.entries(new_id()) == []
        loaded = journal.load()
        assert (loaded.batches, loaded.entries, loaded.aliases) == ([], [], [])
        assert journal.batch(new_id()) is None

    def test_what_is_recorded_is_there_after_a_restart(self, journal: Journal) -> None:
        odd = put("a b/é%2F/日", expect=ABSENT, detail="d\n", mtime_ms=-1)
        made = journal.record([odd])
        assert made == [replace(odd, state=State.DIRTY, seq=made[0].seq)]
        assert self.open().load().entries == made

    def test_commits_number_what_was_staged(self, journal: Journal, batch: str) -> None:
        [staged] = journal.stage(batch, [put("a")])
        assert staged.state is State.STAGED
        [later] = journal.record([put("b")])
        [made] = journal.commit(batch, None)
        assert (made.key, made.state, made.batch) == ("a", State.DIRTY, batch)
        assert staged.seq < later.seq < made.seq
        assert self.open().load().entries == [later, made]
        found = self.open().batch(batch)
        assert found is not None
        assert (found.state, found.files, found.length) == (BatchState.COMMITTED, 1, 5)
        assert (found.name, found.created_ms, found.write_type) == ("daily", 7, "async")
        assert self.open().batches() == [found]
        assert self.open().entries(batch) == [made]

    def test_a_commit_takes_the_attempts_named(self, journal: Journal, batch: str) -> None:
        first, second = put("a", attempt="t1"), put("a", attempt="t2")
        journal.stage(batch, [first, put("b", attempt="t2"), second, put("c", attempt="t3")])
        made = journal.commit(batch, ["t3", "t1", "t3"])
        assert [(e.key, e.version) for e in made] == [("a", first.version), ("c", made[1].version)]
        assert self.open().load().entries == made
        assert journal.commit(batch, ["t1", "t3"]) == made
        with pytest.raises(Conflict, match="other attempts"):
            journal.commit(batch, ["t1"])

    def test_the_last_file_of_an_attempt_counts(self, journal: Journal, batch: str) -> None:
        journal.stage(batch, [put("a")])
        [second] = journal.stage(batch, [put("a")])
        [made] = journal.commit(batch, None)
        assert made.version == second.version

    def test_an_empty_batch_is_committed(self, journal: Journal, batch: str) -> None:
        assert journal.commit(batch, []) == []
        assert journal.commit(batch, []) == []
        with pytest.raises(BatchEnded):
            journal.stage(batch, [put("a")])

    def test_removals_come_with_it(self, journal: Journal, batch: str) -> None:
        journal.stage(batch, [put("new"), put("replaced")])
        gone = [removal("old", "v1"), removal("replaced", "v2")]
        made = journal.commit(batch, None, gone)
        assert [(e.op, e.key, e.expect) for e in made] == [
            (Op.PUT, "new", None),
            (Op.PUT, "replaced", "v2"),
            (Op.DELETE, "old", "v1"),
        ]

    def test_what_another_wrote_meanwhile_is_a_conflict(self, journal: Journal, batch: str) -> None:
        journal.stage(batch, [put("a"), put("b", expect=ABSENT)])
        [other] = journal.record([put("b")])
        with pytest.raises(Conflict):
            journal.commit(batch, None)
        assert [e.key for e in self.open().load().entries if e.state is State.DIRTY] == ["b"]
        found = journal.batch(batch)
        assert found is not None
        assert found.state is BatchState.OPEN  # all of it or nothing, and it may go on
        assert journal.settle(other.seq, State.DIRTY, "v1", alias_of(other))
        with pytest.raises(Conflict):  # persisted, it is there all the same
            journal.commit(batch, None)

    def test_what_replaces_anything_replaces_what_is_pending(self, journal: Journal) -> None:
        [first] = journal.record([put("a", expect="v0", strict=False)])
        [second] = journal.record([put("a", expect="v0", strict=False)])
        [gone] = journal.record([removal("a", second.version)])
        [third] = journal.record([put("a", expect=ABSENT)])
        versions = [first.version, second.version, ABSENT]
        assert [second.expect, gone.expect, third.expect] == versions
        assert journal.settle(first.seq, State.DIRTY, "v1", alias_of(first))
        assert journal.settle(gone.seq, State.DIRTY, gone.expect)  # skipped: the next one stands
        left = self.open().load().entries
        assert [(e.seq, e.expect) for e in left] == [
            (second.seq, "v1"),
            (third.seq, second.version),
        ]

    def test_what_was_persisted_is_what_the_next_one_replaces(self, journal: Journal) -> None:
        [first] = journal.record([put("a")])
        journal.settle(first.seq, State.DIRTY, "v1", alias_of(first))
        [second] = journal.record([put("a", expect="v0", strict=False)])
        assert second.expect == first.version

    def test_what_is_kept_leaves_only_as_a_whole(self, journal: Journal) -> None:
        [dirty] = journal.record([put("a")])
        [kept] = journal.record([put("a", expect="v0", strict=False, state=State.KEPT)])
        assert (kept.state, kept.expect) == (State.KEPT, dirty.version)
        [later] = journal.record([put("a", expect=kept.version)])
        assert journal.forgo([dirty.seq, kept.seq]) == [kept]
        assert journal.forgo([kept.seq]) == []
        assert self.open().load().entries == [dirty, replace(later, expect=dirty.version)]

    def test_what_is_kept_moves(self, journal: Journal) -> None:
        [one] = journal.record([put("a/x", expect="v1", state=State.KEPT)])
        [two] = journal.record([put("a/y", state=State.KEPT)])
        [other] = journal.record([put("b/y")])
        with pytest.raises(Conflict):
            journal.move({one.seq: "b/x", two.seq: "b/y"})
        assert self.open().load().entries == [one, two, other]
        assert journal.move({one.seq: "c/x", other.seq: "c/y"}) == [one]
        moved = replace(one, key="c/x", expect=ABSENT)
        assert self.open().load().entries == [moved, two, other]

    def test_a_batch_may_be_kept(self, journal: Journal) -> None:
        batch = Batch(new_id(), "/m", "cache")
        journal.begin(batch)
        journal.stage(batch.id, [put("a")])
        made = journal.commit(batch.id, None, [removal("b", "v1")])
        assert [e.state for e in made] == [State.KEPT, State.KEPT]
        assert journal.commit(batch.id, None) == made

    def test_staged_files_are_taken_out(self, journal: Journal, batch: str) -> None:
        one, two = journal.stage(batch, [put("a"), put("b")])
        [other] = journal.record([put("c")])
        assert journal.unstage(batch, [one.seq, other.seq]) == [one]
        assert self.open().load().entries == [two, other]

    def test_an_aborted_batch_leaves_nothing(self, journal: Journal, batch: str) -> None:
        staged = journal.stage(batch, [put("a")])
        assert journal.abort(batch, "by hand") == staged
        assert journal.abort(batch) == []
        assert self.open().load().entries == []
        for step in (journal.commit, journal.stage, journal.unstage):
            with pytest.raises(BatchEnded, match="by hand"):
                step(batch, [])  # type: ignore[operator]

    def test_a_committed_batch_is_not_aborted(self, journal: Journal, batch: str) -> None:
        [made] = journal.stage(batch, [put("a")])
        journal.commit(batch, None)
        with pytest.raises(Conflict):
            journal.abort(batch)
        assert [e.version for e in self.open().load().entries] == [made.version]

    def test_unknown_batches(self, journal: Journal) -> None:
        assert journal.abort(new_id()) == []
        for step in (journal.commit, journal.stage, journal.unstage):
            with pytest.raises(BatchEnded, match="not known"):
                step(new_id(), [])  # type: ignore[operator]
        batch = Batch(new_id(), "/m", "async")
        journal.begin(batch)
        with pytest.raises(Conflict):
            journal.begin(batch)

    def test_one_of_many_advances_an_entry(self, journal: Journal) -> None:
        [entry] = journal.record([put("a")])
        won: list[bool] = []

        def advance() -> None:
            won.append(journal.advance(entry.seq, State.DIRTY, State.UPLOADING, "by me"))

        threads = [threading.Thread(target=advance) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(won) == [False] * 7 + [True]
        [found] = self.open().load().entries
        assert (found.state, found.detail) == (State.UPLOADING, "by me")
        assert not journal.settle(entry.seq, State.COMPLETING, "v1")
        assert journal.settle(entry.seq, State.UPLOADING, "v1")
        assert not journal.settle(entry.seq, State.UPLOADING, "v1")
        assert not journal.advance(entry.seq, State.UPLOADING, State.DIRTY)
        assert journal.load().entries == []

    def test_one_of_two_commits_wins(self, journal: Journal, batch: str) -> None:
        journal.stage(batch, [put("a", attempt="1"), put("a", attempt="2")])
        ends: list[object] = []

        def commit(attempt: str) -> None:
            try:
                ends.append(journal.commit(batch, [attempt])[0].attempt)
            except Conflict:
                ends.append(None)

        threads = [threading.Thread(target=commit, args=(a,)) for a in "12"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ends.count(None) == 1
        [entry] = self.open().load().entries
        assert entry.attempt in ends

    def test_what_is_staged_replaces_what_is_there_by_then(
        self, journal: Journal, batch: str
    ) -> None:
        [first] = journal.record([put("a")])
        journal.stage(batch, [put("a", expect=first.version, strict=False)])
        [gone] = journal.record([removal("a", first.version)])
        journal.settle(first.seq, State.DIRTY, first.expect)
        journal.settle(gone.seq, State.DIRTY, ABSENT)
        [made] = journal.commit(batch, None)
        assert made.expect == ABSENT

    @pytest.mark.parametrize("strict", [True, False])
    def test_a_file_born_here_that_is_known_no_more_can_not_be_replaced(
        self, journal: Journal, batch: str, strict: bool
    ) -> None:
        [first] = journal.record([put("a", expect="v0")])
        journal.advance(first.seq, State.DIRTY, State.CONFLICT)
        journal.settle(first.seq, State.CONFLICT, "v0", changed=False)  # a person gave it up
        with pytest.raises(Conflict, match="meanwhile"):
            journal.record([put("a", expect=first.version, strict=strict)])
        with pytest.raises(Conflict, match="meanwhile"):
            journal.commit(batch, None, [replace(removal("a", first.version), strict=strict)])
        assert journal.commit(batch, None, [removal("a", "v0")])

    def test_overwriting_a_conflict(self, journal: Journal) -> None:
        [entry] = journal.record([put("a", expect="v0")])
        assert not journal.overwrite(entry.seq)
        assert journal.advance(entry.seq, State.DIRTY, State.CONFLICT, "changed")
        assert journal.overwrite(entry.seq)
        [found] = self.open().load().entries
        assert (found.state, found.expect, found.detail) == (State.DIRTY, None, "")

    def test_one_alias_a_key_the_oldest_first(self, journal: Journal) -> None:
        made = [journal.record([put(key)])[0] for key in "abca"]
        for entry in made:
            assert journal.settle(entry.seq, State.DIRTY, "v", alias_of(entry))
        aliases = self.open().load().aliases
        assert aliases == [alias_of(e) for e in made[1:]]
        [again] = journal.record([put("b")])
        journal.settle(again.seq, State.DIRTY, "v2", alias_of(again, "v2"))
        journal.drop_aliases(aliases)
        assert self.open().load().aliases == [alias_of(again, "v2")]

    def test_what_is_skipped_leaves_the_alias(self, journal: Journal) -> None:
        [first] = journal.record([put("a")])
        journal.settle(first.seq, State.DIRTY, "v", alias_of(first))
        [second] = journal.record([put("a", expect="v", strict=False)])
        assert journal.settle(second.seq, State.DIRTY, second.expect, changed=False)
        assert self.open().load().aliases == [alias_of(first)]

    def test_a_removal_drops_the_alias(self, journal: Journal) -> None:
        [entry] = journal.record([put("a")])
        journal.settle(entry.seq, State.DIRTY, "v", alias_of(entry))
        [gone] = journal.record([removal("a", entry.version)])
        assert journal.settle(gone.seq, State.DIRTY, ABSENT)
        assert self.open().load().aliases == []

    def test_names_change_with_what_is_recorded(self, journal: Journal) -> None:
        top = Name(1, 0, "out/_temporary", held=True, place="store/bucket", mount="/m")
        task, file = Name(2, 1, "task"), Name(3, 2, "part", born(), 5, 1_000)
        journal.record([], Changes(put=[top, task, file]))
        assert self.open().load().names == [top, task, file]

        moved = replace(task, name="task_0")
        journal.record([], Changes(put=[moved]))
        left = file.entry("/m", "store/bucket", "out/part")
        stands = journal.record([replace(left, batch=new_id(), expect=ABSENT)])
        refused = replace(left, batch=new_id(), expect="another")
        with pytest.raises(Conflict):
            journal.record([refused], Changes(gone=[top, moved, file]))
        assert self.open().load().names == [top, moved, file]
        assert self.open().load().entries == stands
        journal.record([], Changes(gone=[top, moved, file]))
        assert self.open().load().names == []

    def test_a_name_takes_no_other_ones_place(self, journal: Journal) -> None:
        top = Name(1, 0, "out/_temporary", held=True, place="store/bucket", mount="/m")
        names = [top, Name(2, 1, "task"), Name(3, 2, "part", born(), 5, 1_000), Name(4, 1, "late")]
        journal.record([], Changes(put=names))
        with pytest.raises(CacheDirUnusable):
            journal.record([], Changes(put=[replace(names[3], name="task")]))
        assert self.open().load().names == names

    def test_names_whose_directory_is_gone_are_dropped(
        self, journal: Journal, caplog: pytest.LogCaptureFixture
    ) -> None:
        top = Name(1, 0, "out/_temporary", held=True, place="store/bucket", mount="/m")
        task, part = Name(2, 1, "task"), Name(3, 2, "p=1")
        journal.record([], Changes(put=[top, task, part, Name(4, 3, "part", born(), 5, 1_000)]))
        journal.record([], Changes(gone=[task]))
        loaded = self.open().load()
        assert loaded.names == [top]
        assert len(Areas(loaded.names)) == 1
        assert "2 names in staging areas are dropped" in caplog.text
        journal.record([], Changes(put=[task]))
        assert self.open().load().names == [top, task], "a number used again has what it is given"


class TestSqlite(JournalContract):
    @pytest.fixture(autouse=True)
    def file(self, tmp_path: Path) -> Path:
        self._file = tmp_path / "namespace.db"
        self._open: list[Database] = []
        return self._file

    @pytest.fixture(autouse=True)
    def closing(self, file: Path) -> object:
        yield
        for database in self._open:
            database.close()

    def open(self) -> Journal:
        self._open.append(Database(self._file))
        return SqliteJournal(self._open[-1])

    def test_a_machine_that_starts_anew_has_no_open_batches(self) -> None:
        def opened(boot: str) -> Journal:
            self._open.append(Database(self._file))
            return SqliteJournal(self._open[-1], boot)

        first = opened("one")
        batches = [Batch(new_id(), "/m", "async") for _ in range(2)]
        for each in batches:
            first.begin(each)
            first.stage(each.id, [put("a")])
        made = first.commit(batches[0].id, None)
        top = Name(1, 0, "out/_temporary", held=True, place="store/bucket", mount="/m")
        first.record([], Changes(put=[top]))
        for boot in ("one", ""):
            loaded = opened(boot).load()
            assert [b.state for b in loaded.batches] == [BatchState.COMMITTED, BatchState.OPEN]
            assert loaded.names == [top]
        anew = opened("two")
        assert [b.state for b in anew.load().batches] == [BatchState.COMMITTED, BatchState.ABORTED]
        assert anew.load().entries == made
        assert anew.load().names == []
        with pytest.raises(BatchEnded, match="started anew"):
            anew.commit(batches[1].id, None)

    def test_a_release_that_knows_none_is_kept_out(self, journal: Journal) -> None:
        def schema() -> int:
            with sqlite3.connect(self._file) as db:
                found = db.execute("PRAGMA user_version").fetchone()[0]
            db.close()
            return int(found)

        assert schema() == PLAIN_SCHEMA
        [entry] = journal.record([put("a")])
        assert schema() == PENDING_SCHEMA
        journal.settle(entry.seq, State.DIRTY, "v", alias_of(entry))
        assert schema() == PLAIN_SCHEMA

    def test_a_database_deleted_by_hand_is_written_again(self, journal: Journal) -> None:
        made = journal.record([put("a")])
        self._file.unlink()
        assert self._open[0].heal([])
        assert self.open().load().entries == made
        more = journal.record([put("b")])
        assert self.open().load().entries == made + more

    def test_a_full_disk_is_told(self, journal: Journal) -> None:
        with self._open[0].change() as db:
            db.execute("PRAGMA max_page_count = 20")
        with contextlib.suppress(NoSpace):
            while True:
                journal.record([put("x" * 500)])
        before = len(self.open().load().entries)
        with pytest.raises(NoSpace):
            journal.record([put("y" * 5000)])
        assert len(self.open().load().entries) == before
