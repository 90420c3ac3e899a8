"""Block files by name, on the cache dir's disk or on one of its volumes; see ``volumes.py``.

What a caller does to one name he does under its stripe lock. A call that fails on a volume drops
the volume; the block is then absent like any other.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from millpond.model.paths import block_name
from millpond.store.volumes import MAIN, Volumes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from millpond.store.tree import Tree


class BlockFiles:
    """Opens, creates and unlinks block files. Raises OSError."""

    def __init__(self, tree: Tree, volumes: Volumes) -> None:
        self._tree, self._disk, self.volumes = tree, tree.disk, volumes

    def path(self, key: bytes) -> Path:
        """The one name of a block."""
        return self._tree.directory / _name(key)

    def open(self, key: bytes, flags: int) -> int:
        """A descriptor. FileNotFoundError where there is no block."""
        return self._opened(key, lambda path: self._disk.open(path, flags))

    def open_uncached(self, key: bytes) -> int:
        """As ``open`` for reading, past the page cache."""
        return self._opened(key, self._disk.open_uncached)

    def _opened(self, key: bytes, opener: Callable[[Path], int]) -> int:
        try:
            return opener(self.path(key))
        except FileNotFoundError:
            raise
        except OSError as e:
            if self.failed(key, e):
                raise FileNotFoundError(*e.args) from e
            raise

    def failed(self, key: bytes, error: OSError) -> bool:
        """Whether a call on a block's file failed because of its volume, which is dropped then."""
        return self.volumes.failed(self.volumes.of(self.path(key)), error)

    def create(self, key: bytes, start: bytes, size: int) -> int:
        """A new file of ``size`` bytes that begins with ``start``, under its name at once.

        FileExistsError where the name is taken.
        """
        while True:
            number = self.volumes.choose(key[:16], int.from_bytes(key[16:], "little"))
            try:
                return self._create(key, start, size, number)
            except FileExistsError:
                raise
            except OSError as e:
                if not self.volumes.failed(number, e):
                    raise

    def _create(self, key: bytes, start: bytes, size: int, number: int) -> int:
        root = self.volumes.root(number)
        staged, fd = self._tree.stage(root=None if number == MAIN else root)
        try:
            self._disk.pwrite(fd, start, 0)
            self._disk.truncate(fd, size)
            if number == MAIN:
                self._link(staged, self.path(key))
            else:
                target = root / _name(key)
                with contextlib.suppress(FileNotFoundError):
                    self._disk.unlink(target)  # no name leads to it, or it would have been opened
                self._link(staged, target)
                try:
                    self._point(key, number)
                except FileExistsError:
                    self._disk.unlink(target)
                    raise
        except BaseException:
            self._disk.close(fd)
            raise
        finally:
            with contextlib.suppress(FileNotFoundError):
                self._disk.unlink(staged)
        return fd

    def adopt(self, key: bytes, staged: Path) -> None:
        """Give a complete file of the main disk's staging the block's name too.

        FileExistsError where the name is taken.
        """
        self._link(staged, self.path(key))

    def _link(self, staged: Path, path: Path) -> None:
        while True:  # the directory may vanish with the last block of the file
            try:
                self._disk.link(staged, path)
                return
            except FileNotFoundError:
                if not staged.exists():
                    raise
                self._tree.make_dir(path.parent)
            except FileExistsError:
                _unlink_dangling(path)

    def _point(self, key: bytes, number: int) -> None:
        """Make a block's name lead to its file on a volume."""
        path = self.path(key)
        text = Volumes.link_to(number, key[:16], int.from_bytes(key[16:], "little"))
        while True:
            try:
                os.symlink(text, path)
                return
            except FileNotFoundError:
                self._tree.make_dir(path.parent)
            except FileExistsError:
                _unlink_dangling(path)

    def unlink(self, key: bytes) -> None:
        """Take the file and its name away; no error if there is none."""
        path = self.path(key)
        number = self.volumes.of(path)
        if number != MAIN:
            try:
                target = self.volumes.root(number) / _name(key)
                self._disk.unlink(target)
                with contextlib.suppress(OSError):
                    os.rmdir(target.parent)
            except FileNotFoundError:
                pass
            except OSError as e:
                if not self.volumes.failed(number, e):
                    raise
        with contextlib.suppress(FileNotFoundError):
            self._disk.unlink(path)
        with contextlib.suppress(OSError):  # others are in it, or it is gone
            os.rmdir(path.parent)

    def settle(self, number: int, key: bytes) -> None:
        """A file on a volume: its name leads to it from now on, or it is taken away."""
        path = self.path(key)
        target = self.volumes.root(number) / _name(key)
        try:
            if not path.samefile(target):
                target.unlink()
        except FileNotFoundError:
            if target.exists():
                self._point(key, number)


def _name(key: bytes) -> str:
    return block_name(key[:16], int.from_bytes(key[16:], "little"))


def _unlink_dangling(path: Path) -> None:
    """Take away a link that leads nowhere; FileExistsError where the name leads to something."""
    if path.exists() or not path.is_symlink():
        raise FileExistsError(f"{path} exists")
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
