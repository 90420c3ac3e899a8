"""Uploads to S3: one PUT, or parts sent in parallel and completed in one step.

What one PUT takes is sent when it is completed: the store has no other way to hold it back.

Conditions go with the request that makes the object appear (``If-None-Match``, ``If-Match`` on PUT
and CompleteMultipartUpload). Some stores ignore them, so what is there is also looked at right
before: on these, a change by another in between is lost.

A request whose answer was lost may have been obeyed. An object written under a condition, or in
parts, carries a random number as metadata (``millpond-write``): a repeated request that is refused
looks whether the object there is its own.

An upload that a killed process left is invisible; a lifecycle rule of the bucket
(AbortIncompleteMultipartUpload) takes it away.
"""

from __future__ import annotations

import contextlib
import secrets
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from millpond.errors import (
    Conflict,
    FileChanged,
    InvalidPath,
    MillpondError,
    NotSupported,
    PathNotFound,
    StoreAnswerInvalid,
)
from millpond.under.base import ABSENT, UnderStore, Upload
from millpond.under.s3_errors import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from millpond.under.base import Buffer, ObjectStat, Source
    from millpond.under.retry import LockedCounters, Retrier
    from millpond.under.s3_wire import Answer, S3Wire

PART_BYTES = 16 << 20
MAX_PARTS = 10_000
PARALLEL = 4
_MARK = "x-amz-meta-millpond-write"


@dataclass(slots=True)
class S3Upload(Upload):
    """An object to be: what the two kinds of upload share. ``mark``: see the module."""

    store: S3Uploads
    key: str
    length: int
    mark: str

    def complete(self, expect: str | None = None) -> str:
        try:
            self.store._look(self.key, expect)
            etag = self._sent(expect)
        except (Conflict, FileChanged, PathNotFound) as e:
            etag = self._own(e, expect)
        return f"{etag}:{self.length}" if etag else ""

    def abort(self) -> None:
        return

    def _sent(self, expect: str | None) -> str:
        """``_appear``; without the condition where the store answers 501 to it."""
        try:
            return self._appear(expect)
        except NotSupported:
            conditions = self.store._conditions(expect)
            if not conditions:
                raise
            self.store.refused |= conditions.keys()
            return self._appear(expect)

    def _appear(self, expect: str | None) -> str:
        """The ETag of the object, which was made by one request."""
        raise NotImplementedError

    def _own(self, refused: MillpondError, expect: str | None) -> str:
        """After a refusal: the ETag if an earlier attempt was obeyed after all; else raises."""
        store = self.store

        def attempt() -> tuple[str | None, str]:
            store.counters.add(head=1)
            answer = store._wire.send("HEAD", self.key)
            answer.finish()
            return answer.header(_MARK), _tag(answer)

        try:
            found, etag = store._retrier.call(attempt)
        except PathNotFound:
            found = None
        if found == self.mark:
            return etag
        if expect is None or isinstance(refused, Conflict):
            raise refused
        if expect == ABSENT and isinstance(refused, PathNotFound):
            raise refused  # the bucket or the parts: whoever was faster left an object
        raise store._conflict(self.key, None) from refused


@dataclass(slots=True)
class WholeUpload(S3Upload):
    """One PUT, sent when it is completed."""

    source: Source

    def _appear(self, expect: str | None) -> str:
        headers = self.store._conditions(expect) | ({} if expect is None else {_MARK: self.mark})
        body = self.source.read(0, self.length)
        return _etag(self.store._request("PUT", self.key, headers=headers, body=body, put=1))


@dataclass(slots=True)
class PartsUpload(S3Upload):
    """Parts that the store has. ``etags``: of each, in order."""

    upload: str
    etags: list[str]

    def _appear(self, expect: str | None) -> str:
        rows = "".join(
            f"<Part><PartNumber>{n}</PartNumber><ETag>&quot;{escape(e)}&quot;</ETag></Part>"
            for n, e in enumerate(self.etags, 1)
        )
        body = f"<CompleteMultipartUpload>{rows}</CompleteMultipartUpload>".encode()
        store, query = self.store, {"uploadId": self.upload}

        def attempt() -> str:
            store.counters.add(put=1)
            answer = store._wire.send("POST", self.key, query, store._conditions(expect), body)
            return element(answer.document(), "ETag").strip('"')

        return store._retrier.call(attempt)

    def abort(self) -> None:
        with contextlib.suppress(MillpondError):
            self.store._request("DELETE", self.key, {"uploadId": self.upload}, delete=1)


class S3Uploads(UnderStore):
    """The part of ``S3Store`` that sends objects. ``part_bytes``: what one request takes.

    ``refused``: conditions that the store answered with 501, so it is looked before alone.
    """

    counters: LockedCounters
    part_bytes = PART_BYTES
    refused: frozenset[str] = frozenset()
    _wire: S3Wire
    _retrier: Retrier

    def upload(self, key: str, source: Source) -> S3Upload:
        if not key or key.endswith("/") or "\0" in key:
            raise InvalidPath(f"{shown(self.root, key)} is no name of a file")
        if source.length <= self.part_bytes:
            return WholeUpload(self, key, source.length, secrets.token_hex(16), source)
        size = self.part_bytes
        while -(-source.length // size) > MAX_PARTS:
            size += self.part_bytes

        def part(number: int, upload: str) -> str:
            start = number * size
            body = source.read(start, min(start + size, source.length))
            query = {"partNumber": str(number + 1), "uploadId": upload}
            return _etag(self._request("PUT", key, query, body=body, put=1))

        return self._send_parts(key, source.length, -(-source.length // size), part)

    # What S3Store has.

    def _head(self, key: str) -> ObjectStat | None:
        raise NotImplementedError

    # Parts.

    def _send_parts(
        self, key: str, length: int, count: int, part: Callable[[int, str], str]
    ) -> PartsUpload:
        """Send parts in parallel; abort on any error."""
        mark = secrets.token_hex(16)
        query = {"uploads": ""}
        begun = self._request("POST", key, query, headers={_MARK: mark}, body=b"", put=1)
        upload = PartsUpload(self, key, length, mark, element(begun.document(), "UploadId"), [])
        with ThreadPoolExecutor(min(PARALLEL, count), "upload") as pool:
            parts = [pool.submit(part, number, upload.upload) for number in range(count)]
            try:
                upload.etags = [each.result() for each in parts]
            except BaseException:
                for each in parts:
                    each.cancel()
                pool.shutdown()  # a part that arrives after the abort would stay
                upload.abort()
                raise
        return upload

    def _look(self, key: str, expect: str | None) -> None:
        """Raises Conflict where the object is not the one that is to be replaced."""
        if expect is None:
            return
        found = self._head(key)
        if (ABSENT if found is None else found.version) != expect:
            raise self._conflict(key, found)

    def _conflict(self, key: str, found: ObjectStat | None) -> Conflict:
        now = f"it has version {found.version}" if found is not None else "another was faster"
        return Conflict(
            f"{shown(self.root, key)} is not what the write was to replace",
            cause=now,
            remedy="Look at what is there, and write again",
        )

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

    def _conditions(self, expect: str | None) -> dict[str, str]:
        if expect is None:
            return {}
        if expect == ABSENT:
            name, value = "If-None-Match", "*"
        else:
            name, value = "If-Match", f'"{expect.rpartition(":")[0]}"'
        return {} if name in self.refused else {name: value}


def _tag(answer: Answer) -> str:
    return (answer.header("ETag") or "").removeprefix("W/").strip('"')


def _etag(answer: Answer) -> str:
    etag = _tag(answer)
    if not etag:
        raise StoreAnswerInvalid("the store names no ETag of what it stored")
    return etag


def element(document: bytes, name: str) -> str:
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
