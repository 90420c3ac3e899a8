"""What ``millpond doctor --presto`` looks at: the jar, the scheduler, the catalogs."""

from __future__ import annotations

import filecmp
import re
from typing import TYPE_CHECKING

import millpond
from millpond import engine
from millpond.cli.findings import Finding, ok, problem, warning
from millpond.errors import MillpondError
from millpond.store import node
from millpond_presto import jar
from millpond_presto.catalogs import (
    CONNECTORS,
    DELEGATE,
    ICEBERG_RESOURCES,
    RESOURCES,
    S3_SCHEMES,
    S3_TYPE,
    TRANSPARENT,
)
from millpond_presto.configuration import read_properties, read_resources

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from millpond.settings import Settings

TOPOLOGY = "node-scheduler.network-topology"
ADDRESS = "node.internal-address"
STRATEGY = "hive.node-selection-strategy"
INSTALL = "`millpond presto-install {}`, then restart Presto"
_OWN = re.compile("(?i)hadoop|nessie")  # kinds of catalog that are Iceberg's own
CATALOG = "`millpond presto-catalog` prints one that reads cache://"


def check(home: Path, settings: Settings) -> Iterator[Finding]:
    """Everything of one Presto installation that Millpond needs."""
    try:
        folders = jar.plugin_folders(home)
    except MillpondError as e:
        yield problem("presto", f"{e.problem}: {e.cause}", e.remedy)
        return
    etc = home / "etc"
    for folder in folders:
        yield _jar(folder, home)
    trino = any(folder.name == "hdfs" for folder in folders)
    try:
        if not trino:
            yield from _scheduling(etc, settings)
        yield from _catalogs(etc, settings, trino)
    except OSError as e:
        yield problem(
            "presto", f"{e.filename} can't be read: {e.strerror}", "Run this as Presto's user"
        )


def _jar(folder: Path, home: Path) -> Finding:
    name = f"jar in {folder.relative_to(home)}"
    found, remedy = jar.installed(folder), INSTALL.format(home)
    if not found:
        return problem(name, "absent: Presto knows no cache://", remedy)
    if len(found) > 1:
        return problem(
            name, f"several releases ({', '.join(found)}): which one is loaded is chance", remedy
        )
    [(version, path)] = found.items()
    if version != millpond.__version__:
        return problem(name, f"{version} beside Millpond {millpond.__version__}", remedy)
    try:
        same = filecmp.cmp(path, engine.client_jar(), shallow=False)
    except MillpondError:
        return ok(name, version)  # no jar to compare with: told by the check of the jar itself
    return ok(name, version) if same else problem(name, f"another build of {version}", remedy)


def _scheduling(etc: Path, settings: Settings) -> Iterator[Finding]:
    """Splits go to their blocks only if Presto knows this node by a name of the sidecar's."""
    config = read_properties(etc / "config.properties")
    topology = config.get(TOPOLOGY, "legacy")
    if topology != "flat":
        yield warning(
            TOPOLOGY, f"it is {topology}: splits are placed without regard to where blocks are",
            f"Set {TOPOLOGY}=flat in {etc / 'config.properties'} of the coordinator",
        )  # fmt: skip
    else:
        yield ok(TOPOLOGY, topology)
    address = {**config, **read_properties(etc / "node.properties"), **_jvm_options(etc)}.get(
        ADDRESS, ""
    )
    try:
        properties = node.load(settings.cache_dir / "node.properties") or {}
    except (OSError, MillpondError):
        properties = {}  # told by the check of the cache directory
    aliases = [name for name in properties.get("node.aliases", "").split(",") if name]
    known = ", ".join(aliases) or "none"
    if not address:
        yield warning(
            ADDRESS, f"not set: Presto chooses one; the sidecar is known as {known}",
            f"Set {ADDRESS} in {etc / 'node.properties'} to one of these names",
        )  # fmt: skip
    elif address == "localhost":
        yield problem(
            ADDRESS, "localhost: Presto drops that name from the places of blocks",
            "Set it to the node's address or host name",
        )  # fmt: skip
    elif address not in aliases:
        yield problem(
            ADDRESS, f"{address} is no name of the sidecar's ({known}): its blocks draw no splits",
            f"Set node_aliases of the sidecar to include {address}, or {ADDRESS} to one of these",
        )  # fmt: skip
    else:
        yield ok(ADDRESS, address)


def _jvm_options(etc: Path) -> dict[str, str]:
    path = etc / "jvm.config"
    text = path.read_text() if path.exists() else ""
    return dict(re.findall(r"^-D([\w.\-]+)=(.*)$", text, re.MULTILINE))


def _catalogs(etc: Path, settings: Settings, trino: bool) -> Iterator[Finding]:
    kinds = ("hive", "iceberg") if trino else CONNECTORS
    files = {p: read_properties(p) for p in sorted((etc / "catalog").glob("*.properties"))}
    readers = {p: v for p, v in files.items() if v.get("connector.name") in kinds}
    if not readers:
        yield problem("catalogs", f"none in {etc / 'catalog'} reads files", CATALOG)
    for path, values in readers.items():
        found = list(_catalog(f"catalog {path.stem}", values, settings))
        if trino and values.get("fs.hadoop.enabled", "").lower() != "true":
            found.append(problem(
                f"catalog {path.stem}", "fs.hadoop.enabled is not true: Trino asks no file system "
                "of Hadoop's", "`millpond presto-catalog --trino` sets it",
            ))  # fmt: skip
        yield from found or [ok(f"catalog {path.stem}", "reads cache://")]


def _catalog(name: str, values: Mapping[str, str], settings: Settings) -> Iterator[Finding]:
    yield from _hadoop(name, values, settings)
    strategy = values.get(STRATEGY, "NO_PREFERENCE").upper()
    if strategy == "SOFT_AFFINITY":
        yield warning(
            name, f"{STRATEGY}={strategy} places splits by a hash of their path, not by blocks",
            f"Remove {STRATEGY}",
        )  # fmt: skip
    elif strategy == "HARD_AFFINITY":
        yield problem(
            name, f"{STRATEGY}={strategy} fails queries when a block's node is not up",
            f"Remove {STRATEGY}",
        )  # fmt: skip
    if values.get("cache.enabled", "false").lower() == "true":
        yield warning(
            name, "Presto's own data cache (cache.enabled) keeps every block a second time",
            "Remove cache.enabled and the other cache.* properties",
        )  # fmt: skip


def _hadoop(name: str, values: Mapping[str, str], settings: Settings) -> Iterator[Finding]:
    hadoop: dict[str, str] = {}
    for path in filter(None, values.get(RESOURCES, "").split(",")):
        try:
            hadoop |= read_resources(path.strip())
        except (OSError, ValueError) as e:
            yield problem(name, f"{path} ({RESOURCES}) can't be read: {e}", CATALOG)
            return
    own = values.get("connector.name") == "iceberg" and _OWN.fullmatch(
        values.get("iceberg.catalog.type", "")
    )
    if own and values.get(ICEBERG_RESOURCES, "") != values.get(RESOURCES, ""):
        yield problem(
            name, f"{ICEBERG_RESOURCES} is not what {RESOURCES} is: Iceberg's own catalog finds "
            "its tables by the former", f"Set both to {values.get(RESOURCES)}",
        )  # fmt: skip
    yield from _transparent(name, values, hadoop)
    implementation = hadoop.get("fs.cache.impl")
    if implementation is None and TRANSPARENT not in hadoop.values():
        yield problem(name, "fs.cache.impl is not set: Presto knows no cache://", CATALOG)
    elif implementation not in (None, engine.FILE_SYSTEM):
        yield problem(
            name, f"fs.cache.impl is {implementation}", f"It has to be {engine.FILE_SYSTEM}"
        )
    named = hadoop.get("fs.cache.dir")
    if named is not None and named != str(settings.cache_dir):
        yield warning(
            name, f"fs.cache.dir is {named}, the sidecar's is {settings.cache_dir}",
            "Name one directory for both",
        )  # fmt: skip


def _transparent(
    name: str, values: Mapping[str, str], hadoop: Mapping[str, str]
) -> Iterator[Finding]:
    schemes = [key.split(".")[1] for key, value in hadoop.items() if value == TRANSPARENT]
    for scheme in schemes:
        if DELEGATE + scheme not in hadoop:
            yield problem(
                name, f"{DELEGATE}{scheme} is not set: {scheme}:// can't be read at all",
                "`millpond presto-catalog --transparent` sets it",
            )  # fmt: skip
    kind = values.get(S3_TYPE, "PRESTO").upper()
    if kind != "HADOOP_DEFAULT" and set(schemes) & set(S3_SCHEMES):
        yield problem(
            name, f"{S3_TYPE} is {kind}, which puts Presto's own class before s3a://",
            f"Set {S3_TYPE}=HADOOP_DEFAULT",
        )  # fmt: skip
