"""Who may connect, which protocol is spoken, and how much one may have in hand."""

import pytest

from millpond.errors import Overloaded, ProtocolMismatch, Unauthenticated
from millpond.server.core.session import Budget, Peer, Session
from millpond.wire.frames import PROTOCOL_MAX

TOKEN = b"0" * 64


def session(peer: Peer = Peer(), limit: int = 4, total: int = 6) -> Session:  # noqa: B008
    return Session(peer, Budget(total), limit)


@pytest.mark.parametrize(
    ("peer", "allowed"),
    [
        (Peer(0), True),
        (Peer(1000), True),
        (Peer(7, frozenset({50})), True),
        (Peer(7, frozenset({51})), False),
        (Peer(None), False),
    ],
)
def test_root_own_user_and_group_may_connect(peer: Peer, allowed: bool) -> None:
    assert peer.may_connect(own_uid=1000, cache_gid=50) is allowed


@pytest.mark.parametrize("token", [b"", b"1" * 64, TOKEN[:-1], TOKEN + b"0"])
def test_tcp_needs_the_token(token: bytes) -> None:
    s = session()
    with pytest.raises(Unauthenticated, match="token"):
        s.greet(1, 1, token, TOKEN)
    assert not s.ready


def test_the_unix_socket_needs_none_but_refuses_a_wrong_one() -> None:
    assert session(Peer(5)).greet(1, 1, b"", TOKEN) == 1
    assert session(Peer(5)).greet(1, 1, TOKEN, TOKEN) == 1
    with pytest.raises(Unauthenticated, match="wrong"):
        session(Peer(5)).greet(1, 1, b"x", TOKEN)


@pytest.mark.parametrize(("low", "high", "older"), [(0, 0, "client"), (9, 12, "sidecar")])
def test_a_mismatch_names_both_ranges_and_who_is_to_upgrade(
    low: int, high: int, older: str
) -> None:
    with pytest.raises(ProtocolMismatch, match=rf"{low} to {high}.*1 to 1.*Upgrade the {older}"):
        session().greet(low, high, TOKEN, TOKEN)


def test_the_highest_common_protocol_is_spoken() -> None:
    assert session().greet(1, 99, TOKEN, TOKEN) == PROTOCOL_MAX


def test_requests_are_bounded_per_connection_and_in_all() -> None:
    budget = Budget(6)
    one, two = Session(Peer(), budget, 4), Session(Peer(), budget, 4)
    for i in range(4):
        one.admit(i)
    with pytest.raises(Overloaded, match="this connection"):
        one.admit(4)
    two.admit(0)
    two.admit(1)
    with pytest.raises(Overloaded, match="over all"):
        two.admit(2)
    one.answered(0)
    one.answered(0)
    two.admit(2)
    one.close()
    assert budget.in_hand == 3


def test_a_number_in_hand_is_not_taken_twice() -> None:
    s = session()
    s.admit(7)
    with pytest.raises(Overloaded, match="request 7"):
        s.admit(7)
    s.answered(7)
    s.admit(7)
