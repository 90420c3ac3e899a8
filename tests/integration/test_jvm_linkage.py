"""The jars behind ``s3a://`` and ``hdfs://`` on each Hadoop that they are for, and on none."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest

import millpond_jars
from tests.bench.jvm import ROOT, compiled, find_java
from tests.integration.jvm_probe import Probe, ProbeError, hadoop_jars

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)  # the first run on a machine fetches S3A by Maven

LOAD_ALL = ROOT / "jars/linkage/src/main/java/io/millpond/linkage/LoadAll.java"
S3A = {"fs.s3a.impl": "io.millpond.fs.s3a.TransparentS3AFileSystem"}


def load_all(jar: Path, path: list[Path]) -> list[str]:
    classes = compiled("load-all", [LOAD_ALL], [])
    where = ":".join(map(str, [classes, millpond_jars.client(), jar, *path]))
    done = subprocess.run(
        [find_java().path, "-Xmx256m", "-cp", where, "io.millpond.linkage.LoadAll", str(jar)],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    return done.stdout.splitlines()


@pytest.mark.parametrize("hadoop", ["3.4.1", "3.5.0"])
@pytest.mark.parametrize("store", ["s3a", "hdfs"])
def test_every_class_loads(hadoop: str, store: str) -> None:
    jar = millpond_jars.s3a() if store == "s3a" else millpond_jars.hdfs()
    with ZipFile(jar) as content:
        classes = sum(name.endswith(".class") for name in content.namelist())
    assert classes > 1
    assert load_all(jar, hadoop_jars(hadoop, s3a=store == "s3a")) == [f"classes {classes}"]


def test_a_missing_part_of_s3a_is_named(tmp_path: Path) -> None:
    """Where S3A itself is missing, its subclass can't be loaded: no code of ours is asked."""
    jars = [millpond_jars.client(), millpond_jars.s3a()]
    with pytest.raises(ProbeError, match=r"NoClassDefFoundError.*hadoop/fs/s3a/S3AFileSystem"):
        Probe(tmp_path / "log", S3A, "s3a://bucket/", jars=jars)
    others = hadoop_jars("3.5.0", s3a=True)
    jars += [jar for jar in others if not jar.name.startswith("analyticsaccelerator")]
    with pytest.raises(ProbeError, match=r"Put hadoop-aws 3\.5\.0.*on the class path") as met:
        Probe(tmp_path / "log", S3A, "s3a://bucket/", jars=jars)
    assert met.value.kind == "StoreNotSupportedException"
    assert "analyticsaccelerator/" in str(met.value)
