"""What stores that are trees share: listings in the order of an object store, temporary names."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from millpond.errors import NotADirectory, PathNotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from millpond.under.base import ObjectStat

PAGE_ENTRIES = 1000
_TEMPORARY = (".millpond-", ".tmp")


def temporary_name() -> str:
    """A name for what is not yet complete; listings leave such names out."""
    return secrets.token_hex(8).join(_TEMPORARY)


def is_temporary(name: str) -> bool:
    """Whether a file so named is one that never became complete."""
    return name.startswith(_TEMPORARY[0]) and name.endswith(_TEMPORARY[1])


def split(key: str) -> tuple[str, str]:
    """(directory, name) of a key; the root's is ""."""
    directory, _, name = key.rpartition("/")
    return directory, name


def order(entry: ObjectStat) -> bytes:
    """The sort key of a directory's entries: a directory sorts with its slash."""
    return (entry.key + "/" if entry.is_dir else entry.key).encode()


def walk(
    entries: Iterable[ObjectStat],
    children: Callable[[str], Iterable[ObjectStat]],
    *,
    recursive: bool,
) -> Iterator[ObjectStat]:
    """The entries; if ``recursive``, in place of each directory what is below it."""
    for entry in entries:
        if not (recursive and entry.is_dir):
            yield entry
            continue
        try:
            below = children(entry.key)
        except (PathNotFound, NotADirectory):
            # Gone since it was listed: it did not exist throughout the call.
            continue
        yield from walk(below, children, recursive=True)


def pages(entries: Iterable[ObjectStat]) -> Iterator[list[ObjectStat]]:
    """The entries, up to PAGE_ENTRIES at a time."""
    page: list[ObjectStat] = []
    for entry in entries:
        page.append(entry)
        if len(page) == PAGE_ENTRIES:
            yield page
            page = []
    if page:
        yield page
