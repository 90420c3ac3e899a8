"""Staging: files that a writer fills and the sidecar then takes, checks and makes blocks.

The sidecar creates them (random names, 0660, in a directory of the writer's session), so that they
are its own and it alone can give them other names. ``take`` ends the writer's part: the mode goes
to 0640, and no descriptor may be left that writes to the file (the kernel grants a read lease only
then). What is checked after that stays as it is.

The header and the checksums that the writer makes bear an id that was drawn for the write. A CRC is
linear: exchanging the id under a seed changes the CRC of every page of one length by the same bits.
So a taken file becomes a block of the version that the store named by writing its header and its
table of CRCs anew, without touching its data.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import secrets
import shutil
import stat
from array import array
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from crc32c import crc32c

from millpond.errors import Corrupt, InvalidRequest, NoSpace, UnknownFormat
from millpond.model.block import (
    CRC_AT,
    DATA_OFFSET,
    PAGE_CRCS_AT,
    READ_BYTES,
    Header,
    page_crc,
)
from millpond.model.paths import block_name
from millpond.model.sizes import BLOCK_BYTES, PAGE_BYTES, block_count, page_count, page_valid_bytes
from millpond.store.disk import as_error
from millpond.store.tree import FILE_MODE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    from millpond.store.blocks import Blocks
    from millpond.store.space import Space
    from millpond.store.tree import Tree

STAGED_MODE = 0o660
FIRST_BYTES = 1 << 20
"""Set aside for the first file of a write: most are smaller. Each further one counts whole."""
FEW = 4
SYNC_THREADS = 8
_SET_LEASE = 1024
_NO_LEASES = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTTY)


class StagedFile:
    """One file of a session, the writer's until it is taken."""

    def __init__(self, path: Path, name: str, inode: int, reserved: int) -> None:
        self.path = path
        self.name = name
        """Below the cache directory."""
        self.inode = inode
        self.reserved = reserved
        self.written_back = False


class Taken:
    """The blocks of one write, checked and the sidecar's own: a source to upload from.

    Each page is compared with its CRC when it is read: Corrupt where it fails.
    """

    def __init__(self, file_id: bytes, length: int) -> None:
        self.file_id = file_id
        self.length = length
        self.files: list[StagedFile] = []
        self._maps: list[tuple[mmap.mmap, Header, array[int]]] = []

    def add(self, file: StagedFile, fd: int, header: Header, crcs: array[int]) -> None:
        data = mmap.mmap(fd, header.file_bytes, access=mmap.ACCESS_READ)
        self.files.append(file)
        self._maps.append((data, header, crcs))

    def read(self, start: int, end: int) -> bytes | memoryview:
        first, last = start // BLOCK_BYTES, max(start, end - 1) // BLOCK_BYTES
        if start >= end:
            return b""
        if first == last:
            return self._proven(first, start - first * BLOCK_BYTES, end - first * BLOCK_BYTES)
        parts = []
        for block in range(first, last + 1):
            base = block * BLOCK_BYTES
            stop = min(BLOCK_BYTES, end - base)
            parts.append(self._proven(block, max(0, start - base), stop))
        return b"".join(parts)

    def _proven(self, block: int, start: int, end: int) -> memoryview:
        data, header, crcs = self._maps[block]
        view = memoryview(data)[DATA_OFFSET:]
        for page in range(start // PAGE_BYTES, page_count(end)):
            at = page * PAGE_BYTES
            part = view[at : at + page_valid_bytes(header.valid_bytes, page)]
            if page_crc(crc32c, self.file_id, block, page, part) != crcs[page]:
                raise Corrupt(
                    f"page {page} of block {block} of what was written fails its checksum",
                    cause="the writer's or the disk's fault",
                    remedy="Write the file again; check the disk's health (smartctl)",
                )
        return view[start:end]

    def header(self, block: int) -> tuple[Header, array[int]]:
        _, header, crcs = self._maps[block]
        return header, crcs


class Staging:
    """The staging files of all sessions. Thread-safe; raises ``millpond.errors`` only."""

    def __init__(self, tree: Tree, space: Space, blocks: Blocks) -> None:
        self._tree, self._space, self._blocks = tree, space, blocks

    def create(self, session: str, count: int, *, first: bool) -> list[StagedFile]:
        """New empty files in the directory of ``session``, fewer where there is no room for all.

        Raises NoSpace where there is room for none.
        """
        made: list[StagedFile] = []
        try:
            for number in range(count):
                size = FIRST_BYTES if first and number == 0 else BLOCK_BYTES
                self._space.reserve(size)
                try:
                    made.append(self._create(session, size))
                except BaseException:
                    self._space.release(size)
                    raise
        except NoSpace:
            if not made:
                raise
        except OSError as e:
            self.discard(made)
            raise as_error(e, "making a staging file") from e
        except BaseException:
            self.discard(made)
            raise
        return made

    def _create(self, session: str, reserved: int) -> StagedFile:
        name = f"staging/{session}/{secrets.token_hex(16)}"
        path = self._tree.directory / name
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        try:
            fd = self._tree.disk.open(path, flags)
        except FileNotFoundError:
            self._tree.make_dir(path.parent)
            fd = self._tree.disk.open(path, flags)
        try:
            self._tree.disk.chmod(fd, STAGED_MODE)
            return StagedFile(path, name, self._tree.disk.stat(fd).st_ino, reserved)
        finally:
            self._tree.disk.close(fd)

    def write_back(self, files: Iterable[StagedFile]) -> None:
        """These are complete, and have to be on the disk before their write is acknowledged: the
        disk may begin, so that little is left to do then."""
        for file in files:
            if not file.written_back:
                file.written_back = True
                with contextlib.suppress(OSError):
                    fd = self._tree.disk.open(file.path, os.O_RDONLY)
                    try:
                        self._tree.disk.write_back(fd)
                    finally:
                        self._tree.disk.close(fd)

    def take(self, files: Sequence[StagedFile], file_id: bytes, length: int) -> Taken:
        """The writer has done: what it made is ours from now on, and is what a file of ``length``
        bytes has. Raises InvalidRequest, Corrupt, and NoSpace where the disk is full."""
        if len(files) != block_count(length):
            raise InvalidRequest(
                f"{len(files)} staging files for {length} bytes",
                cause=f"they take {block_count(length)}",
            )
        taken = Taken(file_id, length)
        for block, file in enumerate(files):
            valid = min(BLOCK_BYTES, length - block * BLOCK_BYTES)
            try:
                self._take(taken, file, block, valid)
            except OSError as e:
                raise as_error(e, "taking what was written") from e
        return taken

    def _take(self, taken: Taken, file: StagedFile, block: int, valid_bytes: int) -> None:
        fd = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            info = os.fstat(fd)
            regular = stat.S_ISREG(info.st_mode) and info.st_nlink == 1
            if not regular or info.st_ino != file.inode:
                raise InvalidRequest("a staging file is not the one that the sidecar made")
            os.fchmod(fd, FILE_MODE)
            _no_writer_left(fd)
            try:
                head = self._tree.disk.pread(fd, READ_BYTES, 0)
                header, present, crcs = Header.parse(head, crc32c)
            except UnknownFormat as e:
                raise InvalidRequest("a staging file is no block", cause=str(e)) from None
            right = (header.file_id, header.block, header.valid_bytes) == (
                taken.file_id, block, valid_bytes,
            )  # fmt: skip
            whole = os.fstat(fd).st_size == header.file_bytes and present == header.full_map
            if not right or not whole:
                raise Corrupt(
                    f"block {block} of what was written is not complete",
                    cause="its header, its length or its map of pages contradict the commit",
                )
            taken.add(file, fd, header, array("I", crcs))
        finally:
            os.close(fd)

    def publish(self, taken: Taken, file_id: bytes, part: str) -> None:
        """Make the files blocks of this version. One that is there already is left as it is."""
        try:
            for block, file in enumerate(taken.files):
                header, crcs = taken.header(block)
                self._rename(file, header, crcs, file_id)
                self._blocks.adopt(file_id, block, file.path, part)
        except OSError as e:
            raise as_error(e, "publishing what was written") from e

    def sync(self, files: Iterable[tuple[bytes, int]]) -> None:
        """Data and names of published files, each (file id, length), are on the disk when it
        returns, whatever happens. Raises CacheDirUnusable; then nobody knows what is there."""
        blocks = [
            self._tree.directory / block_name(file_id, n)
            for file_id, length in files for n in range(block_count(length))
        ]  # fmt: skip
        own = {block.parent for block in blocks}
        above = {directory.parent for directory in own}
        try:
            for part in (blocks, own, above, {directory.parent for directory in above}):
                self._sync(part)
        except OSError as e:
            raise as_error(e, "syncing what was written") from e

    def _sync(self, paths: Collection[Path]) -> None:
        if len(paths) < FEW:
            for path in paths:
                self._tree.sync(path)
            return
        # The journal of a file system takes those that wait at the same time in one go.
        with ThreadPoolExecutor(SYNC_THREADS) as threads:
            list(threads.map(self._tree.sync, paths))

    def _rename(self, file: StagedFile, header: Header, crcs: array[int], file_id: bytes) -> None:
        new = Header(file_id, header.block, header.valid_bytes, secrets.randbits(64))
        pages = header.pages
        change = _seed_change(header.file_id, file_id, PAGE_BYTES)
        last = page_valid_bytes(header.valid_bytes, pages - 1)
        table = array("I", (crc ^ change for crc in crcs[:pages]))
        table[-1] = crcs[pages - 1] ^ _seed_change(header.file_id, file_id, last)
        fd = self._tree.disk.open(file.path, os.O_RDWR)
        try:
            self._tree.disk.pwrite(fd, new.pack(crc32c)[: CRC_AT + 4], 0)
            self._tree.disk.pwrite(fd, table.tobytes(), PAGE_CRCS_AT)
        finally:
            self._tree.disk.close(fd)

    def discard(self, files: Sequence[StagedFile]) -> None:
        """Take files away, whoever has them open; what became a block keeps its other name."""
        for file in files:
            with contextlib.suppress(OSError):
                file.path.unlink()
            reserved, file.reserved = file.reserved, 0
            self._space.release(reserved)

    def end(self, session: str) -> None:
        """The session's directory, and whatever is in it."""
        shutil.rmtree(self._tree.directory / "staging" / session, ignore_errors=True)


def _no_writer_left(fd: int) -> None:
    try:
        fcntl.fcntl(fd, _SET_LEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, _SET_LEASE, fcntl.F_UNLCK)
    except OSError as e:
        if e.errno in _NO_LEASES:
            return  # a file system without leases: the checksums find what is changed later
        raise InvalidRequest(
            "a staging file is still open for writing",
            cause=e.strerror or "",
            remedy="Close it, then commit",
        ) from None


def _seed_change(old: bytes, new: bytes, size: int) -> int:
    """By which bits the CRC of a page of ``size`` bytes differs under two file ids."""
    zeros = bytes(size)
    return page_crc(crc32c, old, 0, 0, zeros) ^ page_crc(crc32c, new, 0, 0, zeros)
