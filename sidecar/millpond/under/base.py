"""What Millpond asks of a store, with its guarantees. ``millpond.testing`` holds the contract.

A store is a flat set of keys with bytes behind them (S3) or a tree of files (``file``, HDFS); both
look the same here. A *key* is the raw UTF-8 name below the mount's bucket or root, without a
leading slash, and is never normalised: ``a//b``, ``100%``, ``a b`` are keys like any other, where
the store has them.

All calls block and may be made from any thread. They raise ``millpond.errors`` only, and have
already retried what can be retried (``under/retry.py``). Nothing here logs or returns a secret.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from millpond.errors import MillpondError, NotSupported, PathNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

Buffer = bytes | memoryview
COMPARE_BYTES = 4 << 20
ABSENT = ""
"""As what ``put`` is to replace: nothing."""


class Source(Protocol):
    """What a file is to hold: ``length`` bytes that read the same at every call."""

    @property
    def length(self) -> int: ...

    def read(self, start: int, end: int) -> Buffer:
        """The bytes [start, end), from any thread, any number of times (a part that failed is sent
        again). Valid until the source is closed."""
        ...


@dataclass(frozen=True, slots=True)
class BytesSource:
    """A source in memory."""

    data: bytes

    @property
    def length(self) -> int:
        return len(self.data)

    def read(self, start: int, end: int) -> Buffer:
        return memoryview(self.data)[start:end]


@dataclass(frozen=True, slots=True)
class StoredSource:
    """One version of a file of a store, as a source for another."""

    store: UnderStore
    key: str
    version: str
    length: int

    def read(self, start: int, end: int) -> Buffer:
        parts = self.store.read(self.key, start, end, self.version) if start < end else ()
        return b"".join(map(bytes, parts))


@dataclass(frozen=True, slots=True)
class ObjectStat:
    """One file or directory of a store.

    ``version`` is what the store calls this content: it differs between any two contents that the
    key ever had. ``weak`` says that it can't be relied on for that (no ETag; changed < 2 s ago on a
    clock that can't tell; still being written): such a file is read but never cached.
    A directory has length 0 and version "".
    """

    key: str
    length: int
    mtime_ms: int
    version: str = ""
    weak: bool = False
    is_dir: bool = False


@dataclass(slots=True)
class RequestCounters:
    """Requests a store was sent, retries included, and bytes both ways. Monotonic.

    ``put``: what creates or changes something, parts and copies included.
    """

    head: int = 0
    list: int = 0
    get: int = 0
    retries: int = 0
    bytes_read: int = 0
    put: int = 0
    delete: int = 0
    bytes_written: int = 0


class Upload(ABC):
    """A file on its way into a store: sent, as far as the store can take it, and not yet there.

    Whoever began it ends it, by ``complete`` or ``abort``, one call at a time; the source stays
    open until then. What a killed process leaves of it appears in no listing.
    """

    @abstractmethod
    def complete(self, expect: str | None = None) -> str:
        """Have the file appear in one step, as ``UnderStore.put`` says, with its answer and errors.

        After an error the key has what it had, unless the store obeyed and its answer was lost;
        the upload is still there: it may be completed again, which finds out, or aborted.
        Once completed it is not completed again.
        """

    @abstractmethod
    def abort(self) -> None:
        """Leave nothing of it in the store. Idempotent, nothing once it is completed. Raises
        nothing: what a store in trouble keeps is invisible all the same."""


class UnderStore(ABC):
    """One store as seen through one mount's URI and credentials.

    ``store_id`` is equal for two objects that name the same store and account, whatever the
    spelling of their URI: 16 hex digits of a hash of driver, endpoint and account.
    ``root`` is the bucket or name service (for ``file`` the empty string).
    """

    scheme: str
    store_id: str
    root: str
    counters: RequestCounters
    distant: bool = True
    """Whether it is worth remembering what it does not have."""

    @abstractmethod
    def stat(self, key: str) -> ObjectStat:
        """The file at ``key``, else the directory (any key below ``key + "/"``, or its marker).

        The answer was true at some moment after the call began. Raises PathNotFound,
        PermissionDenied, StoreUnavailable.
        """

    def find(self, key: str) -> ObjectStat | None:
        """``stat``, or None where nothing is."""
        try:
            return self.stat(key)
        except PathNotFound:
            return None

    @abstractmethod
    def list(self, key: str, *, recursive: bool = False) -> Iterator[list[ObjectStat]]:
        """Everything directly below directory ``key`` (``""`` is the root), in key order, page by
        page; with ``recursive``, every file at any depth and no directories. Key order is that of
        UTF-8 bytes, a directory counted with a slash at its end: ``a-b`` before ``a/``.

        Each entry was true at some moment after the call began; every file that existed throughout
        the call is listed exactly once. Directory markers list as directories, never as files.
        An absent directory raises PathNotFound before the first page; a file NotADirectory.
        """

    @abstractmethod
    def read(self, key: str, start: int, end: int, version: str) -> Iterator[Buffer]:
        """The bytes [start, end) of that version, as they arrive, in order and without gaps.

        Exactly ``end - start`` bytes come, or an error after fewer: FileChanged when the store now
        has another version (never a byte of it is yielded), PathNotFound, StoreAnswerInvalid,
        StoreUnavailable. A buffer is valid until the next one is asked for.
        ``0 <= start < end <= length``.
        """

    # Writing. A store that can't says so: NotSupported. Whoever writes has looked first at what is
    # there; ``Conflict`` is for what another did meanwhile.

    atomic_rename = True
    """Whether a rename is one step for every reader; else it is copies, then deletions."""

    uploads_ahead = True
    """Whether ``upload`` sends what a file of many parts holds; else ``Upload.complete`` sends it
    all, as it does with small files where that saves requests."""

    def put(self, key: str, source: Source, *, expect: str | None = None) -> str:
        """Create or replace the file at ``key``, making the directories above it.

        All of it appears at once, or nothing: until this returns, and for ever if it raises, the
        key has what it had. ``expect``: the version that is to be replaced (ABSENT: there is to be
        no file), else Conflict and nothing is changed. How narrow that check is, each store says.

        The version it has now; "" where nothing proves that later content is called otherwise.
        Raises Conflict, IsADirectory, NotADirectory (a file is above it), PermissionDenied,
        StoreUnavailable, and what the source raises.
        """
        return complete(self.upload(key, source), expect)

    def upload(self, key: str, source: Source) -> Upload:
        """Send a file that is to be at ``key``, whatever is there by then; it appears when the
        upload is completed. Makes directories above it. Raises as ``put`` does, and leaves
        nothing then."""
        raise self._cant("written")

    def delete(self, key: str, *, recursive: bool = False) -> None:
        """Delete the file, or the directory with all below it; the directory above stays.

        Raises PathNotFound, DirectoryNotEmpty (without ``recursive``), PermissionDenied,
        StoreUnavailable: then a part of a tree may be gone.
        """
        raise self._cant("deleted from")

    def mkdirs(self, key: str) -> None:
        """Have a directory at ``key``, and those above it. No error if it is there.

        Raises NotADirectory where a file is in the way.
        """
        raise self._cant("written")

    def rename(self, source: str, target: str) -> None:
        """Move a file, or a directory with all below it, to a name that is free and whose parent
        exists. Where ``atomic_rename`` is False a failure leaves all of the source, some of it
        also at the target. Raises PathNotFound, Conflict (the target came to be meanwhile).
        """
        raise self._cant("renamed in")

    def claim(self, source: str, target: str) -> None:
        """Rename a file to a name of which several may want it: one gets it, the others Conflict,
        as far as the store is ``conditional``.

        Where ``atomic_rename`` is False its bytes are ``put``, then the source is deleted: a
        failure of that alone leaves the source, and is none.
        """
        if self.atomic_rename:
            self.rename(source, target)
            return
        found = self.stat(source)
        self.put(target, StoredSource(self, source, found.version, found.length), expect=ABSENT)
        with suppress(MillpondError):
            self.delete(source)

    def same_bytes(self, found: ObjectStat, source: Source) -> bool:
        """Whether a file that was found has what ``source`` has."""
        if found.length != source.length:
            return False
        at = 0
        if found.length:
            for part in self.read(found.key, 0, found.length, found.version):
                for start in range(0, len(part), COMPARE_BYTES):
                    piece = memoryview(part)[start : start + COMPARE_BYTES]
                    if piece != source.read(at, at + len(piece)):
                        return False
                    at += len(piece)
        return True

    conditional: bool | None = True
    """Whether of several who put a file where there is to be none one alone succeeds, whoever they
    are. None: nobody has tried it yet."""

    def try_conditions(self, directory: str) -> bool:
        """``conditional``, tried once where that is needed, with a name in ``directory``."""
        return self.conditional is not False

    def set_times(self, key: str, mtime_ms: int, atime_ms: int) -> None:
        """Set times of a file or directory; -1 leaves one as it is. NotSupported where the store
        keeps its own."""
        raise self._cant("given times")

    def _cant(self, what: str) -> NotSupported:
        return NotSupported(f"a {self.scheme} store can't be {what}")

    def left_out(self) -> int:
        """Names that listings leave out because they are not UTF-8, in the directories listed so
        far, each as it was last seen. 0 for a store whose names are text."""
        return 0

    @abstractmethod
    def close(self) -> None:
        """Give connections back. Idempotent; running reads may fail with StoreUnavailable."""


def complete(upload: Upload, expect: str | None) -> str:
    """Complete an upload, or abort it."""
    try:
        return upload.complete(expect)
    except BaseException:
        upload.abort()
        raise


def one_line(name: str) -> str:
    """A name for messages: on one line, whatever characters it has."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
