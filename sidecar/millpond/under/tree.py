"""Listings of stores that are trees: one directory at a time, in the order of an object store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millpond.errors import NotADirectory, PathNotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from millpond.under.base import ObjectStat

PAGE_ENTRIES = 1000


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
