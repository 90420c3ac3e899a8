"""What ``millpond doctor`` finds, here and in the plug-ins of engines."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    ok = "ok"
    warning = "warning"
    problem = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. ``remedy`` says what to do about anything that is not ok."""

    check: str
    level: Level
    text: str
    remedy: str = ""


def ok(check: str, text: str) -> Finding:
    return Finding(check, Level.ok, text)


def warning(check: str, text: str, remedy: str) -> Finding:
    return Finding(check, Level.warning, text, remedy)


def problem(check: str, text: str, remedy: str) -> Finding:
    return Finding(check, Level.problem, text, remedy)
