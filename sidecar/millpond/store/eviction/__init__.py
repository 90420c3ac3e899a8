"""Eviction policies, one per file, chosen by name."""

from __future__ import annotations

from millpond.errors import InvalidSetting
from millpond.store.eviction.base import EvictionPolicy
from millpond.store.eviction.lru import Lru
from millpond.store.eviction.s3fifo import S3Fifo

POLICIES: dict[str, type[EvictionPolicy]] = {policy.name: policy for policy in (Lru, S3Fifo)}

__all__ = ["POLICIES", "EvictionPolicy", "policy_named"]


def policy_named(name: str) -> type[EvictionPolicy]:
    """The policy class; InvalidSetting names the known ones."""
    try:
        return POLICIES[name]
    except KeyError:
        raise InvalidSetting(
            f"there is no eviction policy {name!r}", remedy=f"Known: {', '.join(sorted(POLICIES))}"
        ) from None
