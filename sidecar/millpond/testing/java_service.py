"""A service written in one Java file, which a JDK runs from its source.

It prints ``serving`` when it does, and ends with its standard input, a pipe from this process: it
can't outlive it.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Self

from millpond.errors import StoreNotSupported, StoreUnavailable
from millpond.testing.service import Service, reap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_START_S = 120.0
_STOP_S = 15.0


class JavaService(Service):
    """``java -cp <classpath> <main> <arguments>`` in ``directory``. A context manager.

    ``classpath`` is asked for at the start: it may fetch what it names.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        main: Path,
        classpath: Callable[[], Sequence[str]],
        arguments: Sequence[str],
    ) -> None:
        self._name, self.directory, self._main = name, directory, main
        self._classpath, self._arguments = classpath, arguments
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        java = shutil.which("java")
        if java is None:
            raise StoreNotSupported(
                f"{self._name} for tests needs a JDK 17", cause="no java on the PATH"
            )
        classpath = ":".join(self._classpath())
        self.directory.mkdir(parents=True, exist_ok=True)
        log_path = self.directory / f"{self._main.stem.lower()}.log"
        with log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [java, "-Xmx512m", "-cp", classpath, str(self._main), *self._arguments],
                stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=self.directory,
            )  # fmt: skip
        try:
            self._await_answer(log_path)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        reap(process, _STOP_S)

    def _await_answer(self, log: Path) -> None:
        until_s = time.monotonic() + _START_S
        while b"serving\n" not in log.read_bytes():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > until_s:
                lines = log.read_text(errors="replace").strip().splitlines()
                errors = [line for line in lines if "Exception" in line or "error:" in line]
                raise StoreUnavailable(
                    f"{self._name} did not start", cause=" / ".join((errors or lines)[-3:])
                )
            time.sleep(0.05)
