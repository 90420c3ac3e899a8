"""What the options of a mount say to the namespace and the cache; the rest are the store's."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from millpond.errors import InvalidSetting
from millpond.model.admission import Admission, parse_rules
from millpond.model.globs import glob_pattern
from millpond.namespace.pending.areas import StagingGlobs
from millpond.store.parts import NO_LIMITS, Limits
from millpond.units import (
    format_duration_ms,
    format_size,
    lacks_unit,
    parse_duration_ms,
    parse_size,
)
from millpond.wire import millpond_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import TypeVar

    T = TypeVar("T")

OPTIONS = (
    "freshness", "list_freshness", "immutable", "read_only", "admission", "ttl", "quota", "reserve",
    "write", "commit_files", "writers", "staging", "cache_ttl",
)  # fmt: skip
TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


_WRITER = re.compile(r"\*|@?[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
THROUGH, ASYNC, CACHE, AROUND = "through", "async", "cache", "around"
"""Written to the store before it is acknowledged; after; never; and to the store alone."""
WRITE_TYPES = (THROUGH, ASYNC, CACHE, AROUND)
HERE_FIRST = (ASYNC, CACHE)
"""Acknowledged when it is durable on this node."""
CACHE_TTL_MS = 24 * 3_600_000
"""How long a file of write type ``cache`` is kept, where its mount does not say."""


def check_write_type(text: str) -> str:
    """Raises ValueError."""
    if text not in WRITE_TYPES:
        raise ValueError(f"{', '.join(WRITE_TYPES)}; not {text!r}")
    return text


@dataclass(frozen=True)
class WriteTypes:
    """How the files of a mount are written: (write type, glob below the mount) in their order, the
    first that matches decides; else ``through``. A glob of None is any file."""

    rules: tuple[tuple[str, str | None], ...] = ()

    def of(self, below: str) -> str:
        for write_type, pattern in self._patterns:
            if pattern is None or pattern.fullmatch(below) is not None:
                return write_type
        return THROUGH

    @cached_property
    def _patterns(self) -> list[tuple[str, re.Pattern[str] | None]]:
        return [(t, None if g is None else re.compile(glob_pattern(g))) for t, g in self.rules]

    def globs(self, write_type: str) -> list[str]:
        """Those of a write type: what matches one may still be of a rule before it."""
        return ["**" if g is None else g for t, g in self.rules if t == write_type]

    def texts(self) -> list[str]:
        return [t if glob is None else f"{t}:{glob}" for t, glob in self.rules]

    @staticmethod
    def parse(text: str) -> WriteTypes:
        """``async:**/out/**, around:**/checkpoints/**, through``. Raises ValueError."""
        rules = []
        for rule in filter(None, (part.strip() for part in re.split("[,;]", text))):
            write_type, colon, glob = (part.strip() for part in rule.partition(":"))
            check_write_type(write_type)
            if colon and not glob:
                raise ValueError(f"a glob after {write_type}:")
            rules.append((write_type, glob or None))
        return WriteTypes(tuple(rules))


@dataclass(frozen=True, slots=True)
class Writers:
    """Who may change the files of a mount, beside root and the sidecar's own user.

    User names, uids, ``@group`` by name or gid, and names that a writer secret proves; ``*`` is
    everybody who may use the sidecar.
    """

    names: tuple[str, ...] = ()

    def allow(self, names: Collection[str]) -> bool:
        """Whether one who is known by ``names`` is among them."""
        return "*" in self.names or not set(names).isdisjoint(self.names)

    @staticmethod
    def parse(text: str) -> Writers:
        """``etl, 1005, @analysts``. Raises ValueError."""
        names = tuple(filter(None, re.split(r"[,;\s]+", text.strip())))
        bad = next((n for n in names if _WRITER.fullmatch(n) is None), None)
        if bad is not None or not names:
            raise ValueError("user names, uids, @group or *, separated by commas")
        return Writers(names)


@dataclass(frozen=True, slots=True)
class CacheControl:
    """How the files of a mount are cached."""

    admission: Admission = field(default_factory=Admission)
    limits: Limits = NO_LIMITS

    def to_wire(self) -> wire.CacheControl:
        return wire.CacheControl(
            admission=self.admission.texts(), ttl_s=self.limits.ttl_s,
            quota_bytes=self.limits.quota_bytes, reserve_bytes=self.limits.reserve_bytes,
        )  # fmt: skip

    @staticmethod
    def from_wire(said: wire.CacheControl) -> CacheControl:
        rules = parse_rules("; ".join(said.admission), "the sidecar's answer")
        return CacheControl(rules, Limits(said.quota_bytes, said.reserve_bytes, said.ttl_s))

    def describe(self) -> dict[str, object]:
        """For people and for ``--json``; None is no such limit."""
        said = self.limits
        return {
            "admission": self.admission.texts(),
            "ttl": format_duration_ms(said.ttl_s * 1000) if said.ttl_s else None,
            "quota": format_size(said.quota_bytes) if said.quota_bytes else None,
            "reserve": format_size(said.reserve_bytes) if said.reserve_bytes else None,
        }


@dataclass(frozen=True, slots=True)
class MountOptions:
    """What a mount's options say; ``store`` holds those for the store."""

    read_only: bool
    freshness_ms: int
    list_freshness_ms: int
    immutable: tuple[str, ...]
    control: CacheControl
    writes: WriteTypes
    commit_files: tuple[str, ...]
    writers: Writers
    staging: StagingGlobs
    cache_ttl_ms: int
    store: dict[str, str]


def parse_options(
    path: str, options: Mapping[str, str], *, freshness_ms: int, list_freshness_ms: int
) -> MountOptions:
    """Raises InvalidSetting naming mount, option and what is allowed."""

    def said(name: str, parse: Callable[[str], T], default: T) -> T:
        if name not in options:
            return default
        try:
            return parse(options[name])
        except ValueError as e:
            raise _bad_option(path, name, options[name], str(e)) from None

    text = options.get("read_only", "false").lower()
    if text not in TRUTH:
        raise _bad_option(path, "read_only", text, "true or false")
    rules = parse_rules(options.get("admission", ""), f"option admission of mount {path}")
    limits = Limits(
        said("quota", parse_size, 0), said("reserve", parse_size, 0),
        -(-said("ttl", parse_duration_ms, 0) // 1000),
    )  # fmt: skip
    if 0 < limits.quota_bytes < limits.reserve_bytes:
        raise _bad_option(
            path, "reserve", options["reserve"], f"at most the quota, {options['quota']}"
        )
    return MountOptions(
        TRUTH[text],
        said("freshness", parse_duration_ms, freshness_ms),
        said("list_freshness", parse_duration_ms, list_freshness_ms),
        _globs(options.get("immutable", "")),
        CacheControl(rules, limits),
        said("write", WriteTypes.parse, WriteTypes()),
        _globs(options.get("commit_files", "")),
        said("writers", Writers.parse, Writers()),
        said("staging", StagingGlobs.parse, StagingGlobs()),
        said("cache_ttl", parse_duration_ms, CACHE_TTL_MS),
        {k: v for k, v in options.items() if k not in OPTIONS},
    )


def _globs(text: str) -> tuple[str, ...]:
    return tuple(glob for each in text.split(",") if (glob := each.strip()))


def check_units(path: str, options: Mapping[str, str]) -> None:
    """Refuse a duration without its unit: 30 for 30 s would be 30 ms.

    For mounts that are made now; one that stands keeps the meaning it has.
    """
    for name in ("freshness", "list_freshness", "ttl", "cache_ttl"):
        text = options.get(name, "").strip()
        if lacks_unit(text):
            raise _bad_option(path, name, text, f"a number with its unit, {text}s or {text}ms")


def _bad_option(path: str, name: str, value: str, allowed: str) -> InvalidSetting:
    return InvalidSetting(
        f"option {name} of mount {path} is {value!r}",
        cause=f"allowed: {allowed}",
        remedy="Correct or leave out the option",
    )
