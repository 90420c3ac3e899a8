"""Bodies of S3 objects through obstore: TLS and sockets in Rust, without the GIL."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import obstore
import obstore.exceptions as oe
from obstore.store import S3Store as RustStore

from millpond.errors import (
    FileChanged,
    MillpondError,
    PathNotFound,
    PermissionDenied,
    StoreAnswerInvalid,
    StoreUnavailable,
)
from millpond.under.s3_errors import shown

if TYPE_CHECKING:
    from collections.abc import Generator

    from botocore.credentials import Credentials
    from obstore.store import S3Credential

    from millpond.under.base import Buffer
    from millpond.under.s3_options import S3Options

_CHUNK_BYTES = 64 << 10
# What its Path would refuse or change: empty, "." and ".." segments, control characters.
_UNNAMABLE = re.compile(r"(^|/)(\.{0,2})(/|$)|[\x00-\x1f\x7f]")

_STATUS = re.compile(r"status code: (\d{3})|error \((\d{3})")


class ObstoreBody:
    """Ranged GETs of one bucket. Never retries: the caller counts and decides. Thread-safe."""

    def __init__(
        self,
        bucket: str,
        options: S3Options,
        credentials: Credentials | None,
        *,
        timeout_s: float,
    ) -> None:
        def signing() -> S3Credential:
            assert credentials is not None
            frozen = credentials.get_frozen_credentials()
            return {
                "access_key_id": frozen.access_key,
                "secret_access_key": frozen.secret_key,
                "token": frozen.token,
                "expires_at": None,
            }

        in_host = not options.path_style and "." not in bucket
        scheme, _, netloc = options.endpoint.partition("://")
        self._bucket = bucket
        self._store: RustStore | None = RustStore(
            bucket,
            endpoint=f"{scheme}://{bucket}.{netloc}" if in_host else options.endpoint,
            region=options.region,
            virtual_hosted_style_request=in_host,
            skip_signature=credentials is None,
            credential_provider=None if credentials is None else signing,
            client_options={
                "allow_http": scheme == "http",
                "connect_timeout": f"{timeout_s}s",
                # A bound on silence: the whole-request timeout would end long healthy reads.
                "read_timeout": f"{timeout_s}s",
                "timeout": "1h",
            },
            retry_config={"max_retries": 0},
        )

    @staticmethod
    def can_name(key: str) -> bool:
        return not _UNNAMABLE.search(key)

    def read(
        self, key: str, start: int, end: int, etag: str, length: int
    ) -> Generator[Buffer, None, None]:
        store = self._store
        if store is None:
            raise StoreUnavailable("the store was closed", cause="its mount is gone")
        what = shown(self._bucket, key)
        try:
            result = obstore.get(
                store,
                key,
                options={"range": (start, end), "if_match": f'"{etag}"' if etag else None},
            )
            got = (result.meta["e_tag"] or "").removeprefix("W/").strip('"')
            if (etag and got and got != etag) or result.meta["size"] != length:
                raise FileChanged(f"{what} has changed since it was opened", cause=f"ETag {got}")
            if result.range != (start, end):
                raise StoreAnswerInvalid(f"the store sent another range of {what}")
            for chunk in result.stream(min_chunk_size=_CHUNK_BYTES):
                yield memoryview(chunk)
        except (oe.BaseError, OSError) as e:
            raise _meaning(e, what) from None

    def close(self) -> None:
        self._store = None


def _meaning(error: oe.BaseError | OSError, what: str) -> MillpondError:
    """obstore tells some answers apart by class, the rest only in words.

    The words are searched and never repeated: they may hold request headers.
    """
    if isinstance(error, oe.PreconditionError):
        return FileChanged(f"{what} has changed since it was opened", cause="HTTP 412")
    if isinstance(error, oe.NotFoundError | FileNotFoundError):
        return PathNotFound(f"{what} does not exist", cause="HTTP 404")
    if isinstance(error, oe.PermissionDeniedError | oe.UnauthenticatedError):
        return PermissionDenied(
            f"the store refused {what}",
            cause="HTTP 403",
            remedy="Check the mount's credentials and their policy",
        )
    text = str(error)
    status = _STATUS.search(text)
    if status and status[1] == "416":
        return FileChanged(f"{what} has changed since it was opened", cause="HTTP 416")
    if "Content-Range" in text or "Requested range" in text or "partial content" in text:
        return StoreAnswerInvalid(f"the store sent another range of {what}")
    return StoreUnavailable(
        f"the store did not serve {what}", cause=f"HTTP {status[1]}" if status else "connection"
    )
