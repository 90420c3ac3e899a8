"""One version of one file, as the index may know it: by its blocks and by its meta."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from millpond.model.paths import path_hash
from millpond.model.sizes import block_count
from millpond.store.content import IDENT_BYTES
from millpond.store.space import block_key, meta_key

if TYPE_CHECKING:
    from collections.abc import Iterator


class FileVersion(NamedTuple):
    """``path`` is that in the namespace, where it is known."""

    path: str
    store_path: str
    file_id: bytes
    length: int

    def idents(self) -> tuple[bytes, bytes]:
        """What its keys begin with: the file id, and half of its meta's digest."""
        return self.file_id, path_hash(self.store_path)[:IDENT_BYTES]

    def keys(self) -> Iterator[bytes]:
        """Every key of the index that may stand for a part of it."""
        yield meta_key(path_hash(self.store_path))
        for block in range(block_count(self.length)):
            yield block_key(self.file_id, block)
