"""What errors of the operating system mean for a file, and how files are named and versioned."""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING

from millpond.errors import (
    AlreadyExists,
    DirectoryNotEmpty,
    FileChanged,
    MillpondError,
    PathNotFound,
    PermissionDenied,
    StoreUnavailable,
)
from millpond.under.base import one_line

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator


def shown(key: str) -> str:
    """A file's URI on one line."""
    return one_line(f"file:///{key}")


def version_of(found: os.stat_result) -> str:
    return ":".join(
        str(part)
        for part in (
            found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
        )
    )  # fmt: skip


@contextlib.contextmanager
def errors(key: str) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        raise _meaning(key, e) from e


def _meaning(key: str, error: OSError) -> MillpondError:
    cause = error.strerror or type(error).__name__
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
        return PathNotFound(f"{shown(key)} does not exist", cause=cause)
    if error.errno in (errno.EACCES, errno.EPERM, errno.ELOOP):
        return PermissionDenied(f"{shown(key)} can't be read or written", cause=cause)
    if error.errno == errno.ESTALE:
        return FileChanged(f"{shown(key)} has changed since it was opened", cause=cause)
    if error.errno == errno.EEXIST:
        return AlreadyExists(f"{shown(key)} exists", cause=cause)
    if error.errno == errno.ENOTEMPTY:
        return DirectoryNotEmpty(f"{shown(key)} is not empty", cause=cause)
    return StoreUnavailable(f"{shown(key)} could not be read or written", cause=cause)
