"""A change of a key takes turns with its readers, and with nobody else's."""

from __future__ import annotations

import threading

import pytest

from millpond.testing.atomic import Turns

WAIT_S = 20.0


@pytest.mark.parametrize(
    ("held", "asked", "together"),
    [
        (("GET", "/b/k"), ("GET", "/b/k"), True),
        (("GET", "/b/k"), ("HEAD", "/b/k?x=1"), True),
        (("GET", "/b/k"), ("PUT", "/b/other"), True),
        (("GET", "/b/k"), ("PUT", "/b/k"), False),
        (("HEAD", "/b/a%20b"), ("DELETE", "/b/a b"), False),
        (("PUT", "/b/k"), ("GET", "/b/k"), False),
        (("PUT", "/b/k"), ("PUT", "/b/other"), False),
        (("PUT", "/b/k"), ("LIST", "/b?list-type=2"), False),
        (("LIST", "/b?list-type=2"), ("DELETE", "/b/k"), False),
        (("LIST", "/b?list-type=2"), ("GET", "/b/k"), True),
    ],
)
def test_who_waits_for_whom(held: tuple[str, str], asked: tuple[str, str], together: bool) -> None:
    turns, has_it = Turns(), threading.Event()

    def ask() -> None:
        with turns.take(*asked):
            has_it.set()

    thread = threading.Thread(target=ask)
    with turns.take(*held):
        thread.start()
        assert has_it.wait(WAIT_S if together else 0.05) == together
    assert has_it.wait(WAIT_S)
    thread.join()
