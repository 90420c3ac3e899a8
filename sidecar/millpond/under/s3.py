"""S3 and what speaks like it.

Versions are ``<unquoted ETag>:<length>``; reads carry ``If-Match``. A versionId is never asked for:
with it a store would go on serving content that has been replaced.
"""

from __future__ import annotations

import heapq
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from millpond.errors import (
    FileChanged,
    InvalidPath,
    NotADirectory,
    PathNotFound,
    PermissionDenied,
    StoreAnswerInvalid,
)
from millpond.under import s3_list, s3_options
from millpond.under.base import Buffer, ObjectStat, UnderStore
from millpond.under.buffers import BUFFER_BYTES, Buffers
from millpond.under.retry import LockedCounters, Retrier, RetryPolicy
from millpond.under.s3_errors import shown
from millpond.under.s3_wire import Answer, S3Wire
from millpond.under.s3_write import S3Writes

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

Entries = list[ObjectStat]
_PAGE_BYTES = 64 << 10
_READ_S = 0.02
_TOLD_KEYS = 16
"""Names that begin alike and sort before ``name/`` are few."""


class S3Store(S3Writes, UnderStore):
    """One bucket. ``timeout_s`` is how long a connection may be silent."""

    scheme = "s3"

    def __init__(
        self,
        bucket: str,
        options: Mapping[str, str],
        *,
        retry: RetryPolicy | None = None,
        timeout_s: float = 15.0,
    ) -> None:
        parsed = s3_options.parse(options)
        self.root = bucket
        self.store_id = parsed.store_id
        self.counters: LockedCounters = LockedCounters()
        self._retrier = Retrier(self.counters, retry)
        self._buffers = Buffers()
        self._wire = S3Wire(
            parsed,
            lambda: s3_options.credentials(s3_options.parse(options)),
            bucket,
            timeout_s=timeout_s,
        )

    def __repr__(self) -> str:
        return f"S3Store({self.root!r}, store_id={self.store_id!r})"

    def stat(self, key: str) -> ObjectStat:
        _check(key)
        if key and not key.endswith("/"):
            dotted = "." in key.rpartition("/")[2]
            if dotted and (found := self._head(key)) is not None:
                return found
            found, sure = self._told(key)
            if sure:
                return self._there(key, found)
            if not dotted and (found := self._head(key)) is not None:
                return found
        first = self._page(_prefix(key), delimiter=False, token=None, limit=1)
        marker = self._head(key + s3_list.FOLDER_SUFFIX) if first.empty and key else None
        marked = marker is not None and s3_list.is_marker(marker)
        there = not key or not first.empty or marked
        return self._there(key, _directory(key) if there else None)

    def _there(self, key: str, found: ObjectStat | None) -> ObjectStat:
        if found is None:
            raise PathNotFound(f"{shown(self.root, key)} does not exist")
        return found

    def list(self, key: str, *, recursive: bool = False) -> Iterator[Entries]:
        """As the interface says; a directory known only by its ``dir_$folder$`` marker stands where
        the marker stands in key order."""
        _check(key)
        prefix = _prefix(key)
        page = self._page(prefix, delimiter=not recursive, token=None)
        if page.empty and page.next_token is None and key and not self.stat(key).is_dir:
            raise NotADirectory(f"{shown(self.root, key)} is a file")
        return self._pages(prefix, page, recursive)

    def read(self, key: str, start: int, end: int, version: str) -> Iterator[Buffer]:
        _check(key)
        etag, colon, length = version.rpartition(":")
        if not colon or not length.isdigit() or not 0 <= start < end <= int(length):
            raise FileChanged(
                f"{shown(self.root, key)} has no bytes {start}-{end} in version {version!r}"
            )

        def attempt(at: int) -> Generator[Buffer, None, None]:
            return self._body(key, at, end, etag, int(length))

        return self._retrier.stream(attempt, start, end)

    def close(self) -> None:
        self._wire.close()

    def _told(self, key: str) -> tuple[ObjectStat | None, bool]:
        """What one short listing shows at ``key``, and whether it shows all there is to know.

        Names without a dot are mostly directories, or absent (engines try ``_spark_metadata``):
        that takes one request so, and three by asking for each in turn. What a HEAD did not find
        is told by one more.
        """
        try:
            page = self._page(key, delimiter=True, token=None, limit=_TOLD_KEYS)
        except PermissionDenied:  # a policy may allow ``key/`` and not ``key``
            return None, False
        marker = key + s3_list.FOLDER_SUFFIX
        directory = f"{key}/" in page.prefixes
        for each in page.objects:
            if each.key == key:
                return each, True
            directory |= each.key == marker and s3_list.is_marker(each)
        return _directory(key) if directory else None, directory or page.next_token is None

    def _head(self, key: str) -> ObjectStat | None:
        def attempt() -> ObjectStat | None:
            self.counters.add(head=1)
            try:
                answer = self._wire.send("HEAD", key)
            except PathNotFound:
                return None
            try:
                length = int(answer.header("Content-Length") or "")
                changed = parsedate_to_datetime(answer.header("Last-Modified") or "")
                etag = answer.header("ETag")
            except ValueError:
                raise StoreAnswerInvalid(
                    f"the store's answer about {shown(self.root, key)} has no length or no time"
                ) from None
            finally:
                answer.finish()
            return s3_list.object_stat(key, length, round(changed.timestamp() * 1000), etag)

        return self._retrier.call(attempt)

    def _page(
        self, prefix: str, *, delimiter: bool, token: str | None, limit: int | None = None
    ) -> s3_list.Page:
        # XML 1.0 has no control characters, so names must come url-encoded.
        query = {"list-type": "2", "prefix": prefix, "encoding-type": "url"}
        if delimiter:
            query["delimiter"] = "/"
        if token is not None:
            query["continuation-token"] = token
        if limit is not None:
            query["max-keys"] = str(limit)

        def attempt() -> s3_list.Page:
            self.counters.add(list=1)
            return s3_list.parse(self._wire.send("GET", "", query).document())

        return self._retrier.call(attempt)

    def _pages(self, prefix: str, page: s3_list.Page, recursive: bool) -> Iterator[Entries]:
        directories: set[str] = set()
        while True:
            entries = [*_entries(prefix, page, recursive, directories)]
            if entries:
                yield entries
            if page.next_token is None:
                return
            page = self._page(prefix, delimiter=not recursive, token=page.next_token)

    def _body(
        self, key: str, start: int, end: int, etag: str, length: int
    ) -> Generator[Buffer, None, None]:
        headers = {"Range": f"bytes={start}-{end - 1}"}
        if etag:
            headers["If-Match"] = f'"{etag}"'
        self.counters.add(get=1)
        answer = self._wire.send("GET", key, headers=headers)
        try:
            self._check_head(answer, key, start, end, etag, length)
            yield from self._arriving(answer)
        finally:
            answer.close()

    def _arriving(self, answer: Answer) -> Generator[Buffer, None, None]:
        """The body, first its first page, then as much at a time as comes in about 20 ms."""
        with self._buffers.one() as buffer:
            ask, began_s = _PAGE_BYTES, time.monotonic()
            while n := answer.readinto(buffer[:ask]):
                ask = next_read_bytes(ask, time.monotonic() - began_s)
                yield buffer[:n]
                began_s = time.monotonic()

    def _check_head(
        self, answer: Answer, key: str, start: int, end: int, etag: str, length: int
    ) -> None:
        """A store or a proxy that ignores ``Range`` or ``If-Match`` must not get a byte through."""
        what = shown(self.root, key)
        got = (answer.header("ETag") or "").removeprefix("W/").strip('"')
        if etag and got and got != etag:
            raise FileChanged(f"{what} has changed since it was opened", cause=f"ETag {got}")
        whole = start == 0 and end == length
        said = answer.header("Content-Range")
        if answer.status == 206:
            span, _, total = (said or "").removeprefix("bytes ").partition("/")
            if total.isdigit() and int(total) != length:
                raise FileChanged(f"{what} has changed since it was opened", cause=f"size {total}")
            if span != f"{start}-{end - 1}":
                raise StoreAnswerInvalid(
                    f"the store sent another range of {what}",
                    cause=f"bytes {start}-{end - 1} were asked for, {said!r} came",
                )
        elif not whole:
            raise StoreAnswerInvalid(f"the store ignores ranges of {what}")
        if answer.length != end - start:
            raise StoreAnswerInvalid(
                f"the store announced {answer.length} bytes of {what}",
                cause=f"{end - start} were asked for",
            )


def next_read_bytes(last: int, took_s: float) -> int:
    """How much to ask for at once after ``last`` bytes took so long: whole pages, growing up to
    four-fold, so that a slow store's pages don't wait long for each other."""
    fitting = int(last * _READ_S / max(took_s, _READ_S / 4))
    return min(BUFFER_BYTES, max(_PAGE_BYTES, fitting // _PAGE_BYTES * _PAGE_BYTES))


def open_uri(authority: str, path: str, options: Mapping[str, str]) -> tuple[S3Store, str]:
    """For the registry: ``s3://authority/path``."""
    if not authority or any(c in authority for c in "?#:\\ "):
        raise InvalidPath(f"{authority!r} is no bucket", remedy="Write s3://bucket/prefix")
    return S3Store(authority, options), path.removeprefix("/").removesuffix("/")


def _directory(key: str) -> ObjectStat:
    return ObjectStat(key=key, length=0, mtime_ms=0, is_dir=True)


def _check(key: str) -> None:
    if "\0" in key:
        raise InvalidPath(f"key {key!r} has a NUL")


def _prefix(key: str) -> str:
    return key + "/" if key else ""


def _entries(
    prefix: str, page: s3_list.Page, recursive: bool, directories: set[str]
) -> Iterator[ObjectStat]:
    """The page's files and directories in the store's order, each once."""
    if recursive:
        yield from (o for o in page.objects if not s3_list.is_marker(o))
        return
    named = [(o.key, o) for o in page.objects if o.key != prefix]
    folders = [(p, None) for p in page.prefixes]
    for name, stat in heapq.merge(named, folders, key=lambda pair: pair[0].encode()):
        if stat is not None and not s3_list.is_marker(stat):
            yield stat
            continue
        directory = name.removesuffix("/" if stat is None else s3_list.FOLDER_SUFFIX)
        # A key with a leading slash lies in a directory without a name, which would be the root.
        if directory and directory not in directories:
            directories.add(directory)
            yield _directory(directory)
