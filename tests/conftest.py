"""Servers that tests share. Fixtures live in ``tests/fixtures``."""

from tests.fixtures.stores import moto_server, s3_gateway

__all__ = ["moto_server", "s3_gateway"]
