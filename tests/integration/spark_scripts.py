"""Unedited PySpark scripts in one JVM, set up by ``spark-defaults.conf`` alone."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

UNEDITED = Path(__file__).parent / "unedited"
STOP_S = 60
# Standard output of the process is for answers; scripts and the JVM write to the log.
RUN = """
import contextlib, io, os, runpy, shlex, sys, traceback
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
for line in sys.stdin:
    sys.argv = shlex.split(line)
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            runpy.run_path(sys.argv[0], run_name="__main__")
        answers.write("ok " + said.getvalue().replace(chr(10), " ") + chr(10))
    except BaseException as e:
        traceback.print_exc()
        answers.write(f"failed {e!r}".replace(chr(10), " ")[:4000] + chr(10))
    answers.flush()
"""


class ScriptError(Exception):
    """A script ended with an exception."""


class SparkScripts:
    """One Python process with one Spark session. A context manager that ends it."""

    def __init__(self, folder: Path, properties: str, environment: Mapping[str, str]) -> None:
        self.properties = properties
        folder.mkdir()
        (folder / "spark-defaults.conf").write_text(properties)
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", RUN],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder,
                env={**os.environ, **environment, "SPARK_CONF_DIR": str(folder)},
            )  # fmt: skip

    def run(self, script: str, *arguments: object) -> Any:
        """What the script printed, as JSON; None where it printed nothing."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        words = [str(UNEDITED / script), *map(str, arguments)]
        self._process.stdin.write(shlex.join(words) + "\n")
        self._process.stdin.flush()
        outcome, _, said = self._process.stdout.readline().partition(" ")
        if outcome != "ok":
            causes = [x for x in self.log.read_text().splitlines() if "Caused by" in x]
            raise ScriptError("\n".join([said.strip(), *causes[-5:]]))
        return json.loads(said) if said.strip() else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
