"""What fsspec writes, renames and deletes: through the sidecar, else straight in the store.

Where the sidecar is lost after it was asked, a change that may have been done is not done again.
"""

from __future__ import annotations

import os
import tempfile
from glob import has_magic
from typing import TYPE_CHECKING, Any, TypeVar

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from millpond.client.builtin import errors
from millpond.client.process import Process
from millpond.client.reader import check_staged, patiently, unreachable
from millpond.client.writer import StagedWriter
from millpond.errors import (
    AlreadyExists,
    InvalidSetting,
    IsADirectory,
    NotAWriter,
    NotSupported,
    PathNotFound,
    SidecarUnavailable,
)
from millpond.under.base import ABSENT
from millpond.wire.local_client import LocalClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from millpond.client.cachedir import ClientMount
    from millpond.under.base import UnderStore

T = TypeVar("T")
SILENCE_S = 10.0
"""A change takes as long as the store does: by then it may have been done."""
COPY_BYTES = 8 << 20
WRITE_TYPES = ("through", "async", "cache", "around")
"""When a file that is closed is written: as the mount's option ``write`` has them."""


class Changes(AbstractFileSystem):  # type: ignore[misc]
    """The write half of ``CacheFileSystem``."""

    def here(self) -> Any:
        raise NotImplementedError

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        self.makedirs(path)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        with errors():
            if not exist_ok and self.exists(path):
                raise AlreadyExists(f"{path} exists")
            name = self._strip_protocol(path)
            self._change(name, lambda c: c.mkdirs(name), lambda s, key: s.mkdirs(key))

    def rmdir(self, path: str) -> None:
        self._delete(path, recursive=False)

    def rm_file(self, path: str) -> None:
        self._delete(path, recursive=False)

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """A directory goes whole, by one call."""
        if maxdepth is not None:
            super().rm(path, recursive=recursive, maxdepth=maxdepth)
            return
        names = path if isinstance(path, list) else [path]
        for each in names:
            found = self.expand_path(each) if has_magic(each) else [each]
            for name in found:
                self._delete(name, recursive=recursive)

    def _delete(self, path: str, *, recursive: bool) -> None:
        name = self._strip_protocol(path)
        with errors():
            self._change(
                name,
                lambda c: c.delete(name, recursive=recursive),
                lambda s, key: s.delete(key, recursive=recursive),
            )

    def mv(
        self, path1: str, path2: str, recursive: bool = False, maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        """A rename, where both lie in one mount; nothing is replaced."""
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        process = self.here()
        mount = process.dir.find_mount(source)
        if mount is None or process.dir.find_mount(target) is not mount:
            super().mv(path1, path2, recursive=recursive, maxdepth=maxdepth, **kwargs)
            return
        claimed = mount.is_commit_file(target)
        with errors():
            self._change(
                source,
                lambda c: c.rename(source, target, into=True),
                lambda s, key: (s.claim if claimed else s.rename)(key, self.store_of(target)[1]),
                again=False,
            )

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        if self.isdir(path1):
            self.makedirs(path2, exist_ok=True)
            return
        with self.open(path1, "rb") as source, self.open(path2, "wb") as target:
            while data := source.read(COPY_BYTES):
                target.write(data)

    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        if not truncate and self.exists(path):
            raise NotImplementedError("a store sets the time of a file when it is written")
        self.pipe_file(path, b"")

    def _change(
        self,
        path: str,
        ask: Callable[[LocalClient], object],
        direct: Callable[[UnderStore, str], object],
        *,
        again: bool = True,
    ) -> None:
        patiently(self.here(), lambda: self._change_now(path, ask, direct, again=again))

    def _change_now(
        self,
        path: str,
        ask: Callable[[LocalClient], object],
        direct: Callable[[UnderStore, str], object],
        *,
        again: bool,
    ) -> None:
        client = self.connected()
        if client is None:
            direct(*self.store_of(path))
            return
        with client:
            try:
                ask(client)
                return
            except NotAWriter as e:
                self.as_oneself(path, e)
            except SidecarUnavailable as e:
                if not again:
                    raise
                self.here().fallback("sidecar_gone", str(e))
        direct(*self.store_of(path))

    def as_oneself(self, path: str, told: NotAWriter) -> None:
        """Who is no writer of a mount changes its store with their own credentials, if they have
        any. Raises what was told where that would go past pending data."""
        process = self.here()
        if process.dir.pending(path):
            raise told
        process.fallback("permission", str(told))

    def connected(self) -> LocalClient | None:
        """A connection of its own; None, and counted, where no sidecar answers."""
        process = self.here()
        if not isinstance(process, Process):
            raise NotSupported(
                "another node's sidecar is only read",
                remedy="Write where a sidecar runs, or to the store's own URI",
            )
        try:
            return LocalClient.connect(process.dir.path, silence_s=SILENCE_S)
        except SidecarUnavailable as e:
            process.fallback("sidecar_absent", str(e))
            return None

    def store_of(self, path: str) -> tuple[UnderStore, str]:
        """The store behind a path that may be written, and its key there."""
        process = self.here()
        check_staged(path)
        if process.dir.pending(path):
            raise unreachable(path, SidecarUnavailable("the sidecar does not answer"))
        mount: ClientMount = process.dir.mount(path)
        if mount.wire.read_only or mount.path == path:
            raise NotSupported(f"{path} can't be changed", cause="a mount, or a read-only one")
        return process.store(mount), mount.key(path)


class DirectWriter:
    """A file written without a sidecar: kept in a temporary file, then put into the store."""

    def __init__(self, store: UnderStore, key: str, path: str, *, overwrite: bool) -> None:
        self._store, self._key = store, key
        self._expect = None if overwrite else ABSENT
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close
        self.length = 0
        try:
            found = store.stat(key)
        except PathNotFound:
            return
        if found.is_dir:
            raise IsADirectory(f"{path} is a directory")
        if not overwrite:
            raise AlreadyExists(f"{path} exists")

    def write(self, data: bytes | memoryview) -> None:
        self._file.write(data)
        self.length += memoryview(data).nbytes

    def read(self, start: int, end: int) -> bytes:
        return os.pread(self._file.fileno(), end - start, start)

    def commit(self) -> None:
        self._file.flush()
        self._store.put(self._key, self, expect=self._expect)

    def close(self) -> None:
        self._file.close()


class WrittenFile(AbstractBufferedFile):  # type: ignore[misc]
    """A file open for writing. It appears when it is closed, or at the end of a transaction; after
    an exception in its ``with`` block it never does."""

    def __init__(
        self, fs: Changes, path: str, mode: str, block_size: Any, write_type: str = "",
        **kwargs: Any,
    ) -> None:  # fmt: skip
        self._writer: StagedWriter | DirectWriter | None = None
        check_write_type(write_type)
        super().__init__(fs, path, mode, block_size, **kwargs)
        with errors():
            overwrite = not mode.startswith("x")
            self._writer = patiently(fs.here(), lambda: _writer(fs, path, overwrite, write_type))

    def _upload_chunk(self, final: bool = False) -> bool:
        with errors():
            assert self._writer is not None
            self._writer.write(self.buffer.getbuffer())
        if final and self.autocommit:
            self.commit()
        return True

    def commit(self) -> None:
        try:
            with errors():
                assert self._writer is not None
                self._writer.commit()
        finally:
            self.discard()

    def discard(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def close(self) -> None:
        try:
            super().close()
        except BaseException:
            self.discard()
            raise

    def __exit__(self, *raised: Any) -> None:
        if raised[0] is not None:
            self.forced = True
            self.discard()
        self.close()

    def __del__(self) -> None:
        """What was never closed was never written."""
        if hasattr(self, "_writer"):
            self.discard()


def check_write_type(name: str) -> None:
    """Raises InvalidSetting; "" stands for the mount's."""
    if name and name not in WRITE_TYPES:
        raise InvalidSetting(
            f"write_type is {name!r}",
            cause=f"allowed: {', '.join(WRITE_TYPES)}",
            remedy="Correct it, or leave it out: then the mount says it",
        )


def check_stored(fs: Changes, path: str, write_type: str) -> None:
    """Raises PendingUnreachable for a file that no store is to get: only the sidecar keeps it."""
    process = fs.here()
    if write_type == "cache" or (not write_type and process.dir.mount(path).keeps(path)):
        raise unreachable(path, SidecarUnavailable("write type cache is kept by the sidecar"))


def _writer(
    fs: Changes, path: str, overwrite: bool, write_type: str
) -> StagedWriter | DirectWriter:
    client = fs.connected()
    if client is None:
        store, key = fs.store_of(path)
        check_stored(fs, path, write_type)
        return DirectWriter(store, key, path, overwrite=overwrite)
    try:
        return StagedWriter(
            client, fs.here().dir.path, path, overwrite=overwrite, write_type=write_type
        )
    except NotAWriter as e:
        client.close()
        fs.as_oneself(path, e)
        store, key = fs.store_of(path)
        check_stored(fs, path, write_type)
        return DirectWriter(store, key, path, overwrite=overwrite)
    except BaseException:
        client.close()
        raise
