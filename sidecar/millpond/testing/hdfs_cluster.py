"""A real HDFS for tests: Hadoop's MiniDFSCluster, a NameNode and a DataNode in one JVM.

Its jars are fetched once by Maven (``hdfs_pom.xml``, 106 MB) into the cache of downloads.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

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

    ``authority`` is ``127.0.0.1:<port>`` of its NameNode. The user who started it is its superuser.
    """

    def __init__(self, directory: Path) -> None:
        port = free_port()
        self.authority = f"127.0.0.1:{port}"
        super().__init__(
            "HDFS", directory, _MAIN,
            lambda: [f"{jars_folder(_POM, f'hdfs-{HADOOP_VERSION}')}/*"],
            [str(directory / "data"), str(port)],
        )  # fmt: skip

    @property
    def uri(self) -> str:
        return f"hdfs://{self.authority}"

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
