"""What batches decide: who may use one and end it, what lies in staging, what a commit removes."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from millpond.errors import BatchEnded, Conflict, InvalidPath, IsADirectory, PathNotFound
from millpond.model.paths import Staged, staged
from millpond.namespace.pending.records import Batch, Entry, Op
from millpond.server.core import batches as core

IDENT = "0" * 32
PLACE = "store/bucket"


def entry(seq: int, key: str, attempt: str = "a1", op: Op = Op.PUT, **more: str) -> Entry:
    return replace(Entry(IDENT, "/m", PLACE, key, op, attempt=attempt, seq=seq), **more)


def opened(*entries: Entry) -> tuple[core.OpenBatches, core.OpenBatch]:
    batches = core.OpenBatches()
    batches.add(Batch(IDENT, "/m", "async"), entries, 0.0)
    with batches.use(IDENT, 0.0) as found:
        return batches, found


def at(path: str) -> Staged:
    found = staged(path)
    assert found is not None
    return found


def test_a_batch_that_ended_is_nobodys() -> None:
    batches, _ = opened()
    with batches.end(IDENT) as found:
        assert found is not None
        with pytest.raises(BatchEnded), batches.use(IDENT, 1.0):
            pass
    with pytest.raises(BatchEnded), batches.use(IDENT, 1.0):
        pass
    with batches.end(IDENT) as found:
        assert found is None


def test_an_end_that_fails_leaves_the_batch_open() -> None:
    batches, _ = opened()
    with pytest.raises(Conflict), batches.end(IDENT):
        raise Conflict("changed")
    with batches.use(IDENT, 1.0) as found:
        assert found.used_s == 1.0


def test_an_end_waits_for_the_calls_under_way_and_takes_no_more() -> None:
    batches, _ = opened()
    ended = threading.Event()

    def end() -> None:
        with batches.end(IDENT):
            ended.set()

    with batches.use(IDENT, 1.0) as found:
        thread = threading.Thread(target=end)
        thread.start()
        while not found.ending:
            pass
        assert not ended.is_set()
        with pytest.raises(BatchEnded), batches.use(IDENT, 1.0):
            pass
    thread.join(10)
    assert ended.is_set()


def test_only_what_nobody_calls_for_is_idle() -> None:
    batches, _ = opened()
    assert batches.idle(0.0) == []
    assert batches.idle(0.1) == [IDENT]
    with batches.use(IDENT, 5.0):
        assert batches.idle(6.0) == []
    assert batches.idle(5.0) == []
    assert batches.idle(5.1) == [IDENT]


def test_what_a_staging_path_stands_for() -> None:
    old, new = entry(1, "t/p=1/f"), entry(2, "t/p=1/f")
    _, found = opened(old, new, entry(3, "t/g", "a2"))
    top = f"t/.millpond-{IDENT}"
    assert core.at(found, PLACE, at(f"{top}/a1/p=1/f")) == new
    for directory in (top, f"{top}/a1", f"{top}/a1/p=1"):
        assert core.at(found, PLACE, at(directory)) is None
    for absent in (f"{top}/a2/p=1/f", f"{top}/a1/p=1/f/x", f"{top}/a1/p", f"{top}/a1/g"):
        with pytest.raises(PathNotFound):
            core.at(found, PLACE, at(absent))
    with pytest.raises(PathNotFound):
        core.at(found, "other/bucket", at(f"{top}/a1/p=1/f"))
    assert core.below(found, PLACE, at(f"{top}/a1/p=1")) == [old, new]
    assert core.below(found, PLACE, at(f"other/.millpond-{IDENT}/a1")) == [old, new]
    assert core.below(found, PLACE, at(f"{top}/a1/p=1/f/x")) == []


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("a1", IsADirectory),
        ("", IsADirectory),
        ("..x/f", InvalidPath),
        ("/f", InvalidPath),
        ("a b/f", InvalidPath),
        ("a" * 201 + "/f", InvalidPath),
    ],
)
def test_what_can_be_no_file_is_refused(path: str, error: type[Exception]) -> None:
    full = f"/m/.millpond-{IDENT}/{path}"
    with pytest.raises(error):
        core.check_file(at(full), full)


def test_a_commit_takes_the_last_file_of_each_key_of_its_attempts() -> None:
    files = [entry(1, "f"), entry(2, "f"), entry(3, "f", "a2"), entry(4, "g", "a2")]
    _, found = opened(*files, entry(5, "old", core.REMOVALS, Op.DELETE))
    assert core.left_out(found, {"a1"}) == [files[0], files[2], files[3]]
    assert core.left_out(found, set()) == files
    assert core.left_out(found, None) == files[:2]
    assert [e.key for e in found.removals()] == ["old"]


def test_markers_do_not_make_a_directory_one_that_is_replaced() -> None:
    files = [entry(1, "t/p=1/f"), entry(2, "t/p=2/f"), entry(3, "t/_SUCCESS"), entry(4, "t/.x")]
    assert core.replaced(files) == [("/m", "t/p=1"), ("/m", "t/p=2")]


def test_many_directories_are_listed_by_one_listing() -> None:
    few = [entry(n, f"t/p={n}/f") for n in range(core.FEW_LISTINGS)]
    assert core.listings(few) == [("/m", f"t/p={n}", False) for n in range(core.FEW_LISTINGS)]
    assert core.listings([*few, entry(9, "t/q/r/f")]) == [("/m", "t", True)]
    assert core.listings([*few, entry(9, "u")]) == [("/m", "", True)]
    assert core.listings([]) == []


def test_what_changed_meanwhile_is_a_conflict() -> None:
    old = entry(1, "f", core.REMOVALS, Op.DELETE, expect="v1")
    core.check_unchanged([old], {(PLACE, "f"): "v1", (PLACE, "new"): "v9"})
    with pytest.raises(Conflict, match="replaced"):
        core.check_unchanged([old], {(PLACE, "f"): "v2"})
    with pytest.raises(Conflict, match="deleted"):
        core.check_unchanged([old], {})
