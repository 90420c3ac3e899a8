"""A JVM that reads through Hadoop's FileSystem interface as a test tells it."""

from __future__ import annotations

import base64
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

import millpond_jars
from millpond_spark import s3a as s3a_connector
from tests.bench.jvm import classpath, compiled, find_java, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SOURCES = sorted((Path(__file__).parent / "jvm/io/millpond/probe").glob("*.java"))
HADOOP_AWS = Path(__file__).parent / "jvm/hadoop_aws_pom.xml"


class ProbeError(Exception):
    """The JVM answered with an exception: ``kind`` is its class."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind.removeprefix("io.millpond.fs.")


@dataclass(frozen=True, slots=True)
class Row:
    """A file status."""

    directory: bool
    length: int
    mtime_ms: int
    path: str

    @classmethod
    def parse(cls, text: str) -> Row:
        kind, length, mtime, path = text.split(",")
        return cls(kind == "d", int(length), int(mtime), base64.b64decode(path).decode())


def hadoop_jars(hadoop: str, *, s3a: bool) -> list[Path]:
    """What a JVM of one Hadoop version needs beside our jars; S3A is of that version too."""
    jars = classpath(hadoop, s3a=s3a)
    if not s3a or hadoop == s3a_connector.HADOOP_VERSION:
        return jars
    others = [jar for jar in jars if not jar.name.startswith("hadoop-aws-")]
    return [*resolve(HADOOP_AWS, hadoop), *others]


@cache
def _classes() -> Path:
    return compiled("probe", SOURCES, classpath("3.4.1", s3a=False))


class Probe:
    """One JVM with one file system; every call blocks until it is answered."""

    def __init__(
        self, log: Path, conf: Mapping[str, str], uri: str = "cache:///", *, s3a: bool = False,
        java: str | None = None, hadoop: str | None = None, jars: Sequence[Path] = (),
    ) -> None:  # fmt: skip
        found = find_java(java)
        client = millpond_jars.client()
        others = hadoop_jars(hadoop or found.hadoop, s3a=s3a)
        path = [_classes(), *(jars or [client]), *others]
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [found.path, "-Xmx512m", "-cp", ":".join(map(str, path)),
                 "io.millpond.probe.Probe"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip
        self.seconds = 0.0
        try:
            for key, value in {"fs.cache.impl": "io.millpond.fs.CacheFileSystem", **conf}.items():
                self.ask("conf", key, value)
            self.ask("fs", uri)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, *words: object) -> list[str]:
        """The words of the answer; ``seconds`` is then what the JVM took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\t".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().rstrip("\n").split("\t")
        if answer[0] == "ok":
            self.seconds = int(answer[1]) / 1e9
            return answer[2:]
        if answer[0] == "error":
            raise ProbeError(answer[1], base64.b64decode(answer[2]).decode())
        raise RuntimeError(f"the JVM ended with {self._process.wait()}")

    def status(self, path: str) -> Row:
        return Row.parse(self.ask("status", path)[0])

    def list(self, path: str, *, verb: str = "list") -> list[Row]:
        return [Row.parse(word) for word in self.ask(verb, path) if word]

    def open(self, path: str, *options: object, name: str = "s") -> str:
        self.ask("open", name, path, *options)
        return name

    def write(self, path: str, data: bytes, *, builder: bool = False, write_type: str = "") -> None:
        """``write_type`` is an option of the builder."""
        how = "builder" if builder or write_type else "create"
        self.ask("write", path, base64.b64encode(data).decode(), how, write_type, "")

    def change(self, how: str, path: str, data: bytes, *, other: str = "/none") -> None:
        """Changes a file by the call that ``Writes.java`` knows as ``how``."""
        self.ask("change", how, path, other, base64.b64encode(data).decode())

    def read(self, count: int, *, step: int = 1 << 20, name: str = "s") -> bytes:
        return base64.b64decode(self.ask("read", name, count, step)[0])

    def skim(self, *, step: int = 1 << 20, name: str = "s") -> tuple[int, int]:
        """Length and CRC32C of the rest of the stream."""
        length, crc = self.ask("skim", name, step)
        return int(length), int(crc)

    def pread(self, at: int, count: int, *, name: str = "s") -> bytes:
        return base64.b64decode(self.ask("pread", name, at, count)[0])

    def buffer(self, at: int, count: int, *, name: str = "s") -> bytes:
        return base64.b64decode(self.ask("buffer", name, at, count)[0])

    def vectored(self, ranges: Sequence[tuple[int, int]], *, name: str = "s") -> list[bytes]:
        words = self.ask("vectored", name, *(f"{at}+{count}" for at, count in ranges))
        return [base64.b64decode(word) for word in words]

    def counters(self) -> dict[str, int]:
        pairs = (word.split("=") for word in self.ask("counters"))
        return {name: int(value) for name, value in pairs}

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
