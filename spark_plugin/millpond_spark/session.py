"""The settings with which a Spark session reads ``cache://``."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Literal

from millpond import engine
from millpond.errors import InvalidSetting
from millpond_spark import s3a as connector

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

ABSTRACT_FILE_SYSTEM = "io.millpond.fs.CacheAbstractFileSystem"
# Reading a section from elsewhere costs a fraction of a second; Spark's default waits 3 s for it.
LOCALITY_WAIT = "300ms"
MOUNTS = "spark.hadoop.fs.cache.mounts"

S3A = Literal["present", "fetch", "none"]


def conf(
    cache_dir: str | Path | None = None,
    mounts: Iterable[str] | None = None,
    fallback: bool = True,
    *,
    s3a: S3A = "present",
    **extra: str | int | float | bool,
) -> dict[str, str]:
    """The settings of a Spark session that reads ``cache://``: for a builder or ``spark-submit``.

    Parameters
    ----------
    cache_dir
        The sidecar's cache directory, on every node the same. Default: as the sidecar finds it.
    mounts
        Paths of the mounts whose stores the session may have to read directly; default: all.
    fallback
        Whether to set up the direct connector: endpoints and addressing of the mounts' stores, and
        the mounts themselves (``fs.cache.mounts``) for nodes that have no cache directory. Never a
        key: direct reads use the engine's own credentials.
    s3a
        Where Spark ships without S3A (PySpark from PyPI): ``present`` adds the small connector if
        it was fetched before, ``fetch`` fetches it, ``none`` leaves it to you.
    extra
        Further ``spark.*`` settings; they win. ``spark.jars`` is added to, not replaced.

    Raises InvalidSetting, MountNotFound, NotSupported (the client jar is not built), Corrupt.
    """
    directory = engine.cache_directory(cache_dir)
    given = {key: _text(key, value) for key, value in extra.items()}
    jars = [engine.client_jar()]
    result = {
        "spark.hadoop.fs.cache.impl": engine.FILE_SYSTEM,
        "spark.hadoop.fs.AbstractFileSystem.cache.impl": ABSTRACT_FILE_SYSTEM,
        "spark.hadoop.fs.cache.dir": str(directory),
        "spark.locality.wait": LOCALITY_WAIT,
    }
    chosen = engine.chosen_mounts(directory, mounts)
    if fallback:
        if chosen:
            result[MOUNTS] = engine.mount_list(chosen)
        for mount in chosen:
            result |= {f"spark.hadoop.{k}": v for k, v in sorted(mount.direct_conf.items())}
        if mounts is None or any(m.store_uri.startswith("s3a:") for m in chosen):
            jars += _s3a_jars(s3a)
    added = given.pop("spark.jars", "")
    result |= given
    result["spark.jars"] = ",".join([*map(str, jars), *filter(None, added.split(","))])
    return result


def advice(settings: Mapping[str, str]) -> list[str]:
    """What stands in the way of direct reads with these settings, each with its remedy."""
    home = connector.spark_home()
    reads_s3a = any(k.startswith("spark.hadoop.fs.s3a.") for k in settings)
    has_s3a = "hadoop-aws" in settings["spark.jars"] + settings.get("spark.jars.packages", "")
    if reads_s3a and not has_s3a and home is not None and not connector.ships_with(home):
        return [
            f"Spark in {home} ships without S3A, so reads can't fall back to the store. "
            "`millpond spark-conf --s3a fetch` adds it."
        ]
    return []


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
