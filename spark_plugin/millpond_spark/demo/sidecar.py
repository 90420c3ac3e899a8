"""A sidecar in a process of its own, which ends with the process that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.request import urlopen

from millpond.errors import SidecarUnavailable
from millpond.testing.service import reap
from millpond.wire.local_client import LocalClient

if TYPE_CHECKING:
    from collections.abc import Mapping

START_S = 30.0
STOP_S = 10.0
_POLL_S = 0.02


class SidecarProcess:
    """``millpond serve`` on one cache directory. Use it in a ``with``."""

    def __init__(self, cache_dir: Path, log: Path, settings: Mapping[str, str]) -> None:
        self.cache_dir = cache_dir
        self.log = log
        # Exactly these settings: whatever the caller's shell says of a sidecar is not for this one.
        mine = {k: v for k, v in os.environ.items() if not k.startswith("MILLPOND_")}
        config = log.with_suffix(".toml")
        config.touch()
        mine |= {"MILLPOND_DIR": str(cache_dir), "MILLPOND_CONFIG": str(config)}
        self._environment = mine | dict(settings)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Of the running process."""
        return self._running().pid

    def start(self) -> None:
        """Returns when it answers. Raises SidecarUnavailable with what it said last."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [_command(), "serve", "--with-parent"],
                env=self._environment,
                stdin=subprocess.PIPE,  # held by this process alone, and gone when it is
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise self._did_not_start()
            time.sleep(_POLL_S)

    def run(self, *arguments: str) -> str:
        """Runs ``millpond <arguments>`` against this sidecar; what it printed."""
        done = subprocess.run(
            [_command(), *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            raise SidecarUnavailable(
                f"millpond {arguments[0]} ended with {done.returncode}",
                cause=done.stderr.strip()[-500:],
            )
        return done.stdout

    def calls(self) -> dict[str, int]:
        """Requests that it was sent since it started, by verb."""
        text = (self.cache_dir / "node.properties").read_text()
        port = dict(line.split("=", 1) for line in text.splitlines())["http.port"]
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            metrics: str = answer.read().decode()
        return {
            line.partition('verb="')[2].partition('"')[0]: int(float(line.rpartition(" ")[2]))
            for line in metrics.splitlines()
            if line.startswith("millpond_requests_total{")
        }

    def kill(self) -> None:
        """``kill -9``: no farewell, nothing flushed."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for one that does not end."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        reap(process, STOP_S)
        if process.stdin is not None:
            process.stdin.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise SidecarUnavailable("the sidecar is not running", remedy="Call start() first")
        return self._process

    def _answers(self) -> bool:
        """Whether it serves."""
        try:
            LocalClient.connect(self.cache_dir).close()
        except SidecarUnavailable:
            return False
        return True

    def _did_not_start(self) -> SidecarUnavailable:
        text = self.log.read_text(errors="replace").strip().splitlines()
        return SidecarUnavailable(
            "the sidecar did not start",
            cause=" / ".join(text[-3:]) or "it said nothing",
            remedy=f"Its log is {self.log}",
        )


def _command() -> str:
    """The ``millpond`` of this Python environment."""
    return str(Path(sys.executable).with_name("millpond"))
