"""Writing through fsspec: uncommitted first, then committed, as its transactions do.

fsspec has no conditions: what is there is looked at right before the commit, and a change by
another in between is lost. How atomic the commit is, the implementation says: ``local`` renames,
``s3fs`` completes an upload. Others write in place: there an upload waits for its completion.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from millpond.errors import Conflict, DirectoryNotEmpty, IsADirectory, NotADirectory, PathNotFound
from millpond.under import tree
from millpond.under.base import ABSENT, UnderStore, Upload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from millpond.under.base import ObjectStat, Source
    from millpond.under.retry import LockedCounters

_CHUNK_BYTES = 4 << 20
COMMITTING = frozenset(
    ("file", "local", "s3", "s3a", "gs", "gcs", "ftp", "sftp", "ssh", "smb", "webhdfs", "webHDFS")
)
"""Protocols whose files appear when they are committed, and not before."""


class FsspecUpload(Upload):
    """A file that was closed and not committed; where that already makes it appear, none yet."""

    def __init__(self, store: FsspecWrites, key: str, source: Source) -> None:
        self._store = store
        self._key = key
        self._source = source
        self._file: Any = None

    def send(self) -> None:
        """Write the file, up to its commit."""
        store, source = self._store, self._source
        store.counters.add(put=1, bytes_written=source.length)
        with self._alone():
            self._file = store._fs.open(store._path(self._key), "wb", autocommit=False)
        try:
            for at in range(0, source.length, _CHUNK_BYTES):
                data = source.read(at, min(at + _CHUNK_BYTES, source.length))
                with self._alone():
                    self._file.write(data)
            with self._alone():
                self._file.close()
        except BaseException:
            self.abort()
            raise

    def complete(self, expect: str | None = None) -> str:
        store = self._store
        store._look(self._key, expect)
        if self._file is None:
            self.send()
            store._look(self._key, expect)
        with self._alone():
            self._file.commit()
        self._file = None
        found = store._info(self._key)
        return "" if found.weak or found.length != self._source.length else found.version

    def abort(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(Exception), self._store._alone:
                file.discard()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with self._store._errors(self._key), self._store._alone:
            yield


class FsspecWrites(UnderStore):
    """The write half of ``FsspecStore``. Nothing is repeated: a part of it may have been done."""

    atomic_rename = False
    uploads_ahead = False
    conditional = False
    counters: LockedCounters

    def upload(self, key: str, source: Source) -> FsspecUpload:
        self._path(key)
        self._make_above(key)
        upload = FsspecUpload(self, key, source)
        if self.uploads_ahead:
            upload.send()
        return upload

    def delete(self, key: str, *, recursive: bool = False) -> None:
        path = self._path(key)
        found = self._info(key)
        self.counters.add(delete=1)
        if found.is_dir and not recursive and self._children(key):
            raise DirectoryNotEmpty(f"{self._shown(key)} is not empty")
        with self._errors(key), self._alone:
            if not found.is_dir:
                self._fs.rm_file(path)
            elif recursive:
                self._fs.rm(path, recursive=True)
            else:
                self._fs.rmdir(path)

    def mkdirs(self, key: str) -> None:
        path = self._path(key)
        self.counters.add(put=1)
        with contextlib.suppress(PathNotFound):
            if not self._info(key).is_dir:
                raise NotADirectory(f"{self._shown(key)} is a file")
            return
        with self._errors(key), self._alone:
            try:
                self._fs.makedirs(path, exist_ok=True)
            except (FileExistsError, NotADirectoryError) as e:
                raise NotADirectory(f"a file is above {self._shown(key)}", cause=str(e)) from None

    def rename(self, source: str, target: str) -> None:
        old, new = self._path(source), self._path(target)
        found = self._info(source)
        self._look(target, ABSENT)
        self.counters.add(put=1)
        with self._errors(source), self._alone:
            self._fs.mv(old, new, recursive=found.is_dir)

    # What FsspecStore has.

    _fs: Any
    _alone: contextlib.AbstractContextManager[Any]

    def _path(self, key: str) -> str:
        raise NotImplementedError

    def _info(self, key: str) -> ObjectStat:
        raise NotImplementedError

    def _children(self, key: str) -> list[ObjectStat]:
        raise NotImplementedError

    def _shown(self, key: str) -> str:
        raise NotImplementedError

    def _errors(self, key: str) -> contextlib.AbstractContextManager[Any]:
        raise NotImplementedError

    def _make_above(self, key: str) -> None:
        with contextlib.suppress(PathNotFound):
            if self._info(key).is_dir:
                raise IsADirectory(f"{self._shown(key)} is a directory")
        above = tree.split(key)[0]
        if above:
            self.mkdirs(above)

    def _look(self, key: str, expect: str | None) -> None:
        if expect is None:
            return
        try:
            now = self._info(key).version
        except PathNotFound:
            now = ABSENT
        if now != expect:
            raise Conflict(
                f"{self._shown(key)} is not what the write was to replace",
                cause=f"it has version {now}" if now else "it is gone",
            )
