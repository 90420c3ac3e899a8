"""moto's S3 server as a process of its own: every key a store may have, at no speed at all.

It checks no signatures. A process, because moto patches botocore in the one that imports it.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Self

from millpond.testing.s3_admin import S3Admin
from millpond.testing.s3_gateway import free_port
from millpond.testing.service import Service

_START_S = 60.0


class MotoServer(S3Admin, Service):
    """An S3 endpoint on loopback whose objects are in memory. A context manager."""

    def __init__(self) -> None:
        super().__init__("", "millpond", "millpond-secret")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        port = free_port()
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "moto.server",
             "-H", "127.0.0.1", "-p", str(port)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.endpoint = f"http://127.0.0.1:{port}"
        try:
            self.await_answer(self._process, _START_S)
            return self
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        process, self._process = self._process, None
        self.close()
        if process is not None:
            process.kill()
            process.wait()
