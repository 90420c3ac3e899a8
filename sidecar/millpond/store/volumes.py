"""Volumes: further disks of one cache dir, which hold blocks and nothing else.

A block on a volume is reached by a symbolic link that stands where the block would stand::

    <cache dir>/blocks/ab/<file id>/7  ->  ../../../disks/1/blocks/ab/<file id>/7
    <cache dir>/disks/1                ->  /mnt/nvme1/millpond

So who reads opens the one name he knows, and a volume is dropped for all readers at once by taking
its one link in ``disks/`` away: its blocks are absent then. The link is made after its target, and
what a crash leaves between the two is found by ``reconcile``. The number of a volume is kept on it,
so that the order of the setting means nothing.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import logging
import math
import os
import re
import shutil
import stat
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millpond.errors import CacheDirUnusable, MillpondError
from millpond.model.paths import block_name
from millpond.model.sizes import BLOCK_BYTES, GIB, SECTION_BYTES
from millpond.store.tree import DIR_MODE, FILE_MODE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from millpond.store.tree import Tree

log = logging.getLogger(__name__)
ROOM = "disks"
MARK = "millpond.disk"
MAIN = 0  # the number of the cache dir's own disk
AT_MOST = 64
_BLOCKS_PER_SECTION = SECTION_BYTES // BLOCK_BYTES
_LINK = re.compile(rf"\.\./\.\./\.\./{ROOM}/(\d+)/")
_FLOOR_BYTES = GIB  # left free on each; or 2 %, where that is less
_FLOOR_SHARE = 0.02


@dataclass(eq=False)
class Volume:
    """One further disk in use."""

    number: int
    root: Path
    device: int
    lock_fd: int
    free_bytes: int = 0
    """Above what is left to others, when it was last looked at."""


@dataclass
class Dropped:
    """A disk of the setting that is not used, and why."""

    root: Path
    why: str


class Volumes:
    """The further disks of one cache dir. Thread-safe; ``choose`` touches memory only."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.on_drop: Callable[[], None] = lambda: None
        self.live: dict[int, Volume] = {}
        self.dropped: list[Dropped] = []
        self.main_free_bytes = 0
        self._lock = threading.Lock()

    # -- taking and dropping

    def open(self, roots: Iterable[Path]) -> None:
        """Take the disks named; one that can't be used is dropped, the others serve."""
        room = self.tree.directory / ROOM
        shutil.rmtree(room, ignore_errors=True)  # links alone
        for root in roots:
            try:
                volume = self._take(root)
                self.tree.make_dir(room)
                (room / str(volume.number)).symlink_to(volume.root)
            except (OSError, MillpondError) as e:
                why = (e.strerror if isinstance(e, OSError) else None) or str(e)
                self.dropped.append(Dropped(root, why))
                log.error("the cache disk %s is not used: %s", root, why)
            else:
                self.live = {**self.live, volume.number: volume}

    def _take(self, root: Path) -> Volume:
        if not root.exists():
            root.mkdir(DIR_MODE, parents=True)
            os.chown(root, -1, self.tree.directory.stat().st_gid)
            os.chmod(root, DIR_MODE | stat.S_ISGID)
        found = root.stat()
        if found.st_mode & 0o007:
            raise CacheDirUnusable("it is open to every user of this machine: chmod o-rwx it")
        fd = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CacheDirUnusable("another sidecar holds it, or it is named twice") from None
            number = self._number(root)
            shutil.rmtree(root / "staging", ignore_errors=True)
            for room in ("staging", "blocks"):
                self.tree.make_dir(root / room)
        except BaseException:
            os.close(fd)
            raise
        return Volume(number, root, found.st_dev, fd)

    def _number(self, root: Path) -> int:
        """The number it had, if it is free; else another, written down."""
        with contextlib.suppress(OSError, ValueError):
            number = int((root / MARK).read_text())
            if MAIN < number <= AT_MOST and number not in self.live:
                return number
        taken = {MAIN, *self.live}
        free = [n for n in range(AT_MOST + 1) if n not in taken]
        if not free:
            raise CacheDirUnusable(f"there are {AT_MOST} disks already")
        (root / MARK).write_text(f"{free[0]}\n")
        return free[0]

    def drop(self, number: int, why: str) -> bool:
        """Its blocks are absent from now on; False if it was dropped before."""
        with self._lock:
            volume = self.live.get(number)
            if volume is None:
                return False
            self.live = {n: v for n, v in self.live.items() if n != number}
            self.dropped.append(Dropped(volume.root, why))
        with contextlib.suppress(OSError):
            (self.tree.directory / ROOM / str(number)).unlink()
        os.close(volume.lock_fd)
        log.error(
            "the cache disk %s is dropped: %s. Its blocks are absent; a restart takes it again",
            volume.root, why,
        )  # fmt: skip
        self.on_drop()
        return True

    def failed(self, number: int, error: OSError) -> bool:
        """Drop the volume on which a call failed so; False where it is none, or only full."""
        code = errno.errorcode.get(error.errno or 0, str(error.errno))
        if number == MAIN or error.errno in (
            errno.ENOSPC,
            errno.EDQUOT,
            errno.EMFILE,
            errno.ENFILE,
        ):
            return False
        self.drop(number, f"{error.strerror} ({code})")
        return True

    def check(self) -> None:
        """Drop what was unmounted, taken away or made read-only; look what is free."""
        for number, volume in self.live.items():
            try:
                if (volume.root / MARK).stat().st_dev != volume.device:
                    self.drop(number, "another file system is mounted there now")
                elif os.statvfs(volume.root).f_flag & os.ST_RDONLY:
                    self.drop(number, "it is read-only")
                else:
                    self._heal(volume)
            except OSError as e:
                self.drop(number, e.strerror or str(e))

    def _heal(self, volume: Volume) -> None:
        """Make again what was deleted by hand."""
        link = self.tree.directory / ROOM / str(volume.number)
        if not (volume.root / "staging").is_dir():
            self.tree.make_dir(volume.root / "staging")
        if not link.is_symlink():
            self.tree.make_dir(link.parent)
            link.symlink_to(volume.root)

    def close(self) -> None:
        for volume in self.live.values():
            os.close(volume.lock_fd)
        self.live = {}

    # -- where blocks are

    def choose(self, file_id: bytes, block: int) -> int:
        """The volume for a new block: the same for a section, more often where more is free."""
        free = {MAIN: self.main_free_bytes}
        free |= {number: volume.free_bytes for number, volume in self.live.items()}
        section = (block // _BLOCKS_PER_SECTION).to_bytes(4, "little")

        def score(number: int) -> float:
            text = file_id + section + number.to_bytes(1, "little")
            hashed = int.from_bytes(hashlib.blake2b(text, digest_size=7).digest(), "little") + 1
            return max(0, free[number]) / -math.log(hashed / ((1 << 56) + 1))

        return max(free, key=score) if len(free) > 1 else MAIN

    def root(self, number: int) -> Path:
        """The directory of a volume, or of the cache. FileNotFoundError if it was dropped."""
        if number == MAIN:
            return self.tree.directory
        volume = self.live.get(number)
        if volume is None:
            raise FileNotFoundError(errno.ENOENT, "the cache disk was dropped")
        return volume.root

    @staticmethod
    def link_to(number: int, file_id: bytes, block: int) -> str:
        """What the link of a block on a volume says."""
        return f"../../../{ROOM}/{number}/{block_name(file_id, block)}"

    def of(self, path: Path) -> int:
        """The number of the volume that a block's name leads to; MAIN for a file of its own."""
        if not (self.live or self.dropped):
            return MAIN
        try:
            found = _LINK.match(os.readlink(path))
        except OSError:
            return MAIN
        return int(found[1]) if found else MAIN

    # -- space

    def statvfs(self) -> os.statvfs_result:
        """All disks together; inodes are those of the cache dir's own."""
        main = self.tree.disk.statvfs(self.tree.directory)
        self.main_free_bytes = _above_floor(main)
        size, free = main.f_blocks * main.f_frsize, main.f_bavail * main.f_frsize
        seen = {self.tree.directory.stat().st_dev} if self.live else set()
        for volume in self.live.values():
            with contextlib.suppress(OSError):
                fs = self.tree.disk.statvfs(volume.root)
                volume.free_bytes = _above_floor(fs)
                if volume.device not in seen:
                    seen.add(volume.device)
                    size += fs.f_blocks * fs.f_frsize
                    free += fs.f_bavail * fs.f_frsize
        f = main.f_frsize or 1
        return os.statvfs_result(
            (main.f_bsize, f, size // f, free // f, free // f, main.f_files, main.f_ffree,
             main.f_favail, main.f_flag, main.f_namemax)
        )  # fmt: skip


def _above_floor(fs: os.statvfs_result) -> int:
    size = fs.f_blocks * fs.f_frsize
    return fs.f_bavail * fs.f_frsize - min(_FLOOR_BYTES, int(size * _FLOOR_SHARE))
