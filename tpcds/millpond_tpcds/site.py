"""The servers of a run: an S3 gateway with the data, a model of distance, two sidecars.

The sidecar ``warm`` keeps everything, ``cold`` is emptied before each query. They are two, with a
cache directory each, so that one's evictions can't cool the other, and their CPU is counted apart.
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from millpond import control
from millpond.errors import NoSpace
from millpond.testing.s3_gateway import S3Gateway
from millpond_spark import s3a
from millpond_spark.demo.sidecar import SidecarProcess
from millpond_tpcds.destination import S3Destination, copy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from millpond.testing.store_model import Model
    from millpond_tpcds.dataset import DataSet

BUCKET = "tpcds"
MOUNT = "/tpcds"
REGION = "us-east-1"
_SPARE_BYTES = 1 << 30


class Site:
    """Everything but the engines. Use it in a ``with``: leaving it ends every process.

    ``settings`` are further variables of the sidecars' environment.
    """

    def __init__(
        self,
        folder: Path,
        data: DataSet,
        model: Model,
        sidecars: Iterable[str],
        copied: Callable[[str, int, bool], object] = lambda *_: None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder
        self._data = data
        self._model = model
        self._names = sorted(set(sidecars))
        self._copied = copied
        self._settings = dict(settings or {})
        self._stack = ExitStack()
        self._paths = 0
        self.prefix = f"sf{data.scale:g}/{data.layout}"
        self.sidecars: dict[str, SidecarProcess] = {}

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._check_space()
        with ExitStack() as stack:
            gateway = stack.enter_context(S3Gateway(self._folder / "store"))
            gateway.make_bucket(BUCKET)
            self.credentials = {
                "AWS_ACCESS_KEY_ID": gateway.access_key,
                "AWS_SECRET_ACCESS_KEY": gateway.secret_key,
            }
            self._upload(gateway)
            self.model = stack.enter_context(self._model.before(gateway.endpoint))
            self._pids = {"store": gateway.pid, "model": self.model.pid}
            for name in self._names:
                self.sidecars[name] = stack.enter_context(self._sidecar(name))
            for name in self._names:
                self._mount(name)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _sidecar(self, name: str) -> SidecarProcess:
        home = self._folder / name
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        capacity = 2 * self._bytes() + _SPARE_BYTES
        settings = {"MILLPOND_HTTP_PORT": "0", "MILLPOND_CACHE_CAPACITY_BYTES": str(capacity)}
        settings |= self.credentials | self._settings
        return SidecarProcess(home / "cache", home / "sidecar.log", settings)

    def _mount(self, name: str) -> None:
        options = {"endpoint": self.model.endpoint, "region": REGION}
        with control.connect(self.sidecars[name].cache_dir) as sidecar:
            sidecar.mount_add(MOUNT, f"s3://{BUCKET}/{self.prefix}", options)

    def _upload(self, gateway: S3Gateway) -> None:
        keys = (gateway.access_key, gateway.secret_key)
        to = S3Destination(BUCKET, self.prefix, gateway.endpoint, keys)
        copy(self._data, to, self._copied)

    def pids_beside(self, sidecar: str | None) -> dict[str, int]:
        """The processes that serve an engine, by role; ``sidecar`` is the one it uses."""
        mine = {} if sidecar is None else {"sidecar": self.sidecars[sidecar].pid}
        return self._pids | mine

    def load(self, name: str) -> None:
        """Caches the whole data set in one sidecar. Raises NoSpace where it keeps less."""
        with control.connect(self.sidecars[name].cache_dir) as sidecar:
            loaded = sidecar.load(MOUNT)
        for error in loaded.errors:
            raise error.error
        if loaded.skipped:
            raise NoSpace("the warm cache can't hold the data set", cause=str(loaded.skipped))

    def evict(self, name: str) -> None:
        """Forgets everything cached in one sidecar."""
        with control.connect(self.sidecars[name].cache_dir) as sidecar:
            sidecar.evict(MOUNT)

    def another_path(self, name: str) -> Path:
        """A path of a sidecar's cache directory that no client has used yet.

        A client keeps the descriptors of blocks for a while, and rightly reads on from evicted
        ones; there is one client per process and path.
        """
        self._paths += 1
        link = self._folder / name / f"path-{self._paths}"
        link.symlink_to(self.sidecars[name].cache_dir)
        return link

    def local(self) -> str:
        """The URI of the original files."""
        return f"file://{self._data.folder}"

    def direct(self) -> str:
        """The URI under which S3A reads the store's copy."""
        return f"s3a://{BUCKET}/{self.prefix}"

    def s3a_settings(self) -> dict[str, str]:
        """What a Spark session needs to read the store's copy by S3A; keys are the process's."""
        settings = {
            "endpoint": self.model.endpoint,
            "endpoint.region": REGION,
            "path.style.access": "true",
            "connection.ssl.enabled": "false",
        }
        return {f"spark.hadoop.fs.s3a.{key}": value for key, value in settings.items()} | {
            "spark.jars": ",".join(map(str, s3a.fetch()))
        }

    def _bytes(self) -> int:
        return sum(note.bytes for note in self._data.complete().values())

    def _check_space(self) -> None:
        """Raises NoSpace where the store's copy and the caches would not fit on the disk."""
        fresh = not (self._folder / "store" / "data").exists()
        needed = self._bytes() * (len(self._names) + fresh) + _SPARE_BYTES
        there = sum(
            f.stat().st_size
            for name in self._names
            for f in (self._folder / name).rglob("*")
            if f.is_file() and not os.path.islink(f)
        )
        free = shutil.disk_usage(self._folder).free + there
        if needed > free:
            raise NoSpace(
                f"the store and the caches need about {needed >> 20} MiB",
                cause=f"{self._folder} has {free >> 20} MiB free",
                remedy="Name another folder with --work, or a smaller --scale.",
            )
