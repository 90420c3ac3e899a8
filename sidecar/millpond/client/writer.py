"""A file being written from Python: blocks go into staging files, then one Commit.

Pages get their checksums here, as they are written, and the header of a block comes last: a block
that its writer did not finish has none. What failed once is never committed.
"""

from __future__ import annotations

import errno
import os
import secrets
from array import array
from typing import TYPE_CHECKING

from crc32c import crc32c

from millpond.errors import CacheDirUnusable, MillpondError, NoSpace, SessionLost
from millpond.model.block import MAP_AT, MAP_BYTES, PAGE_CRCS_AT, Header, page_crc, page_offset
from millpond.model.sizes import BLOCK_BYTES, PAGE_BYTES, page_mask

if TYPE_CHECKING:
    from pathlib import Path

    from millpond.wire import millpond_pb2 as wire
    from millpond.wire.local_client import LocalClient

AHEAD_FILES = 4
"""Staging files asked for at once, after the first."""


class StagedWriter:
    """One write on a connection of its own, which ``close`` ends. Not thread-safe."""

    def __init__(
        self, client: LocalClient, directory: Path, path: str, *, overwrite: bool = True,
        parent: bool = False, write_type: str = "",
    ) -> None:  # fmt: skip
        self._client, self._directory = client, directory
        self.path = path
        self.length = 0
        begun = client.begin(path, overwrite=overwrite, parent=parent, write_type=write_type)
        self._write, self._file_id = begun.write, begun.file_id
        self._spare = list(begun.files)
        self._files: list[str] = []
        self._page = bytearray()
        self._crcs = array("I")
        self._fd = -1
        self._block_bytes = 0
        self._failed = False

    def write(self, data: bytes | memoryview) -> None:
        """Take what the file has next. Raises NoSpace, SessionLost; then the write is lost."""
        view = memoryview(data).cast("B")
        self._check()
        self._failed = True
        while view:
            part = view[: PAGE_BYTES - len(self._page)]
            self._page += part
            view = view[len(part) :]
            if len(self._page) == PAGE_BYTES:
                self._flush_page()
        self.length += memoryview(data).nbytes
        self._failed = False

    def commit(self) -> wire.FileInfo:
        """What the path is now. At most once."""
        self._check()
        self._failed = True
        if self._page:
            self._flush_page()
        self._finish_block()
        return self._client.commit(self._write, self.length, self._files)

    def close(self) -> None:
        """Give the staging files back; what was not committed is gone. Idempotent."""
        self._failed = True
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._client.close()

    def _check(self) -> None:
        if self._failed:
            raise SessionLost(
                f"{self.path} is not written",
                cause="writing failed before, or it was committed or closed",
                remedy="Write the file again",
            )

    def _flush_page(self) -> None:
        if self._fd < 0:
            self._next_block()
        number = len(self._crcs)
        crc = page_crc(crc32c, self._file_id, len(self._files) - 1, number, bytes(self._page))
        self._pwrite(self._page, page_offset(number))
        self._crcs.append(crc)
        self._block_bytes += len(self._page)
        self._page.clear()
        if self._block_bytes == BLOCK_BYTES:
            self._finish_block()

    def _next_block(self) -> None:
        if not self._spare:
            more = self._client.begin(self.path, write=self._write, files=AHEAD_FILES)
            self._spare += more.files
        name = self._spare.pop(0)
        try:
            self._fd = os.open(self._directory / name, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as e:
            raise _meaning(e) from e
        self._files.append(name)

    def _finish_block(self) -> None:
        if self._fd < 0:
            return
        block = len(self._files) - 1
        header = Header(self._file_id, block, self._block_bytes, secrets.randbits(64))
        start = bytearray(header.pack(crc32c))
        present = page_mask(0, len(self._crcs)).to_bytes(MAP_BYTES, "little")
        start[MAP_AT : MAP_AT + MAP_BYTES] = present
        table = self._crcs.tobytes()
        start[PAGE_CRCS_AT : PAGE_CRCS_AT + len(table)] = table
        self._pwrite(start, 0)
        os.close(self._fd)
        self._fd, self._block_bytes, self._crcs = -1, 0, array("I")

    def _pwrite(self, data: bytearray, at: int) -> None:
        view = memoryview(data)
        try:
            while view:
                done = os.pwrite(self._fd, view, at)
                view, at = view[done:], at + done
        except OSError as e:
            raise _meaning(e) from e
        finally:
            view.release()


def _meaning(error: OSError) -> MillpondError:
    cause = error.strerror or type(error).__name__
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpace("the cache disk is full", cause=cause, remedy="Free space on the disk")
    return CacheDirUnusable(
        "staging files can't be written",
        cause=cause,
        remedy="Join the group of the cache directory, and have it writable here",
    )
