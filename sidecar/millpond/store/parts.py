"""Whose blocks go first, where mounts have quotas and reserves. Pure: no I/O, no clock.

A *part* is what one mount has set apart, or all that none has (""). A part over its quota pays
first. Then each pays in proportion to what it has beyond its reserve, so that none pays for its
place in a list. Within its reserve a part pays only where the cache itself has to shrink.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Limits:
    """What a mount may have, what it is sure of, and how long it keeps it; 0 is no such limit."""

    quota_bytes: int = 0
    reserve_bytes: int = 0
    ttl_s: int = 0


NO_LIMITS = Limits()


class Use(NamedTuple):
    """One part and what it has."""

    name: str
    used_bytes: int
    limits: Limits

    @property
    def over_quota(self) -> int:
        return self.used_bytes - self.limits.quota_bytes if self.limits.quota_bytes else 0


class Turns:
    """Takes turns among parts, by smooth weighted round robin."""

    def __init__(self) -> None:
        self._credit: dict[str, float] = {}

    def next(self, uses: Sequence[Use], *, shrink: bool) -> str | None:
        """The part to evict from; None: none may pay. ``shrink``: reserves don't count now."""
        over = [u for u in uses if u.over_quota > 0]
        if over:
            return max(over, key=lambda u: u.over_quota).name
        beyond = {u.name: u.used_bytes - u.limits.reserve_bytes for u in uses}
        weights = {name: size for name, size in beyond.items() if size > 0}
        if not weights and shrink:
            weights = {u.name: u.used_bytes for u in uses if u.used_bytes > 0}
        if len(weights) < 2:
            return next(iter(weights), None)
        total = sum(weights.values())
        credit = {name: self._credit.get(name, 0.0) + w / total for name, w in weights.items()}
        chosen = max(credit, key=credit.__getitem__)
        credit[chosen] -= 1.0
        self._credit = credit
        return chosen
