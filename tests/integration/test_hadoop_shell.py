"""``hadoop fs`` and ``distcp`` on ``cache://``: Hadoop's own classes on a real sidecar."""

from __future__ import annotations

import base64
import random
import subprocess
from typing import TYPE_CHECKING, Self
from xml.sax.saxutils import escape

import pytest

import millpond_jars
from millpond.settings import Settings
from tests.bench.jvm import COMPILE_HADOOP, ROOT, compiled, find_java, resolve
from tests.fixtures.sidecar import LoopSidecar
from tests.fixtures.write_site import WriteSite, stored

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from millpond.testing.hdfs_cluster import HdfsCluster
    from millpond.testing.s3_gateway import S3Gateway

SOURCES = ROOT / "tests/integration/jvm/io/millpond/shell"
POM = ROOT / "tests/contract/hadoop/pom.xml"
BIG = random.Random(9).randbytes(3_000_000)
FULL = pytest.mark.full
MOUNTS = pytest.mark.parametrize("mount", [pytest.param("/s3", marks=FULL), "/async"])
pytestmark = pytest.mark.timeout(600)


class Shell:
    """One JVM that runs the commands; a call returns what was printed, or raises AssertionError."""

    def __init__(self, directory: Path, conf: Mapping[str, str]) -> None:
        jars = [millpond_jars.client(), *resolve(POM, COMPILE_HADOOP)]
        classes = compiled("shell", sorted(SOURCES.glob("*.java")), jars)
        rows = (
            f"<property><name>{escape(k)}</name><value>{escape(v)}</value></property>"
            for k, v in conf.items()
        )
        (directory / "core-site.xml").write_text(f"<configuration>{''.join(rows)}</configuration>")
        self._log = (directory / "shell.log").open("wb")
        self._process = subprocess.Popen(
            [find_java().path, "-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
             "-cp", ":".join(map(str, [directory, classes, *jars])), "io.millpond.shell.Shell"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True,
            cwd=directory,
        )  # fmt: skip

    def run(self, *words: object) -> tuple[int, str, str]:
        """How it ended, what it printed, and its errors."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = "\t".join(base64.b64encode(str(w).encode()).decode() for w in words)
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        code, out, errors = self._process.stdout.readline().rstrip("\n").split("\t")
        return int(code), base64.b64decode(out).decode(), base64.b64decode(errors).decode()

    def fs(self, *words: object) -> str:
        code, out, errors = self.run("fs", *words)
        assert code == 0, errors
        return out

    def refused(self, *words: object) -> str:
        """The errors of a command that must fail."""
        code, _, errors = self.run("fs", *words)
        assert code != 0
        return errors

    def distcp(self, *words: object) -> None:
        code, out, errors = self.run("distcp", *words)
        assert code == 0, out + errors

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(30)
        self._log.close()


class ShellSite(WriteSite):
    """``hadoop`` is its JVM; /async is another prefix of the bucket, with pending data."""

    hadoop: Shell


@pytest.fixture(scope="module")
def site(
    s3_gateway: S3Gateway, hdfs_cluster: HdfsCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ShellSite]:
    base = tmp_path_factory.mktemp("hadoop-shell")
    settings = Settings(cache_dir=base / "cache", http_port=0, cache_capacity_bytes=512 << 20)
    with LoopSidecar(settings) as sidecar:
        site = ShellSite(sidecar, s3_gateway, base, hdfs=hdfs_cluster)
        options = s3_gateway.mount_options() | {"write": "async"}
        sidecar.control.mount_add("/async", f"s3://{site.bucket}/async", options, check=False)
        conf = {
            "fs.cache.impl": "io.millpond.fs.CacheFileSystem",
            "fs.AbstractFileSystem.cache.impl": "io.millpond.fs.CacheAbstractFileSystem",
            "fs.cache.dir": str(site.directory),
            "fs.cache.silence.ms": "10000",
            "hadoop.tmp.dir": str(base / "tmp"),
        }
        (base / "hadoop").mkdir()
        with Shell(base / "hadoop", conf) as site.hadoop:
            yield site
        site.close()


def names(listing: str) -> list[str]:
    """The last column of ``-ls``."""
    return [line.split()[-1] for line in listing.splitlines() if not line.startswith("Found")]


@MOUNTS
def test_hadoop_fs(site: ShellSite, mount: str, tmp_path: Path) -> None:
    fs, at = site.hadoop.fs, f"cache://{mount}/shell"
    (tmp_path / "small").write_text("one\ntwo\n")
    (tmp_path / "big").write_bytes(BIG)
    fs("-mkdir", "-p", f"{at}/a/b")
    fs("-put", tmp_path / "small", tmp_path / "big", f"{at}/a")
    assert fs("-cat", f"{at}/a/small") == fs("-text", f"{at}/a/small") == "one\ntwo\n"
    assert site.read(f"{mount}/shell/a/big") == BIG
    assert "exists" in site.hadoop.refused("-put", tmp_path / "small", f"{at}/a")
    fs("-put", "-f", tmp_path / "small", f"{at}/a")
    fs("-mv", f"{at}/a/small", f"{at}/a/b/moved")
    fs("-cp", f"{at}/a/b/moved", f"{at}/copy")
    fs("-touchz", f"{at}/empty")
    every = [f"{at}/{name}" for name in ("a", "a/b", "a/b/moved", "a/big", "copy", "empty")]
    assert sorted(names(fs("-ls", "-R", at))) == every
    assert names(fs("-ls", f"{at}/a/b*")) == [f"{at}/a/b/moved", f"{at}/a/big"]
    assert names(fs("-find", at, "-name", "moved")) == [f"{at}/a/b/moved"]
    total = len(BIG) + 16
    assert fs("-count", at).split()[:3] == ["3", "4", str(total)]
    assert fs("-du", "-s", at).split()[0] == str(total)
    assert fs("-stat", "%b %F %n", f"{at}/copy") == "8 regular file copy\n"
    assert fs("-tail", f"{at}/copy") == fs("-head", f"{at}/copy") == "one\ntwo\n"
    assert fs("-checksum", f"{at}/copy").split() == [f"{at}/copy", "NONE"]
    for flag, path, code in (
        ("-e", "a", 0), ("-e", "absent", 1), ("-d", "a", 0), ("-d", "copy", 1), ("-f", "copy", 0),
        ("-z", "empty", 0), ("-z", "copy", 1), ("-s", "copy", 0), ("-r", "copy", 0),
        ("-w", "copy", 0),
    ):  # fmt: skip
        assert site.hadoop.run("fs", "-test", flag, f"{at}/{path}")[0] == code, (flag, path)
    fs("-get", f"{at}/a/big", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == BIG
    fs("-get", at, tmp_path / "tree")
    assert (tmp_path / "tree/a/b/moved").read_text() == "one\ntwo\n"
    fs("-getmerge", f"{at}/a/b/moved", f"{at}/copy", tmp_path / "merged")
    assert (tmp_path / "merged").read_text() == "one\ntwo\n" * 2
    for nothing in (
        ("-setrep", "2"), ("-chmod", "600"), ("-chown", "nobody"), ("-chgrp", "nogroup"),
    ):  # fmt: skip
        fs(*nothing, f"{at}/copy")
    fs("-rm", f"{at}/copy")
    assert "is not empty" in site.hadoop.refused("-rmdir", f"{at}/a")
    fs("-rm", "-r", "-skipTrash", at)
    assert "No such file" in site.hadoop.refused("-ls", at)
    assert "No such file" in site.hadoop.refused("-cat", f"{at}/a/big")


def test_what_hadoop_fs_can_not_do_is_said(site: ShellSite, tmp_path: Path) -> None:
    at = "cache:///s3/refused"
    (tmp_path / "more").write_text("more")
    site.hadoop.fs("-put", tmp_path / "more", at)
    for command in (("-appendToFile", tmp_path / "more", at), ("-truncate", 1, at)):
        said = site.hadoop.refused(*command)
        assert "files of cache:// are written whole" in said
        assert f"s3a://{site.bucket}/data/refused" in said
    assert "Copy it, then delete the source" in site.hadoop.refused(
        "-mv", at, "cache:///local/refused"
    )
    assert site.read("/s3/refused") == b"more"
    assert "no mount covers /nowhere" in site.hadoop.refused("-touchz", "cache:///nowhere/f")


def tree(site: ShellSite, path: str) -> dict[str, bytes]:
    """Names below a directory, and what is in them."""
    fs = site.fs(path)
    found = fs.find(path)
    return {name[len(path) + 1 :]: site.read(name) for name in found}


@pytest.mark.parametrize(
    "mount", [pytest.param("/s3", marks=FULL), "/async", pytest.param("/hdfs", marks=FULL)]
)
def test_distcp_copies_trees_here_and_back(
    site: ShellSite, hdfs_cluster: HdfsCluster, tmp_path: Path, mount: str
) -> None:
    source = tmp_path / "source"
    (source / "d/e").mkdir(parents=True)
    files = {"big": BIG, "d/small": b"small", "d/e/empty": b""}
    for name, data in files.items():
        (source / name).write_bytes(data)
    at, distcp = f"{mount}/distcp", site.hadoop.distcp
    distcp(f"file://{source}", f"cache://{at}/plain")
    assert tree(site, f"{at}/plain") == files

    (source / "d/small").write_bytes(b"changed")
    (source / "new").write_bytes(b"new")
    (source / "big").unlink()
    before = site.client.stat(f"{at}/plain/d/e/empty", force=True).version
    distcp("-update", "-delete", f"file://{source}", f"cache://{at}/plain")
    files = {"d/small": b"changed", "d/e/empty": b"", "new": b"new"}
    assert tree(site, f"{at}/plain") == files
    assert site.client.stat(f"{at}/plain/d/e/empty", force=True).version == before, "not copied"

    distcp("-atomic", f"file://{source}", f"cache://{at}/atomic")
    distcp("-direct", f"cache://{at}/atomic", f"cache://{at}/direct")
    assert tree(site, f"{at}/atomic") == tree(site, f"{at}/direct") == files
    back = f"{hdfs_cluster.uri}/{site.bucket}-{mount[1:]}"
    distcp(f"cache://{at}/atomic", back)
    distcp(back, f"cache://{at}/from-hdfs")
    assert tree(site, f"{at}/from-hdfs") == files
    left = {name.rsplit("/", 1)[-1] for name in site.fs(at).find(at)}
    assert left == {"small", "empty", "new"}, "no temporary file stays"
    if mount == "/s3":
        assert stored(site, "distcp/direct/new") == b"new"
