"""The demo's servers: an S3 gateway, a model of distance before it, one sidecar."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from millpond.testing.s3_gateway import S3Gateway
from millpond.testing.store_model import StoreModel
from millpond_spark.demo.measure import Requests
from millpond_spark.demo.sidecar import SidecarProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from millpond.testing.s3_admin import S3Admin
    from millpond.testing.s3proxy import S3Proxy

    Server = S3Gateway | S3Proxy

BUCKET = "flights"
MOUNT = "/flights"
REGION = "us-east-1"


class Site:
    """Everything but Spark. Use it in a ``with``: leaving it ends every process.

    ``settings`` are further variables of the sidecar's environment, ``options`` of the mount;
    ``store`` makes one of a folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        first_byte_ms: float,
        mb_per_s: float,
        settings: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
        store: Callable[[Path], Server] = S3Gateway,
    ) -> None:
        self._folder = folder
        self._options = dict(options or {})
        self._made = store
        self._settings = dict(settings or {})
        self._first_byte_ms = first_byte_ms
        self._mb_per_s = mb_per_s
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._gateway = self._made(self._folder / "store")
            stack.enter_context(self._gateway)
            self._gateway.make_bucket(BUCKET)
            self._model = stack.enter_context(
                StoreModel(
                    self._gateway.endpoint,
                    latency_ms=self._first_byte_ms,
                    rate_mb_s=self._mb_per_s,
                )
            )
            settings = {"MILLPOND_HTTP_PORT": "0", **self.credentials, **self._settings}
            self.sidecar = stack.enter_context(
                SidecarProcess(self._folder / "cache", self._folder / "sidecar.log", settings)
            )
            options = {"endpoint": self._model.endpoint, "region": REGION, **self._options}
            said = [word for pair in options.items() for word in ("-o", "=".join(pair))]
            self.sidecar.run("mount", "add", MOUNT, f"s3://{BUCKET}", *said)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def store(self) -> S3Admin:
        """The store itself: what it is asked past the model is not counted."""
        return self._gateway

    @property
    def credentials(self) -> dict[str, str]:
        """The store's keys, as AWS tools and S3A find them in an environment."""
        return {
            "AWS_ACCESS_KEY_ID": self._gateway.access_key,
            "AWS_SECRET_ACCESS_KEY": self._gateway.secret_key,
        }

    def upload(self, folder: Path, prefixes: Iterable[str]) -> None:
        """Puts all files below ``folder`` under each prefix, past the model."""
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        for prefix in prefixes:
            for file in files:
                key = f"{prefix}/{file.relative_to(folder)}"
                self._gateway.put_object(BUCKET, key, file.read_bytes())

    def requests(self) -> Requests:
        """What the store was asked for so far, as the model counted it."""
        counted = self._model.counters()
        asked = counted.requests
        return Requests(
            asked.get("LIST", 0), asked.get("HEAD", 0), asked.get("GET", 0),
            sum(counted.bytes.values()),
        )  # fmt: skip

    def direct(self, prefix: str) -> str:
        """The URI under which S3A reads a copy."""
        return f"s3a://{BUCKET}/{prefix}"

    def cached(self, prefix: str) -> str:
        """The URI under which the same copy is read through the cache."""
        return f"cache://{MOUNT}/{prefix}"
