"""Hadoop's S3A connector for a Spark that ships without one, such as PySpark from PyPI.

Direct reads (``fallback``) and every baseline need it. Hadoop's own choice is a 686 MB bundle; the
parts of it that S3A uses are 16 MB, pinned in ``s3a_pom.xml`` and fetched once by Maven.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from millpond.errors import NotSupported, StoreUnavailable

HADOOP_VERSION = "3.5.0"
_POM = Path(__file__).with_name("s3a_pom.xml")
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_FETCH_TIMEOUT_S = 1800


def downloads_dir() -> Path:
    """Where downloads are kept: MILLPOND_TEST_CACHE, else ``millpond-test`` in the user's cache."""
    if named := os.environ.get("MILLPOND_TEST_CACHE"):
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "millpond-test"


def folder() -> Path:
    """Where the jars are once fetched; the name changes with the pinned versions."""
    pinned = hashlib.sha256(_POM.read_bytes()).hexdigest()[:12]
    return downloads_dir() / f"s3a-{HADOOP_VERSION}-{pinned}"


def spark_home() -> Path | None:
    """SPARK_HOME, else the folder of the ``pyspark`` package, else None."""
    if named := os.environ.get("SPARK_HOME"):
        return Path(named)
    from importlib.util import find_spec

    spec = find_spec("pyspark")
    return Path(spec.origin).parent if spec and spec.origin else None


def hadoop_version(home: Path) -> str | None:
    """The Hadoop version a Spark was built with, read from its jars; None where there is none."""
    prefix = "hadoop-client-api-"
    names = sorted(p.name for p in (home / "jars").glob(f"{prefix}*.jar"))
    return names[-1].removeprefix(prefix).removesuffix(".jar") if names else None


def ships_with(home: Path) -> bool:
    """Whether a Spark has the connector among its own jars."""
    return any((home / "jars").glob("hadoop-aws-*.jar"))


def found() -> list[Path]:
    """The jars, where they were fetched before; else nothing."""
    return sorted(folder().glob("*.jar"))


def fetch() -> list[Path]:
    """The jars, fetched by Maven when they are not there yet.

    The folder appears complete, by one rename. Raises NotSupported without Maven or with another
    Hadoop, StoreUnavailable when Maven can't fetch them.
    """
    if jars := found():
        return jars
    home = spark_home()
    hadoop = hadoop_version(home) if home else None
    if hadoop not in (None, HADOOP_VERSION):
        raise NotSupported(
            f"no pinned S3A connector for Hadoop {hadoop}",
            cause=f"this release pins the one of Hadoop {HADOOP_VERSION}",
            remedy=f"Add org.apache.hadoop:hadoop-aws:{hadoop} to spark.jars.packages.",
        )
    target = folder()
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=target.parent))
    try:
        _run_maven(staging)
        try:
            staging.rename(target)
        except OSError:
            if not found():  # else another process was faster, with the same jars
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return found()


def _run_maven(target: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise NotSupported(
            "the S3A connector can't be fetched",
            cause="Maven (mvn) is not on the PATH",
            remedy="Install it (Debian: apt-get install maven).",
        )
    command = [maven, "-B", "-ntp", "-q", "-f", str(_POM), _COPY]
    command += ["-DincludeScope=runtime", f"-DoutputDirectory={target}"]
    # Maven looks for a project's .mvn from its working directory: none where the jars go.
    done = subprocess.run(
        command,
        cwd=target,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_FETCH_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        lines = [line for line in done.stdout.splitlines() if "ERROR" in line]
        raise StoreUnavailable(
            "the S3A connector could not be fetched",
            cause=lines[0] if lines else f"mvn ended with {done.returncode}: {done.stderr[-300:]}",
            remedy="Check that Maven can reach its repository, then run this again.",
        )
