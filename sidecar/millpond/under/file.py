"""A local or POSIX file system as a store (NFS, Lustre, a laptop's disk).

Versions are ``dev:inode:size:mtime_ns:ctime_ns``. No call can set ctime, so a version repeats only
for two changes within one tick of the kernel's clock: what changed less than 2 s ago is weak.
Symbolic links are followed as long as they end below the root. Devices, sockets and pipes are
refused: opening them may block or act.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import stat as st
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from millpond.errors import (
    FileChanged,
    InvalidPath,
    InvalidSetting,
    IsADirectory,
    NotADirectory,
    PathNotFound,
    PermissionDenied,
    StoreAnswerInvalid,
    StoreUnavailable,
)
from millpond.under import tree
from millpond.under.base import Buffer, ObjectStat, UnderStore, one_line
from millpond.under.buffers import Buffers
from millpond.under.file_errors import errors, shown, version_of
from millpond.under.file_write import FileWrites
from millpond.under.retry import LockedCounters

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

Entries = list[ObjectStat]
log = logging.getLogger(__name__)
WEAK_NS = 2_000_000_000
_ODD_DIRECTORIES = 10_000


class FileStore(FileWrites, UnderStore):
    """The tree below ``base``; keys are whole paths without their first slash, ``mnt/data/x``.

    Whole paths, because two mounts of one host share ``store_id`` and must not share keys; nothing
    outside of ``base`` is served. ``clock_ns`` is the wall clock that file times are compared with.
    """

    scheme = "file"
    distant = False

    def __init__(self, base: Path, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._base = os.fsencode(os.path.realpath(base))
        self._clock_ns = clock_ns
        self.root = ""
        # The same on every node: where a shared tree is mounted alike, it is one store.
        self.store_id = hashlib.sha256(b"file\n").hexdigest()[:16]
        self.counters: LockedCounters = LockedCounters()
        self._closed = False
        self._buffers = Buffers()
        self._odd: dict[bytes, int] = {}  # names that are no UTF-8, by directory
        self._odd_lock = threading.Lock()

    def stat(self, key: str) -> ObjectStat:
        self.counters.add(head=1)
        with errors(key):
            path = self._path(key)
            found = os.stat(path)
        if not st.S_ISDIR(found.st_mode):
            _regular(key, found)
        return self._describe(key, found)

    def list(self, key: str, *, recursive: bool = False) -> Iterator[Entries]:
        """As the interface says. Names that are no UTF-8, special files, links that lead out of the
        root or nowhere, and directories met twice on one path are left out."""
        with errors(key):
            path = self._path(key)
            found = os.stat(path)
            if not st.S_ISDIR(found.st_mode):
                raise NotADirectory(f"{shown(key)} is a file")
            walk = self._walk(key, path, recursive, ((found.st_dev, found.st_ino),))
        return _pages(key, walk)

    def read(self, key: str, start: int, end: int, version: str) -> Iterator[Buffer]:
        self._check_open()
        self.counters.add(get=1)
        return self._read(key, start, end, version)

    def left_out(self) -> int:
        with self._odd_lock:
            return sum(self._odd.values())

    def close(self) -> None:
        self._closed = True

    def _read(self, key: str, start: int, end: int, version: str) -> Generator[Buffer, None, None]:
        with errors(key):
            path = self._path(key)
            # Looked at before it is opened: opening a pipe or a tape acts on it.
            _regular(key, os.stat(path))
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                _unchanged(key, fd, version)
                with self._buffers.one() as buffer:
                    at = start
                    while at < end:
                        self._check_open()
                        n = os.preadv(fd, [buffer[: end - at]], at)
                        # Checked after the bytes were taken and before they are handed on.
                        _unchanged(key, fd, version)
                        if n == 0:
                            raise StoreAnswerInvalid(
                                f"{shown(key)} ends at byte {at}", cause=f"{end} were promised"
                            )
                        at += n
                        self.counters.add(bytes_read=n)
                        yield buffer[:n]
            finally:
                os.close(fd)

    def _path(self, key: str) -> bytes:
        """The real path of a key. Raises PermissionDenied where it lies outside of ``base``."""
        self._check_open()
        if "\0" in key:
            raise InvalidPath(f"{shown(key)} has a NUL")
        if key and any(part in ("", ".", "..") for part in key.split("/")):
            raise PathNotFound(f"a file system has no name {shown(key)}")
        return self._inside(key, os.path.realpath(b"/" + os.fsencode(key), strict=True))

    def _inside(self, key: str, real: bytes) -> bytes:
        if real != self._base and not real.startswith(self._base.rstrip(b"/") + b"/"):
            raise PermissionDenied(
                f"{shown(key)} leads out of the mounted directory", cause="a symbolic link"
            )
        return real

    def _walk(
        self, key: str, path: bytes, recursive: bool, above: tuple[tuple[int, int], ...]
    ) -> Generator[ObjectStat, None, None]:
        self.counters.add(list=1)
        found: list[tuple[bytes, ObjectStat, bytes, tuple[int, int]]] = []
        odd = 0
        with os.scandir(path) as names:
            for name in names:
                try:
                    text = name.name.decode()
                except UnicodeDecodeError:
                    odd += 1
                    continue
                if tree.is_temporary(text):
                    continue
                try:
                    child = f"{key}/{text}" if key else text
                    real = name.path
                    if name.is_symlink():
                        real = self._inside(child, os.path.realpath(real, strict=True))
                    info = os.stat(real, follow_symlinks=False)
                except (FileNotFoundError, PermissionDenied):
                    continue
                except OSError as e:
                    if e.errno == errno.ELOOP:
                        continue
                    raise
                is_dir = st.S_ISDIR(info.st_mode)
                if is_dir or st.S_ISREG(info.st_mode):
                    # A directory sorts with its slash, as in an object store.
                    order = name.name + b"/" if is_dir else name.name
                    inode = (info.st_dev, info.st_ino)
                    found.append((order, self._describe(child, info), real, inode))
        self._found_odd(path, odd)
        for _, entry, real, inode in sorted(found, key=lambda f: f[0]):
            if not (recursive and entry.is_dir):
                yield entry
            elif inode not in above:
                # Gone since it was listed: it did not exist throughout the call.
                with contextlib.suppress(FileNotFoundError):
                    yield from self._walk(entry.key, real, True, (*above, inode))

    def _found_odd(self, path: bytes, count: int) -> None:
        """Keep how many names of a directory can't be shown, and say it once."""
        with self._odd_lock:
            known = self._odd.pop(path, 0)
            if count and len(self._odd) < _ODD_DIRECTORIES:
                self._odd[path] = count
                new = not known
            else:
                new = False
        if new:
            where = one_line(os.fsdecode(path))
            log.warning("%d names in %s are not UTF-8 and are not shown", count, where)

    def _describe(self, key: str, found: os.stat_result) -> ObjectStat:
        mtime_ms = found.st_mtime_ns // 1_000_000
        if st.S_ISDIR(found.st_mode):
            return ObjectStat(key=key, length=0, mtime_ms=mtime_ms, is_dir=True)
        changed_ns = max(found.st_mtime_ns, found.st_ctime_ns)
        return ObjectStat(
            key=key,
            length=found.st_size,
            mtime_ms=mtime_ms,
            version=version_of(found),
            # Also of a time in the future: that clock tells nothing.
            weak=self._clock_ns() - changed_ns < WEAK_NS,
        )

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store was closed", cause="its mount is gone")


def open_uri(authority: str, path: str, options: Mapping[str, str]) -> tuple[FileStore, str]:
    """For the registry: ``file:///path``; nothing outside of that path is served."""
    if authority not in ("", "localhost"):
        raise InvalidPath(f"a file URI names no host, this one {authority!r}")
    if options:
        raise InvalidSetting(f"a file mount has no option {', '.join(sorted(options))}")
    if not path or any(part in (".", "..") for part in path.split("/")):
        raise InvalidPath("a file URI needs an absolute path without . and ..")
    key = "/".join(part for part in path.split("/") if part)
    return FileStore(Path(path)), key


def _unchanged(key: str, fd: int, version: str) -> None:
    if version_of(os.fstat(fd)) != version:
        raise FileChanged(f"{shown(key)} has changed since it was opened")


def _regular(key: str, found: os.stat_result) -> None:
    if st.S_ISDIR(found.st_mode):
        raise IsADirectory(f"{shown(key)} is a directory")
    if not st.S_ISREG(found.st_mode):
        raise PermissionDenied(f"{shown(key)} is a device, socket or pipe, which is never read")


def _pages(key: str, walk: Generator[ObjectStat, None, None]) -> Iterator[Entries]:
    with errors(key):
        yield from tree.pages(walk)
