"""The settings with which a Spark session reads ``cache://``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import millpond_jars
from millpond import engine
from millpond.errors import InvalidSetting
from millpond.model.globs import check_uri_glob
from millpond.model.paths import parse_uri
from millpond.wire import millpond_pb2 as wire
from millpond_spark import s3a as connector

if TYPE_CHECKING:
    from collections.abc import Iterable

ABSTRACT_FILE_SYSTEM = "io.millpond.fs.CacheAbstractFileSystem"
# Reading a section from elsewhere costs a fraction of a second; Spark's default waits 3 s for it.
LOCALITY_WAIT = "300ms"
MOUNTS = "spark.hadoop.fs.cache.mounts"
PLUGIN = "io.millpond.spark.MillpondPlugin"
COMMIT = {"spark.sql.sources.commitProtocolClass": "io.millpond.spark.CacheCommitProtocol"}
S3A_IMPL = "spark.hadoop.fs.s3a.impl"
TRANSPARENT = {
    S3A_IMPL: "io.millpond.fs.s3a.TransparentS3AFileSystem",
    "spark.hadoop.fs.hdfs.impl": "io.millpond.fs.hdfs.TransparentHdfsFileSystem",
    "spark.hadoop.fs.AbstractFileSystem.s3a.impl": "io.millpond.fs.TransparentFs",
    "spark.hadoop.fs.AbstractFileSystem.hdfs.impl": "io.millpond.fs.TransparentFs",
}
INCLUDE = "spark.hadoop.fs.cache.transparent.include"
EXCLUDE = "spark.hadoop.fs.cache.transparent.exclude"

S3A = Literal["present", "fetch", "none"]


def conf(
    cache_dir: str | Path | None = None,
    mounts: Iterable[str] | Mapping[str, str] | None = None,
    fallback: bool = True,
    *,
    plugin: bool = False,
    embedded: bool = False,
    batches: bool = True,
    s3a: S3A = "present",
    transparent: bool = False,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    **extra: str | int | float | bool,
) -> dict[str, str]:
    """The settings of a Spark session that reads ``cache://``: for a builder or ``spark-submit``.

    Parameters
    ----------
    cache_dir
        The sidecar's cache directory, on every node the same. Default: as the sidecar finds it.
    mounts
        Paths of the mounts whose stores the session may have to read directly; default: all. With
        ``embedded`` also ``{path: store URI}``: what the sidecar has to have mounted.
    fallback
        Whether to set up the direct connector: endpoints and addressing of the mounts' stores, and
        the mounts themselves (``fs.cache.mounts``) for nodes that have no cache directory. Never a
        key: direct reads use the engine's own credentials.
    plugin
        Whether to load the Spark plugin: what was read from where, in Spark's metrics system.
    embedded
        Whether the driver starts a sidecar and ends it, in local mode; brings the plugin.
    batches
        Whether a job's files on ``cache://`` become visible by one step, without renames; jobs that
        write elsewhere are committed as without.
    s3a
        Where Spark ships without S3A (PySpark from PyPI): ``present`` adds the small connector if
        it was fetched before, ``fetch`` fetches it, ``none`` leaves it to you.
    transparent
        Whether ``s3a://`` and ``hdfs://`` URIs are read through the cache too, where a mount covers
        them: a script needs no edit. Writes go to the store.
    include, exclude
        Globs of the store URIs for which that holds, such as ``s3a://bucket/warehouse/**``.
    extra
        Further ``spark.*`` settings; they win. ``spark.jars`` and ``spark.plugins`` are added to,
        not replaced.

    Raises InvalidSetting, MountNotFound, NotSupported (a jar is not built), Corrupt.
    """
    directory = engine.cache_directory(cache_dir)
    given = {key: _text(key, value) for key, value in extra.items()}
    jars = [engine.client_jar()]
    if transparent:
        jars += map(engine.built, (millpond_jars.s3a, millpond_jars.hdfs))
    result = {
        "spark.hadoop.fs.cache.impl": engine.FILE_SYSTEM,
        "spark.hadoop.fs.AbstractFileSystem.cache.impl": ABSTRACT_FILE_SYSTEM,
        "spark.hadoop.fs.cache.dir": str(directory),
        "spark.locality.wait": LOCALITY_WAIT,
    }
    result |= _transparent(transparent, include, exclude)
    if isinstance(mounts, Mapping):
        if not embedded:
            raise InvalidSetting(
                "mounts names store URIs",
                cause="only an embedded sidecar is told what to mount",
                remedy="Use `millpond mount add`, and name the paths here; or embedded=True",
            )
        new = [wire.Mount(path=parse_uri(p), store_uri=uri) for p, uri in mounts.items()]
        chosen = _with(engine.read_mounts(directory), new)
        result["spark.millpond.mounts"] = engine.mount_list(new)
    else:
        chosen = engine.chosen_mounts(directory, mounts)
    if fallback:
        if chosen:
            result[MOUNTS] = engine.mount_list(chosen)
        for mount in chosen:
            result |= {f"spark.hadoop.{k}": v for k, v in sorted(mount.direct_conf.items())}
        if mounts is None or any(m.store_uri.startswith(("s3a:", "s3:")) for m in chosen):
            jars += _s3a_jars(s3a)
    if plugin or embedded or batches:
        jars.insert(1, engine.built(millpond_jars.spark))
    result |= COMMIT if batches else {}
    if plugin or embedded:
        result["spark.plugins"] = _list([PLUGIN], given.pop("spark.plugins", ""))
    if embedded:
        result |= _embedded()
    added = given.pop("spark.jars", "")
    result |= given
    result["spark.jars"] = _list(map(str, jars), added)
    return result


def _embedded() -> dict[str, str]:
    command = Path(sys.executable).with_name("millpond")
    found = {"spark.millpond.command": str(command)} if command.is_file() else {}
    return {"spark.millpond.sidecar": "embedded"} | found


def _with(known: Iterable[wire.Mount], new: Iterable[wire.Mount]) -> list[wire.Mount]:
    """Mounts that are there, and those that will be."""
    table = {mount.path: mount for mount in new} | {mount.path: mount for mount in known}
    return [table[path] for path in sorted(table)]


def _list(first: Iterable[str], added: str) -> str:
    return ",".join([*first, *filter(None, added.split(","))])


def advice(settings: Mapping[str, str]) -> list[str]:
    """What stands in the way of these settings, each with its remedy."""
    notes = []
    directory = settings["spark.hadoop.fs.cache.dir"]
    transparent = S3A_IMPL in settings
    if transparent and not engine.read_mounts(Path(directory)):
        notes.append(
            f"Nothing is mounted in {directory}, so all URIs are read from their stores. "
            "`millpond mount add /path s3a://bucket` mounts one; a running job notices."
        )
    home = connector.spark_home()
    reads_s3a = any(k.startswith("spark.hadoop.fs.s3a.") for k in settings)
    has_s3a = "hadoop-aws" in settings["spark.jars"] + settings.get("spark.jars.packages", "")
    if reads_s3a and not has_s3a and home is not None and not connector.ships_with(home):
        without = (
            "every s3a:// URI fails (NoClassDefFoundError: org/apache/hadoop/fs/s3a/S3AFileSystem)"
            if transparent
            else "reads can't fall back to the store"
        )
        notes.append(
            f"Spark in {home} ships without S3A, so {without}. "
            "`millpond spark-conf --s3a fetch` adds it."
        )
    return notes


def as_arguments(settings: Mapping[str, str]) -> str:
    """For ``spark-submit $(…)``, quoted for a shell where needed."""
    pairs = (f"{key}={value}" for key, value in settings.items() if key != "spark.jars")
    return " ".join(
        ["--jars", shlex.quote(settings["spark.jars"])]
        + [f"--conf {shlex.quote(pair)}" for pair in pairs]
    )


def as_properties(settings: Mapping[str, str]) -> str:
    """For ``spark-defaults.conf``: a Java properties file, with what it would swallow escaped."""
    return "\n".join(f"{key} {engine.property_text(value)}" for key, value in settings.items())


def _text(key: str, value: str | int | float | bool) -> str:
    if not key.startswith("spark."):
        raise InvalidSetting(
            f"{key!r} is no Spark setting",
            cause="it does not start with 'spark.'",
            remedy=f"Hadoop's settings are written spark.hadoop.{key}",
        )
    if not isinstance(value, str | int | float):
        raise InvalidSetting(f"{key} is {value!r}", cause="allowed: text, a number, True or False")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _transparent(
    transparent: bool, include: Iterable[str], exclude: Iterable[str]
) -> dict[str, str]:
    globs = {INCLUDE: _globs("include", include), EXCLUDE: _globs("exclude", exclude)}
    given = {key: text for key, text in globs.items() if text}
    if given and not transparent:
        raise InvalidSetting(
            "include and exclude without transparent",
            cause="they choose which s3a:// and hdfs:// URIs are read through the cache",
            remedy="Add transparent=True, or --transparent",
        )
    return TRANSPARENT | given if transparent else {}


def _globs(name: str, globs: Iterable[str]) -> str:
    if isinstance(globs, str):
        raise InvalidSetting(
            f"{name} is {globs!r}", cause="it is one text", remedy=f"Write {name}=[{globs!r}]"
        )
    return ",".join(map(check_uri_glob, globs))


def _s3a_jars(choice: S3A) -> list[Path]:
    if choice not in ("present", "fetch", "none"):
        raise InvalidSetting(f"s3a is {choice!r}", cause="allowed: present, fetch, none")
    home = connector.spark_home()
    if choice == "none" or (home is not None and connector.ships_with(home)):
        return []
    if choice == "fetch":
        return connector.fetch()
    same = home is not None and connector.hadoop_version(home) == connector.HADOOP_VERSION
    return connector.found() if same else []
