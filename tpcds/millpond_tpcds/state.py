"""What is to be run, in which order, and what was run already, in a file that survives."""

from __future__ import annotations

import json
import os
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from millpond.errors import InvalidSetting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

Sample = dict[str, Any]
WARM_UP = 0


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """One execution. Round 0 is the warm-up: checked, and not timed."""

    round: int
    query: str
    target: str


def plan(queries: Sequence[str], targets: Sequence[str], rounds: int, seed: int) -> Iterator[Step]:
    """All steps. Queries come in a random order each round, and a query's targets likewise.

    A query's executions on all targets follow each other, so what drifts meets them alike.
    """
    for number in range(rounds + 1):
        rng = random.Random(f"{seed}-{number}")
        for query in rng.sample(queries, len(queries)):
            for target in rng.sample(targets, len(targets)):
                yield Step(number, query, target)


class State:
    """A file of JSON lines: what the run is, then each sample as it ends. Use it in a ``with``.

    A line cut off by a crash is dropped. Raises InvalidSetting where the file is of another run.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self._path = path
        self.samples: list[Sample] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = self._whole_lines()
        if lines:
            found = json.loads(lines[0])
            if found != json.loads(json.dumps(about)):
                raise InvalidSetting(
                    f"{path} belongs to another run",
                    cause=_first_difference(found, about),
                    remedy="Give the same options to resume it, or start over with --fresh.",
                )
            self.samples = [json.loads(line) for line in lines[1:]]
        self._file = path.open("a")
        if not lines:
            self._append(about)

    def _whole_lines(self) -> list[str]:
        """The lines that end with a newline; the file is cut after them."""
        if not self._path.exists():
            return []
        text = self._path.read_bytes()
        end = text.rfind(b"\n") + 1
        os.truncate(self._path, end)
        return text[:end].decode().splitlines()

    def done(self) -> set[Step]:
        """Steps that need not be run again."""
        return {Step(s["round"], s["query"], s["target"]) for s in self.samples}

    def add(self, step: Step, sample: Sample) -> None:
        """Keeps a sample, on disk when this returns."""
        whole = {"round": step.round, "query": step.query, "target": step.target, **sample}
        self._append(whole)
        self.samples.append(whole)

    def _append(self, document: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(document) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _first_difference(found: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    for key in sorted({*found, *asked}):
        if found.get(key) != json.loads(json.dumps(asked.get(key))):
            return f"{key} is {found.get(key)!r} there, {asked.get(key)!r} here"
    return "they differ"


def remaining(steps: Sequence[Step], done: set[Step], started_before: bool) -> list[Step]:
    """The steps to run now.

    Engines of a resumed run are fresh: they warm up again on the queries that are still to be
    timed. Such a warm-up is a step that was done, and is run once more.
    """
    left = [s for s in steps if s not in done]
    if not started_before:
        return left
    timed = {(s.query, s.target) for s in left if s.round != WARM_UP}
    again = [s for s in steps if s in done and s.round == WARM_UP and (s.query, s.target) in timed]
    return again + left
