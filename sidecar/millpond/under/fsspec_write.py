"""Writing through fsspec: uncommitted first, then committed, as its transactions do.

fsspec has no conditions: what is there is looked at right before the commit, and a change by
another in between is lost. How atomic the commit is, the implementation says: ``local`` renames,
``s3fs`` completes an upload, some write in place.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from millpond.errors import Conflict, DirectoryNotEmpty, IsADirectory, NotADirectory, PathNotFound
from millpond.under import tree
from millpond.under.base import ABSENT, UnderStore

if TYPE_CHECKING:
    from millpond.under.base import ObjectStat, Source
    from millpond.under.retry import LockedCounters

_CHUNK_BYTES = 4 << 20


class FsspecWrites(UnderStore):
    """The write half of ``FsspecStore``. Nothing is repeated: a part of it may have been done."""

    atomic_rename = False
    counters: LockedCounters

    def put(self, key: str, source: Source, *, expect: str | None = None) -> str:
        path = self._path(key)
        self._make_above(key)
        self.counters.add(put=1, bytes_written=source.length)
        with self._errors(key), self._alone:
            file = self._fs.open(path, "wb", autocommit=False)
        try:
            for at in range(0, source.length, _CHUNK_BYTES):
                data = source.read(at, min(at + _CHUNK_BYTES, source.length))
                with self._errors(key), self._alone:
                    file.write(data)
            with self._errors(key), self._alone:
                file.close()
            self._look(key, expect)
            with self._errors(key), self._alone:
                file.commit()
        except BaseException:
            with contextlib.suppress(Exception), self._alone:
                file.discard()
            raise
        found = self._info(key)
        return "" if found.weak or found.length != source.length else found.version

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
