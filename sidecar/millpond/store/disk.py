"""Disk: the system calls of the block store, in one replaceable object.

Tests record, reorder, fail or cut the calls here; nothing else in the store touches block files.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import TYPE_CHECKING

from millpond.errors import CacheDirUnusable, MillpondError, NoSpace, Overloaded

if TYPE_CHECKING:
    from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_fallocate = _libc.fallocate
_fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
_sync_file_range = getattr(_libc, "sync_file_range", None)  # glibc has it, musl does not
_SYNC_FILE_RANGE_WRITE = 2
_NOT_SUPPORTED = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENODEV}
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def is_full(error: OSError) -> bool:
    """Whether the disk (or a quota) has no more space or inodes."""
    return error.errno in FULL


def as_error(error: OSError, doing: str) -> MillpondError:
    """The typed error for an OSError met while ``doing`` something in the cache dir."""
    cause = f"{error.strerror} ({errno.errorcode.get(error.errno or 0, error.errno)})"
    if is_full(error):
        return NoSpace(
            f"the cache disk is full while {doing}",
            cause=cause,
            remedy="Free space on the disk, or lower cache_capacity_bytes",
        )
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return Overloaded(
            f"too many open files while {doing}",
            cause=cause,
            remedy="Raise the limit of open files (LimitNOFILE, ulimit -n)",
        )
    return CacheDirUnusable(
        f"the cache directory fails while {doing}",
        cause=cause,
        remedy="Check the disk and the permissions of the cache directory",
    )


class Disk:
    """System calls on the cache dir. Each raises OSError; partial writes are completed."""

    def open(self, path: Path, flags: int) -> int:
        return os.open(path, flags | os.O_CLOEXEC, 0o640)

    def close(self, fd: int) -> None:
        os.close(fd)

    def chmod(self, fd: int, mode: int) -> None:
        os.fchmod(fd, mode)

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def reserve(self, fd: int, at: int, size: int) -> None:
        """Allocate [at, at + size) without changing content or file size; ENOSPC if impossible.

        glibc's posix_fallocate writes zeros where the file system has no such call; the call
        itself is used instead, and its absence means that nothing is reserved.
        """
        keep_size = 1
        if _fallocate(fd, keep_size, at, size) != 0:
            code = ctypes.get_errno()
            if code == errno.EINTR:
                self.reserve(fd, at, size)
            elif code not in _NOT_SUPPORTED:
                raise OSError(code, os.strerror(code))

    def pwrite(self, fd: int, data: bytes | memoryview, at: int) -> None:
        done = os.pwrite(fd, data, at)
        while done < len(data):
            done += os.pwrite(fd, memoryview(data)[done:], at + done)

    def pread(self, fd: int, size: int, at: int) -> bytes:
        """Up to ``size`` bytes; fewer only at the end of the file."""
        data = os.pread(fd, size, at)
        while 0 < len(data) < size:
            more = os.pread(fd, size - len(data), at + len(data))
            if not more:
                break
            data += more
        return data

    def open_uncached(self, path: Path) -> int:
        """Open for reading past the page cache, where the file system can."""
        try:
            return self.open(path, os.O_RDONLY | os.O_DIRECT)
        except OSError as e:
            if e.errno not in _NOT_SUPPORTED:
                raise
        return self.open(path, os.O_RDONLY)

    def pread_into(self, fd: int, buffer: memoryview, at: int) -> int:
        """Bytes read; fewer only at the end of the file. An uncached file wants whole pages."""
        done = os.preadv(fd, [buffer], at)
        while 0 < done < len(buffer):
            more = os.preadv(fd, [buffer[done:]], at + done)
            if not more:
                break
            done += more
        return done

    def sync(self, fd: int) -> None:
        """What was written is on the disk when this returns."""
        os.fsync(fd)

    def write_back(self, fd: int) -> None:
        """Have what was written go to the disk soon: no promise, so no error either."""
        if _sync_file_range is not None:
            zero = ctypes.c_int64(0)
            _sync_file_range(fd, zero, zero, _SYNC_FILE_RANGE_WRITE)

    def stat(self, fd: int) -> os.stat_result:
        return os.fstat(fd)

    def link(self, source: Path, target: Path) -> None:
        """Give ``source`` a second name; FileExistsError if ``target`` exists."""
        os.link(source, target)

    def rename(self, source: Path, target: Path) -> None:
        os.rename(source, target)

    def unlink(self, path: Path) -> None:
        os.unlink(path)

    def statvfs(self, path: Path) -> os.statvfs_result:
        return os.statvfs(path)
