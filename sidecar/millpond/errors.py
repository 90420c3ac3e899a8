"""Every error a user of Millpond can meet: one tree, one table of wire codes.

Each error says the problem, its cause and its remedy. The class name is the error's name
everywhere: on the wire (with its code), in metrics, and in Java, where the class is
``io.millpond.fs.<name>Exception``; over gRPC it has the status code ``status``.
``tests/contract/vectors/errors.json`` holds the table that both languages are tested against.
"""

from __future__ import annotations

from typing import ClassVar


class MillpondError(Exception):
    """Root of the tree. ``str(error)`` is one line: problem, cause and remedy.

    ``retriable`` says whether the same call may succeed later without any change by the user.
    """

    code: ClassVar[int] = 1
    status: ClassVar[str] = "UNKNOWN"
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
    status = "INTERNAL"


class InvalidPath(MillpondError):
    """A URI or path that names nothing and never can: ``..``, NUL, wrong scheme, a host."""

    code = 3
    status = "INVALID_ARGUMENT"


class MountNotFound(MillpondError):
    """No mount covers the path."""

    code = 4
    status = "NOT_FOUND"


class MountConflict(MillpondError):
    """The mount table already says something else about this path."""

    code = 5
    status = "ALREADY_EXISTS"


class MountReadOnly(MillpondError):
    """A write to a mount that is read-only."""

    code = 6
    status = "FAILED_PRECONDITION"


class PathNotFound(MillpondError):
    """The store has no such file or directory. Java: a ``java.io.FileNotFoundException``."""

    code = 7
    status = "NOT_FOUND"


class NotADirectory(MillpondError):
    """A directory operation on a file."""

    code = 8
    status = "FAILED_PRECONDITION"


class IsADirectory(MillpondError):
    """A file operation on a directory."""

    code = 9
    status = "FAILED_PRECONDITION"


class PermissionDenied(MillpondError):
    """The store refused the credentials. Java: a ``java.nio.file.AccessDeniedException``."""

    code = 10
    status = "PERMISSION_DENIED"


class FileChanged(MillpondError):
    """The file has another version than the one that was opened or planned."""

    code = 11
    status = "ABORTED"


class StoreUnavailable(MillpondError):
    """The store did not answer, or answered 5xx, until the retry budget was spent."""

    code = 12
    status = "UNAVAILABLE"
    retriable = True


class StoreAnswerInvalid(MillpondError):
    """The store's answer contradicts itself: wrong length, truncated, wrong range."""

    code = 13
    status = "UNAVAILABLE"
    retriable = True


class StoreNotSupported(MillpondError):
    """No driver for this scheme, or one that is not installed; names the remedy."""

    code = 14
    status = "FAILED_PRECONDITION"


class NotSupported(MillpondError):
    """A verb Millpond does not have. Java: an ``UnsupportedOperationException``."""

    code = 15
    status = "UNIMPLEMENTED"


class NoSpace(MillpondError):
    """Disk full or out of inodes, and nothing evictable: readers go to the store."""

    code = 16
    status = "RESOURCE_EXHAUSTED"
    retriable = True


class CacheDirUnusable(MillpondError):
    """The cache directory can't be used: unwritable, world-accessible, or already taken."""

    code = 17
    status = "FAILED_PRECONDITION"


class UnknownFormat(MillpondError):
    """A file on disk has a format version this release does not know."""

    code = 18
    status = "FAILED_PRECONDITION"


class Corrupt(MillpondError):
    """A file on disk fails its checksum or contradicts itself. Treated as absent."""

    code = 19
    status = "DATA_LOSS"


class AddressInUse(MillpondError):
    """The port or socket is taken by another process."""

    code = 20
    status = "FAILED_PRECONDITION"


class Unauthenticated(MillpondError):
    """Wrong or missing token."""

    code = 21
    status = "UNAUTHENTICATED"


class ProtocolMismatch(MillpondError):
    """Client and sidecar share no protocol version."""

    code = 22
    status = "FAILED_PRECONDITION"


class FrameTooLarge(MillpondError):
    """A frame above the cap; refused before any memory is taken for it."""

    code = 23
    status = "RESOURCE_EXHAUSTED"


class InvalidRequest(MillpondError):
    """A request whose fields make no sense, or a frame that does not parse."""

    code = 24
    status = "INVALID_ARGUMENT"


class InvalidSetting(MillpondError):
    """A setting that is unknown or has a value out of range."""

    code = 25
    status = "INVALID_ARGUMENT"


class SidecarUnavailable(MillpondError):
    """No sidecar answers on this node."""

    code = 26
    status = "UNAVAILABLE"
    retriable = True


class Overloaded(MillpondError):
    """The sidecar has more requests in hand than it may hold."""

    code = 27
    status = "RESOURCE_EXHAUSTED"
    retriable = True


class Conflict(MillpondError):
    """The store has something else at the path than the write was to replace; it was left alone."""

    code = 28
    status = "ABORTED"


class AlreadyExists(MillpondError):
    """What was to be made is there. Java: a Hadoop ``FileAlreadyExistsException``."""

    code = 29
    status = "ALREADY_EXISTS"


class DirectoryNotEmpty(MillpondError):
    """A directory with something in it was to be deleted, and not recursively."""

    code = 30
    status = "FAILED_PRECONDITION"


class AcrossMounts(MillpondError):
    """A rename from one mount to another, or one that would carry a mount along."""

    code = 31
    status = "FAILED_PRECONDITION"


class SessionLost(MillpondError):
    """What was written can't be committed: its session with the sidecar has ended."""

    code = 32
    status = "ABORTED"


class PendingUnreachable(MillpondError):
    """What the path has can't be known: its mount holds data that the store does not have yet, and
    the sidecar that knows it is not to be reached. The store's older answer is not given."""

    code = 33
    status = "UNAVAILABLE"
    retriable = True


class DataLost(MillpondError):
    """Acknowledged data that the store never got is gone from the disk. Nothing older is given."""

    code = 34
    status = "DATA_LOSS"


class BatchEnded(MillpondError):
    """The batch is not open: it was committed, aborted, or dropped because nobody asked for it."""

    code = 35
    status = "FAILED_PRECONDITION"


class NotPersisted(MillpondError):
    """What is pending there did not get into the store within the time the call may wait."""

    code = 36
    status = "UNAVAILABLE"
    retriable = True


class NotAWriter(MillpondError):
    """Who asks is none of the mount's writers: the sidecar writes nothing for them."""

    code = 37
    status = "PERMISSION_DENIED"


def _tree(root: type[MillpondError]) -> list[type[MillpondError]]:
    return [root, *(c for sub in root.__subclasses__() for c in _tree(sub))]


BY_CODE: dict[int, type[MillpondError]] = {c.code: c for c in _tree(MillpondError)}


def from_wire(code: int, problem: str, cause: str = "", remedy: str = "") -> MillpondError:
    """The error another process named; an unknown code (a newer peer's) is the root class."""
    return BY_CODE.get(code, MillpondError)(problem, cause=cause, remedy=remedy)
