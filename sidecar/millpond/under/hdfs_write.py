"""Writing to HDFS: under a temporary name in the same directory, then a rename, which is atomic.

Where there is to be no file the rename replaces nothing, and the NameNode sees to that. A
replacement that expects a version looks at it right before: a change by another between these two
calls is lost.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from hdfs_native import WriteOptions

from millpond.errors import (
    AlreadyExists,
    Conflict,
    IsADirectory,
    PathNotFound,
)
from millpond.under import tree
from millpond.under.base import ABSENT, UnderStore, Upload

if TYPE_CHECKING:
    from hdfs_native import Client, FileStatus

    from millpond.under.base import ObjectStat, Source
    from millpond.under.retry import LockedCounters, Retrier

BLOCK_BYTES = 128 << 20
_CHUNK_BYTES = 4 << 20


class HdfsUpload(Upload):
    """A temporary file, closed, beside the name that it is to have. A rename keeps its version."""

    def __init__(self, store: HdfsWrites, path: str, sent: ObjectStat) -> None:
        self._store = store
        self._path = path
        self._sent = sent
        self._made = "/" + sent.key

    def complete(self, expect: str | None = None) -> str:
        store = self._store

        def attempt() -> ObjectStat:
            try:
                self._name(expect)
            except (AlreadyExists, Conflict, PathNotFound):
                # The answer to an earlier rename may have been lost.
                found = store._now(self._path)
                if found is None or found.version != self._sent.version or store._now(self._made):
                    raise
                return found
            with store._errors(self._path):
                return store._describe(store._client.get_file_info(self._path))

        found = store._retrier.call(attempt)
        unsure = found.length != self._sent.length or store._looks_open(found)
        return "" if unsure else found.version

    def abort(self) -> None:
        self._store._drop(self._made)

    def _name(self, expect: str | None) -> None:
        store, path = self._store, self._path
        if expect == ABSENT:
            try:
                with store._errors(path):
                    store._client.rename(self._made, path, False)
            except AlreadyExists as e:
                raise Conflict(f"{store._shown(path)} exists by now", cause=e.cause) from None
            return
        now = store._now(path)
        if now is not None and now.is_dir:
            raise IsADirectory(f"{store._shown(path)} is a directory")
        if expect is not None and (now is None or now.version != expect):
            cause = "it is gone" if now is None else "it has changed"
            raise Conflict(f"{store._shown(path)} is not what was to be replaced", cause=cause)
        with store._errors(path):
            store._client.rename(self._made, path, True)


class HdfsWrites(UnderStore):
    """The write half of ``HdfsStore``. ``block_bytes``: of the files that are made."""

    counters: LockedCounters
    block_bytes = BLOCK_BYTES
    _retrier: Retrier

    def upload(self, key: str, source: Source) -> HdfsUpload:
        path = self._named(key)
        directory = path.rpartition("/")[0]

        def attempt() -> HdfsUpload:
            self.counters.add(put=1, bytes_written=source.length)
            made = f"{directory}/{tree.temporary_name()}"
            try:
                with self._errors(path):
                    self._fill(made, source)
                    return HdfsUpload(self, path, self._describe(self._client.get_file_info(made)))
            except BaseException:
                self._drop(made)
                raise

        return self._retrier.call(attempt)

    def delete(self, key: str, *, recursive: bool = False) -> None:
        path = self._named(key)
        seen = False

        def attempt() -> None:
            nonlocal seen
            self.counters.add(delete=1)
            with self._errors(path):
                if not seen:
                    self._client.get_file_info(path)
                    seen = True
                # Whether it says that it was there tells nothing: the library repeats calls too.
                self._client.delete(path, recursive)

        self._retrier.call(attempt)

    def mkdirs(self, key: str) -> None:
        path = self._named(key)

        def attempt() -> None:
            self.counters.add(put=1)
            with self._errors(path):
                self._client.mkdirs(path, 0o755, create_parent=True)

        self._retrier.call(attempt)

    def rename(self, source: str, target: str) -> None:
        old, new = self._named(source), self._named(target)
        self.counters.add(put=1)
        try:
            with self._errors(old):
                self._client.rename(old, new, False)
        except AlreadyExists as e:
            raise Conflict(f"{self._shown(new)} exists by now", cause=e.cause) from None

    def set_times(self, key: str, mtime_ms: int, atime_ms: int) -> None:
        path = self._named(key)

        def attempt() -> None:
            self.counters.add(put=1)
            with self._errors(path):
                now = self._client.get_file_info(path)
                self._client.set_times(
                    path,
                    now.modification_time if mtime_ms < 0 else mtime_ms,
                    now.access_time if atime_ms < 0 else atime_ms,
                )

        self._retrier.call(attempt)

    # What HdfsStore has.

    _client: Client

    def _named(self, key: str) -> str:
        raise NotImplementedError

    def _shown(self, path: str) -> str:
        raise NotImplementedError

    def _describe(self, found: FileStatus) -> ObjectStat:
        raise NotImplementedError

    def _looks_open(self, found: ObjectStat) -> bool:
        """Whether its access time is its mtime: so it would be weak for ever."""
        with self._errors(found.key):
            info = self._client.get_file_info("/" + found.key)
        return bool(info.modification_time == info.access_time)

    def _errors(self, path: str) -> contextlib.AbstractContextManager[Any]:
        raise NotImplementedError

    def _fill(self, path: str, source: Source) -> None:
        """Block by block, each by an append: the library doesn't wait until the NameNode has heard
        of a full block before it asks for the next."""
        options = WriteOptions(block_size=self.block_bytes, overwrite=False, create_parent=True)
        writer = self._client.create(path, options)
        for start in range(0, source.length, self.block_bytes):
            if start:
                writer.close()
                writer = self._client.append(path)
            end = min(start + self.block_bytes, source.length)
            for at in range(start, end, _CHUNK_BYTES):
                writer.write(source.read(at, min(at + _CHUNK_BYTES, end)))
        writer.close()

    def _drop(self, path: str) -> None:
        with contextlib.suppress(BaseException):
            self._client.delete(path, False)

    def _now(self, path: str) -> ObjectStat | None:
        try:
            with self._errors(path):
                return self._describe(self._client.get_file_info(path))
        except PathNotFound:
            return None
