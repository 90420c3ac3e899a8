"""Every error a user of Millpond can meet: one tree, one table of wire codes.

Each error says the problem, its cause and its remedy. The class name is the error's name
everywhere: on the wire (with its code), in metrics, and in Java, where the class is
``io.millpond.fs.<name>Exception``. ``tests/contract/vectors/errors.json`` holds the table that
both languages are tested against.
"""

from __future__ import annotations

from typing import ClassVar


class MillpondError(Exception):
    """Root of the tree. ``str(error)`` is one line: problem, cause and remedy.

    ``retriable`` says whether the same call may succeed later without any change by the user.
    """

    code: ClassVar[int] = 1
    retriable: ClassVar[bool] = False

    def __init__(self, problem: str, *, cause: str = "", remedy: str = "") -> None:
        self.problem = problem
        self.cause = cause
        self.remedy = remedy
        text = problem
        if cause:
            text += f": {cause}"
        if remedy:
            text += f". {remedy}" if not text.endswith(".") else f" {remedy}"
        super().__init__(text)

    @property
    def name(self) -> str:
        return type(self).__name__


class Internal(MillpondError):
    """A defect in Millpond. The job goes on by reading the store."""

    code = 2


class InvalidPath(MillpondError):
    """A URI or path that names nothing and never can: ``..``, NUL, wrong scheme, a host."""

    code = 3


class MountNotFound(MillpondError):
    """No mount covers the path."""

    code = 4


class MountConflict(MillpondError):
    """The mount table already says something else about this path."""

    code = 5


class MountReadOnly(MillpondError):
    """A write to a mount that is read-only."""

    code = 6


class PathNotFound(MillpondError):
    """The store has no such file or directory. Java: a ``java.io.FileNotFoundException``."""

    code = 7


class NotADirectory(MillpondError):
    """A directory operation on a file."""

    code = 8


class IsADirectory(MillpondError):
    """A file operation on a directory."""

    code = 9


class PermissionDenied(MillpondError):
    """The store refused the credentials. Java: a ``java.nio.file.AccessDeniedException``."""

    code = 10


class FileChanged(MillpondError):
    """The file has another version than the one that was opened or planned."""

    code = 11


class StoreUnavailable(MillpondError):
    """The store did not answer, or answered 5xx, until the retry budget was spent."""

    code = 12
    retriable = True


class StoreAnswerInvalid(MillpondError):
    """The store's answer contradicts itself: wrong length, truncated, wrong range."""

    code = 13
    retriable = True


class StoreNotSupported(MillpondError):
    """No driver for this scheme, or one that is not installed; names the remedy."""

    code = 14


class NotSupported(MillpondError):
    """A verb Millpond does not have. Java: an ``UnsupportedOperationException``."""

    code = 15


class NoSpace(MillpondError):
    """Disk full or out of inodes, and nothing evictable: readers go to the store."""

    code = 16
    retriable = True


class CacheDirUnusable(MillpondError):
    """The cache directory can't be used: unwritable, world-accessible, or already taken."""

    code = 17


class UnknownFormat(MillpondError):
    """A file on disk has a format version this release does not know."""

    code = 18


class Corrupt(MillpondError):
    """A file on disk fails its checksum or contradicts itself. Treated as absent."""

    code = 19


class AddressInUse(MillpondError):
    """The port or socket is taken by another process."""

    code = 20


class Unauthenticated(MillpondError):
    """Wrong or missing token."""

    code = 21


class ProtocolMismatch(MillpondError):
    """Client and sidecar share no protocol version."""

    code = 22


class FrameTooLarge(MillpondError):
    """A frame above the cap; refused before any memory is taken for it."""

    code = 23


class InvalidRequest(MillpondError):
    """A request whose fields make no sense, or a frame that does not parse."""

    code = 24


class InvalidSetting(MillpondError):
    """A setting that is unknown or has a value out of range."""

    code = 25


class SidecarUnavailable(MillpondError):
    """No sidecar answers on this node."""

    code = 26
    retriable = True


class Overloaded(MillpondError):
    """The sidecar has more requests in hand than it may hold."""

    code = 27
    retriable = True


def _tree(root: type[MillpondError]) -> list[type[MillpondError]]:
    return [root, *(c for sub in root.__subclasses__() for c in _tree(sub))]


BY_CODE: dict[int, type[MillpondError]] = {c.code: c for c in _tree(MillpondError)}


def from_wire(code: int, problem: str, cause: str = "", remedy: str = "") -> MillpondError:
    """The error another process named; an unknown code (a newer peer's) is the root class."""
    return BY_CODE.get(code, MillpondError)(problem, cause=cause, remedy=remedy)
