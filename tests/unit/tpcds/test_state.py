"""The order of a run, and what of it survives an interruption."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from millpond.errors import InvalidSetting
from millpond_tpcds.state import State, Step, plan, remaining

if TYPE_CHECKING:
    from pathlib import Path

QUERIES, TARGETS = ["q1", "q2", "q3"], ["local", "s3a", "cache_warm"]
ABOUT = {"scale": 1, "queries": QUERIES}


def steps(seed: int = 1, rounds: int = 2) -> list[Step]:
    return list(plan(QUERIES, TARGETS, rounds, seed))


def test_every_round_has_every_pair_once() -> None:
    found = steps()
    assert len(found) == len(set(found)) == 3 * 3 * 3
    assert found == steps()
    assert found != steps(seed=2)


def test_a_querys_targets_follow_each_other() -> None:
    found = steps()
    for at in range(0, len(found), len(TARGETS)):
        block = found[at : at + len(TARGETS)]
        assert len({(s.round, s.query) for s in block}) == 1
        assert {s.target for s in block} == set(TARGETS)
    assert [s.round for s in found] == sorted(s.round for s in found)


def test_samples_outlive_the_process(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "state.jsonl"
    first, second = steps()[:2]
    with State(file, ABOUT) as state:
        assert state.done() == set()
        state.add(first, {"seconds": 1.5})
        state.add(second, {"seconds": 2.5})
    with State(file, ABOUT) as state:
        assert state.done() == {first, second}
        assert [s["seconds"] for s in state.samples] == [1.5, 2.5]


def test_a_torn_line_is_dropped_and_written_again(tmp_path: Path) -> None:
    file = tmp_path / "state.jsonl"
    first, second = steps()[:2]
    with State(file, ABOUT) as state:
        state.add(first, {"seconds": 1.5})
        state.add(second, {"seconds": 2.5})
    whole = file.read_bytes()
    for end in range(whole.rfind(b"\n", 0, -1) + 2, len(whole)):
        file.write_bytes(whole[:end])
        with State(file, ABOUT) as state:
            assert state.done() == {first}
            state.add(second, {"seconds": 2.5})
        assert file.read_bytes() == whole


def test_a_file_torn_in_its_first_line_is_begun_anew(tmp_path: Path) -> None:
    file = tmp_path / "state.jsonl"
    file.write_text('{"scale"')
    with State(file, ABOUT) as state:
        state.add(steps()[0], {})
    with State(file, ABOUT) as state:
        assert len(state.samples) == 1


def test_another_runs_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "state.jsonl"
    State(file, ABOUT).__exit__()
    with pytest.raises(InvalidSetting, match="scale is 1 there, 10 here"):
        State(file, ABOUT | {"scale": 10})


def test_a_resumed_run_warms_up_what_it_still_times() -> None:
    every = steps()
    assert remaining(every, set(), started_before=False) == every

    done = {s for s in every if s.round < 2 or s.query == "q1"}
    left = remaining(every, done, started_before=True)
    again = [s for s in left if s.round == 0]
    assert {s.query for s in again} == {"q2", "q3"}
    assert len(again) == 2 * len(TARGETS)
    assert left[: len(again)] == again, "before anything is timed"
    assert set(left[len(again) :]) == set(every) - done

    assert remaining(every, set(every), started_before=True) == []


def test_a_run_interrupted_in_its_warm_up_does_each_step_once() -> None:
    every = steps()
    left = remaining(every, set(every[:4]), started_before=True)
    assert len(left) == len(every)
    assert len(set(left)) == len(left)
