"""Aliases in memory: which versions of a store are files born here."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from millpond.namespace.pending.records import Alias
    from millpond.under.base import ObjectStat

AT_MOST = 100_000


class Aliases:
    """One of each key at most. Thread-safe; memory only."""

    def __init__(self, aliases: Iterable[Alias] = (), at_most: int = AT_MOST) -> None:
        self._at_most = at_most
        self._lock = threading.Lock()
        self._last = 0
        self._known: dict[tuple[str, str], tuple[Alias, int]] = {}
        for alias in aliases:
            self.add(alias)

    def mark(self) -> int:
        """A moment: what a store answered to a request begun then is no evidence against aliases
        that came later."""
        return self._last

    def get(self, place: str, key: str) -> Alias | None:
        found = self._known.get((place, key))
        return found[0] if found is not None else None

    def add(self, alias: Alias) -> list[Alias]:
        """It stands from now on; those that had to go for it."""
        with self._lock:
            self._last += 1
            self._known.pop((alias.place, alias.key), None)
            self._known[alias.place, alias.key] = (alias, self._last)
            excess = list(self._known)[: max(0, len(self._known) - self._at_most)]
            return [self._known.pop(each)[0] for each in excess]

    def forget(self, place: str, key: str) -> Alias | None:
        """What is not known any more."""
        with self._lock:
            return self._known.pop((place, key), (None, 0))[0]

    def forget_below(self, place: str, key: str) -> list[Alias]:
        """The same, at a key and below it."""
        with self._lock:
            below = [
                at for at in self._known
                if at[0] == place and (at[1] == key or at[1].startswith(f"{key}/"))
            ]  # fmt: skip
            return [self._known.pop(at)[0] for at in below]

    def seen_as(self, place: str, entry: ObjectStat) -> tuple[ObjectStat, bool]:
        """What a store's entry is known as here; and whether it proves an alias wrong."""
        alias = None if entry.is_dir else self.get(place, entry.key)
        if alias is None:
            return entry, False
        if entry.version == alias.store_version:
            mtime_ms, version = alias.mtime_ms, alias.version
            return replace(entry, mtime_ms=mtime_ms, version=version, weak=False), False
        return entry, True

    def disproved(self, place: str, key: str, mark: int) -> Alias | None:
        """The store has something else at a key, or nothing: the alias that is forgotten."""
        with self._lock:
            alias, added = self._known.get((place, key), (None, 0))
            if alias is None or added > mark:
                return None
            del self._known[place, key]
            return alias
