"""Which writes are open and whose they are, and what may be written, renamed, deleted. No I/O.

A write belongs to the connection that began it, and is committed once or never: from ``commit``,
``abort`` or ``vanished`` on nobody finds it any more, so a stream that lost its session can't be
committed.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from millpond.errors import (
    AcrossMounts,
    AlreadyExists,
    InvalidPath,
    InvalidRequest,
    IsADirectory,
    MountConflict,
    MountReadOnly,
    NotADirectory,
    NotSupported,
    SessionLost,
)
from millpond.model.paths import join, staged
from millpond.namespace.options import THROUGH, check_write_type
from millpond.under.base import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from millpond.namespace.mounts import Mount, MountTable
    from millpond.namespace.pending.begun import Begun
    from millpond.store.staging import StagedFile
    from millpond.wire.millpond_pb2 import FileInfo

HELD = "held"
"""The write type of a file in a staging area: nobody can ask for it."""
MAX_FILES_AT_ONCE = 16
MAX_WRITES = 4096
"""Open at once on one connection."""
Files = list["StagedFile"]


@dataclass(slots=True)
class Write:
    """One file on its way. ``expect``: what it is to replace, as ``UnderStore.put`` has it, where
    ``begun`` does not say it; with ``strict`` also what is written here meanwhile is a conflict."""

    number: int
    path: str
    expect: str | None
    file_id: bytes
    write_type: str = THROUGH
    strict: bool = True
    begun: Begun | None = None
    files: dict[str, StagedFile] = field(default_factory=dict)


@dataclass(slots=True)
class _Session:
    name: str
    open: dict[int, Write] = field(default_factory=dict)
    committing: int = 0
    gone: bool = False


class Writes:
    """The open writes of all connections. Thread-safe; a connection is known by its number."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[int, _Session] = {}
        self._last = 0

    @property
    def open(self) -> int:
        """How many are open or being committed."""
        with self._lock:
            return sum(len(s.open) + s.committing for s in self._sessions.values())

    def known(self, owner: int) -> bool:
        """Whether a connection has, or had, something open."""
        return owner in self._sessions

    def begin(
        self, owner: int, path: str, expect: str | None, *, write_type: str = THROUGH,
        strict: bool = True, begun: Begun | None = None,
    ) -> Write:  # fmt: skip
        """Raises InvalidRequest where one connection has too many."""
        with self._lock:
            session = self._sessions.setdefault(owner, _Session(secrets.token_hex(16)))
            if len(session.open) >= MAX_WRITES:
                raise InvalidRequest(f"more than {MAX_WRITES} files are being written at once")
            self._last += 1
            ident = secrets.token_bytes(16)
            write = Write(self._last, path, expect, ident, write_type, strict, begun)
            session.open[write.number] = write
            return write

    def path(self, owner: int, number: int) -> str:
        """The path of an open write; "" where there is none."""
        with self._lock:
            session = self._sessions.get(owner)
            write = session.open.get(number) if session is not None else None
            return write.path if write is not None else ""

    def session(self, owner: int, number: int) -> str:
        """The name of the session's staging directory. Raises SessionLost."""
        with self._lock:
            return self._find(owner, number)[0].name

    def added(self, owner: int, number: int, files: Files) -> tuple[Write, Files]:
        """The write has these files too; and those of before, which are complete: a writer asks for
        more when it has none left. Raises SessionLost: then they are nobody's."""
        with self._lock:
            write = self._find(owner, number)[1]
            done = list(write.files.values())
            write.files.update((f.name, f) for f in files)
            return write, done

    def commit(self, owner: int, number: int, names: Sequence[str]) -> tuple[Write, Files]:
        """Take a write out, with the files named in their order; ``committed`` has to follow.

        Raises SessionLost, and InvalidRequest for names that are not its own or stand twice.
        """
        with self._lock:
            session, write = self._find(owner, number)
            if len(set(names)) != len(names) or not write.files.keys() >= set(names):
                raise InvalidRequest("a commit names files that its write does not have")
            del session.open[number]
            session.committing += 1
            return write, [write.files[name] for name in names]

    def committed(self, owner: int) -> str | None:
        """A commit is over; the name of the session's directory where that may go now."""
        with self._lock:
            session = self._sessions[owner]
            session.committing -= 1
            return self._over(owner, session)

    def abort(self, owner: int, number: int) -> Files:
        """Take a write out for good; its files. None, where it is out already."""
        with self._lock:
            session = self._sessions.get(owner)
            write = session.open.pop(number, None) if session is not None else None
            return list(write.files.values()) if write is not None else []

    def vanished(self, owner: int) -> tuple[Files, str | None]:
        """The connection is gone: files that nobody will commit, and the directory if it may go."""
        with self._lock:
            session = self._sessions.get(owner)
            if session is None:
                return [], None
            session.gone = True
            files = [f for write in session.open.values() for f in write.files.values()]
            session.open.clear()
            return files, self._over(owner, session)

    def _over(self, owner: int, session: _Session) -> str | None:
        if not session.gone or session.committing:
            return None
        del self._sessions[owner]
        return session.name

    def _find(self, owner: int, number: int) -> tuple[_Session, Write]:
        session = self._sessions.get(owner)
        write = session.open.get(number) if session is not None and not session.gone else None
        if session is None or write is None:
            raise SessionLost(
                "what was written can't be committed",
                cause="its session with the sidecar ended, or it was committed or aborted before",
                remedy="Write the file again",
            )
        return session, write


# What may be done where. ``table`` is the mount table; facts are what was found at a path.


def writable(table: MountTable, path: str) -> Mount:
    """The mount that a change of ``path`` goes to. Raises MountNotFound, MountReadOnly."""
    mount = table.resolve(path).mount
    if mount.read_only:
        raise MountReadOnly(
            f"{path} can't be changed",
            cause=f"the mount {mount.path} is read-only",
            remedy="Mount it without -o read_only=true",
        )
    return mount


def write_type(mount: Mount, path: str, said: str) -> str:
    """How a file is written: as its writer says, else as its mount does. Raises NotSupported."""
    try:
        return check_write_type(said) if said else mount.write_type(path)
    except ValueError as e:
        raise NotSupported(
            f"{path} can't be written with write type {said!r}",
            cause=f"there are {e}",
            remedy="Correct fs.cache.write.type, or write_type=",
        ) from None


def is_fixed(table: MountTable, path: str) -> bool:
    """Whether ``path`` is a mount, or the way to one."""
    found = table.find(path)
    return (found is not None and found.path == path) or bool(table.mount_points(path))


def check_create(path: str, found: FileInfo | None, *, overwrite: bool) -> str | None:
    """What a new file at ``path`` is to replace. Raises IsADirectory, AlreadyExists."""
    if found is not None and found.directory:
        raise IsADirectory(f"{path} is a directory", remedy="Name a file, or delete it first")
    if overwrite:
        return None
    if found is not None:
        raise AlreadyExists(f"{path} exists", remedy="Overwrite it, or name another")
    return ABSENT


def check_unstaged(*paths: str) -> None:
    """Raises NotSupported for a path in a batch's staging: its files are written, read, deleted."""
    for path in paths:
        if staged(path) is not None:
            raise NotSupported(
                f"{path} can't be renamed, nor its times set",
                cause="it lies in the staging of a batch",
                remedy="Write the file under its last name",
            )


def check_above(path: str, found: FileInfo) -> None:
    """Raises NotADirectory where what is above ``path`` is a file."""
    if not found.directory:
        raise NotADirectory(
            f"{path} can't be made", cause=f"{found.path} is a file", remedy="Name another place"
        )


def check_delete(table: MountTable, path: str) -> Mount:
    """Raises MountConflict for a mount or what holds one, MountReadOnly, MountNotFound."""
    if is_fixed(table, path):
        raise MountConflict(
            f"{path} can't be deleted",
            cause="it is a mount, or mounts lie below it",
            remedy="Delete what is in it, or `millpond mount rm`, which deletes no data",
        )
    return writable(table, path)


def check_rename(table: MountTable, source: str, target: str) -> Mount:
    """The one mount of both. Raises AcrossMounts, MountConflict, MountReadOnly, InvalidPath."""
    for path in (source, target):
        if is_fixed(table, path):
            raise MountConflict(
                f"{source} can't be renamed to {target}",
                cause=f"{path} is a mount, or mounts lie below it",
                remedy="Rename what is in it",
            )
    mount, other = writable(table, source), writable(table, target)
    if mount.path != other.path:
        raise AcrossMounts(
            f"{source} can't be renamed to {target}",
            cause=f"one lies in {mount.path}, the other in {other.path}",
            remedy="Copy it, then delete the source",
        )
    if target.startswith(source + "/"):
        raise InvalidPath(f"{source} can't be renamed below itself", cause=f"to {target}")
    return mount


def target_of(source: str, target: str, found: FileInfo | None, *, into: bool) -> str:
    """Where a rename ends: ``target``, or in it where that is a directory and ``into`` is said."""
    if found is not None and found.directory and into:
        return join(target, source.rsplit("/", 1)[1])
    return target


def check_itself(path: str, found: FileInfo, *, into: bool) -> None:
    """Raises InvalidPath where a directory is to be moved into itself."""
    if found.directory and into:
        raise InvalidPath(f"{path} can't be renamed below itself", cause=f"to {path}")


def check_free(source: str, target: str, found: FileInfo | None) -> None:
    """Raises AlreadyExists where a rename would replace something."""
    if found is not None:
        raise AlreadyExists(
            f"{source} can't be renamed to {target}",
            cause="the target exists",
            remedy="Delete it first, or name another",
        )


def check_no_commit(mount: Mount, path: str) -> None:
    """Raises NotSupported for a commit file: what appears with others, or later in the store than
    here, decides nothing."""
    if mount.is_commit_file(path):
        raise NotSupported(
            f"{path} can't be made by a rename out of staging, or with a batch",
            cause="a table format commits by it: it has to come after its data, as the first one",
            remedy="Write it there, or rename it from outside of staging; or leave such names out "
            "of the mount's commit_files",
        )


def unnamed(write: Write, files: Iterable[StagedFile]) -> Files:
    """Files of a write that its commit does not name."""
    kept = {f.name for f in files}
    return [f for f in write.files.values() if f.name not in kept]
