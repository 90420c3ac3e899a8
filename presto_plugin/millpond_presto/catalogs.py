"""A catalog of Presto's Hive or Iceberg connector that reads through Millpond.

Two files: the catalog's properties, and the Hadoop resources they name (``hive.config.resources``),
where Hadoop's own settings stand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from xml.sax.saxutils import escape

from millpond import engine
from millpond.errors import InvalidSetting, PermissionDenied

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from millpond.wire import millpond_pb2 as wire

Connector = Literal["hive-hadoop2", "iceberg"]
CONNECTORS: tuple[Connector, ...] = ("hive-hadoop2", "iceberg")
RESOURCES = "hive.config.resources"
# Of a catalog of Iceberg's own, which finds tables in a warehouse, and does not read the former.
ICEBERG_RESOURCES = "iceberg.hadoop.config.resources"
DELEGATE = "fs.cache.delegate."
STAGING = "hive.temporary-staging-directory-path"
TRANSPARENT = "io.millpond.fs.TransparentFileSystem"
S3_TYPE = "hive.s3-file-system-type"
S3_SCHEMES = ("s3a", "s3", "s3n")
_PRESTO_S3 = "com.facebook.presto.hive.s3.PrestoS3FileSystem"
# What a mount says of its store to S3A, and what Presto's own S3 connector calls it: after
# ``hive.s3.`` in a catalog, after ``presto.s3.`` among Hadoop's settings.
_S3 = {
    "endpoint": "endpoint",
    "path.style.access": "path-style-access",
    "connection.ssl.enabled": "ssl.enabled",
}


@dataclass(frozen=True, slots=True)
class Catalog:
    """Both files as mappings, and what the user should know of them."""

    properties: Mapping[str, str]
    resources: Mapping[str, str]
    notes: tuple[str, ...] = ()

    def properties_text(self) -> str:
        """``etc/catalog/<name>.properties``."""
        return "".join(f"{k}={engine.property_text(v)}\n" for k, v in self.properties.items())

    def resources_text(self) -> str:
        """The XML file that ``hive.config.resources`` names."""
        lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<configuration>"]
        for key, value in self.resources.items():
            lines += [
                "  <property>",
                f"    <name>{escape(key)}</name>",
                f"    <value>{escape(value)}</value>",
                "  </property>",
            ]
        return "\n".join([*lines, "</configuration>"]) + "\n"


@dataclass(frozen=True, slots=True)
class Files:
    """Where the two files of one catalog stand in an ``etc`` folder of Presto's."""

    properties: Path
    resources: Path

    @classmethod
    def of(cls, etc: Path, name: str) -> Files:
        # Presto takes every *.properties in the folder for a catalog: the resources stay outside.
        return cls(etc / "catalog" / f"{name}.properties", etc / f"millpond-{name}.xml")

    def write(self, made: Catalog, *, force: bool = False) -> None:
        """Raises InvalidSetting where a file of another content is in the way, PermissionDenied."""
        texts = {
            self.resources: made.resources_text(),
            self.properties: made.properties_text(),
        }
        try:
            for path, text in texts.items():
                if not force and path.exists() and path.read_text() != text:
                    raise InvalidSetting(
                        f"{path} exists and says something else",
                        remedy="--force replaces it; without --etc the files are only printed",
                    )
            for path, text in texts.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        except OSError as e:
            raise PermissionDenied(
                f"{e.filename or self.properties} can't be written",
                cause=e.strerror or str(e),
                remedy="Run this as the owner of Presto's files",
            ) from e


def catalog(
    resources: Path,
    metastore: str | None = None,
    cache_dir: str | Path | None = None,
    mounts: Iterable[str] | None = None,
    fallback: bool = True,
    *,
    connector: Connector = "hive-hadoop2",
    trino: bool = False,
    warehouse: str | None = None,
    transparent: bool = False,
    more_resources: Iterable[Path] = (),
    extra: Mapping[str, str] | None = None,
    hadoop: Mapping[str, str] | None = None,
) -> Catalog:
    """The catalog of one Presto or Trino server. It holds no key: that brings its own.

    Parameters
    ----------
    resources
        Where the Hadoop resources will stand, on every Presto node the same.
    metastore
        ``thrift://host:port`` of the Hive metastore; left out, ``extra`` has to say what instead.
    cache_dir
        The sidecar's cache directory, on every node the same. Default: as the sidecar finds it.
    mounts
        Paths of the mounts whose stores Presto may have to read directly; default: all.
    fallback
        Whether to set up direct reads: the endpoint of the mounts' stores, and the mounts
        themselves for nodes that have no cache directory.
    trino
        Whether it is Trino's: other names, and a switch that lets it use Hadoop's file systems.
    warehouse
        Where the tables of a catalog of Iceberg's own lie, which needs no metastore.
    transparent
        Whether ``s3a://``, ``s3://`` and ``s3n://`` go through the cache as well.
    more_resources
        Further files of Hadoop's settings, read after this one: with the store's keys, say.
    extra, hadoop
        Further properties of the catalog, further settings of Hadoop's; they win.

    Raises InvalidSetting, MountNotFound, CacheDirUnusable, Corrupt.
    """
    if connector not in CONNECTORS:
        raise InvalidSetting(
            f"connector is {connector!r}", cause=f"allowed: {', '.join(CONNECTORS)}"
        )
    directory = engine.cache_directory(cache_dir)
    chosen = engine.chosen_mounts(directory, mounts)
    files = [resources, *more_resources]
    properties = {
        "connector.name": connector,
        RESOURCES: ",".join(str(file.absolute()) for file in files),
    }
    if trino:
        if transparent or warehouse:
            raise InvalidSetting(
                "--transparent and --warehouse are Presto's",
                cause="Trino has another S3 class, and no Iceberg catalog without a metastore",
                remedy="Give Trino tables whose locations are cache://, and a metastore",
            )
        properties["fs.hadoop.enabled"] = "true"
        if connector == "hive-hadoop2":
            properties["connector.name"] = "hive"
    elif connector == "iceberg":
        properties["iceberg.catalog.type"] = "HADOOP" if warehouse else "HIVE"
        properties[ICEBERG_RESOURCES] = properties[RESOURCES]
    if warehouse:
        properties["iceberg.catalog.warehouse"] = _warehouse(warehouse, connector, metastore)
    if metastore:
        properties["hive.metastore.uri"] = _metastore(metastore)
    resource = {"fs.cache.impl": engine.FILE_SYSTEM, "fs.cache.dir": str(directory)}
    notes: list[str] = []
    if fallback and chosen:
        resource["fs.cache.mounts"] = engine.mount_list(chosen)
    if transparent:
        properties[S3_TYPE] = "HADOOP_DEFAULT"  # any other puts Presto's own class back
        resource |= {f"fs.{scheme}.impl": TRANSPARENT for scheme in S3_SCHEMES}
        resource |= {f"{DELEGATE}{scheme}": _PRESTO_S3 for scheme in S3_SCHEMES}
        resource |= {f"presto.s3.{key}": value for key, value in _s3(chosen, notes).items()}
    elif fallback:
        properties |= {f"hive.s3.{key}": value for key, value in _s3(chosen, notes).items()}
    if connector == "hive-hadoop2" and not trino and not transparent:
        properties |= _staging(chosen, notes)
    properties |= extra or {}
    if not any(key.startswith(("hive.metastore", "iceberg.catalog.type")) for key in properties):
        notes.append("no metastore is named: give --metastore thrift://host:9083")
    if connector == "iceberg" and not transparent:
        notes.append(
            "an Iceberg table names its files by the URIs it was written with: give --transparent "
            "where these are the store's"
        )
    return Catalog(properties, resource | dict(hadoop or {}), tuple(notes))


def _staging(mounts: Iterable[wire.Mount], notes: list[str]) -> dict[str, str]:
    """Where Presto writes before it renames: in the mount of its tables, or nothing is renamed."""
    paths = [mount.path.rstrip("/") for mount in mounts if not mount.read_only]
    if len(paths) > 1:
        notes.append(
            f"Presto renames what it writes, which goes within one mount: to write to {paths[0]}, "
            f"make a catalog with --mount {paths[0]}"
        )
    return {STAGING: f"{paths[0]}/tmp/presto-${{USER}}"} if len(paths) == 1 else {}


def _metastore(uri: str) -> str:
    if not uri.startswith("thrift://"):
        raise InvalidSetting(
            f"metastore is {uri!r}",
            cause="a metastore is named as thrift://host:port",
            remedy="Other kinds (glue, file) are given by --set hive.metastore=…",
        )
    return uri


def _warehouse(uri: str, connector: Connector, metastore: str | None) -> str:
    cause = ""
    if connector != "iceberg":
        cause = f"the connector {connector} has none"
    elif metastore:
        cause = "tables are found in a warehouse or in a metastore, and both are named"
    elif "://" not in uri:
        cause = "a warehouse is named as a URI, such as cache:///sales/warehouse"
    if cause:
        raise InvalidSetting(
            f"warehouse is {uri!r}", cause=cause, remedy="Give --connector iceberg --warehouse URI"
        )
    return uri


def _s3(mounts: Iterable[wire.Mount], notes: list[str]) -> dict[str, str]:
    """Where Presto's own S3 connector finds the mounts' stores: it knows one place a catalog."""
    places: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for mount in mounts:
        if mount.store_uri.startswith("s3a:"):
            prefix = f"fs.s3a.bucket.{mount.root}."
            said = {key: mount.direct_conf.get(prefix + key) for key in _S3}
            place = tuple((_S3[key], value) for key, value in said.items() if value)
            places.setdefault(place, []).append(mount.path)
    if len(places) > 1:
        groups = "; ".join(" ".join(paths) for paths in places.values())
        notes.append(
            f"the mounts have several S3 endpoints ({groups}), and a catalog of Presto's knows "
            "one: direct reads of the others fail. Make a catalog for each, with --mount"
        )
    return dict(next(iter(places), ()))
