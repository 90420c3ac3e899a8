"""The measuring JVM: compiled from ``java/``, driven line by line."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import millpond_jars
from millpond_spark import s3a as s3a_connector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "bench"
SOURCES = Path(__file__).parent / "java"
POM = SOURCES / "pom.xml"
COMPILE_HADOOP = "3.4.1"  # as the client jar: classes for Java 11, run on any later Hadoop
BESIDE_S3A = (
    "httpclient",
    "httpcore",
    "commons-codec",
    "commons-collections4",
    "commons-logging",
    "commons-lang3",
    "netty",
)
_CLASSPATH_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath"


@dataclass(frozen=True, slots=True)
class Java:
    """A Java runtime and the Hadoop that runs on it."""

    path: str
    version: str
    hadoop: str


def find_java(path: str | None = None) -> Java:
    """``path``, else the PATH's ``java``. Hadoop 3.5 needs Java 17; below it is 3.4.1."""
    found = path or shutil.which("java")
    if found is None:
        raise FileNotFoundError("no java on the PATH; run make java, or name one with --java")
    told = subprocess.run([found, "-version"], capture_output=True, text=True, check=True).stderr
    match = re.search(r'version "([^"]+)"', told)
    if match is None:
        raise ValueError(f"{found} -version says no version: {told!r}")
    major = int(match[1].split(".")[0])
    return Java(found, match[1], "3.5.0" if major >= 17 else COMPILE_HADOOP)


def classpath(hadoop: str, *, s3a: bool) -> list[Path]:
    """Jars and classes of the agent on one Hadoop version; compiled and resolved where needed."""
    return [_classes(), *resolve(POM, hadoop), *(_s3a() if s3a else [])]


def _s3a() -> list[Path]:
    """The connector that Spark users get, and the jars of Spark's own that it stands on."""
    home = s3a_connector.spark_home()
    if home is None:
        raise FileNotFoundError("S3A needs jars of PySpark; install pyspark, or set SPARK_HOME")
    beside = [jar for name in BESIDE_S3A for jar in (home / "jars").glob(f"{name}-*.jar")]
    return [*s3a_connector.fetch(), *sorted(beside)]


def client_jar() -> Path:
    """The jar of ``cache://``; raises, naming the build command, where it was not built."""
    return millpond_jars.client()


def resolve(pom: Path, hadoop: str) -> list[Path]:
    """The jars that a pom names, by Maven once and from a note in ``build`` afterwards."""
    digest = hashlib.sha256(pom.read_bytes()).hexdigest()[:12]
    note = BUILD / f"classpath-{hadoop}-{digest}.txt"
    if note.exists():
        jars = [Path(p) for p in note.read_text().split(":")]
        if all(jar.exists() for jar in jars):
            return jars
    note.parent.mkdir(parents=True, exist_ok=True)
    _run(["mvn", "-B", "-ntp", "-q", "-f", str(pom), _CLASSPATH_GOAL,
          f"-Dhadoop.version={hadoop}", f"-Dmdep.outputFile={note}"])  # fmt: skip
    return [Path(p) for p in note.read_text().strip().split(":")]


def _classes() -> Path:
    return compiled("classes", sorted(SOURCES.glob("io/**/*.java")), resolve(POM, COMPILE_HADOOP))


def compiled(name: str, sources: Sequence[Path], path: Sequence[Path]) -> Path:
    """The folder of the classes, compiled where the sources or our own jars have changed."""
    own = [jar for jar in path if jar.is_relative_to(ROOT) and jar.is_file()]
    digest = hashlib.sha256(b"".join(p.read_bytes() for p in [*sources, *own])).hexdigest()[:12]
    out = BUILD / f"{name}-{digest}"
    if not out.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=BUILD))
        _run(["javac", "--release", "11", "-Xlint:all", "-Werror", "-proc:none",
              "-cp", ":".join(map(str, path)), "-d", str(made), *map(str, sources)])  # fmt: skip
        try:
            made.rename(out)
        except OSError:  # another process was faster, with the same classes
            shutil.rmtree(made)
    return out


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")


class AgentError(Exception):
    """The agent answered a command with an error; its log has the stack."""


# S3A's analytics stream keeps what it read in memory: in 1 GiB of heap it dies of a 1 GiB file.
_HEAP = ("-Xms3g", "-Xmx3g", "-XX:+AlwaysPreTouch", "-XX:+ExitOnOutOfMemoryError")


class Agent:
    """One JVM that runs measures; see ``java/io/millpond/bench/Agent.java`` for its verbs."""

    def __init__(
        self, java: Java, jars: Sequence[Path], log: Path, *, options: Sequence[str] = ()
    ) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [java.path, *_HEAP, *options, "-cp", ":".join(map(str, jars)),
                 "io.millpond.bench.Agent"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip
        self.pid = self._process.pid

    def ask(self, verb: str, fields: Mapping[str, object]) -> dict[str, Any]:
        """One command and its answer. Raises AgentError, or RuntimeError when the JVM has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = "\t".join([verb, *(f"{key}={value}" for key, value in fields.items())])
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise RuntimeError(f"the measuring JVM ended; see {self.log}")
        told: dict[str, Any] = json.loads(answer)
        if "error" in told:
            what = " ".join(str(fields[k]) for k in ("fs", "name", "measure") if k in fields)
            raise AgentError(f"{verb} {what}: {told['error']} (stack in {self.log})")
        return told

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if self._process.poll() is None:
            self._process.stdin.close()
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
