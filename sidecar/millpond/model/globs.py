"""Globs over the paths below a mount."""

from __future__ import annotations

import re
from functools import lru_cache


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
