"""Which batches are open, what lies in their staging, and what a commit removes. No I/O.

Staging is a tree that exists in here alone: ``<directory>/.millpond-<batch>/<attempt>/…``. A file
in it is an entry of the batch's; what an open batch is to remove lies in it too, under an attempt
of its own that no path can name.
"""

from __future__ import annotations

import posixpath
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from millpond.errors import BatchEnded, Conflict, InvalidPath, IsADirectory, PathNotFound
from millpond.namespace.pending.records import Entry, Op, chosen

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from millpond.model.paths import Staged
    from millpond.namespace.pending.records import Batch

REMOVALS = "/"
"""The attempt of what a commit is to remove."""
REMEMBERED = 1000
"""So many batches that are over have their mounts still known."""
FEW_LISTINGS = 8
"""So many directories are listed one by one; of more, all that is below what they share."""
_ATTEMPT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.=-]{0,199}")


@dataclass(slots=True)
class OpenBatch:
    """``staged``: by number; of one key the last counts. ``used_s``: when last called for."""

    batch: Batch
    used_s: float
    staged: dict[int, Entry] = field(default_factory=dict)
    calls: int = 0
    ending: bool = False

    def files(self, attempts: Collection[str] | None) -> list[Entry]:
        """The files of these attempts, of all where None."""
        return [
            e
            for e in self.staged.values()
            if e.op is Op.PUT and (attempts is None or e.attempt in attempts)
        ]

    def removals(self) -> list[Entry]:
        return [e for e in self.staged.values() if e.op is Op.DELETE]


class OpenBatches:
    """The open batches of this sidecar. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._open: dict[str, OpenBatch] = {}
        self._mounts: dict[str, str] = {}

    def mount_of(self, ident: str) -> str:
        """The mount of a batch that is open, or ended not long ago; else ""."""
        return self._mounts.get(ident, "")

    def add(self, batch: Batch, staged: Iterable[Entry], now_s: float) -> None:
        with self._lock:
            self._open[batch.id] = OpenBatch(batch, now_s, {e.seq: e for e in staged})
            self._mounts[batch.id] = batch.mount
            for ident in [i for i in self._mounts if i not in self._open][:-REMEMBERED]:
                del self._mounts[ident]

    @contextmanager
    def use(self, ident: str, now_s: float) -> Iterator[OpenBatch]:
        """A call for a batch: until it is over the batch does not end. Raises BatchEnded."""
        with self._lock:
            found = self._open.get(ident)
            if found is None or found.ending:
                raise ended(ident)
            found.calls += 1
            found.used_s = now_s
        try:
            yield found
        finally:
            with self._lock:
                found.calls -= 1
                self._lock.notify_all()

    @contextmanager
    def end(self, ident: str) -> Iterator[OpenBatch | None]:
        """The one who ends a batch, when no other call for it is under way; None: it is not open.

        It is open as before where this raises.
        """
        with self._lock:
            self._lock.wait_for(lambda: not self._ending(ident))
            found = self._open.get(ident)
            if found is not None:
                found.ending = True
                self._lock.wait_for(lambda: not found.calls)
        try:
            yield found
        except BaseException:
            with self._lock:
                if found is not None:
                    found.ending = False
                self._lock.notify_all()
            raise
        with self._lock:
            self._open.pop(ident, None)
            self._lock.notify_all()

    def staged(self, ident: str, entries: Iterable[Entry]) -> None:
        with self._lock:
            self._open[ident].staged.update((e.seq, e) for e in entries)

    def unstaged(self, ident: str, entries: Iterable[Entry]) -> None:
        with self._lock:
            for entry in entries:
                self._open[ident].staged.pop(entry.seq, None)

    def _ending(self, ident: str) -> bool:
        found = self._open.get(ident)
        return found is not None and found.ending

    def idle(self, before_s: float) -> list[str]:
        """Those that nobody has called for since."""
        with self._lock:
            return [
                ident
                for ident, o in self._open.items()
                if o.used_s < before_s and not o.calls and not o.ending
            ]


def ended(ident: str) -> BatchEnded:
    return BatchEnded(
        f"batch {ident} is not open",
        cause="it was committed, aborted, or nobody called for it for too long",
        remedy="Begin another, and write its files again",
    )


def check_file(at: Staged, path: str) -> None:
    """Whether a staging path can be a file's. Raises InvalidPath, IsADirectory."""
    if not at.relative:
        raise IsADirectory(f"{path} is a directory", remedy="Name a file below its attempt")
    if not _ATTEMPT.fullmatch(at.attempt):
        raise InvalidPath(
            f"{path} names the attempt {at.attempt!r}",
            cause="allowed: at most 200 letters, digits and _ . = -",
        )


def at(found: OpenBatch, place: str, key: Staged) -> Entry | None:
    """The file at a staging key; None for a directory. Raises PathNotFound."""
    named = key.key
    files = [e for e in found.files([key.attempt]) if e.place == place]
    if key.relative:
        for entry in reversed(files):
            if entry.key == named:
                return entry
    if not key.attempt or any(e.key.startswith(named + "/") for e in files):
        return None
    raise PathNotFound(f"nothing is staged at {named}", cause=f"by attempt {key.attempt}")


def below(found: OpenBatch, place: str, key: Staged) -> list[Entry]:
    """The files at and below a staging key; the directory of an attempt stands for all of it."""
    if not key.relative:
        return found.files([key.attempt] if key.attempt else None)
    named = key.key
    return [
        e
        for e in found.files([key.attempt])
        if e.place == place and (e.key == named or e.key.startswith(named + "/"))
    ]


def left_out(found: OpenBatch, attempts: Collection[str] | None) -> list[Entry]:
    """Files that a commit with these attempts drops."""
    taken = {e.seq for e in chosen(found.staged.values(), attempts)}
    return [e for e in found.files(None) if e.seq not in taken]


def replaced(entries: Iterable[Entry]) -> list[tuple[str, str]]:
    """(mount, key) of the directories that a dynamic overwrite replaces.

    Not of those that have markers alone, such as ``_SUCCESS``.
    """
    marker = ("_", ".")
    named = ((e.mount, *_split(e.key)) for e in entries)
    return sorted({(mount, above) for mount, above, name in named if not name.startswith(marker)})


def listings(entries: Iterable[Entry]) -> list[tuple[str, str, bool]]:
    """(mount, key, recursive) of the listings that show all of these keys: few."""
    above: dict[str, set[str]] = {}
    for entry in entries:
        above.setdefault(entry.mount, set()).add(_split(entry.key)[0])
    found = []
    for mount, keys in sorted(above.items()):
        if len(keys) <= FEW_LISTINGS:
            found += [(mount, key, False) for key in sorted(keys)]
        else:
            found.append((mount, posixpath.commonpath(keys), True))
    return found


def _split(key: str) -> tuple[str, str]:
    """The directory above a key, and its name."""
    above, _, name = key.rpartition("/")
    return above, name


def check_unchanged(remembered: Iterable[Entry], now: Mapping[tuple[str, str], str]) -> None:
    """Raises Conflict where what is to be removed is not what it was. ``now``: versions there."""
    changed = [e for e in remembered if now.get((e.place, e.key)) != e.expect]
    if changed:
        first = changed[0]
        gone = (first.place, first.key) not in now
        raise Conflict(
            f"{len(changed)} of the files to be replaced are not what they were",
            cause=f"the first is {first.key}, which was {'deleted' if gone else 'replaced'}",
            remedy="Another has written there meanwhile: read it again, and run the job again",
        )
