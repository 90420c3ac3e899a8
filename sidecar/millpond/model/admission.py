"""Admission: which files of a mount are cached, and which are read from the store as if none were.

Rules are asked in their order; the first that matches a file and the way it is read decides, and
what no rule matches is admitted. A rule is ``admit`` or ``bypass`` and its conditions, all of which
must hold::

    bypass glob=**/_tmp/**; admit max=64MiB; bypass scan=sequential,whole_file min=10GiB

``glob`` is over the path below the mount, ``min`` and ``max`` bound the file's length (both
included), ``scan`` is what the reader says of its reading. A value with blanks or ``;`` in it is
quoted. Loading ahead is no scan: rules with ``scan`` do not match it.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cached_property

from millpond.errors import InvalidSetting
from millpond.model.globs import glob_pattern
from millpond.units import parse_size

SCANS = ("unknown", "sequential", "random", "whole_file", "vectored")
"""What a reader may say of its reading: names of ``wire.Intent``, in lower case."""
_KEYS = ("glob", "min", "max", "scan")
MAX_RULES = 100
MAX_BYTES = 1 << 63


@dataclass(frozen=True)
class Rule:
    """One rule; ``text`` is its one spelling."""

    text: str
    admits: bool
    glob: str | None = None
    min_bytes: int = 0
    max_bytes: int = MAX_BYTES
    scans: frozenset[str] = frozenset()

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        return None if self.glob is None else re.compile(glob_pattern(self.glob))

    def matches(self, below: str, length: int, scan: str) -> bool:
        """Whether it speaks of this file (``below`` its mount) read in this way."""
        if not self.min_bytes <= length <= self.max_bytes:
            return False
        if self.scans and scan not in self.scans:
            return False
        return self._pattern is None or self._pattern.fullmatch(below) is not None


@dataclass(frozen=True, slots=True)
class Admission:
    """The rules of one mount, in their order."""

    rules: tuple[Rule, ...] = ()

    def bypassed_by(self, below: str, length: int, scan: str) -> Rule | None:
        """The rule that keeps a file out of the cache; None: it is admitted."""
        for rule in self.rules:
            if rule.matches(below, length, scan):
                return None if rule.admits else rule
        return None

    def texts(self) -> list[str]:
        return [rule.text for rule in self.rules]


def parse_rules(text: str, where: str) -> Admission:
    """Rules as they are written, ``;`` between them; ``where`` is named in errors.

    Raises InvalidSetting naming the rule that is wrong.
    """
    rules: list[Rule] = []
    words: list[str] = []
    for word in [*_words(text, where), ";"]:
        if word.strip(";"):
            words.append(word)
        elif words:
            rules.append(_parse_rule(words, f"rule {len(rules) + 1} of {where}"))
            words = []
    if len(rules) > MAX_RULES:
        raise InvalidSetting(f"{where} has {len(rules)} rules", cause=f"at most {MAX_RULES}")
    return Admission(tuple(rules))


def _words(text: str, where: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";")
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        return list(lexer)
    except ValueError as e:
        raise _wrong(where, text, str(e).lower()) from None


def _parse_rule(words: list[str], where: str) -> Rule:
    shown = " ".join(words)
    verb = words[0].lower()
    if verb not in ("admit", "bypass"):
        raise _wrong(where, shown, f"it begins with {words[0]!r}, not with admit or bypass")
    said: dict[str, str] = {}
    for word in words[1:]:
        key, equals, value = word.partition("=")
        if key not in _KEYS or not equals or not value:
            raise _wrong(where, shown, f"{word!r} is none of {', '.join(_KEYS)} with =value")
        if key in said:
            raise _wrong(where, shown, f"{key} stands twice")
        said[key] = value
    sizes = {"min": 0, "max": MAX_BYTES}
    for key in sizes.keys() & said.keys():
        try:
            sizes[key] = parse_size(said[key])
        except ValueError as e:
            raise _wrong(where, shown, f"{key} is not {e}") from None
    if sizes["min"] > sizes["max"]:
        raise _wrong(where, shown, "min lies above max: it matches nothing")
    scans = frozenset(filter(None, said.get("scan", "").lower().split(",")))
    if unknown := sorted(scans - set(SCANS)):
        raise _wrong(where, shown, f"{unknown[0]!r} is no scan: {', '.join(SCANS)}")
    text = " ".join([verb, *(_quoted(f"{k}={said[k]}") for k in _KEYS if k in said)])
    return Rule(text, verb == "admit", said.get("glob"), sizes["min"], sizes["max"], scans)


def _quoted(word: str) -> str:
    return shlex.quote(word) if re.search(r"[\s;'\"\\]", word) else word


def _wrong(where: str, shown: str, cause: str) -> InvalidSetting:
    return InvalidSetting(
        f"{where} is {shown!r}",
        cause=cause,
        remedy="Write admit or bypass, then glob=, min=, max=, scan= as wanted, such as "
        "bypass glob=**/_tmp/** min=1GiB",
    )
