"""S3Proxy: an S3 server on which conditions hold for whoever comes at once.

Under ``If-None-Match: *`` an object gets its name by ``link(2)``, PUT and CompleteMultipartUpload
alike, so of several at once one wins (``AbstractNio2BlobStore.putBlob``). ``If-Match`` is looked at
right before the write. It checks signatures, and is a file system underneath.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Self

from millpond.errors import StoreNotSupported
from millpond.maven import jars_folder
from millpond.testing.s3_admin import S3Admin
from millpond.testing.s3_gateway import free_port
from millpond.testing.service import Service

VERSION = "4.1.0"
_POM = Path(__file__).with_name("s3proxy_pom.xml")
_START_S = 120.0


class S3Proxy(S3Admin, Service):
    """An S3 endpoint on loopback whose objects lie in ``directory``. A context manager.

    Needs Java 17 and, the first time, Maven.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__("", "millpond", "millpond-secret")
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        java = shutil.which("java")
        if java is None:
            raise StoreNotSupported("S3Proxy needs Java 17", cause="no java on the PATH")
        jars = jars_folder(_POM, f"s3proxy-{VERSION}")
        data = self._directory / "data"
        data.mkdir(parents=True, exist_ok=True)
        self.endpoint = f"http://127.0.0.1:{free_port()}"
        properties = self._directory / "s3proxy.conf"
        properties.write_text(
            f"s3proxy.endpoint={self.endpoint}\n"
            "s3proxy.authorization=aws-v2-or-v4\n"
            f"s3proxy.identity={self.access_key}\n"
            f"s3proxy.credential={self.secret_key}\n"
            "s3proxy.metrics.enabled=false\n"
            "jclouds.provider=filesystem\n"
            f"jclouds.filesystem.basedir={data}\n"
        )
        log = self._directory / "s3proxy.log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [java, "-Xmx256m", "-cp", f"{jars}/*", "org.gaul.s3proxy.Main",
                 "--properties", str(properties)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self._directory,
            )  # fmt: skip
        try:
            self.await_answer(self._process, _START_S, log)
            return self
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        process, self._process = self._process, None
        self.close()
        if process is not None:
            process.kill()  # told to end it waits for connections that are kept open
            process.wait()
