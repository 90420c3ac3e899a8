"""What tests do to an S3 store from the side: buckets, put, delete. No retries, no cache."""

from __future__ import annotations

import secrets
import time
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from millpond.errors import MillpondError, StoreUnavailable
from millpond.testing.service import trouble
from millpond.under import s3_options
from millpond.under.s3_wire import S3Wire

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping
    from pathlib import Path

_READY_ATTEMPTS = 20


class S3Admin:
    """An endpoint with the keys to it. ``endpoint`` is ``http://127.0.0.1:<port>``."""

    def __init__(self, endpoint: str, access_key: str, secret_key: str) -> None:
        self.endpoint = endpoint
        self.access_key = access_key
        self.secret_key = secret_key
        self._wires: dict[tuple[str, str], S3Wire] = {}

    def mount_options(self, endpoint: str | None = None) -> dict[str, str]:
        """Options for ``open_store`` and ``mount``; ``endpoint`` may be a proxy's."""
        return {
            "endpoint": endpoint or self.endpoint,
            "access_key": self.access_key,
            "secret_key": self.secret_key,
            "region": "us-east-1",
        }

    def buckets(self) -> list[str]:
        document = self._wire("").send("GET", "", {}).document()
        return [e.text or "" for e in ET.fromstring(document).iterfind(".//{*}Bucket/{*}Name")]

    def await_answer(
        self, process: subprocess.Popen[bytes], within_s: float, log: Path | None = None
    ) -> None:
        """Until the server answers a signed request: listening comes before serving. Raises
        StoreUnavailable where its process ends, with what its log tells, or that takes too
        long."""
        until_s = time.monotonic() + within_s
        while True:
            try:
                self.buckets()
                return
            except StoreUnavailable:
                if process.poll() is not None or time.monotonic() > until_s:
                    if log is not None:
                        raise trouble(log, "the S3 server did not start") from None
                    raise
                time.sleep(0.05)

    def make_bucket(self, name: str) -> str:
        """Create it unless it is there; returns the name."""
        if name not in self.buckets():
            self._do("PUT", name, "", query={})
        return name

    def new_bucket(self) -> str:
        """A bucket that nobody else has."""
        return self.make_bucket(f"t-{secrets.token_hex(6)}")

    def put_object(self, bucket: str, key: str, data: bytes = b"") -> None:
        self._do("PUT", bucket, key, body=data)

    def delete_object(self, bucket: str, key: str) -> None:
        self._do("DELETE", bucket, key)

    def uploads(self, bucket: str) -> list[str]:
        """Keys of the uploads that were begun and neither completed nor aborted."""
        document = self._wire(bucket).send("GET", "", {"uploads": ""}).document()
        return [e.text or "" for e in ET.fromstring(document).iterfind(".//{*}Upload/{*}Key")]

    def close(self) -> None:
        for wire in self._wires.values():
            wire.close()
        self._wires.clear()

    def _do(
        self,
        method: str,
        bucket: str,
        key: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> None:
        _again(lambda: self._wire(bucket).send(method, key, query, None, body).document())

    def _wire(self, bucket: str) -> S3Wire:
        at = (self.endpoint, bucket)
        if at not in self._wires:
            options = s3_options.parse({**self.mount_options(), "path_style": "true"}, {})
            self._wires[at] = S3Wire(options, lambda: s3_options.credentials(options), bucket)
        return self._wires[at]


def _again(attempt: Callable[[], object]) -> None:
    """A busy test server answers 5xx now and then; set-up must not fail a test for it."""
    error: MillpondError | None = None
    for _ in range(_READY_ATTEMPTS):
        try:
            attempt()
            return
        except StoreUnavailable as e:
            error = e
    if error is not None:
        raise error
