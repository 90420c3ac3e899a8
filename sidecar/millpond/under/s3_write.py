"""Writing to S3: one PUT, or parts sent in parallel and completed in one step.

Conditions go with the request that makes the object appear (``If-None-Match``, ``If-Match`` on PUT
and CompleteMultipartUpload). Some stores ignore them, so what is there is also looked at right
before: on these, a change by another in between is lost.

A request whose answer was lost may have been obeyed. An object written under a condition, or in
parts, carries a random number as metadata (``millpond-write``): a repeated request that is refused
looks whether the object there is its own.

Rename is a copy by the store and then a deletion, object by object. An upload that a killed process
left is invisible; a lifecycle rule of the bucket (AbortIncompleteMultipartUpload) takes it away.
"""

from __future__ import annotations

import secrets
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.sax.saxutils import escape

from millpond.errors import (
    Conflict,
    DirectoryNotEmpty,
    FileChanged,
    InvalidPath,
    MillpondError,
    PathNotFound,
    StoreAnswerInvalid,
)
from millpond.under import s3_list
from millpond.under.base import ABSENT, UnderStore
from millpond.under.s3_errors import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from millpond.under.base import Buffer, ObjectStat, Source
    from millpond.under.retry import LockedCounters, Retrier
    from millpond.under.s3_wire import Answer, S3Wire

PART_BYTES = 16 << 20
COPY_BYTES = 1 << 30
MAX_PARTS = 10_000
PARALLEL = 4
_MARK = "x-amz-meta-millpond-write"


class S3Writes(UnderStore):
    """The write half of ``S3Store``. ``part_bytes``, ``copy_bytes``: what one request takes."""

    atomic_rename = False
    counters: LockedCounters
    part_bytes = PART_BYTES
    copy_bytes = COPY_BYTES
    _wire: S3Wire
    _retrier: Retrier

    def put(self, key: str, source: Source, *, expect: str | None = None) -> str:
        if not key or key.endswith("/") or "\0" in key:
            raise InvalidPath(f"{shown(self.root, key)} is no name of a file")
        if source.length <= self.part_bytes:
            etag = self._put_whole(key, source, expect)
        else:
            etag = self._put_parts(key, source, expect)
        return f"{etag}:{source.length}" if etag else ""

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

    # What S3Store has.

    def _head(self, key: str) -> ObjectStat | None:
        raise NotImplementedError

    def _page(
        self, prefix: str, *, delimiter: bool, token: str | None, limit: int | None = None
    ) -> s3_list.Page:
        raise NotImplementedError

    # One object.

    def _put_whole(self, key: str, source: Source, expect: str | None) -> str:
        self._look(key, expect)
        mark = secrets.token_hex(16)
        headers = self._conditions(expect) | ({} if expect is None else {_MARK: mark})
        body = source.read(0, source.length)
        try:
            answer = self._request("PUT", key, headers=headers, body=body, put=1)
        except (FileChanged, PathNotFound) as e:
            return self._own(key, mark, e, expect)
        return _etag(answer)

    def _put_parts(self, key: str, source: Source, expect: str | None) -> str:
        mark = secrets.token_hex(16)
        size = self.part_bytes
        while -(-source.length // size) > MAX_PARTS:
            size += self.part_bytes

        def part(number: int, upload: str) -> str:
            start = number * size
            body = source.read(start, min(start + size, source.length))
            query = {"partNumber": str(number + 1), "uploadId": upload}
            return _etag(self._request("PUT", key, query, body=body, put=1))

        count = -(-source.length // size)
        return self._uploaded(key, count, part, expect, mark)

    def _uploaded(
        self, key: str, count: int, part: Callable[[int, str], str], expect: str | None, mark: str
    ) -> str:
        """Send parts in parallel and have them appear at once; abort on any error."""
        query = {"uploads": ""}
        begun = self._request("POST", key, query, headers={_MARK: mark}, body=b"", put=1)
        upload = _text(begun.document(), "UploadId")
        with ThreadPoolExecutor(min(PARALLEL, count), "upload") as pool:
            parts = [pool.submit(part, number, upload) for number in range(count)]
            try:
                etags = [each.result() for each in parts]
                self._look(key, expect)
                return self._complete(key, upload, etags, expect, mark)
            except BaseException:
                for each in parts:
                    each.cancel()
                pool.shutdown()  # a part that arrives after the abort would stay
                self._abort(key, upload)
                raise

    def _complete(
        self, key: str, upload: str, etags: list[str], expect: str | None, mark: str
    ) -> str:
        rows = "".join(
            f"<Part><PartNumber>{n}</PartNumber><ETag>&quot;{escape(e)}&quot;</ETag></Part>"
            for n, e in enumerate(etags, 1)
        )
        body = f"<CompleteMultipartUpload>{rows}</CompleteMultipartUpload>".encode()

        def attempt() -> str:
            self.counters.add(put=1)
            headers = self._conditions(expect)
            answer = self._wire.send("POST", key, {"uploadId": upload}, headers, body)
            return _text(answer.document(), "ETag").strip('"')

        try:
            return self._retrier.call(attempt)
        except (FileChanged, PathNotFound) as e:
            return self._own(key, mark, e, expect)

    def _abort(self, key: str, upload: str) -> None:
        try:
            self._request("DELETE", key, {"uploadId": upload}, delete=1)
        except MillpondError:
            return  # invisible all the same; what failed before is what the caller has to hear

    def _look(self, key: str, expect: str | None) -> None:
        """Raises Conflict where the object is not the one that is to be replaced."""
        if expect is None:
            return
        found = self._head(key)
        if (ABSENT if found is None else found.version) != expect:
            raise self._conflict(key, found)

    def _own(self, key: str, mark: str, refused: MillpondError, expect: str | None) -> str:
        """After a refusal: the ETag if an earlier attempt was obeyed after all; else raises."""

        def attempt() -> tuple[str | None, str]:
            self.counters.add(head=1)
            answer = self._wire.send("HEAD", key)
            answer.finish()
            return answer.header(_MARK), _tag(answer)

        try:
            found, etag = self._retrier.call(attempt)
        except PathNotFound:
            found = None
        if found == mark:
            return etag
        if expect is None:
            raise refused
        raise self._conflict(key, None) from refused

    def _conflict(self, key: str, found: ObjectStat | None) -> Conflict:
        now = f"it has version {found.version}" if found is not None else "another was faster"
        return Conflict(
            f"{shown(self.root, key)} is not what the write was to replace",
            cause=now,
            remedy="Look at what is there, and write again",
        )

    def _conditions(self, expect: str | None) -> dict[str, str]:
        if expect is None:
            return {}
        if expect == ABSENT:
            return {"If-None-Match": "*"}
        return {"If-Match": f'"{expect.rpartition(":")[0]}"'}

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

        mark = secrets.token_hex(16)
        self._uploaded(target, -(-length // self.copy_bytes), part, None, mark)

    def _copied(
        self, method: str, key: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> str:
        """A copy answers 200 before it is done: what counts is the document."""

        def attempt() -> str:
            self.counters.add(put=1)
            answer = self._wire.send(method, key, query, headers, b"")
            return _text(answer.document(), "ETag").strip('"')

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

    # Requests.

    def _request(
        self,
        method: str,
        key: str,
        query: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        body: Buffer | None = None,
        put: int = 0,
        delete: int = 0,
    ) -> Answer:
        def attempt() -> Answer:
            self.counters.add(put=put, delete=delete, bytes_written=len(body or b""))
            answer = self._wire.send(method, key, query, headers, body)
            if method == "POST":
                return answer
            answer.document()
            return answer

        return self._retrier.call(attempt)


def _tag(answer: Answer) -> str:
    return (answer.header("ETag") or "").removeprefix("W/").strip('"')


def _etag(answer: Answer) -> str:
    etag = _tag(answer)
    if not etag:
        raise StoreAnswerInvalid("the store names no ETag of what it stored")
    return etag


def _text(document: bytes, name: str) -> str:
    """What an element of an answer holds. A copy or a completion may answer 200 and then fail."""
    try:
        root = ET.fromstring(document)
    except ET.ParseError as e:
        raise StoreAnswerInvalid("the store's answer is malformed", cause=str(e)) from None
    text = root.findtext("{*}" + name)
    if not text:
        cause = root.findtext("{*}Code") or root.findtext("Code") or f"no {name} in it"
        raise StoreAnswerInvalid("the store did not do what it answered", cause=cause)
    return text
