"""One version of one file, read from blocks, from a Fill, or from the store: never of two."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from millpond.client.sidecar import Trouble, both_failed
from millpond.errors import (
    FileChanged,
    IsADirectory,
    MillpondError,
    PathNotFound,
    PendingUnreachable,
)
from millpond.model.paths import staged
from millpond.model.records import is_born
from millpond.model.sizes import BLOCK_BYTES, INLINE_FILE_BYTES, MIB
from millpond.wire import millpond_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from millpond.client.blocks import OpenBlock
    from millpond.client.cachedir import ClientMount
    from millpond.client.process import Process, Stores
    from millpond.client.remote import RemoteProcess
    from millpond.model.records import Meta

P = TypeVar("P", bound="Stores")
T = TypeVar("T")
_REMEDY = "Try again when the sidecar runs; 'millpond doctor' says what it lacks"
ROUNDS = 2
PATIENCE_S = 10.0
_PAUSE_S = 0.1
INLINE_BYTES = MIB
MAX_FILL_BYTES = 4 * BLOCK_BYTES
MAX_WINDOW_BYTES = 32 * MIB


@dataclass(frozen=True, slots=True)
class Version:
    """What a path named when it was looked at. ``file_id`` is empty where only the store has it."""

    path: str
    directory: bool
    length: int
    mtime_ms: int
    version: str = ""
    file_id: bytes = b""
    content: bytes | None = None
    direct: str = "not_cached"
    """Why nothing but the store is read, where ``file_id`` is empty."""


def patiently(process: Stores, ask: Callable[[], T]) -> T:
    """Asks again where a sidecar that is only busy gave no answer: as long as it renews its lease,
    at most ten seconds. Elsewhere the store is read at once; here there is nothing else to ask."""
    until_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            return ask()
        except PendingUnreachable:
            if not process.sidecar_lives() or time.monotonic() > until_s:
                raise
        time.sleep(_PAUSE_S)


def look(process: Process | RemoteProcess, path: str, *, force: bool = False) -> Version:
    """The file or directory at a path: from meta without a call, else by Stat, else the store.

    ``force``: the store is asked, whatever is known.
    """
    return patiently(process, lambda: _look(process, path, force))


def _look(process: Process | RemoteProcess, path: str, force: bool) -> Version:
    mount = process.dir.find_mount(path)
    if mount is None:
        if path != "/" and not process.dir.mount_points(path):
            process.dir.mount(path)
        return Version(path, True, 0, 0)
    if not force and process.trusted():
        meta = process.dir.trusted(mount, path)
        if meta is not None:
            return _of_meta(path, meta)
    try:
        info = process.sidecar.call("stats", lambda c: c.stat(path, force=force))
    except Trouble as e:
        process.fallback(e.reason, str(e))
        return _unasked(process, mount, path, e)
    content = None
    if info.file_id and info.meta_on_disk and info.length <= INLINE_FILE_BYTES:
        meta = process.dir.meta(mount.store_path(path))
        content = meta.content if meta is not None and meta.file_id == info.file_id else None
    return Version(
        path, info.directory, info.length, info.mtime_ms, info.version, info.file_id, content
    )


def _in_store(meta: Meta) -> str:
    return meta.store_version if is_born(meta.version) else meta.version


def check_staged(path: str) -> None:
    """Raises PendingUnreachable for a path in the staging directory of a batch: it means nothing to
    a store."""
    if staged(path) is not None:
        raise PendingUnreachable(
            f"{path} belongs to a batch",
            cause="the sidecar alone knows its files",
            remedy=_REMEDY,
        )


def unreachable(path: str, trouble: Exception) -> PendingUnreachable:
    """Nobody can say what a path has: its mount holds what the store does not have."""
    return PendingUnreachable(
        f"what {path} has can't be known without the sidecar",
        cause=f"its mount holds data that the store does not have yet; {trouble}",
        remedy=_REMEDY,
    )


def _of_meta(path: str, meta: Meta) -> Version:
    return Version(
        path, False, meta.length, meta.mtime_ms, meta.version, meta.file_id, meta.content
    )


def _unasked(
    process: Process | RemoteProcess, mount: ClientMount, path: str, trouble: Trouble
) -> Version:
    """Without the sidecar the store says which version there is; local blocks of it still count.

    What is pending the store does not know: its meta, which goes before anything newer is
    acknowledged, speaks for itself, and where a mount holds such data nothing is said of a path
    without meta.
    """
    check_staged(path)
    meta = process.dir.meta(mount.store_path(path))
    if meta is not None and meta.pending:
        return _of_meta(path, meta)
    pending = process.dir.pending(path)
    if pending and (meta is None or meta.weak):
        raise unreachable(path, trouble)
    try:
        found = process.store(mount).stat(mount.key(path))
    except PathNotFound as e:
        if pending:
            raise unreachable(path, trouble) from e
        if process.dir.mount_points(path):
            return Version(path, True, 0, 0)
        raise
    except MillpondError as e:
        raise both_failed(trouble, e) from e
    strong = found.version and not found.weak and not found.is_dir
    if meta is not None and strong and not meta.weak and found.version == _in_store(meta):
        return _of_meta(path, meta)
    if pending:
        raise unreachable(path, trouble)
    return Version(
        path, found.is_dir, found.length, found.mtime_ms, found.version, direct="no_lease"
    )


class BaseReader(ABC, Generic[P]):
    """Reads one version by position, from any thread, in whichever process it finds itself."""

    def __init__(self, mount: ClientMount, version: Version) -> None:
        if version.directory:
            raise IsADirectory(f"{version.path} is a directory", cause="only files can be opened")
        self.version = version
        self._mount = mount
        self._next = self._window = 0

    @abstractmethod
    def read(self, process: P, start: int, end: int) -> bytes:
        """The bytes [start, end), cut at the file's end. Raises FileChanged."""

    @abstractmethod
    def readinto(self, process: P, start: int, view: memoryview) -> None:
        """Fill ``view`` from ``start`` on; all of it lies within the file."""

    def _direct(self, process: P, position: int, view: memoryview, why: Trouble) -> int:
        process.fallback(why.reason, str(why))
        version = self.version
        try:
            named = self._named_by_store(process)
            process.read_store(self._mount, version.path, named, position, view)
        except PathNotFound as e:
            raise self._changed("the store no longer has it") from e
        except MillpondError as e:
            raise both_failed(why, e) from e
        return len(view)

    def _named_by_store(self, process: P) -> str:
        """What the store calls this version: of one that was born here its meta says it."""
        version = self.version
        if not is_born(version.version):
            return version.version
        meta = process.meta(self._mount.store_path(version.path))
        if meta is None or meta.file_id != version.file_id or not meta.store_version:
            raise PendingUnreachable(
                f"{version.path} can't be read further without the sidecar",
                cause="the store may not have this version yet",
                remedy=_REMEDY,
            )
        return meta.store_version

    def _changed(self, cause: str) -> FileChanged:
        return FileChanged(
            f"the file behind {self.version.path} is another than the one that was opened",
            cause=cause,
            remedy="Open it again, or read it once nobody replaces it",
        )


class Reader(BaseReader["Process"]):
    """Reads from block files, by Fills of the node's sidecar, or from the store."""

    def __init__(self, mount: ClientMount, version: Version) -> None:
        super().__init__(mount, version)
        self._content = version.content
        self._ahead = 0, 0

    def read(self, process: Process, start: int, end: int) -> bytes:
        position, end = max(0, start), min(end, self.version.length)
        parts: list[bytes] = []
        while position < end:
            part = self._hit(process, position, end - position)
            if not part:
                rest = bytearray(min(end - position, MAX_FILL_BYTES))
                done = self._absent(process, position, memoryview(rest))
                part = bytes(memoryview(rest)[:done])
            parts.append(part)
            position += len(part)
        self._next = position
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def readinto(self, process: Process, start: int, view: memoryview) -> None:
        at = 0
        while at < len(view):
            rest = view[at:]
            done = self._local_into(process, start + at, rest)
            self._count(process, start + at, done)
            at += done or self._absent(process, start + at, rest[:MAX_FILL_BYTES])
        self._next = start + len(view)

    def _hit(self, process: Process, position: int, size: int) -> bytes:
        """What is on this node's disk from ``position`` on; empty: the first page is not."""
        if self._content is not None:
            data = self._content[position : position + size]
        else:
            found = self._find(process, position, size)
            data = found[0].read(found[1], found[2]) if found else b""
        self._count(process, position, len(data))
        return data

    def _local_into(self, process: Process, position: int, view: memoryview) -> int:
        """The same into ``view``, uncounted; returns how many."""
        if self._content is not None:
            view[:] = self._content[position : position + len(view)]
            return len(view)
        found = self._find(process, position, len(view))
        return found[0].readinto(found[1], view[: found[2]]) if found else 0

    def _count(self, process: Process, position: int, size: int) -> None:
        """What a Fill of this very reader brought ahead is no hit."""
        start, end = self._ahead
        brought = max(0, min(position + size, end) - position) if position >= start else 0
        if brought:
            self._ahead = position + brought, end
            process.count("filled_bytes", brought)
        if size > brought:
            process.hit(size - brought)
            if self._content is not None:
                process.reporter.meta(self._mount.store_path(self.version.path))

    def _find(
        self, process: Process, position: int, size: int
    ) -> tuple[OpenBlock, int, int] | None:
        version = self.version
        if not version.file_id:
            return None
        try:
            return process.blocks.find(version.file_id, version.length, position, size)
        except OSError as e:
            process.fallback("local_io", str(e))
            return None

    def _absent(self, process: Process, position: int, view: memoryview) -> int:
        """Bytes that are not on this node's disk, from the sidecar or else the store."""
        version = self.version
        if not version.file_id:
            return self._direct(process, position, view, Trouble(version.direct, version.path))
        return self._miss(process, position, view)

    def _miss(self, process: Process, position: int, view: memoryview) -> int:
        """At most two rounds of Fill, then the store. The second is answered by bytes: blocks of
        a newer release are said to be here, and this process can't read them."""
        window = self._grown(position, len(view))
        for number in range(ROUNDS):
            if number:
                view, window = view[:INLINE_BYTES], 0
            try:
                reply = self._fill(process, position, len(view), window)
            except Trouble as e:
                return self._direct(process, position, view, e)
            except PathNotFound as e:
                raise self._changed("the store no longer has it") from e
            if reply.result == wire.FillResult.DIRECT:
                return self._direct(process, position, view, Trouble("told_direct", reply.reason))
            self._ahead = position + len(view), position + len(view) + window
            if reply.result == wire.FillResult.INLINE and len(reply.data) == len(view):
                view[:] = reply.data
                process.count("inline_bytes", len(view))
                return len(view)
            self._note(process, reply)
            # The pool gives up an inode without links at the first look, and opens at the second.
            for _ in range(2):
                if done := self._local_into(process, position, view):
                    process.count("filled_bytes", done)
                    return done
        return self._direct(process, position, view, Trouble("fill_rounds", self.version.path))

    def _fill(self, process: Process, position: int, size: int, window: int) -> wire.FillReply:
        intent = wire.Intent.SEQUENTIAL if window else wire.Intent.RANDOM
        return process.sidecar.call(
            "fills",
            lambda c: c.fill(
                self.version.path, self.version.file_id, [(position, size)], window=window,
                inline_max=INLINE_BYTES, intent=intent,
            ),
        )  # fmt: skip

    def _note(self, process: Process, reply: wire.FillReply) -> None:
        """Which inodes the sidecar filled, or the whole of a file that is kept in its meta."""
        for each in reply.blocks:
            process.blocks.expect(self.version.file_id, each.block, each.generation)
        if not reply.blocks and self.version.length <= INLINE_FILE_BYTES:
            meta = process.dir.meta(self._mount.store_path(self.version.path))
            if meta is not None and meta.file_id == self.version.file_id and meta.content:
                self._content = meta.content

    def _grown(self, position: int, size: int) -> int:
        """Bytes worth having after these: doubling while the reads are sequential."""
        if position != self._next:
            self._window = 0
        elif position or size >= MIB:
            self._window = min(MAX_WINDOW_BYTES, max(MIB, 2 * self._window, 2 * size))
        return self._window
