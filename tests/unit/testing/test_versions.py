"""The judge of the replacement races finds what it is there to find."""

from __future__ import annotations

import pytest

from tests.fixtures.versions import Ledger, Mixed, Put, Seen, content, judge, version_in

S = 10**9


@pytest.fixture
def ledger() -> Ledger:
    """Object 1: version 0 from the start, 1 put within [10 s, 11 s], absent after 20 s."""
    made = Ledger()
    made.record(1, Put(0, 100, "a", 0, 1 * S))
    made.record(1, Put(1, 200, "b", 10 * S, 11 * S))
    made.record(1, Put(None, 0, "", 20 * S, 21 * S))
    return made


def seen(outcome: str, opened_s: float, ended_s: float, length: int = -1) -> Seen:
    return Seen("read", "/m", 1, int(opened_s * S), int(ended_s * S), outcome, length)


def test_whole_content_is_of_its_version() -> None:
    data = content(7, 3, 20_000)
    assert len(data) == 20_000
    assert version_in(data, 0, 7) == 3
    assert version_in(data[8192:], 8192, 7) == 3
    assert version_in(data[:15], 0, 7) is None


@pytest.mark.parametrize(
    ("data", "at", "says"),
    [
        (content(7, 3, 8192) + content(7, 4, 9000)[8192:], 0, "version at byte 8192"),
        (content(7, 3, 8192), 4096, "chunk at byte 4096"),
        (content(8, 3, 8192), 0, "object at byte 0"),
        (b"\0" * 64, 0, "object at byte 0"),
        (content(7, 3, 8192)[16:], 0, "chunk at byte 4080"),
    ],
)
def test_bytes_of_another_version_place_or_object_are_found(
    data: bytes, at: int, says: str
) -> None:
    with pytest.raises(Mixed, match=says):
        version_in(data, at, 7)


@pytest.mark.parametrize(
    ("outcome", "opened_s", "ended_s", "bound_s", "wrong"),
    [
        ("v0", 5, 6, 0, False),
        ("v0", 10.5, 10.6, 0, False),  # the put is under way
        ("v0", 11.1, 11.2, 0, True),
        ("v0", 11.1, 11.2, 1, False),
        ("v0", 12.1, 12.2, 1, True),
        ("v1", 9, 9.5, 0, True),  # before it was put
        ("v1", 10.1, 10.2, 0, False),
        ("v1", 5, 10.2, 0, False),
        ("absent", 19, 19.5, 0, True),
        ("absent", 20.1, 20.2, 0, False),
        ("v1", 22, 23, 0, True),
        ("v7", 5, 6, 0, True),
        ("ea", 5, 6, 0, False),
        ("ea", 12, 13, 0, True),
        ("enone", 5, 6, 0, True),
        ("changed", 5, 6, 0, False),
        ("mixed: bytes", 5, 6, 0, True),
        ("error any", 5, 6, 0, True),
    ],
)
def test_what_is_stale_early_or_unknown_is_found(
    ledger: Ledger, outcome: str, opened_s: float, ended_s: float, bound_s: int, wrong: bool
) -> None:
    assert bool(judge(ledger, seen(outcome, opened_s, ended_s), bound_s * S)) == wrong


def test_another_length_is_found(ledger: Ledger) -> None:
    assert judge(ledger, seen("v1", 12, 13, 200), 0) is None
    assert "length 100" in str(judge(ledger, seen("v1", 12, 13, 100), 0))


def test_a_version_that_came_back_is_no_old_one(ledger: Ledger) -> None:
    ledger.record(1, Put(0, 100, "a", 30 * S, 31 * S))
    assert judge(ledger, seen("v0", 40, 41), 0) is None
    assert judge(ledger, seen("v0", 25, 26), 0) is not None
