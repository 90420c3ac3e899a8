"""Servers that tests share. Fixtures live in ``tests/fixtures``."""

from tests.fixtures.stores import hdfs_cluster, moto_server, s3_gateway

__all__ = ["hdfs_cluster", "moto_server", "s3_gateway"]
