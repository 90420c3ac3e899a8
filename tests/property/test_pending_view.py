"""What is seen of pending data, against a plain dict of what the store would have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from millpond.model.paths import staged
from millpond.namespace.pending.records import Entry, Op, State, born, new_id
from millpond.namespace.pending.view import View, merged
from millpond.under.base import ABSENT, ObjectStat
from millpond.under.tree import order, pages

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACE = "store/bucket"
NAMES = ["a", "b", "a-b", "a b", "é", "日", "~", "0"]
KEYS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)


def directories(files: dict[str, str]) -> set[str]:
    """Every directory that holds one of these files."""
    return {key[:at] for key in files for at, c in enumerate(key) if c == "/"}


def listing(
    files: dict[str, str], there: set[str], key: str, *, recursive: bool
) -> list[ObjectStat]:
    """Of a store that has these files and directories."""
    inside = f"{key}/" if key else ""
    found = [ObjectStat(k, 1, 0, v) for k, v in files.items() if k.startswith(inside)]
    if not recursive:
        found = [e for e in found if "/" not in e.key[len(inside) :]]
        below = {d for d in there if d.startswith(inside) and "/" not in d[len(inside) :]}
        found += [ObjectStat(d, 0, 0, is_dir=True) for d in below]
    return sorted(found, key=order)


def entry(key: str, op: Op, seq: int) -> Entry:
    version = born() if op is Op.PUT else ""
    length = int(op is Op.PUT)
    return Entry(new_id(), "/m", PLACE, key, op, version, length, seq=seq, state=State.DIRTY)


class ViewAgainstDict(RuleBasedStateMachine):
    """``entries``: by seq, in the order of commits; ``base``: what the store has."""

    def __init__(self) -> None:
        super().__init__()
        self.view = View()
        self.base: dict[str, str] = {}
        self.there: set[str] = set()
        self.entries: dict[int, Entry] = {}
        self.seq = 0

    def _next(self, key: str, op: Op) -> Entry:
        self.seq += 1
        made = entry(key, op, self.seq)
        self.entries[made.seq] = made
        return made

    @rule(key=KEYS, version=st.sampled_from(["v1", "v2"]))
    def stored(self, key: str, version: str) -> None:
        self.base[key] = version
        self.there |= directories({key: version})

    @rule(changes=st.dictionaries(KEYS, st.sampled_from(Op), min_size=1, max_size=6))
    def committed(self, changes: dict[str, Op]) -> None:
        self.view.add([self._next(key, op) for key, op in changes.items()])

    @rule(data=st.data())
    def settled(self, data: st.DataObject) -> None:
        if not self.entries:
            return
        seq = data.draw(st.sampled_from(sorted(self.entries)))
        gone = self.entries.pop(seq)
        assert self.view.settle(seq, "made") == gone

    @rule(data=st.data(), state=st.sampled_from([State.UPLOADING, State.CONFLICT]))
    def advanced(self, data: st.DataObject, state: State) -> None:
        if self.entries:
            seq = data.draw(st.sampled_from(sorted(self.entries)))
            self.entries[seq] = self.view.advance(seq, state, "why")
            assert (self.entries[seq].state, self.entries[seq].detail) == (state, "why")

    def _now(self) -> dict[str, str]:
        now = dict(self.base)
        for each in self.entries.values():
            if each.op is Op.PUT:
                now[each.key] = each.version
            else:
                now.pop(each.key, None)
        return now

    @invariant()
    def keys_are_seen(self) -> None:
        assert self.view.all() == list(self.entries.values())
        assert self.view.bytes == sum(e.length for e in self.entries.values())
        assert self.view.holds(PLACE) == bool(self.entries)
        last = {e.key: e for e in self.entries.values()}
        for key in {*last, "absent", ""}:
            assert self.view.seen(PLACE, key) == last.get(key)
            assert self.view.of(PLACE, key) == [e for e in self.entries.values() if e.key == key]
            under = [e for k, e in last.items() if k.startswith(f"{key}/") or not key]
            assert self.view.is_directory(PLACE, key) == any(e.op is Op.PUT for e in under)
            below = {e.seq for e in self.view.below(PLACE, key)}
            assert below == {
                e.seq for e in self.entries.values() if f"{e.key}/".startswith(f"{key}/") or not key
            }

    @invariant()
    def listings_are_right(self) -> None:
        now = self._now()
        puts = {e.key: e.version for e in self.entries.values() if now.get(e.key) == e.version}
        there = self.there | directories(puts)
        for key in {"", "a", "a/b", "é"}:
            for recursive in (False, True):
                real = pages(listing(self.base, self.there, key, recursive=recursive))
                shown = self.view.snapshot(PLACE, key, recursive=recursive)
                assert flat(merged(real, shown)) == listing(now, there, key, recursive=recursive)


def flat(listed: Iterator[list[ObjectStat]]) -> list[ObjectStat]:
    return [each for page in listed for each in page]


TestViewAgainstDict = ViewAgainstDict.TestCase
TestViewAgainstDict.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@given(directory=st.one_of(st.just(""), KEYS), relative=KEYS)
def test_a_staging_path_stands_for_a_file(directory: str, relative: str) -> None:
    batch = new_id()
    above = f"{directory}/" if directory else ""
    found = staged(f"{above}.millpond-{batch}/t1/{relative}")
    assert found is not None
    assert (found.directory, found.batch, found.attempt) == (directory, batch, "t1")
    assert found.key == above + relative
    assert staged(f"{above}{relative}") is None


def test_what_is_no_staging_path() -> None:
    batch = new_id()
    for key in (f"a/.millpond-{batch}.tmp", "a/.millpond-12/t/x", f"a/x.millpond-{batch}/t/x"):
        assert staged(key) is None
    root = staged(f"/m/.millpond-{batch}")
    assert root is not None
    assert (root.directory, root.attempt, root.relative) == ("/m", "", "")
    assert root.key == "/m"


def test_the_next_one_replaces_what_was_made() -> None:
    view = View()
    first, second = entry("a", Op.PUT, 1), entry("a", Op.DELETE, 2)
    view.add([first])
    view.add([second])
    view.settle(1, "v1")
    assert view.seen(PLACE, "a") == second  # what replaces anything goes on doing so
    view = View([entry("a", Op.PUT, 1)])
    strict = Entry(new_id(), "/m", PLACE, "a", Op.DELETE, expect=first.version, seq=2)
    view.add([strict])
    view.settle(1, ABSENT)
    after = view.seen(PLACE, "a")
    assert after is not None
    assert after.expect == ABSENT
