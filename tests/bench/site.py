"""The servers of a measurement: S3 gateway, store model before it, one sidecar with its mounts."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

import obstore
from obstore.store import S3Store

from millpond.control import Control
from millpond.testing.s3_gateway import S3Gateway
from millpond.wire.local_client import LocalClient
from millpond_spark.demo.sidecar import SidecarProcess

if TYPE_CHECKING:
    import signal
    from pathlib import Path
    from types import TracebackType

    from millpond.testing.store_model import Model

BUCKET = "bench"
REGION = "us-east-1"
CAPACITY = "16GiB"


class _Opened:
    """A context manager over what ``start`` put on the stack."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def start(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()


class Store(_Opened):
    """The S3 gateway with the files of a folder in its bucket, below the folder's parent's name.

    What an earlier run left there is used again.
    """

    def __init__(self, directory: Path, files: Path) -> None:
        super().__init__()
        self._directory = directory
        self._files = files
        self.prefix = files.parent.name

    def start(self) -> None:
        self.gateway = self._stack.enter_context(S3Gateway(self._directory))
        note = self._directory / f"uploaded-{self.prefix}"
        if not note.exists():
            self._upload()
            note.touch()

    def _upload(self) -> None:
        self.gateway.make_bucket(BUCKET)
        store = S3Store(
            BUCKET,
            endpoint=self.gateway.endpoint,
            access_key_id=self.gateway.access_key,
            secret_access_key=self.gateway.secret_key,
            region=REGION,
            client_options={"allow_http": True},
            virtual_hosted_style_request=False,
        )
        for path in sorted(p for p in self._files.rglob("*") if p.is_file()):
            obstore.put(store, f"{self.prefix}/{path.relative_to(self._files)}", path)


class Site(_Opened):
    """A sidecar over a store at some distance: mounted twice, once for hits and once for misses.

    Both mounts name the same objects, so they share blocks; they differ in how long what is known
    holds: an hour for hits, not at all for misses. The cache begins empty.
    """

    HIT = "/hit"
    COLD = "/cold"

    def __init__(self, directory: Path, store: Store, model: Model | None) -> None:
        super().__init__()
        self._directory = directory
        self._store = store
        self._model = model
        self.cache_dir = directory / "cache"
        self._paths = 0

    def start(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir(parents=True)
        gateway = self._store.gateway
        self.pids = {"store": gateway.pid}
        self.endpoint = gateway.endpoint
        if self._model is not None:
            model = self._stack.enter_context(self._model.before(gateway.endpoint))
            self.endpoint, self.pids["model"] = model.endpoint, model.pid
        settings = {
            "MILLPOND_HTTP_PORT": "0",
            "MILLPOND_CACHE_CAPACITY_BYTES": CAPACITY,
            "AWS_ACCESS_KEY_ID": gateway.access_key,
            "AWS_SECRET_ACCESS_KEY": gateway.secret_key,
        }
        self._sidecar = SidecarProcess(self.cache_dir, self._directory / "sidecar.log", settings)
        self._stack.enter_context(self._sidecar)
        self.pids["sidecar"] = self._sidecar.pid
        self._mount(self.HIT, "1h")
        self._mount(self.COLD, "0s")

    def _mount(self, path: str, freshness: str) -> None:
        self._sidecar.run(
            "mount", "add", path, f"s3://{BUCKET}/{self._store.prefix}",
            "--freshness", freshness, "--list-freshness", freshness,
            "-o", f"endpoint={self.endpoint}", "-o", f"region={REGION}",
        )  # fmt: skip

    @property
    def s3a_uri(self) -> str:
        return f"s3a://{BUCKET}/{self._store.prefix}"

    def s3a_conf(self) -> dict[str, str]:
        """The connector as users set it up; every default of its reads is left alone."""
        gateway = self._store.gateway
        return {
            "fs.s3a.endpoint": self.endpoint,
            "fs.s3a.endpoint.region": REGION,
            "fs.s3a.path.style.access": "true",
            "fs.s3a.connection.ssl.enabled": "false",
            "fs.s3a.access.key": gateway.access_key,
            "fs.s3a.secret.key": gateway.secret_key,
            "fs.s3a.aws.credentials.provider": (
                "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider"
            ),
        }

    def cache_conf(self) -> dict[str, str]:
        """The client of this site, with what its direct reads need."""
        mine = {
            "fs.cache.impl": "io.millpond.fs.CacheFileSystem",
            "fs.cache.dir": str(self.cache_dir),
        }
        return mine | self.s3a_conf()

    def evict(self, path: str = COLD) -> None:
        """Forgets everything cached at and below ``path``."""
        with Control(self.cache_dir) as control:
            control.evict(path)

    def another_path(self) -> Path:
        """A path of the cache directory that nobody has used yet."""
        self._paths += 1
        link = self._directory / f"cache-{self._paths}"
        link.symlink_to(self.cache_dir)
        return link

    def load(self, path: str) -> None:
        """Caches everything at and below ``path``."""
        self._sidecar.run("load", path)

    def fill(self, path: str, ranges: list[tuple[int, int]]) -> None:
        """Caches (offset, length) ranges of one file."""
        with LocalClient.connect(self.cache_dir) as client:
            client.fill(path, client.stat(path).file_id, ranges)

    def signal_sidecar(self, what: signal.Signals) -> None:
        os.kill(self._sidecar.pid, what)

    def restart_sidecar(self) -> None:
        """A fresh one, whatever became of the last."""
        self._sidecar.kill()
        self._sidecar.start()
        self.pids["sidecar"] = self._sidecar.pid
