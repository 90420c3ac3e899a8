"""Where a data set is copied to: S3 or HDFS, by the store's own client, past Millpond.

A file that is there with the right size is not copied again, and after copying all sizes are read
once more.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from millpond.errors import Corrupt, InvalidSetting, NotSupported

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from millpond_tpcds.dataset import DataSet

_CHUNK_BYTES = 8 << 20


class Destination(Protocol):
    """A folder in a store."""

    def sizes(self) -> dict[str, int]:
        """Sizes of all files below it, by relative path."""
        ...

    def put(self, name: str, path: Path) -> None:
        """Copies a local file to a relative path, in the place of what is there."""
        ...


class S3Destination:
    """A prefix of a bucket, by obstore. Without ``keys`` (access, secret): the AWS environment's.

    ``endpoint`` is a server's other than AWS; its buckets are addressed by path.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str,
        endpoint: str | None = None,
        keys: tuple[str, str] | None = None,
    ) -> None:
        from obstore.store import S3Store

        settings: dict[str, Any] = {}
        if endpoint is not None:
            settings |= {"endpoint": endpoint, "virtual_hosted_style_request": False}
            settings["client_options"] = {"allow_http": endpoint.startswith("http:")}
            settings["region"] = os.environ.get("AWS_REGION", "us-east-1")
        if keys is not None:
            settings |= {"access_key_id": keys[0], "secret_access_key": keys[1]}
        self._prefix = prefix.strip("/")
        self._store = S3Store(bucket, **settings)

    def sizes(self) -> dict[str, int]:
        import obstore

        start = len(self._prefix) + 1
        return {
            entry["path"][start:]: entry["size"]
            for page in obstore.list(self._store, prefix=self._prefix)
            for entry in page
        }

    def put(self, name: str, path: Path) -> None:
        import obstore

        obstore.put(self._store, f"{self._prefix}/{name}", path)


class HdfsDestination:
    """A directory of HDFS, by hdfs-native."""

    def __init__(self, authority: str, path: str) -> None:
        from hdfs_native import Client

        self._client = Client(f"hdfs://{authority}")
        self._path = path.rstrip("/")

    def sizes(self) -> dict[str, int]:
        found: dict[str, int] = {}
        try:
            for status in self._client.list_status(self._path, recursive=True):
                if not status.isdir:
                    found[status.path[len(self._path) + 1 :]] = status.length
        except FileNotFoundError:
            return {}
        return found

    def put(self, name: str, path: Path) -> None:
        from hdfs_native import WriteOptions

        with (
            path.open("rb") as file,
            self._client.create(f"{self._path}/{name}", WriteOptions(overwrite=True)) as target,
        ):
            while chunk := file.read(_CHUNK_BYTES):
                target.write(chunk)


def destination(uri: str, endpoint: str | None = None) -> Destination:
    """The folder a URI names. Raises InvalidSetting, NotSupported (its client is missing)."""
    parts = urlsplit(uri)
    try:
        if parts.scheme in ("s3", "s3a") and parts.netloc:
            return S3Destination(parts.netloc, parts.path, endpoint)
        if parts.scheme == "hdfs" and parts.netloc:
            return HdfsDestination(parts.netloc, parts.path)
    except ImportError as e:
        raise NotSupported(
            f"{parts.scheme} needs a client", cause=str(e), remedy="Install millpond[tpcds]"
        ) from None
    raise InvalidSetting(
        f"--to is {uri!r}", cause="allowed: s3://bucket/prefix, hdfs://host:port/directory"
    )


def copy(data: DataSet, to: Destination, told: Callable[[str, int, bool], object]) -> int:
    """Copies what is missing or of another size; how many files that were.

    ``told`` hears every file, its size, and whether it was copied. Raises InvalidSetting where
    other files are there, Corrupt where a size is wrong afterwards.
    """
    there = to.sizes()
    strangers = set(there) - {name for name, _, _ in data.files()}
    if strangers:
        raise InvalidSetting(
            f"the destination has {len(strangers)} files that are not of this data set",
            cause=f"such as {min(strangers)}",
            remedy="Name an empty folder: engines would read them as rows.",
        )
    copied = 0
    for name, path, size in data.files():
        missing = there.get(name) != size
        if missing:
            to.put(name, path)
            copied += 1
        told(name, size, missing)
    there = to.sizes() if copied else there
    wrong = [name for name, _, size in data.files() if there.get(name) != size]
    if wrong:
        raise Corrupt(
            f"{len(wrong)} copied files have another size than here", cause=", ".join(wrong[:3])
        )
    return copied
