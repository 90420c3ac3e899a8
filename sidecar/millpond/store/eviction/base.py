"""What an eviction policy is, and who guarantees what.

A policy orders entries for eviction. It knows them as *slots* (small integers) with sizes in
bytes, and as 64-bit fingerprints where it remembers evicted ones. It does no I/O and has no clock.

The caller guarantees:
- calls are serialised (one lock around index and policy);
- a slot is inserted once before any other call names it, and not named again after ``remove`` or
  after ``victim`` returned it, until it is inserted anew;
- ``sizes[slot]`` changes, while the slot is inserted, only together with one ``resized`` call;
- one key always has the same fingerprint; different keys nearly always different ones;
- ``capacity_bytes`` is what the inserted entries may take together, set before ``victim``;
- ``blocked(slot)`` is pure for the time of one ``victim`` call.

The policy must:
- return from ``victim`` an inserted slot that is not blocked, and forget it; -1 when every inserted
  slot is blocked or none is inserted, never otherwise;
- take amortised constant time a call where nothing is blocked;
- keep its state in packed arrays (≤ 32 bytes a slot, all in) and give it whole to ``dump``;
- after ``load`` of a dump behave exactly as the dumped one would.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable

    State = tuple[dict[str, int], dict[str, array[int]]]


class EvictionPolicy(ABC):
    """The order of eviction of one set of entries; see the module for both sides' duties."""

    name: ClassVar[str]

    def __init__(self, sizes: array[int], capacity_bytes: int = 0) -> None:
        self.sizes = sizes
        self.capacity_bytes = capacity_bytes

    @abstractmethod
    def insert(self, slot: int, fingerprint: int) -> None:
        """A new entry."""

    @abstractmethod
    def touch(self, slot: int, reads: int = 1) -> None:
        """The entry was read; reports come late and may be lost."""

    @abstractmethod
    def resized(self, slot: int, delta: int) -> None:
        """``sizes[slot]`` has just grown by ``delta`` (may be negative)."""

    @abstractmethod
    def remove(self, slot: int) -> None:
        """The entry went away without being evicted: nothing of it is remembered."""

    @abstractmethod
    def victim(self, blocked: Callable[[int], bool], fingerprint: Callable[[int], int]) -> int:
        """Choose, forget and return the next entry to evict, or -1."""

    @abstractmethod
    def dump(self) -> State:
        """The state: numbers and arrays by name. Live objects: copy before the next call."""

    @abstractmethod
    def load(self, state: State) -> None:
        """Become what was dumped, over equal ``sizes``."""
