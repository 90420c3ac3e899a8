"""``cache://`` for fsspec: what pandas, pyarrow, DuckDB, Dask and data loaders open.

Hits are read from the block files without a call to anyone; what is written goes through the
sidecar to the mount's store (``changes.py``).
"""

from __future__ import annotations

import datetime
import os
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from fsspec.spec import AbstractBufferedFile

from millpond.client.builtin import Unsupported, errors, raise_builtin
from millpond.client.cachedir import find_directory
from millpond.client.changes import Changes, WrittenFile
from millpond.client.process import Process
from millpond.client.reader import (
    BaseReader,
    Reader,
    Version,
    check_staged,
    look,
    patiently,
    unreachable,
)
from millpond.client.remote import SILENCE_S as REMOTE_SILENCE_S
from millpond.client.remote import RemoteProcess, RemoteReader, parse_address, read_token
from millpond.client.sidecar import Trouble, both_failed
from millpond.errors import (
    InvalidPath,
    IsADirectory,
    MillpondError,
    NotADirectory,
    PathNotFound,
)
from millpond.model.paths import parse_uri

if TYPE_CHECKING:
    from collections.abc import Mapping

    from millpond.under.base import ObjectStat
    from millpond.wire import millpond_pb2 as wire

AnyReader = BaseReader[Any]
SILENCE_S = 0.4
THREADS = 8
LINE_BYTES = 64 * 1024


class CacheFileSystem(Changes):
    """The namespace of this node's sidecar; of another's, read-only.

    Parameters
    ----------
    cache_dir : the cache directory; default MILLPOND_DIR, /var/lib/millpond, ~/.cache/millpond
    silence_s : how long the sidecar may say nothing before a read goes to the store; default 0.4,
        of another node's 2
    sidecar : ``host:port`` of another node's sidecar (its ``remote_host`` and ``remote_port``),
        for where none runs; files are then read over HTTP and not from a disk
    token : what that sidecar's file ``token`` holds; or ``token_file``, a copy of it
    store_options : options of the store's driver for such reads, as in ``millpond mount add``;
        default: the place that the mount names, and this user's own chain of credentials

    ``counters`` says what this process did: ``hit_bytes``, ``filled_bytes``, ``direct_bytes``,
    calls by verb (``hellos``, ``stats``, ``lists``, ``fills``), ``fallback_<reason>``.
    """

    protocol = "cache"
    root_marker = "/"

    def __init__(
        self,
        cache_dir: str | os.PathLike[str] | None = None,
        silence_s: float | None = None,
        store_options: Mapping[str, str] | None = None,
        sidecar: str | None = None,
        token: str | None = None,
        token_file: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cache_dir = find_directory(cache_dir)
        self._silence_s = silence_s
        self._sidecar = sidecar
        self._token = ""
        if sidecar is not None:
            parse_address(sidecar)
            self._token = read_token(token, token_file)
        self._store_options = dict(store_options or {})
        self._fresh()

    def _fresh(self) -> None:
        self.counters: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._process: Process | RemoteProcess | None = None
        self._pid = os.getpid()

    def here(self) -> Process | RemoteProcess:
        """What this process holds; a forked child begins anew."""
        if self._pid != os.getpid():
            self._fresh()
        elif self._process is not None:
            return self._process
        with self._lock:
            if self._process is None:
                self._process = (
                    Process(
                        self.cache_dir, self._silence_s or SILENCE_S, self._store_options,
                        self.counters,
                    )
                    if self._sidecar is None
                    else RemoteProcess(
                        self._sidecar, self._token, self._silence_s or REMOTE_SILENCE_S,
                        self._store_options, self.counters,
                    )
                )  # fmt: skip
            return self._process

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        text = os.fspath(path)
        if not text.startswith(("cache:", "/")):
            text = "/" + text
        return parse_uri(text)

    def unstrip_protocol(self, name: str) -> str:
        return f"cache://{self._strip_protocol(name)}"

    @classmethod
    def _parent(cls, path: str) -> str:
        return str(cls._strip_protocol(path)).rsplit("/", 1)[0] or "/"

    # -- looking -----------------------------------------------------------------------------

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        with errors():
            return _entry(look(self.here(), path))

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        """Validated within the mount's listing bound: by default the store is asked each time."""
        path = self._strip_protocol(path)
        with errors():
            entries = patiently(self.here(), lambda: self._list(path))
        return entries if detail else [each["name"] for each in entries]

    def _list(self, path: str) -> list[dict[str, Any]]:
        process = self.here()
        try:
            frames = process.sidecar.call("lists", lambda c: list(c.list(path)))
        except NotADirectory:
            return [_entry(look(process, path))]
        except Trouble as e:
            process.fallback(e.reason, str(e))
            return self._list_store(path, e)
        inside = path.rstrip("/") + "/"
        return [_listed(inside, each) for frame in frames for each in frame.entries]

    def _list_store(self, path: str, trouble: Trouble) -> list[dict[str, Any]]:
        process, inside = self.here(), path.rstrip("/") + "/"
        mount, points = process.dir.find_mount(path), process.dir.mount_points(path)
        if mount is None and not points and path != "/":
            process.dir.mount(path)
        check_staged(path)
        if process.dir.pending(path):
            raise unreachable(path, trouble)
        found: dict[str, dict[str, Any]] = {}
        if mount is not None:
            try:
                for page in process.store(mount).list(mount.key(path)):
                    for each in page:
                        name = mount.path_of(each.key)
                        found[name] = _entry(_of_store(name, each))
            except NotADirectory:
                return [_entry(look(process, path))]
            except PathNotFound:
                if not points:
                    raise
            except MillpondError as e:
                raise both_failed(trouble, e) from e
        for point in points:
            found[inside + point] = _entry(Version(inside + point, True, 0, 0))
        return [found[name] for name in sorted(found)]

    def exists(self, path: str, **kwargs: Any) -> bool:
        """Whether something is there. Raises what keeps that from being known.

        fsspec's own says False then, and who asks before a write takes data for absent.
        """
        return self._kind(path) is not None

    def isfile(self, path: str) -> bool:
        return self._kind(path) == "file"

    def isdir(self, path: str) -> bool:
        return self._kind(path) == "directory"

    def _kind(self, path: str) -> str | None:
        """None where nothing is, or can be."""
        try:
            return str(self.info(path)["type"])
        except (FileNotFoundError, NotADirectoryError, InvalidPath):
            return None

    def created(self, path: str) -> datetime.datetime:
        raise NotImplementedError("a store tells no time of creation")

    def modified(self, path: str) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self.info(path)["mtime"], datetime.UTC)

    def ukey(self, path: str) -> str:
        """Differs between any two contents that the path ever had."""
        info = self.info(path)
        return f"{info['name']} {info.get('version')} {info['size']}"

    # -- reading -----------------------------------------------------------------------------

    def _open(
        self, path: str, mode: str = "rb", block_size: int | None = None, **kwargs: Any
    ) -> CacheFile | WrittenFile:
        if mode in ("wb", "xb"):
            taken = ("autocommit", "cache_options", "write_type")
            options = {k: v for k, v in kwargs.items() if k in taken}
            return WrittenFile(self, path, mode, block_size or "default", **options)
        if mode != "rb":
            raise Unsupported(f"{path} can't be opened as {mode!r}: files are written whole")
        with errors():
            reader = self._reader(path)
        options = {"cache_type": "none"} | kwargs
        options.pop("autocommit", None)
        return CacheFile(self, path, reader, block_size or "default", **options)

    def _reader(self, path: str) -> AnyReader:
        process = self.here()
        version = look(process, path)
        if version.directory:
            raise IsADirectory(f"{path} is a directory", cause="only files can be opened")
        process.count("opens")
        made = RemoteReader if self._sidecar is not None else Reader
        return made(process.dir.mount(path), version)

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any
    ) -> bytes:
        with errors():
            reader = self._reader(self._strip_protocol(path))
            first, last, _ = slice(start, end).indices(reader.version.length)
            return reader.read(self.here(), first, last)

    def cat_ranges(
        self,
        paths: list[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        on_error: str = "return",
        **kwargs: Any,
    ) -> list[Any]:
        """Each file is opened once, so that all its ranges are of one version."""
        count = len(paths)
        firsts = list(starts) if isinstance(starts, list | tuple) else [starts] * count
        lasts = list(ends) if isinstance(ends, list | tuple) else [ends] * count
        if not len(firsts) == len(lasts) == count:
            raise ValueError("paths, starts and ends differ in number")
        names = [self._strip_protocol(each) for each in paths]
        readers: dict[str, AnyReader | Exception] = {}
        for name in names:
            if name not in readers:
                readers[name] = self._tried(name)

        def one(name: str, start: int | None, end: int | None) -> Any:
            reader = readers[name]
            if isinstance(reader, Exception):
                return reader
            try:
                first, last, _ = slice(start, end).indices(reader.version.length)
                with errors():
                    return reader.read(self.here(), first, last)
            except (OSError, MillpondError) as e:
                return e

        with ThreadPoolExecutor(THREADS) as pool:
            parts = list(pool.map(one, names, firsts, lasts))
        if on_error == "raise":
            for part in parts:
                if isinstance(part, Exception):
                    raise part
        return parts

    def _tried(self, name: str) -> AnyReader | Exception:
        try:
            with errors():
                return self._reader(name)
        except (OSError, MillpondError) as e:
            return e


class CacheFile(AbstractBufferedFile):  # type: ignore[misc]
    """One version of a file, to its end. Reads go to the block files; nothing is kept between."""

    def __init__(
        self, fs: CacheFileSystem, path: str, reader: AnyReader, block_size: Any, **kwargs: Any
    ) -> None:
        self._reader = reader
        self.details = _entry(reader.version)
        self.loc = 0
        super().__init__(fs, path, "rb", block_size, size=reader.version.length, **kwargs)
        self._plain = self.cache.name in ("none", None)

    def _fetch_range(self, start: int, end: int) -> bytes:
        try:
            return self._reader.read(self.fs.here(), start, end)
        except MillpondError as e:
            raise_builtin(e)

    def read(self, length: int | None = -1) -> bytes:
        """As of any binary file; straight from the blocks, in one copy."""
        if not self._plain:
            return bytes(super().read(-1 if length is None else length))
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        start, end = self.loc, self.size
        if length is not None and length >= 0:
            end = min(end, start + length)
        data = self._fetch_range(start, end)
        self.loc = start + len(data)
        return data

    def readinto(self, b: Any) -> int:
        """As of any binary file; straight from the blocks, without a copy in between."""
        if not self._plain:
            return int(super().readinto(b) or 0)
        view = memoryview(b).cast("B")
        count: int = max(0, min(len(view), self.size - self.loc))
        if count:
            with errors():
                self._reader.readinto(self.fs.here(), self.loc, view[:count])
            self.loc += count
        return count

    def readuntil(self, char: bytes = b"\n", blocks: int | None = None) -> bytes:
        return bytes(super().readuntil(char, blocks or LINE_BYTES))

    def __reduce__(self) -> tuple[Any, ...]:
        """Opens again elsewhere; at the start, in the version that is there then."""
        return _reopen, (self.fs, self.path)


def _reopen(fs: CacheFileSystem, path: str) -> CacheFile | WrittenFile:
    return fs._open(path)


def _entry(version: Version) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": version.path,
        "size": version.length,
        "type": "directory" if version.directory else "file",
        "mtime": version.mtime_ms / 1000,
    }
    if version.version:
        entry["version"] = version.version
    return entry


def _listed(inside: str, info: wire.FileInfo) -> dict[str, Any]:
    return _entry(
        Version(inside + info.path, info.directory, info.length, info.mtime_ms, info.version)
    )


def _of_store(path: str, stat: ObjectStat) -> Version:
    return Version(path, stat.is_dir, stat.length, stat.mtime_ms, stat.version)
