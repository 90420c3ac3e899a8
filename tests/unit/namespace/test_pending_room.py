"""Writers are held up before pending data fills its share, and refused when it has."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from millpond.errors import NoSpace
from millpond.namespace.pending import room as module
from millpond.namespace.pending.room import Room


@pytest.fixture
def met() -> list[str]:
    return []


def room(met: list[str], wait_s: float = 0.05) -> Room:
    made = Room(lambda: 100, wait_s=wait_s)
    made.tell = met.append
    return made


def test_there_is_room(met: list[str]) -> None:
    one = room(met)
    one.take(80)
    one.give_back(30)
    one.take(30)
    assert (one.bytes, met) == (80, [])


def test_too_much_is_refused_and_not_counted(met: list[str]) -> None:
    one = room(met)
    one.add(90)
    with pytest.raises(NoSpace, match="pending_share"):
        one.take(11)
    assert (one.bytes, met) == (90, ["slowed", "refused"])


def test_who_waits_gets_the_room_that_comes(met: list[str]) -> None:
    one = room(met, wait_s=30)
    one.add(95)
    writer = threading.Thread(target=one.take, args=(50,))
    writer.start()
    while not met:
        time.sleep(0.001)
    assert writer.is_alive()
    one.give_back(50)
    writer.join(10)
    assert (one.bytes, met) == (95, ["slowed"])


def test_the_log_says_it_once(
    met: list[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLOW_S", 0.0)
    one = room(met)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            one.take(30)
        assert len(caplog.records) == 1
        one.give_back(60)
        one.take(1)
        one.take(60)
    assert len(caplog.records) == 2
    assert "persist ls" in caplog.text
