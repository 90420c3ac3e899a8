"""The cache directory as a tree of rooms: modes, the lock, atomic replacement, setting aside.

Directories are 0750 and files 0640 whatever the umask; both take the group of the cache dir, so
that the engines' group reads. Any part may be deleted by hand while the sidecar runs: every write
here makes the directories it needs.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import logging
import os
import secrets
import shutil
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

from millpond.errors import CacheDirUnusable
from millpond.store.disk import Disk, as_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

log = logging.getLogger(__name__)
ROOMS = ("meta", "dirs", "blocks", "staging")
DIR_MODE = 0o750
FILE_MODE = 0o640
PRIVATE_MODE = 0o600


class Tree:
    """One cache directory, held by this process alone from construction to ``close``.

    Raises CacheDirUnusable when it can't be made, is open to the world, is not ours to write, or
    another sidecar holds it.
    """

    def __init__(self, directory: Path, disk: Disk | None = None) -> None:
        self.directory = Path(os.path.abspath(directory))
        self.disk = disk or Disk()
        self._numbers = itertools.count()
        self._prefix = secrets.token_hex(4)
        try:
            self._make_root()
            self._check_root()
            self._lock_fd = self._take_lock()
        except OSError as e:
            raise CacheDirUnusable(
                f"{self.directory} can't be used as cache directory",
                cause=e.strerror or str(e),
                remedy="Name a directory this user may write (cache_dir, MILLPOND_DIR)",
            ) from None
        try:
            self._empty_staging()
            self.heal()
        except OSError as e:
            self.close()
            raise as_error(e, "preparing it") from None

    def _make_root(self) -> None:
        if not self.directory.exists():
            made = [p for p in (self.directory, *self.directory.parents) if not p.exists()]
            self.directory.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                self.directory.mkdir(DIR_MODE)
                os.chmod(self.directory, DIR_MODE | stat.S_ISGID)
            for path in made:
                self.sync(path.parent)
        self._group = self.directory.stat().st_gid

    def _check_root(self) -> None:
        mode = self.directory.stat().st_mode
        if not stat.S_ISDIR(mode):
            raise CacheDirUnusable(f"{self.directory} is not a directory", remedy="Name another")
        if mode & 0o007:
            raise CacheDirUnusable(
                f"{self.directory} is open to every user of this machine",
                cause=f"its mode is {stat.S_IMODE(mode):04o}",
                remedy=f"chmod o-rwx {self.directory}",
            )
        if not os.access(self.directory, os.R_OK | os.W_OK | os.X_OK):
            raise CacheDirUnusable(
                f"{self.directory} is not writable",
                cause=f"this process runs as uid {os.getuid()}",
                remedy="Give the directory to the sidecar's user, or name another (cache_dir)",
            )

    def _take_lock(self) -> int:
        path = self.directory / "lock"
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(fd).st_ino == path.stat().st_ino:
                    os.ftruncate(fd, 0)
                    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
                    return fd
                os.close(fd)  # deleted between open and flock: another file has the name now
            except FileNotFoundError:
                os.close(fd)
            except BlockingIOError:
                holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
                os.close(fd)
                raise CacheDirUnusable(
                    f"{self.directory} is held by another sidecar",
                    cause=f"its pid is {holder}",
                    remedy="Stop that sidecar, or name another directory (cache_dir)",
                ) from None

    def heal(self) -> None:
        """Make again what was deleted by hand: the directory, its rooms, the lock file.

        Raises CacheDirUnusable when another sidecar took the lock meanwhile.
        """
        lock = self.directory / "lock"
        try:
            if os.stat(lock).st_ino == os.fstat(self._lock_fd).st_ino:
                self._make_rooms()
                return
        except FileNotFoundError:
            pass
        self._make_root()
        old, self._lock_fd = self._lock_fd, self._take_lock()
        os.close(old)
        self._make_rooms()

    def _make_rooms(self) -> None:
        for room in ROOMS:
            path = self.directory / room
            if not path.is_dir():
                self.make_dir(path)

    def make_dir(self, path: Path) -> None:
        """Create ``path``, and what is missing above it, with the cache dir's modes and group."""
        if path == self.directory:
            self._make_root()
            return
        try:
            os.mkdir(path, DIR_MODE)
        except FileExistsError:
            return
        except FileNotFoundError:
            self.make_dir(path.parent)
            self.make_dir(path)
            return
        with contextlib.suppress(OSError):  # gone again, or a group we are not in
            if os.stat(path).st_gid != self._group:
                os.chown(path, -1, self._group)
            os.chmod(path, DIR_MODE | stat.S_ISGID)

    def staging_name(self) -> Path:
        """A name in staging that nobody had before."""
        return self.directory / "staging" / f"{self._prefix}-{next(self._numbers)}"

    def stage(self, mode: int = FILE_MODE, *, root: Path | None = None) -> tuple[Path, int]:
        """A new empty file in staging: its path and descriptor (read-write).

        ``root``: of another disk of the cache, which has to be there.
        """
        path = self.staging_name()
        if root is not None:
            path = root / "staging" / path.name
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        try:
            fd = self.disk.open(path, flags)
        except FileNotFoundError:
            if root is not None:
                raise
            self.make_dir(path.parent)
            fd = self.disk.open(path, flags)
        self.disk.chmod(fd, mode)
        return path, fd

    def replace(
        self, name: str, data: bytes, *, durable: bool = False, mode: int = FILE_MODE
    ) -> os.stat_result:
        """Make ``name`` hold ``data`` at once for every reader; its new stat.

        ``durable`` also syncs: for the few files that must survive a power loss.
        """
        return self.replace_parts(name, [data], durable=durable, mode=mode)

    def replace_parts(
        self, name: str, parts: Iterable[bytes], *, durable: bool = False, mode: int = FILE_MODE
    ) -> os.stat_result:
        """As ``replace``, with the data in parts."""
        target = self.directory / name
        path, fd = self.stage(mode)
        try:
            at = 0
            for part in parts:
                self.disk.pwrite(fd, part, at)
                at += len(part)
            if durable:
                self.disk.sync(fd)
            info = self.disk.stat(fd)
            try:
                self.disk.rename(path, target)
            except FileNotFoundError:
                self.make_dir(target.parent)
                self.disk.rename(path, target)
        except OSError:
            with contextlib.suppress(OSError):
                self.disk.unlink(path)
            raise
        finally:
            self.disk.close(fd)
        if durable:
            self.sync(target.parent)
        return info

    def sync(self, path: Path) -> None:
        """The data of a file, or the names in a directory, are on the disk when it returns."""
        fd = self.disk.open(path, os.O_RDONLY)
        try:
            self.disk.sync(fd)
        finally:
            self.disk.close(fd)

    def set_aside(self, path: Path, why: str) -> None:
        """Move a file nobody here can read to ``aside/``: it may matter to a newer release."""
        name = f"{time.time_ns()}-{'-'.join(path.relative_to(self.directory).parts)}"
        found = path.resolve() if path.is_symlink() else path
        root = found.parents[3] if path.is_symlink() else self.directory  # of a block on a volume
        aside = root / "aside"
        try:
            self.make_dir(aside)
            os.rename(found, aside / name)
            if found is not path:
                path.unlink()
        except FileNotFoundError:
            return
        log.warning("set aside %s as %s: %s", path, aside / name, why)

    def _empty_staging(self) -> None:
        shutil.rmtree(self.directory / "staging", ignore_errors=True)

    def files(self, room: str, depth: int) -> Iterator[os.DirEntry[str]]:
        """Regular files exactly ``depth`` directories below ``room``; what vanishes is skipped."""
        yield from files(self.directory / room, depth)

    def close(self) -> None:
        """Give the lock back. Idempotent."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1


def files(directory: Path | str, depth: int) -> Iterator[os.DirEntry[str]]:
    """Files exactly ``depth`` directories below, by a link too; what vanishes is skipped."""
    try:
        entries = os.scandir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return
    with entries:
        for entry in entries:
            if depth and entry.is_dir(follow_symlinks=False):
                yield from files(entry.path, depth - 1)
            elif not depth and entry.is_file():
                yield entry
