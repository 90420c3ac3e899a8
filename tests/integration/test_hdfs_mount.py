"""A mount of HDFS, end to end: a real sidecar before a real NameNode and DataNode."""

from __future__ import annotations

import secrets
import signal
from typing import TYPE_CHECKING

import crc32c
import pytest
from hdfs_native import Client, WriteOptions

import millpond_spark
from tests.integration.jvm_probe import Probe
from tests.integration.test_cli_sidecar import Shell

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from millpond.testing.hdfs_cluster import HdfsCluster

MIB = 1 << 20
FILES = {
    "p=1/big": secrets.token_bytes(18 * MIB + 12_345),
    "p=1/small": b"small",
    "p=2/empty": b"",
    "p=2/odd name %41+ü": secrets.token_bytes(70_000),
}
LONG_AGO_MS = 1_700_000_000_000


def put(client: Client, path: str, data: bytes, mtime_ms: int = LONG_AGO_MS) -> None:
    with client.create(path, WriteOptions(overwrite=True)) as writer:
        writer.write(data)
    client.set_times(path, mtime_ms, mtime_ms - 1)


@pytest.fixture
def sidecar(
    hdfs_cluster: HdfsCluster, tmp_path: Path
) -> Iterator[tuple[Shell, subprocess.Popen[bytes]]]:
    client = Client(hdfs_cluster.uri)
    for name, data in FILES.items():
        put(client, f"/warehouse/t/{name}", data)
    shell = Shell(tmp_path / "cache")
    with (tmp_path / "log").open("wb") as log:
        sidecar = shell.serve("--cache-capacity", "1GiB", stderr=log)
        try:
            shell.run(
                "mount", "add", "/warehouse", f"{hdfs_cluster.uri}/warehouse/",
                "-o", "freshness=0s",
            )  # fmt: skip
            yield shell, sidecar
        finally:
            if sidecar.poll() is None:
                sidecar.send_signal(signal.SIGTERM)
                assert sidecar.wait(30) == 0
    client.delete("/warehouse", recursive=True)


@pytest.fixture
def shell(sidecar: tuple[Shell, subprocess.Popen[bytes]]) -> Shell:
    return sidecar[0]


def test_mount_list_load_cat_and_change(shell: Shell, hdfs_cluster: HdfsCluster) -> None:
    [mount] = shell.json("mount", "ls")
    assert mount["store_uri"] == f"{hdfs_cluster.uri}/warehouse"
    found = {e["path"]: e["length"] for e in shell.json("ls", "-r", "/warehouse/t")}
    assert found == {name: len(data) for name, data in FILES.items()}

    total = sum(map(len, FILES.values()))
    assert shell.json("load", "/warehouse/t")["loaded_bytes"] == total
    read_bytes = shell.json("stats")["store_bytes_read"]
    assert read_bytes >= total
    for name, data in FILES.items():
        assert shell.run("cat", f"/warehouse/t/{name}") == data
    assert shell.json("stats")["store_bytes_read"] == read_bytes, "a warm cat asks for no data"

    changed = secrets.token_bytes(len(FILES["p=1/big"]))
    put(Client(hdfs_cluster.uri), "/warehouse/t/p=1/big", changed, LONG_AGO_MS + 1)
    assert shell.run("cat", "/warehouse/t/p=1/big") == changed


def test_what_was_just_written_is_read_and_not_cached(
    shell: Shell, hdfs_cluster: HdfsCluster
) -> None:
    client = Client(hdfs_cluster.uri)
    # A time ahead of ours stays "just now" for as long as the test runs.
    put(client, "/warehouse/new", b"new", 4_000_000_000_000)
    assert shell.run("cat", "/warehouse/new") == b"new"
    assert shell.json("stat", "/warehouse/new")["cached_bytes"] == 0


@pytest.mark.timeout(600)  # the first run on a machine fetches Hadoop's client by Maven
def test_a_jvm_reads_cold_warm_and_without_the_sidecar(
    sidecar: tuple[Shell, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    shell, process = sidecar

    def right(probe: Probe, name: str) -> None:
        data = FILES[name]
        probe.open(f"/warehouse/t/{name}")
        assert probe.skim() == (len(data), crc32c.crc32c(data)), name

    settings = millpond_spark.conf(shell.directory, mounts=["/warehouse"])
    assert "hadoop-aws" not in settings["spark.jars"], "Hadoop's own client reads HDFS"
    with Probe(tmp_path / "jvm.log", {"fs.cache.dir": str(shell.directory)}) as probe:
        rows = {row.path: row.length for row in probe.list("/warehouse/t/p=1")}
        assert sorted(rows.values()) == sorted(map(len, (FILES["p=1/big"], FILES["p=1/small"])))
        right(probe, "p=1/big")
        read_bytes = shell.json("stats")["store_bytes_read"]
        assert read_bytes >= len(FILES["p=1/big"])
        right(probe, "p=1/big")
        assert shell.json("stats")["store_bytes_read"] == read_bytes, "a warm read asked for data"
        assert probe.counters()["direct_bytes"] == 0
        process.kill()
        process.wait()
        for name in FILES:  # cached or not, Hadoop's own client is there
            right(probe, name)
        uncached = len(FILES["p=2/odd name %41+ü"])
        direct = probe.counters()["direct_bytes"]
        assert uncached <= direct < uncached + len(FILES["p=1/big"]), "blocks on disk are not used"
