"""An engine's process: started in a group of its own, asked line by line, ended with the group."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from millpond.errors import Internal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_QUIT_S = 30


class EngineEnded(Internal):
    """The engine's process ended while it was asked; its log says why."""


class Engine:
    """One Spark session in a process. ``environment`` holds the store's keys."""

    def __init__(
        self, name: str, settings: Mapping[str, str], folder: Path, environment: Mapping[str, str],
    ) -> None:  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{name}.json"
        file.write_text(json.dumps(dict(settings), indent=1))
        self._log = folder / f"{name}.log"
        with self._log.open("ab") as log:
            # A group of its own: Ctrl-C is for the parent, who ends it in order.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "millpond_tpcds.spark_job", str(file)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                start_new_session=True, cwd=folder, env={**os.environ, **environment},
            )  # fmt: skip
        self.pid = self._process.pid
        self._gone = False
        try:
            self.version: str = self._answer()["version"]
        except BaseException:
            self.kill()
            raise

    def ask(self, verb: str, **request: Any) -> dict[str, Any]:
        """One request and its answer. Raises EngineEnded."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"verb": verb, **request}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None
        return self._answer()

    def close(self) -> None:
        """Ends the session in order."""
        if self._process.poll() is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_QUIT_S)
        self.kill()

    def kill(self) -> None:
        """Ends the process and its JVM at once. Idempotent."""
        if self._gone:
            return
        self._gone = True
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        told: dict[str, Any] = json.loads(line)
        return told

    def _ended(self) -> EngineEnded:
        return EngineEnded("the engine's process ended", cause=f"its log is {self._log}")
