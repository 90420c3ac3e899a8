"""Interleaved rounds: every target once a round, in an order that turns round by round."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from millpond.testing.proc import CpuMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.bench.data import Files
    from tests.bench.jvm import Agent
    from tests.bench.measures import Measure


@dataclass(frozen=True, slots=True)
class Target:
    """A file system under measurement: what the agent opens, and where our files are in it."""

    name: str
    uri: str
    base: str  # of the files, without a trailing slash
    conf: Mapping[str, str]
    before: Callable[[Agent], None] | None = None  # makes it cold, before each sample

    def open(self, agent: Agent) -> None:
        fields = {"name": self.name, "uri": self.uri}
        agent.ask("fs", fields | {f"conf.{key}": value for key, value in self.conf.items()})


@dataclass(slots=True)
class Series:
    """The samples of one measure on one target, one a round."""

    measure: Measure
    target: str
    threads: int
    samples: list[dict[str, Any]] = field(default_factory=list)

    @property
    def values(self) -> list[float]:
        return [self.measure.value(s["elapsed_ns"], s["ops"], s["bytes"]) for s in self.samples]

    def column(self, key: str, scale: float = 1.0) -> list[float]:
        return [s[key] * scale for s in self.samples]


class Sampler:
    """Takes samples of one measure from targets that share one JVM."""

    def __init__(self, agent: Agent, files: Files, pids: Mapping[str, int]) -> None:
        self.agent = agent
        self._files = files
        self._meter = CpuMeter(pids)

    def sample(
        self, target: Target, measure: Measure, *, ops: int, seed: int, threads: int
    ) -> dict[str, Any]:
        """One timed run; the CPU of the other processes and the client's counters beside it."""
        if target.before is not None:
            target.before(self.agent)
        fields = {"fs": target.name, "threads": threads}
        fields |= measure.fields(target.base, self._files) | measure.work(ops, seed)
        counters = self.agent.ask("stats", {"fs": target.name})
        self._meter.start()
        told = self.agent.ask("run", fields)
        told["other_cpu_s"] = self._meter.stop()
        after = self.agent.ask("stats", {"fs": target.name})
        told["counters"] = {k: v - counters.get(k, 0) for k, v in after.items()}
        return told


def interleaved(
    sampler: Sampler,
    targets: Sequence[Target],
    measure: Measure,
    *,
    ops: int,
    rounds: int,
    seed: int,
    threads: int,
) -> list[Series]:
    """``rounds`` samples of each target, A B A B …, the order turned by one place each round."""
    series = [Series(measure, target.name, threads) for target in targets]
    for i in range(rounds):
        turn = i % len(targets)
        order = [*range(turn, len(targets)), *range(turn)]
        for k in order:
            series[k].samples.append(
                sampler.sample(targets[k], measure, ops=ops, seed=seed + i, threads=threads)
            )
    return series
