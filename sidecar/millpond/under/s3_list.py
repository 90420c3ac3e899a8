"""One page of a ListObjectsV2 answer. Pure."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote_plus

from millpond.errors import StoreAnswerInvalid
from millpond.under.base import ObjectStat

FOLDER_SUFFIX = "_$folder$"


@dataclass(frozen=True, slots=True)
class Page:
    """``objects`` and ``prefixes`` (each with its trailing slash) in the store's order."""

    objects: list[ObjectStat]
    prefixes: list[str]
    next_token: str | None

    @property
    def empty(self) -> bool:
        return not self.objects and not self.prefixes


def parse(document: bytes) -> Page:
    """Raises StoreAnswerInvalid for anything that is not a whole page."""
    try:
        root = ET.fromstring(document)
        ns = root.tag[: root.tag.index("}") + 1] if root.tag.startswith("{") else ""
        if root.tag != ns + "ListBucketResult":
            raise ValueError(f"a document {root.tag[len(ns) :]!r}")
        quoted = root.findtext(ns + "EncodingType") == "url"

        def name(text: str | None) -> str:
            if not text:
                raise ValueError("an entry without a name")
            return unquote_plus(text, errors="strict") if quoted else text

        objects = [
            _object(name(e.findtext(ns + "Key")), e, ns) for e in root.iterfind(ns + "Contents")
        ]
        prefixes = [name(e.findtext(ns + "Prefix")) for e in root.iterfind(ns + "CommonPrefixes")]
        token = root.findtext(ns + "NextContinuationToken")
        if root.findtext(ns + "IsTruncated") == "true":
            if not token:
                raise ValueError("truncated, without a token to go on")
        else:
            token = None
        return Page(objects, prefixes, token)
    except (ET.ParseError, ValueError) as e:
        raise StoreAnswerInvalid("the store's listing is malformed", cause=str(e)) from None


def object_stat(key: str, length: int, mtime_ms: int, etag: str | None) -> ObjectStat:
    """A file as HEAD and LIST describe it alike: whole seconds, since HEAD has no more."""
    tag = (etag or "").removeprefix("W/").strip('"')
    weak = not tag or (etag or "").startswith("W/")
    return ObjectStat(
        key=key,
        length=length,
        mtime_ms=mtime_ms - mtime_ms % 1000,
        version=f"{tag}:{length}",
        weak=weak,
    )


def is_marker(stat: ObjectStat) -> bool:
    """Whether it stands for a directory: ``dir/`` (any client), ``dir_$folder$`` (s3n, EMR)."""
    return stat.key.endswith("/") or (stat.key.endswith(FOLDER_SUFFIX) and stat.length == 0)


def _object(key: str, element: ET.Element, ns: str) -> ObjectStat:
    length = int(element.findtext(ns + "Size") or "")
    if length < 0:
        raise ValueError(f"length {length}")
    changed = datetime.fromisoformat(element.findtext(ns + "LastModified") or "")
    return object_stat(
        key, length, round(changed.timestamp() * 1000), element.findtext(ns + "ETag")
    )
