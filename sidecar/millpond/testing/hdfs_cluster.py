"""A real HDFS for tests: Hadoop's MiniDFSCluster, a NameNode and a DataNode in one JVM.

Its jars are fetched once by Maven (``hdfs_pom.xml``, 106 MB) into the cache of downloads.
"""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hdfs_native import Client

from millpond.maven import jars_folder
from millpond.testing.java_service import JavaService
from millpond.testing.s3_gateway import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

HADOOP_VERSION = "3.5.0"
_POM = Path(__file__).with_name("hdfs_pom.xml")
_MAIN = Path(__file__).with_name("HdfsCluster.java")


class HdfsCluster(JavaService):
    """An HDFS on loopback, empty at every start. A context manager.

    ``authority`` is ``127.0.0.1:<port>`` of its NameNode, or, with ``service``, the name service of
    two, ``a`` (active at first) and ``b``, whose places are in ``conf``. The user who started it is
    its superuser. ``ask`` takes what ``HdfsCluster.java`` performs.
    """

    def __init__(self, directory: Path, service: str = "") -> None:
        ports = [free_port(), free_port()]
        self.authority = service or f"127.0.0.1:{ports[0]}"
        self.conf = _name_service(service, ports) if service else {}
        super().__init__(
            "HDFS", directory, _MAIN,
            lambda: [f"{jars_folder(_POM, f'hdfs-{HADOOP_VERSION}')}/*"],
            [str(directory / "data"), str(ports[0])]
            + ([service, str(ports[1])] if service else []),
        )  # fmt: skip

    @property
    def uri(self) -> str:
        return f"hdfs://{self.authority}"

    def client(self) -> Client:
        """What tests write with."""
        return Client(self.uri, self.conf)

    @contextmanager
    def without_namenode(self) -> Iterator[None]:
        """Nobody listens at the NameNode's port meanwhile; afterwards it serves again."""
        self.ask("stop-namenode")
        try:
            yield
        finally:
            self.ask("start-namenode")

    @contextmanager
    def without_datanode(self) -> Iterator[None]:
        """The same of the DataNode."""
        self.ask("stop-datanode")
        try:
            yield
        finally:
            self.ask("start-datanode")

    @contextmanager
    def safe_mode(self) -> Iterator[None]:
        """As ``hdfs dfsadmin -safemode`` has it."""
        self.ask("safemode", "enter")
        try:
            yield
        finally:
            self.ask("safemode", "leave")

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Its processes are there and answer nothing."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            self.resume()

    def resume(self) -> None:
        """End a stall."""
        os.kill(self.pid, signal.SIGCONT)

    @contextmanager
    def without_blocks(self) -> Iterator[None]:
        """Takes what the DataNode stores away meanwhile: whoever reads a block fails."""
        rooms = [room for room in self.directory.rglob("finalized") if any(room.rglob("blk_*"))]
        for room in rooms:
            room.rename(room.with_name("hidden"))
        try:
            yield
        finally:
            for room in rooms:
                room.with_name("hidden").rename(room)


def _name_service(name: str, ports: list[int]) -> dict[str, str]:
    """Hadoop's keys for a name service of the NameNodes ``a`` and ``b``."""
    places = {
        f"dfs.namenode.rpc-address.{name}.{each}": f"127.0.0.1:{port}"
        for each, port in zip("ab", ports, strict=True)
    }
    provider = "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider"
    return places | {
        "dfs.nameservices": name,
        f"dfs.ha.namenodes.{name}": "a,b",
        f"dfs.client.failover.proxy.provider.{name}": provider,
    }
