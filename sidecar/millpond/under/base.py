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
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Buffer = bytes | memoryview


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
    """Requests a store was sent, retries included, and the bytes it returned. Monotonic."""

    head: int = 0
    list: int = 0
    get: int = 0
    retries: int = 0
    bytes_read: int = 0


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

    @abstractmethod
    def stat(self, key: str) -> ObjectStat:
        """The file at ``key``, else the directory (any key below ``key + "/"``, or its marker).

        The answer was true at some moment after the call began. Raises PathNotFound,
        PermissionDenied, StoreUnavailable.
        """

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

    def left_out(self) -> int:
        """Names that listings leave out because they are not UTF-8, in the directories listed so
        far, each as it was last seen. 0 for a store whose names are text."""
        return 0

    @abstractmethod
    def close(self) -> None:
        """Give connections back. Idempotent; running reads may fail with StoreUnavailable."""


def one_line(name: str) -> str:
    """A name for messages: on one line, whatever characters it has."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
