"""Servers that tests share. Fixtures live in ``tests/fixtures``."""

import signal

from tests.fixtures.stores import conditional_s3, hdfs_cluster, moto_server, s3_gateway

__all__ = ["conditional_s3", "hdfs_cluster", "moto_server", "s3_gateway"]

# A shell's background job ignores Ctrl-C, and so would what tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
