"""Sizes and durations as people write them: ``10GiB``, ``30s``."""

from __future__ import annotations

import re

_SIZES = {
    "": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
    "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
}  # fmt: skip
_DURATIONS_MS = {
    "": 1, "ms": 1, "s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000,
}  # fmt: skip
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)\Z")


def parse_size(text: str) -> int:
    """Bytes: ``10GiB``, ``1.5 MB``, ``4096``. ValueError for anything else."""
    return _parse(text, _SIZES, "a size such as 512MiB or 10GiB")


def parse_duration_ms(text: str) -> int:
    """Milliseconds: ``30s``, ``250ms``, ``2h``; a bare number is milliseconds."""
    return _parse(text, _DURATIONS_MS, "a duration such as 250ms, 30s or 2h")


def lacks_unit(text: str) -> bool:
    """Whether a duration is a bare number other than 0: a person who writes 30 means seconds."""
    match = _NUMBER.match(text.strip().lower())
    return match is not None and not match[2] and float(match[1]) != 0


def _parse(text: str, units: dict[str, int], wanted: str) -> int:
    match = _NUMBER.match(text.strip().lower())
    if match is None or match[2] not in units:
        raise ValueError(wanted)
    value = float(match[1]) if "." in match[1] else int(match[1])
    return int(value * units[match[2]])


def format_size(size_bytes: float) -> str:
    """``1.5 GiB``: three digits at most, binary units."""
    names = ["B", "KiB", "MiB", "GiB", "TiB"]
    while abs(size_bytes) >= 1024 and len(names) > 1:
        size_bytes /= 1024
        names.pop(0)
    text = f"{size_bytes:.0f}" if abs(size_bytes) >= 100 else f"{size_bytes:.1f}"
    return f"{text.removesuffix('.0')} {names[0]}"


def format_percent(ratio: float | None) -> str:
    """``93.4 %``; ``-`` for a ratio of nothing."""
    return "-" if ratio is None else f"{100 * ratio:.1f} %"


def format_duration_ms(duration_ms: int) -> str:
    """The shortest exact spelling: ``30s``, ``1500ms``, ``0s``."""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        if duration_ms % size == 0 and (duration_ms or unit == "s"):
            return f"{duration_ms // size}{unit}"
    return f"{duration_ms}ms"
