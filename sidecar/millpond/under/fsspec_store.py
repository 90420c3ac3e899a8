"""Any file system that fsspec has an implementation for, through one adapter.

A version is what the implementation's ``info`` has as ETag, checksum or the like, with length and
time of change. Where it has none, or the file changed less than 2 s ago, it is weak. fsspec has no
conditional reads: bytes are taken, then the version is looked at, then they are handed on.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from typing import TYPE_CHECKING, Any

import fsspec

from millpond.errors import (
    FileChanged,
    InvalidPath,
    IsADirectory,
    MillpondError,
    NotADirectory,
    PathNotFound,
    PermissionDenied,
    StoreAnswerInvalid,
    StoreNotSupported,
    StoreUnavailable,
)
from millpond.under import fsspec_options as said
from millpond.under import tree
from millpond.under.base import Buffer, ObjectStat, UnderStore, one_line
from millpond.under.buffers import BUFFER_BYTES
from millpond.under.fsspec_write import COMMITTING, FsspecWrites
from millpond.under.retry import LockedCounters, Retrier, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

Entries = list[ObjectStat]
WEAK_S = 2.0
# One look at the version for so many bytes.
_PART_BYTES = 8 << 20
_THREAD_SAFE = ("file", "local", "memory")


class FsspecStore(FsspecWrites, UnderStore):
    """One implementation at one authority. ``clock_s`` is what file times are compared with."""

    def __init__(
        self,
        scheme: str,
        protocol: str,
        authority: str,
        options: Mapping[str, str],
        *,
        retry: RetryPolicy | None = None,
        clock_s: Callable[[], float] = time.time,
    ) -> None:
        kind = _implementation(protocol)
        url = f"{scheme}://{authority}"
        arguments = said.arguments(protocol, options)
        with contextlib.suppress(Exception):
            arguments.kwargs.update(kind._get_kwargs_from_urls(url))
        self.scheme = scheme
        self.root = authority
        place = f"fsspec {protocol}\n{arguments.place}"
        if authority and any(name in arguments.kwargs for name in ("host", "port")):
            place += authority
        self.store_id = hashlib.sha256(place.encode()).hexdigest()[:16]
        self.counters: LockedCounters = LockedCounters()
        self.uploads_ahead = protocol in COMMITTING
        self._secrets = arguments.secrets
        self._clock_s = clock_s
        self._retrier = Retrier(self.counters, retry)
        self._closed = False
        self._base = kind._strip_protocol(url).rstrip("/") if authority else ""
        with self._errors(""):
            # A listing that was kept would hide changes.
            self._fs = kind(skip_instance_cache=True, use_listings_cache=False, **arguments.kwargs)
        safe = protocol in _THREAD_SAFE or getattr(self._fs, "async_impl", False)
        self._alone: contextlib.AbstractContextManager[Any] = (
            contextlib.nullcontext() if safe else threading.Lock()
        )

    def __repr__(self) -> str:
        return f"FsspecStore({self.scheme!r}, {self.root!r}, store_id={self.store_id!r})"

    def stat(self, key: str) -> ObjectStat:
        def attempt() -> ObjectStat:
            self.counters.add(head=1)
            return self._info(key)

        return self._retrier.call(attempt)

    def list(self, key: str, *, recursive: bool = False) -> Iterator[Entries]:
        """As the interface says. A directory is held in memory whole, to be sorted."""
        return tree.pages(tree.walk(self._children(key), self._children, recursive=recursive))

    def read(self, key: str, start: int, end: int, version: str) -> Iterator[Buffer]:
        self._path(key)

        def attempt(at: int) -> Generator[Buffer, None, None]:
            for part in range(at, end, _PART_BYTES):
                yield from self._part(key, part, min(part + _PART_BYTES, end), version)

        return self._retrier.stream(attempt, start, end)

    def close(self) -> None:
        self._closed = True

    def _part(self, key: str, start: int, end: int, version: str) -> Generator[Buffer, None, None]:
        self.counters.add(get=1)
        path = self._path(key)
        failed: MillpondError | None = None
        data = b""
        try:
            with self._errors(key), self._alone:
                data = self._fs.cat_file(path, start=start, end=end)
        except PermissionDenied:
            raise
        except MillpondError as e:
            failed = e
        now = self._info(key)
        if now.is_dir:
            raise IsADirectory(f"{self._shown(key)} is a directory")
        if now.version != version:
            raise FileChanged(f"{self._shown(key)} has changed since it was opened")
        if failed is not None:
            raise failed
        if len(data) != end - start:
            raise StoreAnswerInvalid(
                f"{len(data)} bytes of {self._shown(key)} came", cause=f"asked for {end - start}"
            )
        for at in range(0, len(data), BUFFER_BYTES):
            yield memoryview(data)[at : at + BUFFER_BYTES]

    def _info(self, key: str) -> ObjectStat:
        path = self._path(key)
        with self._errors(key), self._alone:
            self._fs.invalidate_cache()
            info = self._fs.info(path)
        return self._describe(key, info)

    def _children(self, key: str) -> Entries:
        """What is directly below, in order."""
        path = self._path(key)

        def attempt() -> Entries:
            self.counters.add(list=1)
            with self._errors(key), self._alone:
                self._fs.invalidate_cache()
                found = self._fs.ls(path or "/", detail=True)
            entries: dict[str, ObjectStat] = {}
            for info in found:
                name = str(info["name"])
                if name == path and info["type"] != "directory":
                    raise NotADirectory(f"{self._shown(key)} is a file")
                below = name.rstrip("/")
                # The directory itself, as its marker; and what no key can name.
                if below != path and below.startswith(self._base + "/"):
                    child = below[len(self._base) + 1 :]
                    entries[child] = self._describe(child, info)
            if not entries and not self._info(key).is_dir:
                raise NotADirectory(f"{self._shown(key)} is a file")
            return [*entries.values()]

        return sorted(self._retrier.call(attempt), key=tree.order)

    def _describe(self, key: str, info: Mapping[str, Any]) -> ObjectStat:
        changed_s = said.changed_s(info)
        mtime_ms = int(changed_s or 0) * 1000
        if info["type"] == "directory":
            return ObjectStat(key=key, length=0, mtime_ms=mtime_ms, is_dir=True)
        length = info.get("size")
        if not isinstance(length, int):
            raise StoreAnswerInvalid(f"the store does not tell the length of {self._shown(key)}")
        tag = said.tag(info)
        return ObjectStat(
            key=key,
            length=length,
            mtime_ms=mtime_ms,
            version=f"{tag or ''}:{length}:{mtime_ms}",
            weak=tag is None or (changed_s is not None and self._clock_s() - changed_s < WEAK_S),
        )

    def _path(self, key: str) -> str:
        if self._closed:
            raise StoreUnavailable("the store was closed", cause="its mount is gone")
        if "\0" in key:
            raise InvalidPath(f"{self._shown(key)} has a NUL")
        # Implementations would normalise these, each in its own way.
        if key and any(part in ("", ".", "..") for part in key.split("/")):
            raise PathNotFound(f"{self._shown(key)} can't be named through fsspec")
        return f"{self._base}/{key}" if key else self._base

    def _shown(self, key: str) -> str:
        return one_line(f"{self.scheme}://{self.root}/{key}")

    @contextlib.contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except MillpondError:
            raise
        except Exception as e:
            raise self._meaning(key, e) from None

    def _meaning(self, key: str, error: Exception) -> MillpondError:
        cause = type(error).__name__ + (f": {error}" if str(error) else "")
        for secret in self._secrets:
            cause = cause.replace(secret, "***")
        cause = one_line(cause[:300])
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return PathNotFound(f"{self._shown(key)} does not exist")
        if isinstance(error, PermissionError):
            return PermissionDenied(f"{self._shown(key)} can't be read", cause=cause)
        if isinstance(error, IsADirectoryError):
            return IsADirectory(f"{self._shown(key)} is a directory")
        return StoreUnavailable(f"{self._shown(key)} could not be read", cause=cause)


def opener(
    scheme: str, driver: str | None
) -> Callable[[str, str, Mapping[str, str]], tuple[FsspecStore, str]]:
    """For the registry: opens URIs of ``scheme`` with the implementation ``driver`` names, by its
    protocol or package (``s3fs``); ``fsspec`` or None is the one of the scheme."""
    protocol = scheme if driver in (None, "fsspec") else said.PACKAGES.get(str(driver), driver)

    def open_uri(authority: str, path: str, options: Mapping[str, str]) -> tuple[FsspecStore, str]:
        key = "/".join(part for part in path.split("/") if part)
        return FsspecStore(scheme, str(protocol), authority, options), key

    return open_uri


def _implementation(protocol: str) -> Any:
    try:
        return fsspec.get_filesystem_class(protocol)
    except ValueError:
        raise StoreNotSupported(
            f"fsspec knows no implementation {protocol}",
            remedy="Install the package that has it, or correct the scheme or the option driver",
        ) from None
    except ImportError as e:
        raise StoreNotSupported(
            f"the fsspec implementation of {protocol} is not installed", remedy=one_line(str(e))
        ) from None
