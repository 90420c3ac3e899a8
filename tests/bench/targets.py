"""The targets by name, and the JVM in which some of them are compared."""

from __future__ import annotations

from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

from millpond.testing.proc import touch_memory
from tests.bench.jvm import BUILD, Agent, Java, classpath, client_jar
from tests.bench.rounds import Series, Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.data import Files
    from tests.bench.site import Site

WARM = ("raw_local", "cache_hit")
S3A = ("s3a_classic", "s3a_analytics")
REMOTE = (*S3A, "cache_cold")


def declared(name: str, files: Files, site: Site | None) -> Target:
    """A declared target: URI and configuration, and what makes it cold."""
    if name == "raw_local":
        conf = {"fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem"}
        return Target(name, "file:///", f"file://{files.root}", conf)
    assert site is not None
    memory = 2 * files.big_bytes
    if name in ("s3a_classic", "s3a_analytics"):
        conf = site.s3a_conf() | {"fs.s3a.input.stream.type": name.removeprefix("s3a_")}
        target = Target(name, site.s3a_uri, site.s3a_uri, conf)
        return replace(target, before=Cold(target, site, memory))
    conf = site.cache_conf()
    if name == "cache_hit":
        return Target(name, "cache:///", f"cache://{site.HIT}", conf)
    if name == "cache_cold":
        target = Target(name, "cache:///", f"cache://{site.COLD}", conf)
        return replace(target, before=Cold(target, site, memory))
    raise ValueError(f"no target {name!r}; there are {', '.join((*WARM, *REMOTE))}")


class Cold:
    """Makes a target cold: nothing cached on this node, and nothing in the JVM's memory.

    S3A's analytics stream keeps bytes of earlier streams in memory. Millpond's client keeps the
    descriptors of blocks for a while, and rightly reads on from evicted ones; there is one client
    per process and path of the cache directory, so a new one gets a new path. The machine's memory
    is made ready for what will be cached, whoever comes next.
    """

    def __init__(self, target: Target, site: Site, memory_bytes: int) -> None:
        self._target = target
        self._memory_bytes = memory_bytes
        self._site = site

    def __call__(self, agent: Agent) -> None:
        agent.ask("close", {"fs": self._target.name})
        target = self._target
        if target.name == "cache_cold":
            self._site.evict()
            path = str(self._site.another_path())
            target = replace(target, conf={**target.conf, "fs.cache.dir": path})
        target.open(agent)
        # Connected, and for cache:// the mount known and its direct connector there, before the
        # clock runs.
        agent.ask("touch", {"fs": target.name, "path": target.base})
        touch_memory(self._site.cache_dir, self._memory_bytes)


def agent_for(java: Java, targets: Sequence[Target], name: str) -> Agent:
    """A fresh JVM with these targets open."""
    # cache:// needs the connector too: it resolves its fallback when first used.
    s3a = java.hadoop == "3.5.0" and any(t.name != "raw_local" for t in targets)
    jars = classpath(java.hadoop, s3a=s3a)
    if any(t.uri.startswith("cache:") for t in targets):
        jars.append(client_jar())
    agent = Agent(java, jars, BUILD / f"agent-{name}.log")
    try:
        for t in targets:
            t.open(agent)
    except BaseException:
        agent.close()
        raise
    return agent


def reference_of(series: Sequence[Series]) -> Series:
    """What a group is compared with: raw local files, else the faster S3A stream."""
    named = [s for s in series if s.target == "raw_local"]
    if named:
        return named[0]
    s3a = [s for s in series if s.target.startswith("s3a_")]
    return max(s3a or series, key=lambda s: median(s.values))
