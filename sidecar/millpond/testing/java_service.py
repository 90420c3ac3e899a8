"""A service written in one Java file, which a JDK runs from its source.

It prints ``serving`` when it does, and ends with its standard input, a pipe from this process: it
can't outlive it.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Self

from millpond.errors import StoreNotSupported, StoreUnavailable
from millpond.testing.service import Service, await_said, reap, started, trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_START_S = 400.0
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
        self._asked = 0

    def start(self) -> Self:
        java = shutil.which("java")
        if java is None:
            raise StoreNotSupported(
                f"{self._name} for tests needs a JDK 17", cause="no java on the PATH"
            )
        classpath = ":".join(self._classpath())
        self.directory.mkdir(parents=True, exist_ok=True)
        self._process = started(
            [java, "-Xmx512m", "-cp", classpath, str(self._main), *self._arguments],
            name=self._name, log=self._log, line="serving\n", within_s=_START_S,
            stdin=subprocess.PIPE, cwd=self.directory,
        )  # fmt: skip
        return self

    @property
    def pid(self) -> int:
        return self._running().pid

    def ask(self, *words: str) -> None:
        """Have a program that takes commands perform one. Returns when it has.

        A line of a number and the words goes to its standard input; it answers with a line of
        ``done`` or ``failed`` and the number.
        """
        process = self._running()
        assert process.stdin is not None
        self._asked += 1
        process.stdin.write(" ".join([str(self._asked), *words]).encode() + b"\n")
        process.stdin.flush()
        done, failed = f"done {self._asked}\n", f"failed {self._asked}\n"
        what = " ".join(words)
        await_said(process, self._log, [done, failed], f"{self._name} did not {what}", _START_S)
        if failed.encode() in self._log.read_bytes():
            raise trouble(self._log, f"{self._name} could not {what}")

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        reap(process, _STOP_S)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise StoreUnavailable(f"{self._name} is not running", remedy="Call start() first")
        return self._process

    @property
    def _log(self) -> Path:
        return self.directory / f"{self._main.stem.lower()}.log"
