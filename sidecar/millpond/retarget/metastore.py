"""Locations in a Hive metastore: of databases, tables, partitions, and what a SerDe names."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from millpond.errors import InvalidSetting, PathNotFound, StoreUnavailable
from millpond.retarget.extra import needed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from millpond.retarget.iceberg import Retarget
    from millpond.retarget.locations import Locations

PORT = 9083
TIMEOUT_MS = 60_000
PARTITIONS_AT_ONCE = 500
_PATH = "path"
"""The parameter of a SerDe in which Spark keeps a table's location."""
_METADATA = "metadata_location"
_PREVIOUS = "previous_metadata_location"
_NO_STATISTICS = {"DO_NOT_UPDATE_STATS": "true"}


@dataclass
class Counts:
    """What was, or would be, rewritten."""

    databases: int = 0
    tables: int = 0
    partitions: int = 0
    iceberg: int = 0
    examples: list[tuple[str, str, str]] = field(default_factory=list)
    """What it is of, and its location before and after: of databases and tables."""
    failed: dict[str, str] = field(default_factory=dict)


@contextmanager
def connected(uri: str) -> Iterator[Any]:
    """A Thrift client of a metastore at ``thrift://host:port``.

    Raises InvalidSetting, StoreUnavailable.
    """
    parts = urlsplit(uri if "://" in uri else f"thrift://{uri}")
    try:
        host, port = parts.hostname, parts.port or PORT
    except ValueError:
        host, port = None, 0
    if parts.scheme != "thrift" or not host:
        raise InvalidSetting(
            f"{uri!r} is no metastore's address", remedy=f"Write thrift://host:{PORT}"
        )
    service = needed("pymetastore.hive_metastore.ThriftHiveMetastore")
    transport = needed("thrift.transport.TTransport")
    socket = needed("thrift.transport.TSocket").TSocket(host, port)
    socket.setTimeout(TIMEOUT_MS)
    wire = transport.TBufferedTransport(socket)
    protocol = needed("thrift.protocol.TBinaryProtocol").TBinaryProtocol(wire)
    try:
        wire.open()
    except transport.TTransportException as e:
        raise StoreUnavailable(
            f"the metastore {uri} does not answer", cause=str(e), remedy="Check address and port"
        ) from None
    try:
        yield service.Client(protocol)
    except (transport.TTransportException, ConnectionError, TimeoutError) as e:
        raise StoreUnavailable(
            f"the metastore {uri} was lost", cause=str(e),
            remedy="Run this again: what was rewritten is left as it is",
        ) from None  # fmt: skip
    finally:
        wire.close()


@dataclass
class MetastoreJob:
    """Rewrites one metastore. ``told`` hears the name of each table that was looked at."""

    client: Any
    where: Locations
    iceberg: Retarget
    apply: bool
    told: Callable[[str], None] = lambda table: None

    def run(self, databases: list[str], tables: list[str]) -> Counts:
        """All of it; with ``databases`` (or ``tables``, as ``database.table``) these alone.

        A table that can't be rewritten is named in ``failed``, and the others are. Raises
        PathNotFound for a name that is not there.
        """
        counts = Counts()
        named = [tuple(each.partition(".")[::2]) for each in tables]
        known = set(self.client.get_all_databases())
        for each in [*databases, *(database for database, _ in named)]:
            if each not in known:
                raise PathNotFound(f"the metastore has no database {each}")
        for database, table in named:
            self._table(counts, database, table)
        for database in [] if named else sorted(databases or known):
            self._database(counts, database)
            for table in sorted(self.client.get_all_tables(database)):
                self._table(counts, database, table)
        return counts

    def _database(self, counts: Counts, name: str) -> None:
        found = self.client.get_database(name)
        new = self._moved(found.locationUri)
        if new is None:
            return
        counts.databases += 1
        counts.examples.append((name, found.locationUri, new))
        if self.apply:
            found.locationUri = new
            self.client.alter_database(name, found)

    def _table(self, counts: Counts, database: str, name: str) -> None:
        what = f"{database}.{name}"
        ttypes = needed("pymetastore.hive_metastore.ttypes")
        try:
            found = self.client.get_table(database, name)
        except ttypes.NoSuchObjectException:
            raise PathNotFound(f"the metastore has no table {what}") from None
        try:
            self._rewrite(counts, what, found, ttypes)
        except Exception as e:
            lost = needed("thrift.transport.TTransport").TTransportException
            if isinstance(e, (lost, ConnectionError, TimeoutError)):
                raise
            counts.failed[what] = str(getattr(e, "message", None) or e)
        self.told(what)

    def _rewrite(self, counts: Counts, what: str, table: Any, ttypes: Any) -> None:
        context = ttypes.EnvironmentContext(_NO_STATISTICS)
        before = table.sd.location if table.sd is not None else ""
        changed = self._descriptor(table.sd)
        metadata = (table.parameters or {}).get(_METADATA, "")
        if metadata:
            change = self.iceberg.metadata_file(what, metadata)
            if change.any:
                counts.iceberg += 1
                changed = True
                if self.apply:
                    table.parameters |= {_METADATA: change.metadata, _PREVIOUS: metadata}
        if changed:
            counts.tables += 1
            counts.examples.append((what, before, table.sd.location if table.sd else ""))
            if self.apply:
                self.client.alter_table_with_environment_context(
                    table.dbName, table.tableName, table, context
                )
        if table.partitionKeys:
            self._partitions(counts, table, context)

    def _partitions(self, counts: Counts, table: Any, context: Any) -> None:
        names = self.client.get_partition_names(table.dbName, table.tableName, -1)
        for start in range(0, len(names), PARTITIONS_AT_ONCE):
            some = names[start : start + PARTITIONS_AT_ONCE]
            parts = self.client.get_partitions_by_names(table.dbName, table.tableName, some)
            changed = [part for part in parts if self._descriptor(part.sd)]
            counts.partitions += len(changed)
            if changed and self.apply:
                self.client.alter_partitions_with_environment_context(
                    table.dbName, table.tableName, changed, context
                )

    def _descriptor(self, descriptor: Any) -> bool:
        """Rewrite what a storage descriptor says; whether it said anything else before."""
        if descriptor is None:
            return False
        changed = False
        if (new := self._moved(descriptor.location)) is not None:
            descriptor.location, changed = new, True
        parameters = descriptor.serdeInfo.parameters if descriptor.serdeInfo is not None else None
        if parameters and (new := self._moved(parameters.get(_PATH))) is not None:
            parameters[_PATH], changed = new, True
        return changed

    def _moved(self, location: str | None) -> str | None:
        new = self.where.change(location or "")
        return new if new != (location or "") else None
