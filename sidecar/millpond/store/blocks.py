"""Blocks: creating, finding, checking and unlinking block files.

All changes of one block's *name* (link, unlink, set aside) happen under its stripe lock; the index
lock is taken inside it, never around it, and nothing is evicted while it is held. A block with an
open writer, or held, is not evicted.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import secrets
import threading
import time
from array import array
from typing import TYPE_CHECKING

from crc32c import crc32c

from millpond.errors import Corrupt, MillpondError, NoSpace, UnknownFormat
from millpond.model.block import READ_BYTES, Header, page_offset
from millpond.model.sizes import PAGE_BYTES, PAGES_PER_BLOCK, page_count, page_mask, runs
from millpond.store.block_files import BlockFiles
from millpond.store.content import COMMON
from millpond.store.disk import as_error, is_full
from millpond.store.history import Loss
from millpond.store.segment import BLOCK_KEY_BYTES
from millpond.store.space import block_key
from millpond.store.writing import FULL_DISK_TRIES, BlockWriter, bad_page, read_pages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from millpond.store.history import History
    from millpond.store.space import Space
    from millpond.store.tree import Tree
    from millpond.store.volumes import Volumes

log = logging.getLogger(__name__)
_STRIPES = 64
_NEW_BLOCK_BYTES = 4096  # what a block takes before its first page
SCRUB_PAGES = 16  # read at once
_HOLDS_SWEPT_AT = 4096


class Blocks:
    """The block files of one cache dir."""

    def __init__(self, tree: Tree, space: Space, history: History, volumes: Volumes) -> None:
        self.disk = tree.disk
        self._files = BlockFiles(tree, volumes)
        self._tree, self._space, self._history = tree, space, history
        self._stripes = [threading.Lock() for _ in range(_STRIPES)]
        self._open: dict[bytes, BlockWriter] = {}
        self._open_lock = threading.Lock()
        self._held: dict[bytes, float] = {}
        self.kept: set[bytes] = set()  # file ids, and halves of metas' digests
        self.corrupt_pages = 0

    # -- what may not be evicted

    def hold(self, key: bytes, seconds: float) -> None:
        """Not evicted for ``seconds``. Memory only, no lock."""
        self._held[key] = max(time.monotonic() + seconds, self._held.get(key, 0.0))

    def in_use(self, key: bytes) -> bool:
        """Whether a writer is open, or the block is held or kept."""
        if key in self._open or key[:16] in self.kept:
            return True
        until = self._held.get(key)
        return until is not None and until > time.monotonic()

    def sweep_holds(self) -> None:
        """Forget the holds that have run out."""
        if len(self._held) < _HOLDS_SWEPT_AT:
            return
        now = time.monotonic()
        for key, until in list(self._held.items()):
            if until <= now:
                self._held.pop(key, None)

    # -- writers

    def writer(
        self, file_id: bytes, block: int, valid_bytes: int, part: str = COMMON
    ) -> BlockWriter:
        """The shared writer of a block, which is created if absent. Raises NoSpace."""
        key = block_key(file_id, block)
        for attempt in range(1, FULL_DISK_TRIES + 1):
            try:
                return self._found(key, valid_bytes, part) or self._made(key, valid_bytes, part)
            except OSError as e:
                room = is_full(e) and attempt < FULL_DISK_TRIES
                if not (room and self.make_room(PAGE_BYTES * attempt, 16 * attempt)):
                    raise as_error(e, "opening a block") from e
        raise NoSpace("the cache disk stays full")

    def _shared(self, key: bytes) -> BlockWriter | None:
        writer = self._hold_open(key)
        if writer is None or writer.still_linked():
            return writer
        self.lost(writer)
        self.give_back(writer)
        return None

    def _hold_open(self, key: bytes) -> BlockWriter | None:
        with self._open_lock:
            writer = self._open.get(key)
            if writer is not None:
                writer.references += 1
            return writer

    def _found(self, key: bytes, valid_bytes: int, part: str) -> BlockWriter | None:
        with self._stripe(key):
            existing = self._shared(key)
            return existing or self._opened(key, self._existing(key, valid_bytes), part)

    def _made(self, key: bytes, valid_bytes: int, part: str) -> BlockWriter:
        self._space.reserve(_NEW_BLOCK_BYTES)  # may evict: not under a stripe lock
        try:
            with self._stripe(key):
                while True:
                    writer = self._shared(key)
                    writer = writer or self._opened(key, self._existing(key, valid_bytes), part)
                    writer = writer or self._opened(key, self._create(key, valid_bytes), part)
                    if writer is not None:
                        return writer
        finally:
            self._space.release(_NEW_BLOCK_BYTES)

    def _opened(self, key: bytes, writer: BlockWriter | None, part: str) -> BlockWriter | None:
        if writer is not None:
            with self._open_lock:
                self._open[key] = writer
            self._space.put(self._space.content, key, writer.disk_bytes(), part)
        return writer

    def _existing(self, key: bytes, valid_bytes: int) -> BlockWriter | None:
        """The block that is there, if it is sound; what is not sound is taken away."""
        path = self._files.path(key)
        try:
            fd = self._files.open(key, os.O_RDWR)
        except FileNotFoundError:
            return None
        try:
            header, present, crcs = self._header(fd, path)
            if header.valid_bytes != valid_bytes:
                raise Corrupt("block of another length than its file's")
            return BlockWriter(self, header, fd, present, array("I", crcs))
        except UnknownFormat as e:
            self.disk.close(fd)
            self._tree.set_aside(path, str(e))
        except Corrupt as e:
            self.disk.close(fd)
            if key[:16] in self.kept:
                raise
            self._files.unlink(key)
            self._history.add(key, Loss.BAD)
            self._say_bad(key, str(e))
        except OSError as e:
            self.disk.close(fd)
            if not self._files.failed(key, e):
                raise
        except BaseException:
            self.disk.close(fd)
            raise
        return None

    def _header(self, fd: int, path: Path) -> tuple[Header, int, memoryview]:
        """A block file's header; Corrupt also where it is another block's, or cut."""
        header, present, crcs = Header.parse(self.disk.pread(fd, READ_BYTES, 0), crc32c)
        if path.parts[-2:] != (header.file_id.hex(), str(header.block)):
            raise Corrupt("block file under another block's name")
        if self.disk.stat(fd).st_size != header.file_bytes:
            raise Corrupt("block file is cut")
        return header, present, crcs

    def _create(self, key: bytes, valid_bytes: int) -> BlockWriter | None:
        """A new block, linked; None if one appeared under the name meanwhile."""
        header = Header(*_parts(key), valid_bytes, secrets.randbits(64))
        try:
            fd = self._files.create(key, header.pack(crc32c), header.file_bytes)
        except FileExistsError:
            return None
        return BlockWriter(self, header, fd, 0, array("I", bytes(4 * PAGES_PER_BLOCK)))

    def adopt(self, file_id: bytes, block: int, staged: Path, part: str) -> None:
        """A complete block file gets its name as well; where there is a block, that one stays."""
        key = block_key(file_id, block)
        with self._stripe(key), contextlib.suppress(FileExistsError):
            self._files.adopt(key, staged)
            size = os.stat(staged).st_blocks * 512
            self._space.put(self._space.content, key, size, part)

    def give_back(self, writer: BlockWriter) -> None:
        key = block_key(writer.file_id, writer.block)
        with self._open_lock:
            writer.references -= 1
            if writer.references:
                return
            if self._open.get(key) is writer:
                del self._open[key]
        writer.release_file()

    # -- what writers tell

    def reserve(self, size: int) -> None:
        self._space.reserve(size)

    def release(self, size: int) -> None:
        self._space.release(size)

    def make_room(self, size: int, inodes: int = 0) -> bool:
        """Evict after the disk said it is full; whether anything went."""
        return self._space.make_room(size, inodes)

    def grown(self, writer: BlockWriter, size: int) -> None:
        if writer.linked:
            key = block_key(writer.file_id, writer.block)
            self._space.resize(self._space.content, key, size)

    def lost(self, writer: BlockWriter) -> None:
        """The writer's inode has no name any more."""
        key = block_key(writer.file_id, writer.block)
        writer.linked = False
        with self._open_lock:
            if self._open.get(key) is not writer:
                return
            del self._open[key]
        if self._space.drop(self._space.content, key):
            self._history.add(key, Loss.DROPPED)

    def found_bad(self, writer: BlockWriter) -> None:
        self.remove_bad(block_key(writer.file_id, writer.block), writer.generation)

    def remove_bad(self, key: bytes, generation: int, page: int | None = None) -> None:
        """Unlink a block with a page that fails its checksum, unless another took its place."""
        with self._stripe(key):
            if self._generation(key) != generation:
                return  # who also met the page was faster: counted and told once
            if key[:16] in self.kept:
                log.error("%s is bad, and holds what no store has", self._files.path(key))
                return
            self._unlink(key, Loss.BAD)
        what = "a page" if page is None else f"page {page}"
        self._say_bad(key, f"{what} fails its checksum")

    def _say_bad(self, key: bytes, why: str) -> None:
        with self._open_lock:
            self.corrupt_pages += 1
        log.warning(
            "removed the bad block file %s: %s. The store has its data; check the disk's health "
            "(smartctl, the kernel's log)",
            self._files.path(key), why,
        )  # fmt: skip

    # -- reading

    def page_map(self, file_id: bytes, block: int) -> int:
        """The pages present on disk; 0 for an absent block. An unsound one is taken away."""
        key = block_key(file_id, block)
        writer = self._hold_open(key)
        if writer is not None:
            try:
                if writer.still_linked():
                    return writer.present
            finally:
                self.give_back(writer)
        with self.looking(key) as found:
            return found[2] if found else 0

    def read(self, file_id: bytes, block: int, start: int, end: int) -> bytes | None:
        """Verified bytes [start, end) of the block; None if a page is absent or bad."""
        key = block_key(file_id, block)
        first, last = start // PAGE_BYTES, page_count(end)
        with self.looking(key) as found:
            if found is None:
                return None
            fd, header, present, crcs = found
            wanted = page_mask(first, last)
            if not 0 <= start <= end <= header.valid_bytes or present & wanted != wanted:
                return None
            try:
                data = read_pages(self.disk, fd, header, crcs, first, last)
            except OSError as e:
                if not self._files.failed(key, e):
                    raise as_error(e, "reading a block") from e
                return None
        if data is None:
            self.remove_bad(key, header.generation)
            return None
        return data[start - first * PAGE_BYTES : end - first * PAGE_BYTES]

    def report_bad_page(self, file_id: bytes, block: int, page: int, generation: int) -> bool:
        """Look at the page ourselves; unlink the block if it is bad (True)."""
        key = block_key(file_id, block)
        with self.looking(key) as found:
            if found is None:
                return False
            fd, header, present, crcs = found
            if header.generation != generation or not present >> page & 1:
                return False
            if read_pages(self.disk, fd, header, crcs, page, page + 1) is not None:
                return False
        self.remove_bad(key, generation, page)
        return True

    def scrub(self, key: bytes) -> Iterator[int]:
        """Read the block's pages past the page cache and compare them, some at a time: their bytes.

        A page that fails its checksum, or that the disk can't read, removes the block.
        """
        buffer = memoryview(mmap.mmap(-1, SCRUB_PAGES * PAGE_BYTES))  # as O_DIRECT wants it
        with self.looking(key) as found:
            if found is None:
                return
            fd, header, present, crcs = found
            with self._uncached(key, fd) as direct:
                for first, last in runs(present if direct >= 0 else 0):
                    for at in range(first, last, SCRUB_PAGES):
                        stop = min(at + SCRUB_PAGES, last)
                        part = buffer[: (stop - at) * PAGE_BYTES]
                        bad: int | None = at
                        with contextlib.suppress(OSError):
                            size = self.disk.pread_into(direct, part, page_offset(at))
                            bad = bad_page(part[:size], header, crcs, at, stop)
                        if bad is not None:
                            self.remove_bad(key, header.generation, bad)
                            return
                        yield size

    @contextlib.contextmanager
    def _uncached(self, key: bytes, fd: int) -> Iterator[int]:
        """The file behind ``fd`` opened past the page cache; -1 if it lost its name."""
        try:
            direct = self._files.open_uncached(key)
        except FileNotFoundError:
            yield -1
            return
        except OSError as e:
            raise as_error(e, "checking a block") from e
        try:
            yield direct if os.path.samestat(self.disk.stat(direct), self.disk.stat(fd)) else -1
        finally:
            self.disk.close(direct)

    @contextlib.contextmanager
    def looking(self, key: bytes) -> Iterator[tuple[int, Header, int, memoryview] | None]:
        """The block file opened for reading; None if it is absent or unsound (then removed)."""
        path = self._files.path(key)
        try:
            fd = self._files.open(key, os.O_RDONLY)
        except FileNotFoundError:
            if key not in self._open and self._space.drop(self._space.content, key):
                self._history.add(key, Loss.DROPPED)
            yield None
            return
        except OSError as e:
            raise as_error(e, "reading a block") from e
        try:
            found: tuple[int, Header, int, memoryview] | None
            try:
                found = (fd, *self._header(fd, path))
            except (Corrupt, UnknownFormat) as e:
                found = None
                self._take_away(key, fd, e)
            except OSError as e:
                if not self._files.failed(key, e):
                    raise as_error(e, "reading a block") from e
                found = None
            yield found
        finally:
            self.disk.close(fd)

    def _take_away(self, key: bytes, fd: int, why: MillpondError) -> None:
        path = self._files.path(key)
        with self._stripe(key):
            try:
                if os.stat(path).st_ino != self.disk.stat(fd).st_ino:
                    return
            except FileNotFoundError:
                return
            if key[:16] in self.kept:
                log.error("%s is bad, and holds what no store has: %s", path, why)
            elif isinstance(why, UnknownFormat):
                self._tree.set_aside(path, str(why))
                self._forget(key)
            else:
                self._unlink(key, Loss.BAD)
                self._say_bad(key, str(why))

    # -- unlinking

    def evict(self, key: bytes, why: Loss) -> bool:
        """Unlink a victim unless it came into use meanwhile."""
        with self._stripe(key):
            if self.in_use(key):
                return False
            self._unlink(key, why)
            return True

    def remove(self, key: bytes) -> int:
        """Unlink a block whether or not it is in use; the bytes freed."""
        with self._stripe(key):
            return self._unlink(key, Loss.DROPPED)

    def _generation(self, key: bytes) -> int | None:
        try:
            fd = self._files.open(key, os.O_RDONLY)
        except OSError:
            return None
        try:
            return Header.parse(self.disk.pread(fd, READ_BYTES, 0), crc32c)[0].generation
        except MillpondError:
            return None
        finally:
            self.disk.close(fd)

    def _unlink(self, key: bytes, why: Loss) -> int:
        try:
            self._files.unlink(key)
        except OSError as e:
            raise as_error(e, "unlinking a block") from e
        if size := self._forget(key):
            self._history.add(key, why)
        return size

    def _forget(self, key: bytes) -> int:
        with self._open_lock:
            writer = self._open.pop(key, None)
        if writer is not None:
            writer.linked = False
        return self._space.drop(self._space.content, key)

    def of_file(self, file_id: bytes) -> set[int]:
        """The numbers of a file version's blocks on disk."""
        numbers = (
            int(n) for n in _names(self._files.path(block_key(file_id, 0)).parent) if n.isdecimal()
        )
        return {n for n in numbers if n < 1 << 32}

    def settle(self, number: int, key: bytes) -> None:
        """A file was found on a volume: its name leads to it from now on, or it is taken away."""
        with self._stripe(key):
            self._files.settle(number, key)

    def volume_dropped(self) -> None:
        """Writers of blocks that are absent now write for nobody."""
        with self._open_lock:
            writers = list(self._open.values())
        for writer in writers:
            if not self._files.path(block_key(writer.file_id, writer.block)).exists():
                self.lost(writer)

    def write_failed(self, writer: BlockWriter, error: OSError) -> MillpondError:
        """What a write that failed means; a failing volume is dropped, and is no more than full."""
        if self._files.failed(block_key(writer.file_id, writer.block), error):
            return NoSpace("the cache disk failed", cause=str(error))
        return as_error(error, "filling a block")

    def drop_file(self, file_id: bytes) -> int:
        """Unlink every block of a file version, unless it is kept; the bytes freed."""
        if file_id in self.kept:
            return 0
        with self._open_lock:
            keys = {key for key in self._open if key[:16] == file_id}
        keys |= {block_key(file_id, n) for n in self.of_file(file_id)}
        return sum(self.remove(key) for key in keys)

    def drop_all(self) -> tuple[int, int]:
        """Unlink every block, of known files or not: (file versions, bytes freed)."""
        files = freed = 0
        room = self._tree.directory / "blocks"
        for shard in _names(room):
            for name in _names(room / shard):
                with contextlib.suppress(ValueError):
                    file_id = bytes.fromhex(name)
                    if len(file_id) == 16 and _names(room / shard / name):
                        freed += self.drop_file(file_id)
                        files += 1
        return files, freed

    def _stripe(self, key: bytes) -> threading.Lock:
        assert len(key) == BLOCK_KEY_BYTES
        return self._stripes[(key[0] ^ key[-4]) % _STRIPES]


def _parts(key: bytes) -> tuple[bytes, int]:
    return key[:16], int.from_bytes(key[16:], "little")


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
