"""Streams cut anywhere become whole pages, in order, soon and in large runs."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.errors import StoreAnswerInvalid
from millpond.model.sizes import KIB, MIB, PAGE_BYTES
from millpond.server import fetcher
from millpond.server.fetcher import MAX_RUN_BYTES, MIN_RUN_BYTES, page_runs

CONTENT = random.Random(7).randbytes(6 * MIB)


@given(
    total=st.integers(1, 6 * MIB),
    sizes=st.lists(
        st.sampled_from([0, 1, 777, PAGE_BYTES, PAGE_BYTES + 1, 300 * KIB, 2 * MIB]), min_size=1
    ),
)
def test_any_cut_of_the_stream_gives_its_pages(total: int, sizes: list[int]) -> None:
    def chunks() -> list[bytes]:
        out, at = [], 0
        for size in sizes:
            out.append(CONTENT[at : min(total, at + size)])
            at = min(total, at + size)
        return [*out, CONTENT[at:total]]

    done = 0
    for at, run in page_runs(chunks(), total):
        assert at == done
        assert at % PAGE_BYTES == 0
        assert 0 < len(run) <= MAX_RUN_BYTES
        assert run == CONTENT[at : at + len(run)]
        done += len(run)
        assert done % PAGE_BYTES == 0 or done == total
    assert done == total


def test_the_first_page_does_not_wait_for_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "RUN_AGE_S", 1e9)
    sizes = [len(run) for _, run in page_runs([bytes(16 * KIB)] * 64, MIB)]
    assert sizes == [PAGE_BYTES, MIN_RUN_BYTES, MIN_RUN_BYTES, MIN_RUN_BYTES, 192 * KIB]


def test_a_slow_stream_is_put_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "RUN_AGE_S", -1.0)
    sizes = [len(run) for _, run in page_runs([bytes(16 * KIB)] * 16, 256 * KIB)]
    assert sizes == [PAGE_BYTES] * 4


def test_more_bytes_than_asked_for_are_an_error() -> None:
    with pytest.raises(StoreAnswerInvalid, match="70001 bytes instead of 70000"):
        list(page_runs([bytes(70_000), b"x"], 70_000))
