"""Errors as Python's own programs expect them."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from millpond.errors import (
    AlreadyExists,
    DirectoryNotEmpty,
    IsADirectory,
    MillpondError,
    MountNotFound,
    MountReadOnly,
    NotADirectory,
    NotAWriter,
    NotSupported,
    PathNotFound,
    PermissionDenied,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


class Unsupported(io.UnsupportedOperation, NotImplementedError):
    """What this file system does not do, as both kinds of callers ask."""


_BUILTIN: dict[type[MillpondError], type[Exception]] = {
    PathNotFound: FileNotFoundError,
    MountNotFound: FileNotFoundError,
    NotADirectory: NotADirectoryError,
    IsADirectory: IsADirectoryError,
    AlreadyExists: FileExistsError,
    DirectoryNotEmpty: OSError,
    MountReadOnly: PermissionError,
    NotAWriter: PermissionError,
    PermissionDenied: PermissionError,
    NotSupported: Unsupported,
}


def raise_builtin(error: MillpondError) -> NoReturn:
    """Python's own error where there is one; the others keep their type, such as FileChanged."""
    builtin = _BUILTIN.get(type(error))
    if builtin is None:
        raise error
    raise builtin(str(error)) from error


@contextmanager
def errors() -> Iterator[None]:
    """Errors of Millpond leave as Python's own."""
    try:
        yield
    except MillpondError as e:
        raise_builtin(e)
