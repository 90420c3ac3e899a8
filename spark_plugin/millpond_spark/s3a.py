"""Hadoop's S3A connector for a Spark that ships without one, such as PySpark from PyPI.

Direct reads (``fallback``) and every baseline need it. Hadoop's own choice is a 686 MB bundle; the
parts of it that S3A uses are 16 MB, pinned in ``s3a_pom.xml`` and fetched once by Maven.
"""

from __future__ import annotations

import os
from pathlib import Path

from millpond.errors import NotSupported
from millpond.maven import folder_of, jars_folder

HADOOP_VERSION = "3.5.0"
_POM = Path(__file__).with_name("s3a_pom.xml")
_NAME = f"s3a-{HADOOP_VERSION}"


def folder() -> Path:
    """Where the jars are once fetched; the name changes with the pinned versions."""
    return folder_of(_POM, _NAME)


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

    Raises NotSupported without Maven or with another
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
    return sorted(jars_folder(_POM, _NAME).glob("*.jar"))
