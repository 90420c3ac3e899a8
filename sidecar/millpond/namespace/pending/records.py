"""What the journal holds: batches, their entries, and aliases. Pure values.

An *entry* is one change of one key of a store: a file to put there, or a removal. Entries of one
key are ordered by ``seq``; the last one is what is seen. It goes through these states::

    staged → dirty → uploading → completing → clean          a removal: dirty → completing → clean
                         └──────────┴──→ dirty (again), conflict

A file of write type ``cache`` is ``kept`` instead of dirty: no store gets it, and it leaves when it
expires, or is replaced or deleted. A removal that is kept hides what the store has that long.

``staged`` is invisible: its batch is open. From ``dirty`` on it is acknowledged and is not lost.
``completing`` is the only state in which the store may or may not have the change. A *conflict* is
kept, goes on being seen, and waits for a person: the store had something else than what was to be
replaced.

What an entry is to replace (``expect``, as ``UnderStore.put`` has it) is a version as it is *seen*:
that of an earlier entry (``born:…``) means what this entry makes of the store, and becomes that
when it is settled. ``strict``: also what was written here meanwhile is a conflict, at the commit;
else the entry replaces that.

An *alias* says that a version of a store is a file born here: it keeps the version under which it
was seen before, so that plans and blocks stay right.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from millpond.errors import Conflict
from millpond.model.paths import BORN, file_id, path_hash
from millpond.model.records import is_born
from millpond.store.content import IDENT_BYTES
from millpond.under.base import ABSENT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from millpond.namespace.pending.areas import Name


class Op(StrEnum):
    """What an entry does to its key."""

    PUT = "put"
    DELETE = "delete"


class State(StrEnum):
    """How far an entry is."""

    STAGED = "staged"
    DIRTY = "dirty"
    KEPT = "kept"
    UPLOADING = "uploading"
    COMPLETING = "completing"
    CLEAN = "clean"
    CONFLICT = "conflict"


class BatchState(StrEnum):
    """``ABORTED`` also of a batch that was dropped because nobody called for it any more."""

    OPEN = "open"
    COMMITTED = "committed"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class Entry:
    """One change of one key. ``seq`` 0: the journal has not numbered it yet.

    ``place`` names the store, ``<store id>/<root>``: mounts that share it see the same entries.
    ``mount`` is the path of the mount by whose credentials it is persisted.
    """

    batch: str
    mount: str
    place: str
    key: str
    op: Op
    version: str = ""
    length: int = 0
    mtime_ms: int = 0
    expect: str | None = None
    strict: bool = True
    state: State = State.STAGED
    attempt: str = ""
    detail: str = ""
    seq: int = 0

    @property
    def store_path(self) -> str:
        return f"{self.place}/{self.key}"

    @property
    def file_id(self) -> bytes:
        """Under which its blocks lie."""
        return file_id(self.store_path, self.version)

    @property
    def meta_ident(self) -> bytes:
        """What its meta is kept by."""
        return path_hash(self.store_path)[:IDENT_BYTES]


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries that become visible together.

    ``detail``: why it ended. ``attempts``: whose files its commit took; None: of all. ``files``,
    ``length``: what was committed.
    """

    id: str
    mount: str
    write_type: str
    name: str = ""
    created_ms: int = 0
    state: BatchState = BatchState.OPEN
    detail: str = ""
    attempts: tuple[str, ...] | None = None
    files: int = 0
    length: int = 0


@dataclass(frozen=True, slots=True)
class Alias:
    """The store calls this content of a key ``store_version``; here it is known as ``version``."""

    place: str
    key: str
    store_version: str
    version: str
    length: int
    mtime_ms: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a journal holds at a start: entries and aliases in their order, names of areas."""

    batches: list[Batch]
    entries: list[Entry]
    aliases: list[Alias]
    names: list[Name]


def born() -> str:
    """A new version."""
    return BORN + secrets.token_hex(16)


def new_id() -> str:
    """A new batch's id."""
    return secrets.token_hex(16)


def chosen(entries: Iterable[Entry], attempts: Collection[str] | None) -> list[Entry]:
    """Which staged files a commit takes: the last of each key, of the attempts named."""
    last: dict[tuple[str, str], Entry] = {}
    for entry in sorted(entries, key=lambda e: e.seq):
        if entry.op is Op.PUT and (attempts is None or entry.attempt in attempts):
            last[entry.place, entry.key] = entry
    return sorted(last.values(), key=lambda e: e.seq)


def joined(puts: Iterable[Entry], removals: Iterable[Entry]) -> list[Entry]:
    """A commit's entries: removals of what is put too are no removals, but what is replaced."""
    gone = {(e.place, e.key): e for e in removals}
    made = []
    for put in puts:
        removed = gone.pop((put.place, put.key), None)
        if removed is not None:
            put = replace(put, expect=removed.expect, strict=removed.strict)
        made.append(put)
    return [*made, *gone.values()]


def rebased(entry: Entry, seen: Entry | None, alias: Alias | None) -> Entry:
    """The entry as it is recorded after ``seen``, the last one of its key that is pending, or after
    ``alias``, what was persisted there last.

    Raises Conflict where that is not what a strict entry is to replace; and where it is to replace
    a file born here that is known no more: no store could tell whether it has that still.
    """
    if seen is not None:
        now = seen.version if seen.op is Op.PUT else ABSENT
    elif alias is not None:
        now = alias.version
    elif entry.expect is None or not is_born(entry.expect):
        return entry
    else:
        raise _changed(entry)
    if entry.strict and entry.expect not in (None, now):
        raise _changed(entry)
    return replace(entry, expect=now)


def _changed(entry: Entry) -> Conflict:
    return Conflict(
        f"{entry.key} is not what was to be replaced",
        cause="it was written or deleted by another meanwhile",
        remedy="Look at it, and write again",
    )
