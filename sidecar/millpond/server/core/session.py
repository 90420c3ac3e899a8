"""One connection of the local protocol: who it is, and what it may have in hand."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from millpond.errors import Overloaded, ProtocolMismatch, Unauthenticated
from millpond.wire.frames import PROTOCOL_MAX, PROTOCOL_MIN

if TYPE_CHECKING:
    from millpond.server.core.visitors import Visitor


@dataclass(frozen=True, slots=True)
class Peer:
    """What the kernel says of the other end. ``uid`` and ``pid`` are None where it can't say.

    ``name`` is what a writer secret proved.
    """

    uid: int | None = None
    gids: frozenset[int] = frozenset()
    pid: int | None = None
    name: str | None = None

    def may_connect(self, own_uid: int, cache_gid: int) -> bool:
        """Root, the sidecar's own user, and members of the cache directory's group may."""
        return self.uid is not None and (self.uid in (0, own_uid) or cache_gid in self.gids)


class Budget:
    """Requests in hand over all connections."""

    __slots__ = ("in_hand", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_hand = 0


class Session:
    """The state of one connection: not greeted, then ready; and its requests in hand."""

    __slots__ = ("_budget", "_limit", "in_hand", "peer", "protocol", "visitor")

    def __init__(self, peer: Peer, budget: Budget, limit: int) -> None:
        self.peer = peer
        self.protocol = 0
        self.visitor: Visitor | None = None
        self.in_hand: set[int] = set()
        self._budget = budget
        self._limit = limit

    @property
    def ready(self) -> bool:
        return self.protocol > 0

    def greet(self, protocol_min: int, protocol_max: int, token: bytes, expected: bytes) -> int:
        """Take the client's Hello; the protocol agreed on.

        Over a Unix socket the kernel has vouched for the peer, and a token is not asked for; a
        wrong one is refused all the same. Raises Unauthenticated, ProtocolMismatch.
        """
        vouched = self.peer.uid is not None and not token
        if not vouched and not hmac.compare_digest(token, expected):
            raise Unauthenticated(
                "the token is " + ("wrong" if token else "missing"),
                cause="over TCP, Hello carries the token of the cache directory",
                remedy="Read the file 'token' in the cache directory of this sidecar",
            )
        agreed = min(protocol_max, PROTOCOL_MAX)
        if agreed < max(protocol_min, PROTOCOL_MIN):
            older = "sidecar" if protocol_min > PROTOCOL_MAX else "client"
            raise ProtocolMismatch(
                "client and sidecar share no protocol",
                cause=f"the client speaks {protocol_min} to {protocol_max}, the sidecar "
                f"{PROTOCOL_MIN} to {PROTOCOL_MAX}",
                remedy=f"Upgrade the {older}",
            )
        self.protocol = agreed
        return agreed

    def prove(self, name: str | None) -> None:
        """The peer has shown the secret of a writer. Raises Unauthenticated where it is none."""
        if name is None:
            raise Unauthenticated(
                "the writer secret is wrong",
                cause="it proves no name to this sidecar",
                remedy="Make it anew with `millpond writer-secret NAME` (fs.cache.secret.file)",
            )
        self.peer = replace(self.peer, name=name)

    def admit(self, request: int) -> None:
        """Take a request in hand. Raises Overloaded; a number already in hand is refused too."""
        if request in self.in_hand:
            raise Overloaded(
                f"request {request} is still in hand",
                cause="its number was used again before it was answered",
                remedy="Number requests of a connection without repeats",
            )
        if len(self.in_hand) >= self._limit:
            raise Overloaded(
                "too many requests in hand on this connection",
                cause=f"limit {self._limit}",
                remedy="Wait for replies, or raise max_requests_per_connection",
            )
        if self._budget.in_hand >= self._budget.limit:
            raise Overloaded(
                "too many requests in hand",
                cause=f"limit {self._budget.limit} over all connections",
                remedy="Try again, or raise max_requests",
            )
        self.in_hand.add(request)
        self._budget.in_hand += 1

    def answered(self, request: int) -> None:
        """A request is out of hand."""
        if request in self.in_hand:
            self.in_hand.remove(request)
            self._budget.in_hand -= 1

    def close(self) -> None:
        """The connection is gone, and its requests with it."""
        self._budget.in_hand -= len(self.in_hand)
        self.in_hand.clear()
