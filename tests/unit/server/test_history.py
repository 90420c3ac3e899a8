"""The ring of samples gives back what was put in, and never takes more room."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from millpond.server.core.history import History, Totals


def totals(n: float) -> Totals:
    return Totals(*(n * (i + 1) for i in range(len(Totals._fields))))


@given(
    capacity=st.integers(1, 8),
    steps=st.lists(st.integers(1, 30), max_size=30),
    when=st.integers(-5, 500),
)
def test_the_last_sample_at_or_before_a_time(capacity: int, steps: list[int], when: int) -> None:
    history, kept, now = History(capacity), [], 0
    for step in steps:
        now += step
        history.add(now, totals(now))
        kept = [*kept, now][-capacity:]
    assert len(history) == len(kept)
    before = [t for t in kept if t <= when]
    assert history.at(when) == (totals(before[-1]) if before else None)


def test_the_room_taken_is_bounded() -> None:
    history = History(100)
    size = len(history._values)
    for i in range(1000):
        history.add(i, totals(i))
    assert (len(history), len(history._values)) == (100, size)
    assert History()._values.buffer_info()[1] * 8 < 1_000_000


def test_bins_add_up_to_what_was_counted() -> None:
    history = History()
    for i in range(0, 101, 10):
        history.add(i, totals(i))
    bins = history.bins(104, totals(104), 20, 4)
    assert [(b.start_s, b.end_s) for b in bins] == [(40, 60), (60, 80), (80, 100), (100, 120)]
    assert [b.grown.hit_bytes for b in bins if b.grown] == [20, 20, 20, 4]
    assert bins[-1].last == totals(104)


def test_there_are_no_figures_from_before_the_start() -> None:
    history = History()
    history.add(1005, totals(0))
    history.add(1010, totals(2))
    bins = history.bins(1030, totals(7), 10, 5)
    assert [b.grown.hit_bytes if b.grown else None for b in bins] == [None, 2, 0, 0, 5]
    assert history.since(0, totals(7)).hit_bytes == 7
    assert History().since(0, totals(7)).hit_bytes == 7


def test_sums_that_shrink_with_a_removed_mount_count_as_nothing() -> None:
    history = History()
    history.add(0, totals(50))
    [only] = history.bins(10, totals(20), 20, 1)
    assert only.grown == totals(0)
