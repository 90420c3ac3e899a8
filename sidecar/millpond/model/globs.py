"""Globs over the paths below a mount, and over store URIs."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from millpond.errors import InvalidSetting

if TYPE_CHECKING:
    from collections.abc import Iterable

# What tables overwrite in place and read to find their newest state.
POINTERS = ("**/_delta_log/_last_checkpoint", "**/metadata/version-hint.text")
# By which table formats commit: Iceberg in a Hadoop catalog (v3.metadata.json) and in others
# (00003-<UUID>.metadata.json; what is renamed to v3 has the UUID alone), Delta.
COMMIT_FILES = (
    "**/metadata/v*.metadata.json", "**/metadata/v*.metadata.json.gz",
    "**/metadata/?????-*-*-*-*-*.metadata.json", "**/metadata/version-hint.text",
    "**/_delta_log/*.json", "**/_delta_log/*.checkpoint*", "**/_delta_log/_last_checkpoint",
)  # fmt: skip


@lru_cache(maxsize=256)
def glob_pattern(glob: str) -> str:
    """A glob over paths below a mount as a regular expression.

    ``**`` is any text, ``*`` any text without ``/``, ``?`` one character but ``/``; all else is
    itself. A leading ``**/`` also matches nothing. Vectors: ``tests/contract/vectors/globs.json``.
    """
    out, at = [], 0
    if glob.startswith("**/"):
        out, at = ["(?:.*/)?"], 3
    while at < len(glob):
        if glob.startswith("**", at):
            out.append(".*")
            at += 2
            continue
        out.append({"*": "[^/]*", "?": "[^/]"}.get(glob[at]) or re.escape(glob[at]))
        at += 1
    return f"(?s:{''.join(out)})"


class Globs:
    """Several globs, of which one has to match."""

    def __init__(self, globs: Iterable[str]) -> None:
        self._pattern = re.compile("|".join(map(glob_pattern, globs)) or r"(?!)")

    def match(self, below: str) -> bool:
        return self._pattern.fullmatch(below) is not None


@lru_cache(maxsize=64)
def commit_files(said: tuple[str, ...]) -> Globs:
    """The globs of a mount's commit files; none: the defaults."""
    return Globs(said or COMMIT_FILES)


def check_uri_glob(glob: str) -> str:
    """A glob over store URIs, as a client's list of them takes it; else InvalidSetting."""
    cause = ""
    if not glob.startswith("**") and not re.match(r"[^:]+://", glob):
        cause = "it names no scheme"
    elif found := re.search(r"[][{},\s]", glob):
        cause = f"{found[0]!r} is no wildcard here"
    if cause:
        raise InvalidSetting(
            f"{glob!r} is no glob of store URIs",
            cause=cause,
            remedy="Write one such as s3a://bucket/warehouse/**; wildcards are **, * and ?",
        )
    return glob


def is_pointer(key: str) -> bool:
    """Whether no open of a file may be answered by what was so a while ago: ``POINTERS``."""
    return _POINTER.match(key)


def is_log(key: str) -> bool:
    """Whether the names in a directory are a table's state: ``_delta_log``."""
    return key.rpartition("/")[2] == "_delta_log"


_POINTER = Globs(POINTERS)
