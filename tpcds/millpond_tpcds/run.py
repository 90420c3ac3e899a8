"""A run: sessions and servers up, every step in turn, each sample kept as it ends."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from statistics import mean
from typing import TYPE_CHECKING, Any, Protocol

from millpond.testing.proc import CpuMeter, machine
from millpond_tpcds import compare, presto, targets
from millpond_tpcds.engine import EngineEnded
from millpond_tpcds.oracle import Oracle
from millpond_tpcds.presto import PrestoSession
from millpond_tpcds.site import Site
from millpond_tpcds.state import Sample, State, Step, plan, remaining

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from millpond.testing.store_model import Model, ModelCounters
    from millpond_tpcds.compare import Answer
    from millpond_tpcds.dataset import DataSet
    from millpond_tpcds.queries import Query
    from millpond_tpcds.targets import EngineOptions, Session, Target


@dataclass(frozen=True, slots=True)
class Options:
    """What is run, on what, how often."""

    data: DataSet
    queries: Sequence[Query]
    targets: Sequence[Target]
    model: Model
    spark: EngineOptions
    rounds: int
    seed: int
    work: Path

    def about(self) -> dict[str, Any]:
        """What has to be equal for a run to be resumed."""
        notes = self.data.complete()
        return {
            "scale": self.data.scale,
            "layout": self.data.layout,
            "generator": self.data.generator(),
            "bytes": sum(note.bytes for note in notes.values()),
            "files": sum(len(note.files) for note in notes.values()),
            "queries": [q.name for q in self.queries],
            "targets": [t.name for t in self.targets],
            "model": asdict(self.model),
            "spark": asdict(self.spark),
            "rounds": self.rounds,
            "seed": self.seed,
        }


class Listener(Protocol):
    """Hears how a run goes."""

    def says(self, text: str) -> None:
        """A line about what happens now."""
        ...

    def step(self, step: Step, sample: Sample, left: int, left_s: float) -> None:
        """A step has ended; how many are left, and about how many seconds they take."""
        ...


def run(options: Options, state: State, listener: Listener) -> dict[str, object]:
    """Runs what the state does not hold yet; the facts about the machine.

    Interrupted by anything, KeyboardInterrupt included, it ends every process and leaves the state
    as it is, to be resumed.
    """
    steps = list(
        plan([q.name for q in options.queries], [t.name for t in options.targets],
             options.rounds, options.seed)
    )  # fmt: skip
    todo = remaining(steps, state.done(), bool(state.samples))
    about = machine(options.work)
    if not todo:
        return about
    by_presto = any(t.engine == targets.PRESTO for t in options.targets)
    if by_presto:
        presto.check(options.data)
    with ExitStack() as stack:
        oracle = stack.enter_context(Oracle(options.data.folder, threads=options.spark.cores))
        listener.says("starting the store and the sidecars; copying what the store lacks")
        sidecars = {t.sidecar for t in options.targets if t.sidecar is not None}
        site = stack.enter_context(
            Site(
                options.work, options.data, options.model, sidecars,
                settings={"MILLPOND_NODE_ALIASES": presto.ADDRESS} if by_presto else None,
            )
        )  # fmt: skip
        if "warm" in sidecars:
            listener.says("loading the warm cache")
            site.load("warm")
        if by_presto:
            listener.says("starting the metastore")
            tables = stack.enter_context(presto.metastore(site, options.work / "metastore"))
        sessions: dict[str, Session | PrestoSession] = {}
        for target in options.targets:
            common = (target, site, options.data, options.spark)
            session: Session | PrestoSession
            if target.engine == targets.PRESTO:
                session = PrestoSession(*common, tables, options.work / "presto")
            else:
                session = targets.Session(*common, options.work / "logs")
            stack.enter_context(session)
            sessions[target.name] = session
        commit = str(about["commit"])
        _Runner(options, state, listener, site, oracle, sessions, commit).run(todo)
    return about


class _Runner:
    """The steps of one process."""

    def __init__(
        self, options: Options, state: State, listener: Listener, site: Site, oracle: Oracle,
        sessions: dict[str, Session | PrestoSession], commit: str,
    ) -> None:  # fmt: skip
        self._options = options
        self._state = state
        self._listener = listener
        self._site = site
        self._oracle = oracle
        self._sessions = sessions
        self._commit = commit
        self._queries = {q.name: q for q in options.queries}
        self._answers: dict[str, Answer] = {}
        self._wall_s: dict[tuple[str, str], float] = {}

    def run(self, todo: Sequence[Step]) -> None:
        known = self._state.done()
        for i, step in enumerate(todo):
            began = time.perf_counter()
            sample = self._sample(step)
            self._wall_s[step.query, step.target] = time.perf_counter() - began
            if step not in known:
                self._state.add(step, sample)
            left = todo[i + 1 :]
            self._listener.step(step, sample, len(left), self._estimate(left))

    def _estimate(self, left: Sequence[Step]) -> float:
        """Seconds for the steps that are left, by each one's last execution where it had one."""
        usual = mean(self._wall_s.values())
        return sum(self._wall_s.get((s.query, s.target), usual) for s in left)

    def _sample(self, step: Step) -> Sample:
        session, query = self._sessions[step.target], self._queries[step.query]
        session.prepare(query)
        before, meter = self._site.model.counters(), CpuMeter(session.pids())
        meter.start()
        try:
            told = session.run(query)
            cpu = meter.stop()
        except EngineEnded as e:
            session.restart()
            told, cpu = {"error": str(e)}, {}
        asked = _since(self._site.model.counters(), before)
        sample: Sample = {
            session.target.engine: session.version,
            "commit": self._commit,
            "cpu_s": {name: round(s, 3) for name, s in cpu.items()},
            **asked,
        }
        if "error" in told:
            return sample | {"error": told["error"], "equal": False}
        wrong = compare.difference(_rows(told), self._answer(query))
        sample |= {
            "seconds": round(told["seconds"], 4),
            "declare_s": round(told["declare_s"], 4),
            "rows": len(told["rows"]),
            "counters": told["counters"],
            "equal": wrong is None,
        }
        return sample if wrong is None else sample | {"difference": wrong}

    def _answer(self, query: Query) -> Answer:
        if query.name not in self._answers:
            self._answers[query.name] = self._oracle.answer(query.sql)
        return self._answers[query.name]


def _rows(told: dict[str, Any]) -> list[compare.Row]:
    return [tuple(compare.decode(value) for value in row) for row in told["rows"]]


def _since(after: ModelCounters, before: ModelCounters) -> Sample:
    """What the store was asked for in between, and the bytes of objects it sent."""
    kinds = ("LIST", "HEAD", "GET")
    requests = {k: after.requests[k] - before.requests[k] for k in kinds}
    return {"requests": requests, "bytes": after.bytes["GET"] - before.bytes["GET"]}
