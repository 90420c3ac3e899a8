"""The 99 queries, out of Spark's own test artifact: fetched once, verified, never copied here."""

from __future__ import annotations

import hashlib
import re
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millpond.errors import Corrupt, InvalidSetting
from millpond.maven import download, downloads_dir

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

VERSION = "4.1.1"
_NAME = f"spark-sql_2.13-{VERSION}-tests.jar"
_SHA256 = "505193f5e6540a2f15613e0d386a1f1af15d6f5f1308ce6cd6a670595a93d4d0"
_ENTRY = re.compile(r"tpcds/(q\d+[ab]?)\.sql")

# Ten that cover the suite: three channels, small and large joins, rollups, windows, scans.
QUICK = ("q3", "q7", "q19", "q27", "q42", "q52", "q55", "q67", "q88", "q96")


@dataclass(frozen=True, slots=True)
class Query:
    """One statement. Five of the 99 queries have two, named ``a`` and ``b``."""

    name: str
    sql: str


def load(names: Sequence[str] | None = None) -> list[Query]:
    """The statements by these names, or all 103; ``q14`` stands for ``q14a`` and ``q14b``.

    Raises InvalidSetting for a name that is no query's, StoreUnavailable and Corrupt as ``fetch``.
    """
    with zipfile.ZipFile(fetch()) as jar:
        entries = [(m[1], e) for e in jar.namelist() if (m := _ENTRY.fullmatch(e))]
        found = {name: Query(name, jar.read(entry).decode()) for name, entry in entries}
    ordered = sorted(found.values(), key=lambda q: _order(q.name))
    if names is None:
        return ordered
    chosen: list[Query] = []
    for name in names:
        wanted = [q for q in ordered if q.name == name or q.name in (f"{name}a", f"{name}b")]
        if not wanted:
            raise InvalidSetting(
                f"there is no query {name!r}", remedy=f"There are q1 to q99, such as {QUICK[0]}"
            )
        chosen += [q for q in wanted if q not in chosen]
    return chosen


def _order(name: str) -> tuple[int, str]:
    match = re.fullmatch(r"q(\d+)(.*)", name)
    assert match is not None
    return int(match[1]), match[2]


def fetch() -> Path:
    """The artifact in the cache of downloads; it appears there complete.

    Raises NotSupported without Maven, StoreUnavailable where it can't be fetched, Corrupt where it
    is not the pinned one.
    """
    target = downloads_dir() / _NAME
    if not target.exists():
        download(f"org/apache/spark/spark-sql_2.13/{VERSION}/{_NAME}", target)
    return verify(target)


def verify(jar: Path) -> Path:
    with jar.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != _SHA256:
        raise Corrupt(
            f"{_NAME} is not the pinned artifact", cause=f"its SHA-256 is {found}",
            remedy=f"Delete {jar}, then run this again.",
        )  # fmt: skip
    return jar
