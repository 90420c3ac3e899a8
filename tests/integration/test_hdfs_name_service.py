"""An HDFS of two NameNodes behind one name: failover, and what engines are told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hdfs_native import WriteOptions

import millpond_spark
from millpond.testing.hdfs_cluster import HdfsCluster
from tests.fixtures.fault_site import RIGHT, FaultSite, by_jvm, by_python, content

if TYPE_CHECKING:
    from pathlib import Path

SERVICE = "Pond"  # names of services tell case
LONG_AGO_MS = 1_700_000_000_000


@pytest.mark.timeout(600)  # the first run on a machine fetches Hadoop by Maven
def test_a_name_service_fails_over_and_is_read_directly(tmp_path: Path) -> None:
    with (
        HdfsCluster(tmp_path / "hdfs", SERVICE) as cluster,
        FaultSite(tmp_path, {}, {}, s3a=False) as site,
    ):
        client = cluster.client()
        for i in range(6):
            with client.create(f"/data/f{i}", WriteOptions()) as writer:
                writer.write(content(f"f{i}"))
            client.set_times(f"/data/f{i}", LONG_AGO_MS, LONG_AGO_MS - 1)
        place = site.mount(f"hdfs://{SERVICE}/data", cluster.conf)
        paths = place.files([f"f{i}" for i in range(6)])
        fs = site.fs()
        assert by_python(fs, paths[0]).told == by_jvm(site.jvm, paths[1]).told == RIGHT

        cluster.ask("failover", "0", "1")
        assert by_python(fs, paths[2]).told == by_jvm(site.jvm, paths[3]).told == RIGHT
        assert by_python(fs, paths[0]).told == RIGHT
        assert fs.counters["direct_reads"] == site.jvm.counters()["direct_reads"] == 0

        settings = millpond_spark.conf(site.directory)
        nodes = f"spark.hadoop.dfs.ha.namenodes.{SERVICE}"
        assert settings[nodes] == "a,b"
        assert "spark.hadoop.dfs.nameservices" not in settings, "the engine may have others"

        site.sidecar.process.kill()
        site.sidecar.process.wait()
        assert by_python(fs, paths[4]).told == by_jvm(site.jvm, paths[5]).told == RIGHT
        assert fs.counters["direct_reads"] == 1
        assert site.jvm.counters()["direct_bytes"] == len(content("f5"))
