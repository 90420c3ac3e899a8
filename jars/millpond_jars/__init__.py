"""The jars that engines load, built by Maven into this package."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

CLIENT = "millpond-client"
SPARK = "millpond-spark"
S3A = "millpond-s3a"
HDFS = "millpond-hdfs"
BUILD = "mvn -q -B -f jars/pom.xml package"


def client() -> Path:
    """The one jar every engine needs: ``cache://`` on Hadoop 2.7 to 3.5.

    Raises FileNotFoundError, naming the build command, where it was not built for this release.
    """
    return _jar(CLIENT)


def spark() -> Path:
    """The plugin for Spark 3.5 and 4, beside the client; raises as ``client``."""
    return _jar(SPARK)


def s3a() -> Path:
    """The S3A connector with the cache behind it (Hadoop 3.4, 3.5); raises as ``client``."""
    return _jar(S3A)


def hdfs() -> Path:
    """The HDFS client with the cache behind it (Hadoop 3.4, 3.5); raises as ``client``."""
    return _jar(HDFS)


def paths() -> list[Path]:
    """All jars of this release, for ``spark.jars`` or a plugin folder; raises as ``client``."""
    return [client(), spark(), s3a(), hdfs()]


def _jar(name: str) -> Path:
    release = version("millpond")
    here = Path(__file__).parent
    jar = here / f"{name}-{release}.jar"
    if not jar.is_file():
        found = ", ".join(sorted(p.name for p in here.glob("*.jar"))) or "no jar"
        raise FileNotFoundError(
            f"{jar.name} is not in {here}: it holds {found}. "
            f"Build it in the repository's root with: {BUILD}"
        )
    return jar
