"""Meta and directory stamps: written by rename, read back checked, told through the epochs.

Each change of a file happens under the stripe lock of its digest: rename or unlink, then the bump
of its epoch slot, then the return. A meta that takes more than one disk block holds the bytes of a
small file: it stands in the index as content and is evicted like a block. The others stand as
names; see ``space.py``.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from crc32c import crc32c

from millpond.errors import Corrupt, UnknownFormat
from millpond.model.paths import dir_name, meta_name, path_hash
from millpond.model.records import DirStamp, Meta
from millpond.store.content import COMMON
from millpond.store.disk import as_error, is_full
from millpond.store.files import FileVersion
from millpond.store.space import meta_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from millpond.store.epochs import Epochs
    from millpond.store.segment import Segment
    from millpond.store.space import Space
    from millpond.store.tree import Tree

    Record = TypeVar("Record", Meta, DirStamp)

NAME_BYTES = 4096  # the most a meta without content takes on disk
_STRIPES = 64
_TRIES = 3
_PAUSE_EVERY = 256
_PAUSE_S = 0.0005


class Metas:
    """The meta and dirs rooms of one cache dir."""

    def __init__(self, tree: Tree, space: Space, epochs: Epochs) -> None:
        self._tree, self._space, self._epochs = tree, space, epochs
        self._stripes = [threading.Lock() for _ in range(_STRIPES)]
        self.part_of: Callable[[str], str] = lambda store_path: COMMON

    def put_meta(self, meta: Meta) -> None:
        """Publish a meta. Raises NoSpace; what was there before then stands, or was evicted."""
        digest = path_hash(meta.store_path)
        data = meta.pack(crc32c)
        size = self._replace(meta_name(digest), digest, data)
        self.found_meta(digest, size, self.part_of(meta.store_path))

    def put_dir(self, stamp: DirStamp) -> None:
        """Publish a directory stamp. Raises NoSpace."""
        digest = path_hash(stamp.store_path)
        size = self._replace(dir_name(digest), digest, stamp.pack(crc32c))
        self._space.put(self._space.stamps, digest, size)

    def _replace(self, name: str, digest: bytes, data: bytes) -> int:
        space = self._space
        space.reserve(len(data))
        try:
            for attempt in range(1, _TRIES + 1):
                try:
                    with self._stripe(digest):
                        info = self._tree.replace(name, data)
                        self._epochs.bump(digest)
                        return info.st_blocks * 512
                except OSError as e:
                    again = is_full(e) and attempt < _TRIES
                    if not (again and space.make_room(len(data) * attempt, 16 * attempt)):
                        raise as_error(e, "writing meta") from e
        finally:
            space.release(len(data))
        raise AssertionError("the last attempt returns or raises")

    def found_meta(self, digest: bytes, size: int, part: str | None = None) -> None:
        """A meta file of ``size`` bytes on disk is there: into the index, of that part if known."""
        space, key = self._space, meta_key(digest)
        if size > NAME_BYTES:
            space.put(space.content, key, size, part)
            space.put(space.names, digest, 0)
        else:
            space.drop(space.content, key)
            space.put(space.names, digest, size)

    def settle_parts(self, stopped: Callable[[], bool]) -> None:
        """Take what is cached to the parts of its mounts, as the metas on disk say."""
        for count, entry in enumerate(self._tree.files("meta", 1)):
            if stopped():
                return
            if count % _PAUSE_EVERY == 0:
                time.sleep(_PAUSE_S)  # threads with work to do go first
            with contextlib.suppress(OSError, Corrupt, UnknownFormat):
                meta = Meta.parse(Path(entry.path).read_bytes(), crc32c)
                file = FileVersion("", meta.store_path, meta.file_id, meta.length)
                self._space.settle_in(self.part_of(meta.store_path), file.keys())

    def get_meta(self, store_path: str) -> Meta | None:
        """The meta on disk; None if absent or unsound (then it is taken away)."""
        digest = path_hash(store_path)
        meta = self._get(meta_name(digest), digest, store_path, Meta.parse)
        if meta is None:
            self._forget_meta(digest)
        return meta

    def get_dir(self, store_path: str) -> DirStamp | None:
        """The directory stamp on disk; None if absent or unsound (then it is taken away)."""
        digest = path_hash(store_path)
        stamp = self._get(dir_name(digest), digest, store_path, DirStamp.parse)
        if stamp is None:
            self._space.drop(self._space.stamps, digest)
        return stamp

    def _get(
        self,
        name: str,
        digest: bytes,
        store_path: str,
        parse: Callable[[bytes, Callable[[bytes | memoryview, int], int]], Record],
    ) -> Record | None:
        path = self._tree.directory / name
        try:
            return self._parsed(path, store_path, parse)
        except (UnknownFormat, Corrupt):
            pass
        with self._stripe(digest):  # look again: it may have been replaced meanwhile
            try:
                return self._parsed(path, store_path, parse)
            except UnknownFormat as e:
                self._tree.set_aside(path, str(e))
            except Corrupt:
                self._unlink(path)
            self._epochs.bump(digest)
        return None

    def _parsed(
        self,
        path: Path,
        store_path: str,
        parse: Callable[[bytes, Callable[[bytes | memoryview, int], int]], Record],
    ) -> Record | None:
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as e:
            raise as_error(e, "reading meta") from e
        record = parse(data, crc32c)
        if record.store_path != store_path:
            raise Corrupt("meta under another path's name")
        return record

    def drop_meta(self, store_path: str) -> None:
        """Remove a meta; no error if there is none."""
        self.remove_meta(path_hash(store_path))

    def remove_meta(self, digest: bytes) -> None:
        self._remove(meta_name(digest), digest)
        self._forget_meta(digest)

    def drop_dir(self, store_path: str) -> None:
        """Remove a directory stamp; no error if there is none."""
        self.remove_dir(path_hash(store_path))

    def remove_dir(self, digest: bytes) -> None:
        self._remove(dir_name(digest), digest)
        self._space.drop(self._space.stamps, digest)

    def evict_content(self, key: bytes) -> bool:
        """Remove the meta whose content has this index key."""
        with self._space.lock:
            digest = self._space.names.find_prefix(key[:16])
        if digest is not None:
            self.remove_meta(digest)
        self._space.drop(self._space.content, key)
        return True

    def _remove(self, name: str, digest: bytes) -> None:
        with self._stripe(digest):
            try:
                self._unlink(self._tree.directory / name)
            except OSError as e:
                raise as_error(e, "removing meta") from e
            self._epochs.bump(digest)

    def _unlink(self, path: Path) -> None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(path)

    def _forget_meta(self, digest: bytes) -> None:
        self._space.drop(self._space.content, meta_key(digest))
        self._space.drop(self._space.names, digest)

    def _stripe(self, digest: bytes) -> threading.Lock:
        return self._stripes[digest[0] % _STRIPES]


def on_disk(segment: Segment, key: bytes) -> str:
    """The file, below the cache dir, of a meta or stamp in the index."""
    return dir_name(key) if segment.name == "stamps" else meta_name(key)
