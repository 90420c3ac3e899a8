"""Bytes of a file for the command line: through the sidecar's fills, else from the store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from crc32c import crc32c

from millpond.errors import Corrupt, FileChanged, MillpondError, PermissionDenied, StoreUnavailable
from millpond.model.block import READ_BYTES, Header, page_crc, page_offset
from millpond.model.paths import block_name
from millpond.model.sizes import (
    BLOCK_BYTES,
    INLINE_REPLY_BYTES,
    PAGE_BYTES,
    page_valid_bytes,
)
from millpond.namespace.database import Database
from millpond.namespace.mounting import mount_of, open_mount
from millpond.namespace.mounts import MountTable
from millpond.under.registry import open_store
from millpond.wire import millpond_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from millpond.settings import Settings
    from millpond.wire.local_client import LocalClient
    from millpond.wire.millpond_pb2 import FileInfo


def read_range(
    client: LocalClient, settings: Settings, info: FileInfo, start: int, end: int
) -> Iterator[bytes | memoryview]:
    """The bytes [start, end) of the version that ``info`` names, in order, or an error."""
    at = start
    while at < end and info.file_id:
        stop = min(end, at + INLINE_REPLY_BYTES)
        reply = client.fill(
            info.path, info.file_id, [(at, stop - at)],
            window=min(end - stop, 8 * INLINE_REPLY_BYTES), intent=wire.SEQUENTIAL,
            inline_max=INLINE_REPLY_BYTES,
        )  # fmt: skip
        if reply.result == wire.DIRECT:
            break
        data = reply.data if reply.result == wire.INLINE else None
        if data is None:
            try:
                data = _from_blocks(settings.cache_dir, info, at, stop)
            except (OSError, Corrupt):
                break  # evicted or rotten meanwhile: the store has it
        yield data
        at = stop
    if at < end:
        yield from _direct(settings, info, at, end)


def _from_blocks(directory: Path, info: FileInfo, start: int, end: int) -> bytes:
    """Verified pages from the block files. Raises Corrupt where one is absent or fails."""
    out = bytearray()
    while start < end:
        block, inside = divmod(start, BLOCK_BYTES)
        stop = min(end, (block + 1) * BLOCK_BYTES)
        with (directory / block_name(info.file_id, block)).open("rb") as file:
            header, present, crcs = Header.parse(file.read(READ_BYTES), crc32c)
            if (header.file_id, header.block) != (info.file_id, block):
                raise Corrupt("a block file of another file")
            first, last = inside // PAGE_BYTES, (stop - 1) % BLOCK_BYTES // PAGE_BYTES
            for page in range(first, last + 1):
                file.seek(page_offset(page))
                data = file.read(page_valid_bytes(header.valid_bytes, page))
                good = page_crc(crc32c, info.file_id, block, page, data) == crcs[page]
                if not present >> page & 1 or not good:
                    raise Corrupt(f"page {page} of block {block} is absent or fails its checksum")
                base = block * BLOCK_BYTES + page * PAGE_BYTES
                out += data[max(0, start - base) : stop - base]
        start = stop
    return bytes(out)


def _direct(
    settings: Settings, info: FileInfo, start: int, end: int
) -> Iterator[bytes | memoryview]:
    """From the store itself, with the mount's own credentials where they may be read."""
    try:
        file = settings.cache_dir / "namespace.db"
        if not os.access(file, os.R_OK | os.W_OK):
            raise PermissionDenied(f"{file} may not be read")
        database = Database(file)
        table = MountTable(mount_of(row, 0, 0) for row in database.mounts())
        database.close()
        found = table.resolve(info.path)
        store = open_mount(found.mount, open_store)
    except MillpondError as e:
        raise StoreUnavailable(
            f"{info.path} is not cached, and its store can't be read from here",
            cause=str(e),
            remedy="Run the command as the sidecar's user",
        ) from None
    try:
        yield from store.read(found.key, start, end, info.version)
    except FileChanged:
        raise FileChanged(
            f"{info.path} changed while it was read", remedy="Read it again from the start"
        ) from None
    finally:
        store.close()
