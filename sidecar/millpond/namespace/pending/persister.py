"""What to do next about pending entries. Pure: no I/O, no clock.

The entries of a key are persisted in the order of their commits. One after which another of its key
was committed need not be persisted any more: it is skipped, and its successor is to replace what it
was to replace. Within a batch, names that begin with ``_`` come after all others (a reader of the
store takes ``_SUCCESS`` for the whole), files under such a directory before these, and removals
last. An entry in conflict holds up what has to come after it. What is kept is never persisted, and
only leaves for what was committed after it; what was before it is persisted as if it were not.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from millpond.namespace.pending.records import Entry, Op, State

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

FIRST_DELAY_S, MAX_DELAY_S = 0.25, 60.0


class Do(StrEnum):
    """What is done about an entry."""

    UPLOAD = "upload"
    DELETE = "delete"
    SKIP = "skip"
    FIND_OUT = "find_out"
    """Whether the store obeyed, when the answer was lost or this process ended before it."""


class Step(NamedTuple):
    seq: int
    do: Do


def delay_s(failures: int) -> float:
    """How long after so many failures in a row it is tried again."""
    return min(MAX_DELAY_S, FIRST_DELAY_S * 2.0 ** (failures - 1))


def level(entry: Entry) -> int:
    """Entries of a batch wait for those of lower levels."""
    if entry.op is Op.DELETE:
        return 3
    *above, name = entry.key.split("/")
    return 2 if name.startswith("_") else int(any(part.startswith("_") for part in above))


def plan(
    entries: Sequence[Entry],
    active: Collection[int],
    not_before: Mapping[int, float],
    places: Mapping[str, float],
    now: float,
) -> tuple[list[Step], float | None]:
    """What may be done at once, in order; and when to look again, where something waits for that.

    ``entries``: all, in the order of commits. ``active``: what is being done. ``not_before``,
    ``places``: until when entries, and all entries of a store, are left alone.
    """
    first: dict[tuple[str, str], int] = {}
    last: dict[tuple[str, str], int] = {}
    left: Counter[tuple[str, int]] = Counter()
    for entry in entries:
        at = (entry.place, entry.key)
        first.setdefault(at, entry.seq)
        if entry.state is not State.KEPT or at not in last:
            last[at] = entry.seq
        left[entry.batch, level(entry)] += 1
    steps, again = [], None
    for entry in entries:
        at = (entry.place, entry.key)
        if entry.seq in active or first[at] != entry.seq:
            continue
        do = _what(entry, last[at] == entry.seq, left)
        if do is None:
            continue
        until = max(not_before.get(entry.seq, now), places.get(entry.place, now))
        if do is Do.SKIP or until <= now:
            steps.append(Step(entry.seq, do))
        else:
            again = until if again is None else min(again, until)
    return steps, again


def _what(entry: Entry, is_last: bool, left: Counter[tuple[str, int]]) -> Do | None:
    if entry.state is State.COMPLETING:
        return Do.FIND_OUT
    if not is_last:
        return Do.SKIP
    if entry.state in (State.CONFLICT, State.KEPT):
        return None
    if any(left[entry.batch, below] for below in range(level(entry))):
        return None
    return Do.UPLOAD if entry.op is Op.PUT else Do.DELETE
