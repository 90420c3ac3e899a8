"""What changes an S3 bucket: uploads, deletions, and renames.

Rename is a copy by the store and then a deletion, object by object.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import quote

from millpond.errors import DirectoryNotEmpty, FileChanged, MillpondError, NotSupported
from millpond.under import s3_list, tree
from millpond.under.base import complete
from millpond.under.s3_errors import shown
from millpond.under.s3_upload import PARALLEL, S3Uploads, element

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

log = logging.getLogger(__name__)
COPY_BYTES = 1 << 30


class S3Writes(S3Uploads):
    """The write half of ``S3Store``. ``copy_bytes``: what one request copies."""

    atomic_rename = False
    copy_bytes = COPY_BYTES
    conditional = None

    def delete(self, key: str, *, recursive: bool = False) -> None:
        found = self.stat(key)
        if not found.is_dir:
            self._delete_object(key)
        else:
            below = self._keys(f"{key}/")
            if not recursive and any(k != f"{key}/" for k, _, _ in below):
                raise DirectoryNotEmpty(f"{shown(self.root, key)} is not empty")
            self._each(lambda each: self._delete_object(each[0]), reversed(below))
            self._delete_object(key + s3_list.FOLDER_SUFFIX)
        self._keep_above(key)

    def mkdirs(self, key: str) -> None:
        if key:
            self._request("PUT", f"{key}/", body=b"", put=1)

    def rename(self, source: str, target: str) -> None:
        found = self.stat(source)
        if found.is_dir:
            below = self._keys(f"{source}/")
            start = len(source)
            self._each(lambda e: self._copy(e[0], target + e[0][start:], e[1], e[2]), below)
            self._each(lambda e: self._delete_object(e[0]), reversed(below))
            self._delete_object(source + s3_list.FOLDER_SUFFIX)
        else:
            etag = found.version.rpartition(":")[0]
            self._copy(source, target, found.length, etag)
            self._delete_object(source)
        self._keep_above(source)

    def try_conditions(self, directory: str) -> bool:
        if self.conditional is None:
            name = tree.temporary_name()
            key = f"{directory}/{name}" if directory else name
            self._request("PUT", key, body=b"", put=1)
            try:
                self._request("PUT", key, headers={"If-None-Match": "*"}, body=b"", put=1)
                self.conditional = False
            except FileChanged:
                self.conditional = True
            except NotSupported:
                self.conditional, self.refused = False, self.refused | {"If-None-Match"}
            finally:
                try:
                    self._delete_object(key)
                except MillpondError as e:  # of no concern to whoever commits
                    log.warning("%s stays, empty: %s", shown(self.root, key), e)
        return self.conditional

    # What S3Store has.

    def _page(
        self, prefix: str, *, delimiter: bool, token: str | None, limit: int | None = None
    ) -> s3_list.Page:
        raise NotImplementedError

    # One object.

    def _copy(self, key: str, target: str, length: int, etag: str) -> None:
        if key.endswith("/") and not length:
            self.mkdirs(target.removesuffix("/"))  # a marker; some stores can't copy these
            return
        origin = {"x-amz-copy-source": f"/{self.root}/{quote(key, safe='/-_.~')}"}
        if etag:
            origin["x-amz-copy-source-if-match"] = f'"{etag}"'
        if length <= self.copy_bytes:
            self._copied("PUT", target, {}, origin)
            return

        def part(number: int, upload: str) -> str:
            start = number * self.copy_bytes
            last = min(start + self.copy_bytes, length) - 1
            span = {"x-amz-copy-source-range": f"bytes={start}-{last}"}
            query = {"partNumber": str(number + 1), "uploadId": upload}
            return self._copied("PUT", target, query, origin | span)

        count = -(-length // self.copy_bytes)
        complete(self._send_parts(target, length, count, part), None)

    def _copied(
        self, method: str, key: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> str:
        """A copy answers 200 before it is done: what counts is the document."""

        def attempt() -> str:
            self.counters.add(put=1)
            answer = self._wire.send(method, key, query, headers, b"")
            return element(answer.document(), "ETag").strip('"')

        return self._retrier.call(attempt)

    def _delete_object(self, key: str) -> None:
        self._request("DELETE", key, delete=1)

    # Directories.

    def _keys(self, prefix: str) -> list[tuple[str, int, str]]:
        """(key, length, ETag) of every object below, markers too."""
        found: list[tuple[str, int, str]] = []
        token: str | None = None
        while True:
            page = self._page(prefix, delimiter=False, token=token)
            found += [(o.key, o.length, o.version.rpartition(":")[0]) for o in page.objects]
            token = page.next_token
            if token is None:
                return found

    def _keep_above(self, key: str) -> None:
        """The directory above stays, though nothing is in it any more."""
        above = key.rpartition("/")[0]
        if above and self._page(f"{above}/", delimiter=False, token=None, limit=1).empty:
            self.mkdirs(above)

    def _each(
        self,
        work: Callable[[tuple[str, int, str]], object],
        keys: Iterable[tuple[str, int, str]],
    ) -> None:
        with ThreadPoolExecutor(2 * PARALLEL, "objects") as pool:
            for _ in pool.map(work, keys):
                pass
