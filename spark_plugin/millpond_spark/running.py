"""A session that runs already: making it read ``cache://``, and what it has read so far."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from millpond import errors, settings
from millpond.engine import FILE_SYSTEM
from millpond.errors import MillpondError, NotSupported, SidecarUnavailable
from millpond.units import format_size
from millpond.wire.local_client import LocalClient
from millpond_spark.session import COMMIT, LOCALITY_WAIT, PLUGIN, S3A, conf

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyspark.sql import SparkSession

_HADOOP = "spark.hadoop."
_DIR = "fs.cache.dir"
SPARKS_COMMIT = ".SQLHadoopMapReduceCommitProtocol"
S3A_FILE_SYSTEM = "org.apache.hadoop.fs.s3a.S3AFileSystem"


class Status(dict[str, Any]):
    """What a session has read through ``cache://`` and from where; a dict that prints well.

    Keys: ``hit_bytes`` from this node's disk; ``filled_bytes`` that the sidecar fetched for this
    session; ``direct_bytes`` that Spark itself read from the store; ``hit_ratio`` by bytes, None
    where nothing was read; ``fallbacks``, counts by reason; ``executors`` that told their counters,
    None where they can't; ``sidecar``; ``notes``, what is not as it could be.
    """

    def __repr__(self) -> str:
        ratio = self["hit_ratio"]
        fallbacks = [f"{reason} {n}" for reason, n in self["fallbacks"].items()]
        lines = [
            f"Millpond: {'nothing read yet' if ratio is None else f'{ratio:.1%} hits by bytes'}",
            f"  hits       {format_size(self['hit_bytes'])}",
            f"  filled     {format_size(self['filled_bytes'])}, fetched by the sidecar",
            f"  direct     {format_size(self['direct_bytes'])}, read from the store by Spark",
            f"  fallbacks  {', '.join(fallbacks) or 'none'}",
            f"  sidecar    {self['sidecar']}",
        ]
        if self["executors"] is not None:
            lines.append(f"  executors  {self['executors']} have told what they read")
        return "\n".join(lines + [f"  note: {note}" for note in self["notes"]])


def attach(
    spark: SparkSession,
    cache_dir: str | Path | None = None,
    mounts: Iterable[str] | None = None,
    fallback: bool = True,
    *,
    s3a: S3A = "present",
) -> Status:
    """Makes a session that runs already, such as a notebook's, read ``cache://``.

    The parameters are those of ``conf``. Adds the jars to the driver's class path and to the
    executors' next tasks, sets the Hadoop configuration, and lists the mounts once to see that it
    works. A second call is harmless. What only a new session can have is in ``notes``.

    Raises what ``conf`` raises; CacheDirUnusable where there is neither a cache directory nor a
    mount; NotSupported for Spark Connect, and where the session reads another cache directory.
    """
    hadoop = _hadoop(spark)
    new = conf(cache_dir, mounts, fallback, s3a=s3a)
    wanted = {k.removeprefix(_HADOOP): v for k, v in new.items() if k.startswith(_HADOOP)}
    _check_same(hadoop, wanted)
    before = {key: hadoop.get(key) for key in wanted}
    _add_jars(spark, new["spark.jars"].split(","))
    for key, value in wanted.items():
        hadoop.set(key, value)
    _forget_absence(spark, hadoop)
    try:
        _list_root(spark, hadoop, keep=before["fs.cache.impl"] is not None)
    except MillpondError:
        for key, value in before.items():
            hadoop.unset(key) if value is None else hadoop.set(key, value)
        raise
    for key, value in COMMIT.items():
        if str(spark.conf.get(key)).endswith(SPARKS_COMMIT):
            spark.conf.set(key, value)
    return status(spark)


def status(spark: SparkSession) -> Status:
    """What the session has read through ``cache://``: hits, misses, and fallbacks by reason.

    The counters are those of the driver's JVM, and with the plugin (``conf(plugin=True)``) those
    of all executors, which tell them every two seconds. Raises NotSupported where the session does
    not read ``cache://``.
    """
    hadoop = _hadoop(spark)
    if hadoop.get("fs.cache.impl") is None:
        raise NotSupported(
            "this session does not read cache://",
            cause="fs.cache.impl is not set",
            remedy="millpond_spark.attach(spark) sets it, or start with millpond_spark.conf()",
        )
    counters = dict(_file_system(spark, hadoop).counters())
    registry = _registry(spark)
    local = bool(spark.sparkContext._jsc.sc().isLocal())
    notes = []
    executors = None
    sidecar = _sidecar(hadoop)
    if registry is not None:
        metrics = dict(registry.getCounters())
        prefix = "executors."
        for name, counter in metrics.items():
            if name.startswith(prefix):
                key = name.removeprefix(prefix)
                counters[key] = counters.get(key, 0) + counter.getCount()
        gauges = registry.getGauges()
        telling = gauges.get("executors.telling")
        executors = None if local or telling is None else int(telling.getValue())
        sidecar = str(gauges.get("sidecar").getValue()) or sidecar
    if executors is None and not local:
        notes.append(
            "what executors read is not counted here: that takes the plugin, which only a new "
            "session can have, millpond_spark.conf(plugin=True)"
        )
    wait = spark.sparkContext._jsc.sc().conf().get("spark.locality.wait", "3s")
    if not local and wait != LOCALITY_WAIT:
        notes.append(
            f"tasks wait {wait} for the node that has their data; {LOCALITY_WAIT} is better: "
            "spark.locality.wait, at the session's start"
        )
    return _summary(counters, executors, sidecar, notes)


def _summary(
    counters: Mapping[str, int], executors: int | None, sidecar: str, notes: list[str]
) -> Status:
    hits, direct = counters["hit_bytes"], counters["direct_bytes"]
    filled = counters["filled_bytes"] + counters["inline_bytes"]
    read = hits + filled + direct
    prefix = "fallback_"
    return Status(
        hit_bytes=hits,
        filled_bytes=filled,
        direct_bytes=direct,
        hit_ratio=hits / read if read else None,
        fallbacks={
            name.removeprefix(prefix): count
            for name, count in sorted(counters.items())
            if name.startswith(prefix) and count
        },
        executors=executors,
        sidecar=sidecar,
        notes=notes,
    )


def _hadoop(spark: SparkSession) -> Any:
    """The Hadoop configuration of the driver. NotSupported where there is no JVM to talk to."""
    if "pyspark.sql.connect" in type(spark).__module__:
        raise NotSupported(
            "a Spark Connect session has no driver here",
            remedy="Start its server with the settings that `millpond spark-conf` prints",
        )
    return spark.sparkContext._jsc.hadoopConfiguration()


def _check_same(hadoop: Any, wanted: Mapping[str, str]) -> None:
    """Engines keep file systems: what one was made with can't be changed while it is used."""
    if hadoop.get("fs.cache.impl") is None:
        return
    now = hadoop.get(_DIR)
    if now is not None and now != wanted[_DIR]:
        raise NotSupported(
            f"this session reads cache:// with {_DIR}={now}",
            cause=f"it can't be changed to {wanted[_DIR]} while file systems are in use",
            remedy="Start a new session",
        )


def _add_jars(spark: SparkSession, jars: list[str]) -> None:
    """To the driver's own class loader, which tasks in local mode share, and to executors.

    ``SparkContext.addJar`` alone reaches executors only. ``ADD JAR`` reaches a loader of the
    session that the Hadoop configuration does not ask, and where the driver runs tasks these would
    load the same classes once more.
    """
    jvm = spark._jvm
    loader = _open_loader(jvm)
    client, *others = jars
    for name, group in ((FILE_SYSTEM, [client]), (S3A_FILE_SYSTEM, others)):
        if not _loads(jvm, loader, name):
            for jar in group:
                loader.addURL(jvm.java.io.File(jar).toURI().toURL())
    for jar in jars:
        spark.sparkContext._jsc.sc().addJar(jar)


def _open_loader(jvm: Any) -> Any:
    """The innermost class loader that takes jars: every driver made by spark-submit has one."""
    from py4j.protocol import Py4JError

    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    while loader is not None:
        if loader.getClass().getName().endswith(".MutableURLClassLoader"):
            return loader
        try:
            loader = loader.getParent()
        except Py4JError:
            break
    raise NotSupported(
        "this driver takes no further jars",
        cause="it was not started by spark-submit or PySpark",
        remedy="Start it with the settings that `millpond spark-conf` prints",
    )


def _loads(jvm: Any, loader: Any, name: str) -> bool:
    from py4j.protocol import Py4JJavaError

    try:
        jvm.java.lang.Class.forName(name, False, loader)
    except Py4JJavaError:
        return False
    return True


def _forget_absence(spark: SparkSession, hadoop: Any) -> None:
    """Hadoop remembers per class loader which classes were absent, so an earlier try would last."""
    if hadoop.getClassByNameOrNull(FILE_SYSTEM) is None:
        jvm = spark._jvm
        none = spark.sparkContext._gateway.new_array(jvm.java.net.URL, 0)
        hadoop.setClassLoader(jvm.java.net.URLClassLoader(none, _open_loader(jvm)))


def _list_root(spark: SparkSession, hadoop: Any, *, keep: bool) -> None:
    """Raises the client's own typed error; a new file system that fails is not kept."""
    from py4j.protocol import Py4JJavaError

    system = _file_system(spark, hadoop)
    try:
        system.listStatus(spark._jvm.org.apache.hadoop.fs.Path("cache:///"))
    except Py4JJavaError as e:
        if not keep:
            system.close()
        raise _typed(e.java_exception) from None


def _file_system(spark: SparkSession, hadoop: Any) -> Any:
    from py4j.protocol import Py4JJavaError

    jvm = spark._jvm
    try:
        return jvm.org.apache.hadoop.fs.FileSystem.get(jvm.java.net.URI.create("cache:///"), hadoop)
    except Py4JJavaError as e:
        raise _typed(e.java_exception) from None


def _typed(java: Any) -> MillpondError:
    name = str(java.getClass().getSimpleName()).removesuffix("Exception")
    found = getattr(errors, name, None)
    if not isinstance(found, type) or not issubclass(found, MillpondError):
        found = NotSupported
    return found(str(java.getMessage() or java))


def _registry(spark: SparkSession) -> Any:
    """The plugin's metrics in this driver; None where the plugin was not loaded."""
    # Not by Spark's own registry: py4j can't look into SparkEnv, some of whose methods name types
    # that PySpark ships without.
    shared = spark._jvm.com.codahale.metrics.SharedMetricRegistries
    return shared.getOrCreate(PLUGIN) if shared.names().contains(PLUGIN) else None


def _sidecar(hadoop: Any) -> str:
    directory = Path(hadoop.get(_DIR) or settings.load().cache_dir)
    try:
        LocalClient.connect(directory).close()
    except SidecarUnavailable:
        return f"none answers for {directory} on the driver's node"
    return f"answers, on {directory}"
