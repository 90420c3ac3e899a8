"""Writing to a local or POSIX file system.

A file is made under a temporary name in its own directory, synced, and then given its name: by
``link`` where there is to be none (exclusive in the kernel), else by ``rename``. A replacement that
expects a version looks at it right before that rename: a change by another in between, some
microseconds, is lost. A process that is killed leaves its temporary file, which no listing shows.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import stat as st
from typing import TYPE_CHECKING

from millpond.errors import (
    Conflict,
    IsADirectory,
    NotADirectory,
    PathNotFound,
)
from millpond.under import tree
from millpond.under.base import ABSENT, UnderStore, Upload
from millpond.under.file_errors import errors, shown, version_of

if TYPE_CHECKING:
    from millpond.under.base import Source
    from millpond.under.retry import LockedCounters

_CHUNK_BYTES = 4 << 20
_OLDER_NS = 20_000_000
_AT_FDCWD, _NO_REPLACE = -100, 1
_libc = ctypes.CDLL(None, use_errno=True)
_NO_CALL = (errno.EINVAL, errno.ENOSYS)


class FileUpload(Upload):
    """A temporary file, synced, beside the name that it is to have."""

    def __init__(self, key: str, made: bytes, target: bytes) -> None:
        self._key = key
        self._made = made
        self._target = target

    def complete(self, expect: str | None = None) -> str:
        with errors(self._key):
            self._name(expect)
            found = os.stat(self._target)
            _sync(os.path.dirname(self._target))
        # Whoever writes to it from now on gives it a time of change that is later than ours: had
        # it been the same tick of the kernel's clock, content of equal length would look alike.
        return version_of(found) if found.st_mtime_ns < found.st_ctime_ns else ""

    def abort(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._made)

    def _name(self, expect: str | None) -> None:
        if expect == ABSENT:
            try:
                os.link(self._made, self._target)
            except FileExistsError:
                raise Conflict(
                    f"{shown(self._key)} exists by now", cause="another has made it"
                ) from None
            self.abort()
            return
        try:
            now = os.stat(self._target)
        except FileNotFoundError:
            now = None
        if now is not None and st.S_ISDIR(now.st_mode):
            raise IsADirectory(f"{shown(self._key)} is a directory")
        if expect is not None and (now is None or version_of(now) != expect):
            cause = "it is gone" if now is None else "it has changed"
            raise Conflict(f"{shown(self._key)} is not what was to be replaced", cause=cause)
        os.rename(self._made, self._target)


class FileWrites(UnderStore):
    """The write half of ``FileStore``, which names and checks paths."""

    counters: LockedCounters

    def upload(self, key: str, source: Source) -> FileUpload:
        directory = self._made(tree.split(key)[0])
        with errors(key):
            target = self._inside_of(directory, key)
            made = os.path.join(directory, os.fsencode(tree.temporary_name()))
            upload = FileUpload(key, made, target)
            try:
                self._fill(made, source)
            except BaseException:
                upload.abort()
                raise
        return upload

    def delete(self, key: str, *, recursive: bool = False) -> None:
        self.counters.add(delete=1)
        with errors(key):
            path = self._entry(key)
            if not st.S_ISDIR(os.lstat(path).st_mode):
                os.unlink(path)
            elif recursive:
                shutil.rmtree(path)
            else:
                self._drop_temporary(path)
                os.rmdir(path)
            _sync(os.path.dirname(path))

    def mkdirs(self, key: str) -> None:
        self.counters.add(put=1)
        self._made(key)

    def rename(self, source: str, target: str) -> None:
        self.counters.add(put=1)
        with errors(source):
            old = self._entry(source)
            os.lstat(old)
        with errors(target):
            new = self._entry(target)
            try:
                _rename_to_free(old, new)
            except FileExistsError as e:
                raise Conflict(f"{shown(target)} exists by now", cause=e.strerror or "") from None
            for directory in {os.path.dirname(old), os.path.dirname(new)}:
                _sync(directory)

    def set_times(self, key: str, mtime_ms: int, atime_ms: int) -> None:
        self.counters.add(put=1)
        with errors(key):
            path = self._path(key)
            now = os.stat(path)
            atime_ns = now.st_atime_ns if atime_ms < 0 else atime_ms * 1_000_000
            mtime_ns = now.st_mtime_ns if mtime_ms < 0 else mtime_ms * 1_000_000
            os.utime(path, ns=(atime_ns, mtime_ns))

    # What FileStore has.

    def _path(self, key: str) -> bytes:
        raise NotImplementedError

    def _inside(self, key: str, real: bytes) -> bytes:
        raise NotImplementedError

    def _check_open(self) -> None:
        raise NotImplementedError

    def _entry(self, key: str) -> bytes:
        """Where the name itself lies: a link at the end is not followed."""
        return self._inside_of(self._path(tree.split(key)[0]), key)

    def _inside_of(self, directory: bytes, key: str) -> bytes:
        name = tree.split(key)[1]
        if name in ("", ".", ".."):
            raise PathNotFound(f"a file system has no name {shown(key)}")
        return self._inside(key, os.path.join(directory, os.fsencode(name)))

    def _made(self, key: str) -> bytes:
        """The real path of a directory, made where it is absent, within the root."""
        self._check_open()
        try:
            with errors(key):
                path = self._path(key)
        except PathNotFound:
            above, name = tree.split(key)
            if not name or name in (".", ".."):
                raise
            parent = self._made(above)
            with errors(key):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(self._inside_of(parent, key))
                    _sync(parent)
                path = self._path(key)
        if not os.path.isdir(path):
            raise NotADirectory(f"{shown(key)} is a file", remedy="Name a directory")
        return path

    def _fill(self, path: bytes, source: Source) -> None:
        self.counters.add(put=1, bytes_written=source.length)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            for at in range(0, source.length, _CHUNK_BYTES):
                data = memoryview(source.read(at, min(at + _CHUNK_BYTES, source.length)))
                while data:
                    self._check_open()
                    data = data[os.write(fd, data) :]
            now = os.fstat(fd)
            os.utime(fd, ns=(now.st_atime_ns, now.st_mtime_ns - _OLDER_NS))
            os.fsync(fd)
        finally:
            os.close(fd)

    def _drop_temporary(self, directory: bytes) -> None:
        """What nobody sees does not make a directory full."""
        names = os.listdir(directory)
        if all(tree.is_temporary(os.fsdecode(name)) for name in names):
            for name in names:
                os.unlink(os.path.join(directory, name))


def _rename_to_free(old: bytes, new: bytes) -> None:
    """Rename without replacing; the kernel checks where the file system can."""
    if _libc.renameat2(_AT_FDCWD, old, _AT_FDCWD, new, _NO_REPLACE) == 0:
        return
    code = ctypes.get_errno()
    if code not in _NO_CALL or new.startswith(old + b"/"):
        raise OSError(code, os.strerror(code))
    if os.path.lexists(new):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    os.rename(old, new)


def _sync(directory: bytes) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
