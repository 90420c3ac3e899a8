"""The servers of a measurement: S3 gateway, store model before it, one sidecar with its mounts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import obstore
from obstore.store import S3Store

from millpond.testing.s3_gateway import S3Gateway
from millpond.testing.store_model import StoreModel

if TYPE_CHECKING:
    from types import TracebackType

    from tests.bench.data import Files

BUCKET = "bench"
_START_S = 60


@dataclass(frozen=True, slots=True)
class Model:
    """Distance and speed of the store: delay before each answer, bytes per second a connection."""

    first_byte_ms: float
    mb_per_s: float

    def describe(self) -> str:
        return f"{self.first_byte_ms:g} ms to first byte, {self.mb_per_s:g} MB/s a connection"


class _Open:
    """A context manager over what an ExitStack holds."""

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


class Store(_Open):
    """The S3 gateway with the files in its bucket; what an earlier run left there is used again."""

    def __init__(self, directory: Path, files: Files) -> None:
        super().__init__()
        self._directory = directory
        self._files = files

    def start(self) -> None:
        self.gateway = self._stack.enter_context(S3Gateway(self._directory))
        store = S3Store(
            BUCKET,
            endpoint=self.gateway.endpoint,
            access_key_id=self.gateway.access_key,
            secret_access_key=self.gateway.secret_key,
            region="us-east-1",
            client_options={"allow_http": True},
            virtual_hosted_style_request=False,
        )
        self.make_bucket()
        self.prefix = self._files.root.parent.name
        note = self._directory / f"uploaded-{self.prefix}"
        if not note.exists():
            for path in sorted(p for p in self._files.root.rglob("*") if p.is_file()):
                key = f"{self.prefix}/{path.relative_to(self._files.root)}"
                obstore.put(store, key, path)
            note.touch()

    def make_bucket(self) -> None:
        import boto3

        s3 = boto3.client(
            "s3",
            endpoint_url=self.gateway.endpoint,
            aws_access_key_id=self.gateway.access_key,
            aws_secret_access_key=self.gateway.secret_key,
            region_name="us-east-1",
        )
        if BUCKET not in [b["Name"] for b in s3.list_buckets()["Buckets"]]:
            s3.create_bucket(Bucket=BUCKET)


class Site(_Open):
    """A sidecar over a store at some distance: mounted twice, once for hits and once for misses.

    Both mounts name the same bucket, so they share blocks; they differ in how long what is known
    holds: an hour for hits, not at all for misses.
    """

    HIT = "/hit"
    COLD = "/cold"

    def __init__(self, directory: Path, store: Store, model: Model | None) -> None:
        super().__init__()
        self._directory = directory
        self._store = store
        self._model = model

    def start(self) -> None:
        gateway = self._store.gateway
        self.pids = {"store": gateway.pid}
        self.endpoint = gateway.endpoint

    @property
    def s3a_uri(self) -> str:
        return f"s3a://{BUCKET}/{self._store.prefix}"

    def s3a_conf(self) -> dict[str, str]:
        """The connector as users set it up; every default of its reads is left alone."""
        gateway = self._store.gateway
        return {
            "fs.s3a.endpoint": self.endpoint,
            "fs.s3a.endpoint.region": "us-east-1",
            "fs.s3a.path.style.access": "true",
            "fs.s3a.connection.ssl.enabled": "false",
            "fs.s3a.access.key": gateway.access_key,
            "fs.s3a.secret.key": gateway.secret_key,
            "fs.s3a.aws.credentials.provider": (
                "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider"
            ),
        }
