"""HDFS as a store, by the library ``hdfs-native`` (no JVM, no libhdfs).

Versions are ``length:mtime``: the library does not tell the file id. HDFS only ever appends to a
file, truncation changes the mtime, and the NameNode sets the mtime in ms when a writer closes, so
a version repeats only where somebody sets times by hand (``distcp -pt`` onto a file of equal
length). Weak are files changed less than 2 s ago, and those whose access time is their mtime: so
they look from creation until they are closed. (``hdfs dfs -touch`` leaves the same, and its files
are not cached.) A file that is appended to keeps its mtime, and its bytes below ``length``.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from typing import TYPE_CHECKING

from hdfs_native import Client

from millpond.errors import (
    FileChanged,
    InvalidPath,
    InvalidSetting,
    NotADirectory,
    PathNotFound,
    StoreAnswerInvalid,
    StoreUnavailable,
)
from millpond.under import tree
from millpond.under.base import Buffer, ObjectStat, UnderStore, one_line
from millpond.under.hdfs_errors import meaning
from millpond.under.hdfs_write import HdfsWrites
from millpond.under.retry import LockedCounters, Retrier, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from hdfs_native import FileStatus

Entries = list[ObjectStat]
WEAK_MS = 2_000

OPTIONS: dict[str, str] = {
    "conf_dir": "folder of core-site.xml and hdfs-site.xml; default: HADOOP_CONF_DIR",
    "plaintext": "allow: files of encryption zones are cached, as plain text",
    "keytab": "Kerberos: file of keys of the principal; default: the ticket cache",
    "principal": "Kerberos: who to be; default: the owner of the ticket cache",
    "ticket_cache": "Kerberos: where the ticket is; default: KRB5CCNAME",
}
HADOOP_PREFIXES = ("dfs.", "fs.", "hadoop.")
"""An option so named is Hadoop's own, such as ``dfs.ha.namenodes.<name service>``."""
# Without a place of keys the library can't decrypt: nothing of a zone comes to lie on a disk.
_NO_KEYS = {"hadoop.security.key.provider.path": "", "dfs.encryption.key.provider.uri": ""}
# The library's own 15 attempts take minutes, and Retrier repeats the call anyway. These hold over
# the site's files, the mount's options over these.
_DEFAULTS = {
    "dfs.client.failover.max.attempts": "3",
    "dfs.client.failover.sleep.base.millis": "100",
    "dfs.client.failover.sleep.max.millis": "500",
}


class HdfsStore(HdfsWrites, UnderStore):
    """One name service or NameNode. ``clock_ms`` is what file times are compared with."""

    scheme = "hdfs"

    def __init__(
        self,
        authority: str,
        options: Mapping[str, str],
        *,
        retry: RetryPolicy | None = None,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        hadoop = {k: v for k, v in options.items() if k.startswith(HADOOP_PREFIXES)}
        unknown = sorted(set(options) - set(hadoop) - set(OPTIONS))
        if unknown:
            raise InvalidSetting(
                f"an hdfs mount has no option {', '.join(unknown)}",
                remedy=f"Known: {', '.join(sorted(OPTIONS))}, and Hadoop's keys in dfs., fs. and "
                "hadoop.",
            )
        plaintext = options.get("plaintext", "")
        if plaintext not in ("", "allow"):
            raise InvalidSetting(f"option plaintext is {plaintext!r}", cause="allowed: allow")
        self.root = authority
        self.store_id = hashlib.sha256(f"hdfs\n{authority}".encode()).hexdigest()[:16]
        self.counters: LockedCounters = LockedCounters()
        self._clock_ms = clock_ms
        self._retrier = Retrier(self.counters, retry)
        with _errors(f"hdfs://{authority}"):
            self._open: Client | None = Client(
                f"hdfs://{authority}",
                _DEFAULTS | hadoop | ({} if plaintext else _NO_KEYS),
                options.get("conf_dir"),
                kerberos_principal=options.get("principal"),
                kerberos_keytab=options.get("keytab"),
                kerberos_cache=options.get("ticket_cache"),
            )

    def stat(self, key: str) -> ObjectStat:
        path = _path(key)

        def attempt() -> ObjectStat:
            self.counters.add(head=1)
            with _errors(self._shown(path)):
                return self._describe(self._client.get_file_info(path))

        return self._retrier.call(attempt)

    def list(self, key: str, *, recursive: bool = False) -> Iterator[Entries]:
        """As the interface says. A directory is held in memory whole: the NameNode's own order is
        another one (of signed bytes)."""
        first = self._children(key)
        return tree.pages(tree.walk(first, self._children, recursive=recursive))

    def read(self, key: str, start: int, end: int, version: str) -> Iterator[Buffer]:
        path = _path(key)
        self._client  # noqa: B018 - raises when closed, before the first buffer is asked for

        def attempt(at: int) -> Generator[Buffer, None, None]:
            self.counters.add(get=1)
            with _errors(self._shown(path)):
                yield from self._body(path, at, end, version)

        return self._retrier.stream(attempt, start, end)

    def close(self) -> None:
        self._open = None

    def _shown(self, path: str) -> str:
        return one_line(f"hdfs://{self.root}{path}")

    def _named(self, key: str) -> str:
        return _path(key)

    def _errors(self, path: str) -> contextlib.AbstractContextManager[None]:
        return _errors(self._shown(path))

    @property
    def _client(self) -> Client:  # type: ignore[override]
        if self._open is None:
            raise StoreUnavailable("the store was closed", cause="its mount is gone")
        return self._open

    def _body(self, path: str, at: int, end: int, version: str) -> Generator[Buffer, None, None]:
        """A reader stays with the blocks it was given when it was opened. ``version`` was seen
        before that, so where it is seen after that too, the blocks are that version's."""
        reader = self._client.read(path)
        now = _version(self._client.get_file_info(path))
        if now != version:
            raise FileChanged(
                f"{self._shown(path)} has changed since it was opened", cause=f"now {now}"
            )
        if end > reader.size:
            # Of a file that is being written, the last block has a length but no readable byte.
            # The library ends the thread when asked for what is not there.
            raise StoreAnswerInvalid(f"only {reader.size} bytes of {self._shown(path)} can be read")
        for buffer in reader.read_range_stream(at, end - at):
            self._client  # noqa: B018
            yield buffer

    def _children(self, key: str) -> Entries:
        """What is directly below, in order."""
        path = _path(key)

        def attempt() -> Entries:
            self.counters.add(list=1)
            with _errors(self._shown(path)):
                found = list(self._client.list_status(path))
            if len(found) == 1 and found[0].path == path:
                raise NotADirectory(f"{self._shown(path)} is a file")
            return [
                self._describe(status)
                for status in found
                if not tree.is_temporary(tree.split(status.path)[1])
            ]

        return sorted(self._retrier.call(attempt), key=tree.order)

    def _describe(self, found: FileStatus) -> ObjectStat:
        key, mtime_ms = found.path.strip("/"), found.modification_time
        if found.isdir:
            return ObjectStat(key=key, length=0, mtime_ms=mtime_ms, is_dir=True)
        return ObjectStat(
            key=key,
            length=found.length,
            mtime_ms=mtime_ms,
            version=_version(found),
            weak=self._clock_ms() - mtime_ms < WEAK_MS or mtime_ms == found.access_time,
        )


def open_uri(authority: str, path: str, options: Mapping[str, str]) -> tuple[HdfsStore, str]:
    """For the registry: ``hdfs://host:port/path`` or ``hdfs://name-service/path``."""
    if not authority or any(c in authority for c in "?#\\ "):
        raise InvalidPath(
            f"{authority!r} is no NameNode", remedy="Write hdfs://host:port/path or a name service"
        )
    key = "/".join(part for part in path.split("/") if part)
    # The name of a service is a part of Hadoop's keys, and these tell case.
    return HdfsStore(authority.lower() if ":" in authority else authority, options), key


def _path(key: str) -> str:
    if "\0" in key:
        raise InvalidPath(f"key {one_line(key)!r} has a NUL")
    if key:
        parts = key.split("/")
        # Below /.reserved a file has names that no listing shows.
        if any(part in ("", ".", "..") for part in parts) or parts[0] == ".reserved":
            raise PathNotFound(f"HDFS has no name {one_line(key)!r}")
    return "/" + key


def _version(found: FileStatus) -> str:
    return f"{found.length}:{found.modification_time}"


@contextlib.contextmanager
def _errors(name: str) -> Iterator[None]:
    try:
        yield
    # BaseException, for that is what a panic of the library is.
    except BaseException as e:
        known = meaning(name, e)
        if known is None:
            raise
        raise known from None
