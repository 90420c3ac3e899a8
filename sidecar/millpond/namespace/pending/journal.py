"""What is kept of pending data, durably: the interface that each keeper implements.

Whatever a method returned from outlives this process, and is on disk (or with a quorum), but for
what only concerns open batches (``begin``, ``stage``, ``unstage``, ``abort``) or staging areas
(``record`` of names alone): that is with the next step that is. When the machine starts anew, the
open batches of its last life are aborted, and its staging areas are gone.
Each method is one step: all of it or nothing, also to who reads meanwhile. Changes of an entry's
state are compare-and-set, so of two who try the same one wins, and learns that. All methods block
and may be called from any thread; they raise ``millpond.errors`` only: NoSpace and CacheDirUnusable
beside those named.

``tests/contract/test_journal.py`` holds what each implementation has to pass.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from millpond.namespace.pending.areas import NO_CHANGES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from millpond.namespace.pending.areas import Changes
    from millpond.namespace.pending.records import Alias, Batch, Entry, Loaded, State


class Journal(ABC):
    """Batches, entries and aliases; see ``records``."""

    @abstractmethod
    def load(self) -> Loaded:
        """All of it."""

    @abstractmethod
    def begin(self, batch: Batch) -> None:
        """An open batch. Raises Conflict where there is one of that id."""

    @abstractmethod
    def batch(self, batch: str) -> Batch | None:
        """What is known of a batch; of those that ended long ago, nothing."""

    @abstractmethod
    def batches(self) -> list[Batch]:
        """All that are known, the oldest first."""

    @abstractmethod
    def entries(self, batch: str) -> list[Entry]:
        """What is staged in a batch, or left to persist of it."""

    @abstractmethod
    def stage(self, batch: str, entries: Iterable[Entry]) -> list[Entry]:
        """Files for an open batch, and removals that are remembered; numbered.

        Raises BatchEnded where it is not open.
        """

    @abstractmethod
    def unstage(self, batch: str, seqs: Collection[int]) -> list[Entry]:
        """Take staged files out of an open batch; those that were in it. Raises BatchEnded."""

    @abstractmethod
    def commit(
        self, batch: str, attempts: Collection[str] | None, removals: Iterable[Entry] = ()
    ) -> list[Entry]:
        """Open → committed: files staged by these attempts (None: by all), the last of each key,
        and ``removals`` become dirty, numbered anew in the order of commits; the rest vanishes,
        and so do removals that were staged. Of a batch of write type ``cache`` they are kept.

        The same commit again answers what is left to persist of it, and changes nothing. Raises
        BatchEnded where the batch is unknown or aborted; Conflict where it was committed with
        other attempts, or where an entry's key is not what it was to replace: then it stays open.
        """

    @abstractmethod
    def abort(self, batch: str, detail: str = "") -> list[Entry]:
        """Open → aborted; what was staged, and is not any more. None for a batch that is unknown
        or aborted already. Raises Conflict where it is committed."""

    @abstractmethod
    def record(self, entries: Iterable[Entry], names: Changes = NO_CHANGES) -> list[Entry]:
        """Begin, stage and commit in one step, of a batch that nobody asks for; and with it change
        names in staging areas. What is kept already stays so. Raises Conflict: then nothing is
        changed."""

    @abstractmethod
    def advance(self, seq: int, old: State, new: State, detail: str = "") -> bool:
        """One entry from one state to another, none of them ``clean``; whether it was in ``old``
        and now is in ``new``."""

    @abstractmethod
    def settle(
        self, seq: int, old: State, made: str | None, alias: Alias | None = None, *,
        changed: bool = True,
    ) -> bool:  # fmt: skip
        """An entry that was in ``old`` is done with, and leaves; whether it was.

        Entries that were to replace it are to replace ``made``, and those that are staged and not
        strict what is seen now. ``alias`` stands from then on, instead of any other of its key; of
        a key that was changed without one, none. Not ``changed``: the store is as it was.
        """

    @abstractmethod
    def forgo(self, seqs: Collection[int]) -> list[Entry]:
        """Entries that are kept leave, all in one step; those that were. What was to replace one
        is to replace what that was to replace."""

    @abstractmethod
    def move(self, keys: Mapping[int, str]) -> list[Entry]:
        """Entries that are kept get other keys of their stores; as they were. Raises Conflict
        where something is pending at one."""

    @abstractmethod
    def overwrite(self, seq: int) -> bool:
        """conflict → dirty, to replace whatever is there; whether it was one."""

    @abstractmethod
    def drop_aliases(self, aliases: Iterable[Alias]) -> None:
        """Exactly these are forgotten: not one that took the place of another."""
