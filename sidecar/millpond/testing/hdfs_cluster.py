"""A real HDFS for tests: Hadoop's MiniDFSCluster, a NameNode and a DataNode in one JVM.

Its jars are fetched once by Maven (``hdfs_pom.xml``, 106 MB) into the cache of downloads; a JDK
runs ``HdfsCluster.java`` from its source. The process ends with its standard input, which is a pipe
from this process: it can't outlive it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from millpond.errors import StoreNotSupported, StoreUnavailable
from millpond.testing.s3_gateway import free_port
from millpond.testing.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator

HADOOP_VERSION = "3.5.0"
_POM = Path(__file__).with_name("hdfs_pom.xml")
_MAIN = Path(__file__).with_name("HdfsCluster.java")
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_FETCH_S = 1800.0
_START_S = 120.0
_STOP_S = 15.0


class HdfsCluster(Service):
    """An HDFS on loopback, empty at every start. A context manager.

    ``authority`` is ``127.0.0.1:<port>`` of its NameNode. The user who started it is its superuser.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.authority = ""

    @property
    def uri(self) -> str:
        return f"hdfs://{self.authority}"

    def start(self) -> Self:
        java = _program("java", "a JDK 17")
        jars = jars_folder()
        self._directory.mkdir(parents=True, exist_ok=True)
        log_path = self._directory / "hdfs.log"
        port = free_port()
        with log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [java, "-Xmx512m", "-cp", f"{jars}/*", str(_MAIN),
                 str(self._directory / "data"), str(port)],
                stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=self._directory,
            )  # fmt: skip
        self.authority = f"127.0.0.1:{port}"
        try:
            self._await_answer(log_path)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @contextmanager
    def without_blocks(self) -> Iterator[None]:
        """Takes what the DataNode stores away meanwhile: whoever reads a block fails."""
        rooms = [room for room in self._directory.rglob("finalized") if any(room.rglob("blk_*"))]
        for room in rooms:
            room.rename(room.with_name("hidden"))
        try:
            yield
        finally:
            for room in rooms:
                room.with_name("hidden").rename(room)

    def _await_answer(self, log: Path) -> None:
        until_s = time.monotonic() + _START_S
        while b"serving\n" not in log.read_bytes():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > until_s:
                tail = log.read_text(errors="replace").strip().splitlines()[-1:]
                raise StoreUnavailable("HDFS did not start", cause="".join(tail))
            time.sleep(0.05)


def jars_folder() -> Path:
    """The folder of the jars, fetched when it is not there yet; it appears complete, by a rename.

    Raises StoreNotSupported without Maven, StoreUnavailable when Maven can't fetch them.
    """
    pinned = hashlib.sha256(_POM.read_bytes()).hexdigest()[:12]
    target = _downloads_dir() / f"hdfs-{HADOOP_VERSION}-{pinned}"
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=target.parent))
    try:
        # Maven looks for a project's .mvn from its working directory: none where the jars go.
        done = subprocess.run(
            [_program("mvn", "Maven"), "-B", "-ntp", "-q", "-f", str(_POM), _COPY,
             "-DincludeScope=runtime", f"-DoutputDirectory={staging}"],
            cwd=staging, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=_FETCH_S, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            lines = [line for line in done.stdout.splitlines() if "ERROR" in line]
            raise StoreUnavailable(
                "HDFS could not be fetched",
                cause=lines[0] if lines else f"mvn ended with {done.returncode}",
                remedy="Check that Maven can reach its repository, then run this again.",
            )
        try:
            staging.rename(target)
        except OSError:
            if not target.is_dir():  # else another process was faster, with the same jars
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def _downloads_dir() -> Path:
    if named := os.environ.get("MILLPOND_TEST_CACHE"):
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "millpond-test"


def _program(name: str, what: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise StoreNotSupported(f"HDFS for tests needs {what}", cause=f"no {name} on the PATH")
    return found
