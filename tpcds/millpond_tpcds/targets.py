"""What is compared: each target is an engine of its own that reads the same data."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from millpond.errors import InvalidSetting
from millpond.testing.proc import touch_memory
from millpond_spark.session import conf
from millpond_tpcds.dataset import projected_bytes, schema, tables_of
from millpond_tpcds.engine import Engine
from millpond_tpcds.site import MOUNT
from millpond_tpcds.tables import RENAMED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from millpond_tpcds.dataset import DataSet
    from millpond_tpcds.queries import Query
    from millpond_tpcds.site import Site

LOCAL, S3A, ANALYTICS = "local", "s3a", "s3a_analytics"
COLD, WARM, TRANSPARENT = "cache_cold", "cache_warm", "transparent_warm"
PRESTO_S3, PRESTO_WARM = "presto_s3", "presto_cache_warm"
SPARK, PRESTO = "spark", "presto"


@dataclass(frozen=True, slots=True)
class Target:
    """A way to read the data."""

    name: str
    label: str
    sidecar: str | None = None  # whose cache directory its session uses
    stream: str = "classic"  # of S3A, where it reads by it
    engine: str = SPARK


TARGETS = {
    target.name: target
    for target in (
        Target(LOCAL, "local Parquet"),
        Target(S3A, "S3A, classic stream"),
        Target(ANALYTICS, "S3A, analytics stream", stream="analytics"),
        Target(COLD, "cache://, cold", "cold"),
        Target(WARM, "cache://, warm", "warm"),
        Target(TRANSPARENT, "s3a://, transparent, warm", "warm"),
        Target(PRESTO_S3, "Presto, its own S3 class", engine=PRESTO),
        Target(PRESTO_WARM, "Presto, cache://, warm", "warm", engine=PRESTO),
    )
}


def chosen(names: Sequence[str] | None) -> list[Target]:
    """Targets by name, or all of Spark's. Raises InvalidSetting."""
    unknown = set(names or ()) - set(TARGETS)
    if unknown:
        raise InvalidSetting(
            f"there is no target {min(unknown)!r}", remedy=f"There are {', '.join(TARGETS)}"
        )
    return [TARGETS[name] for name in names or TARGETS if names or TARGETS[name].engine == SPARK]


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How each engine is made: the same for every target."""

    cores: int = min(4, os.cpu_count() or 1)
    memory: str = "3g"

    def settings(self) -> dict[str, str]:
        """All of a session that is not Spark's default, but for where the data is."""
        return {
            "spark.app.name": "millpond tpcds",
            "spark.master": f"local[{self.cores}]",
            "spark.driver.memory": self.memory,
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.sql.shuffle.partitions": str(2 * self.cores),
            # A ratio over zero is NULL, as DuckDB has it.
            "spark.sql.ansi.enabled": "false",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
        }


class Session:
    """One target of Spark's. Its engine starts when it is first prepared. Use it in a ``with``."""

    def __init__(
        self, target: Target, site: Site, data: DataSet, options: EngineOptions, logs: Path
    ) -> None:
        self.target = target
        self._site = site
        self._data = data
        self._options = options
        self._logs = logs
        self._base = {LOCAL: site.local(), COLD: f"cache://{MOUNT}", WARM: f"cache://{MOUNT}"}.get(
            target.name, site.direct()
        )
        self._schemas: dict[str, str] = {}
        self._engine: Engine | None = None

    @property
    def engine(self) -> Engine:
        """The running engine, started now if it is not."""
        if self._engine is None:
            self._engine = self._start()
        return self._engine

    @property
    def version(self) -> str:
        """Spark's."""
        return self.engine.version

    def _start(self) -> Engine:
        return Engine(self.target.name, self._settings(), self._logs, self._site.credentials)

    def _settings(self) -> dict[str, str]:
        mine = self._options.settings()
        if self.target.sidecar is not None:
            cache_dir = self._site.sidecars[self.target.sidecar].cache_dir
            mine |= conf(cache_dir, s3a="fetch", transparent=self.target.name == TRANSPARENT)
        else:
            mine |= self._site.s3a_settings()
        mine["spark.hadoop.fs.s3a.input.stream.type"] = self.target.stream
        return mine

    def pids(self) -> dict[str, int]:
        """The processes whose CPU a run costs, by role."""
        return {"engine": self.engine.pid} | self._site.pids_beside(self.target.sidecar)

    def prepare(self, query: Query) -> None:
        """Before the clock: the engine is up; of a cold target nothing is cached."""
        engine = self.engine
        if self.target.name != COLD:
            return
        self._site.evict("cold")
        # Connected, and memory made ready for what will be cached, before the clock runs.
        path = self._site.another_path("cold")
        engine.ask("renew", path=self._base, conf={"fs.cache.dir": str(path)})
        touch_memory(path, projected_bytes(self._data, query.sql))

    def run(self, query: Query) -> dict[str, Any]:
        """One execution: seconds and rows, or the error; and what the client counted."""
        tables = {
            table: {
                "path": f"{self._base}/{table}",
                "schema": self._schema(table),
                "renamed": RENAMED.get(table, {}),
            }
            for table in tables_of(query.sql)
        }
        before = self._counters()
        told = self.engine.ask("run", tables=tables, sql=query.sql)
        told["counters"] = {
            k: v - before.get(k, 0) for k, v in self._counters().items() if v != before.get(k, 0)
        }
        return told

    def _counters(self) -> dict[str, int]:
        """What Millpond's client has counted so far in this session."""
        if self.target.sidecar is None:
            return {}
        return self.engine.ask("counters", path=self._base)

    def _schema(self, table: str) -> str:
        if table not in self._schemas:
            columns = schema(self._data, table)
            self._schemas[table] = ", ".join(f"{name} {kind}" for name, kind in columns)
        return self._schemas[table]

    def restart(self) -> None:
        """Ends what is left of an engine that ended; the next use starts another."""
        self.engine.kill()
        self._engine = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Ends the engine: in order, or at once after an error or Ctrl-C."""
        if self._engine is None:
            return
        if kind is None:
            self._engine.close()
        else:
            self._engine.kill()
