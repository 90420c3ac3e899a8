"""A server of the Presto family for tests: one node on loopback, from an archive fetched once.

A test's server has a home of its own, whose plug-ins are links to what was unpacked: what is
installed into them stays there.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import signal
import subprocess
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from millpond.errors import StoreUnavailable
from millpond.maven import download, downloads_dir, staging
from millpond.testing.s3_gateway import free_port
from millpond.testing.service import Service, reap, started

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_STARTED = "SERVER STARTED"
_START_S = 400.0
_STOP_S = 15.0
_JVM = ("-server", "-Xmx1500m", "-XX:+UseG1GC", "-XX:G1HeapRegionSize=32M")
_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_libc = ctypes.CDLL(None, use_errno=True)


def _end_with_parent() -> None:
    """Runs in the child: a test run that is killed leaves no server behind."""
    _libc.prctl(_SET_DEATH_SIGNAL, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Distribution:
    """A release: where its archive is, what of it is kept, how it is started."""

    name: str
    version: str
    group: str
    artifact: str
    parts: tuple[str, ...]
    main: str
    jvm: tuple[str, ...]

    def unpacked(self) -> Path:
        """The folder with its ``parts``; fetched when it is not there yet, the archive removed.

        Raises StoreUnavailable, StoreAnswerInvalid, StoreNotSupported.
        """
        parts = hashlib.sha256(" ".join(self.parts).encode()).hexdigest()[:12]
        target = downloads_dir() / f"{self.name.lower()}-{self.version}-{parts}"
        if target.is_dir():
            return target
        file = f"{self.artifact}-{self.version}.tar.gz"
        archive = download(
            f"{self.group}/{self.artifact}/{self.version}/{file}", downloads_dir() / file
        )
        with staging(target) as made:
            # Whole, since files of one plug-in are hard links to those of another.
            with tarfile.open(archive) as tar:
                tar.extractall(made, members=_without_top(tar), filter="data")
            self._prune(made)
        archive.unlink()
        return target

    def _prune(self, folder: Path) -> None:
        for path in [*folder.iterdir(), *(folder / "plugin").iterdir()]:
            inside = str(path.relative_to(folder))
            if not any(f"{part}/".startswith(f"{inside}/") for part in self.parts):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _without_top(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for member in tar:
        member.name = member.name.partition("/")[2]
        if member.islnk():
            member.linkname = member.linkname.partition("/")[2]
        if member.name:
            yield member


class SqlServer(Service):
    """A coordinator that is its own worker. A context manager; ``start`` takes 16 s and more.

    ``directory`` becomes its home: ``etc`` is written here, catalogs are put into ``etc/catalog``
    before the start. Extra ``config`` joins ``etc/config.properties``, extra ``jvm`` options win
    over those given here.
    """

    distribution: ClassVar[Distribution]

    def __init__(
        self, directory: Path, config: Mapping[str, str] | None = None, jvm: Sequence[str] = ()
    ) -> None:
        self.home = directory
        self._jvm = jvm
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._make_home()
        self._write("config.properties", {
            "coordinator": "true",
            "node-scheduler.include-coordinator": "true",
            "http-server.http.port": str(self.port),
            "discovery.uri": f"http://127.0.0.1:{self.port}",
            "query.max-memory": "600MB",
            "query.max-memory-per-node": "400MB",
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

    def java(self) -> str:
        """The ``java`` that runs it. Raises StoreNotSupported where there is none."""
        raise NotImplementedError

    def start(self) -> Self:
        config = {
            **self._node,
            "config": str(self.home / "etc/config.properties"),
            "plugin.dir": str(self.home / "plugin"),
            "catalog.config-dir": str(self.home / "etc/catalog"),
        }
        ours = self.distribution
        self._process = started(
            [self.java(), *_JVM, *ours.jvm, *self._jvm,
             *(f"-D{key}={value}" for key, value in config.items()),
             "-cp", f"{self.home}/lib/*", ours.main],
            name=ours.name, log=self.home / "server.log", line=_STARTED, within_s=_START_S,
            stdin=subprocess.DEVNULL, cwd=self.home, preexec_fn=_end_with_parent,
        )  # fmt: skip
        return self

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def ended(self) -> bool:
        """Whether it was started and is gone without being told to."""
        return self._running().poll() is not None

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

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise StoreUnavailable(
                f"{self.distribution.name} is not running", remedy="Call start() first"
            )
        return self._process

    def _make_home(self) -> None:
        source = self.distribution.unpacked()
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "lib").symlink_to(source / "lib")
        for folder, _, files in os.walk(source / "plugin"):
            mine = self.home / os.path.relpath(folder, source)
            mine.mkdir(parents=True)
            for file in files:
                (mine / file).symlink_to(os.path.join(folder, file))
        (self.home / "etc/catalog").mkdir(parents=True)

    def _write(self, name: str, values: Mapping[str, str]) -> None:
        text = "".join(f"{key}={value}\n" for key, value in values.items())
        (self.home / "etc" / name).write_text(text)
