"""A real Hive metastore for tests: 3.1.3 with Derby, speaking Thrift on loopback.

Its jars are fetched once by Maven (``metastore_pom.xml``). It loads our client jar: a metastore
looks at the location of every table it is told of.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from millpond import engine
from millpond.maven import jars_folder
from millpond.testing.java_service import JavaService
from millpond.testing.s3_gateway import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = "3.1.3"
_POM = Path(__file__).with_name("metastore_pom.xml")
_MAIN = Path(__file__).with_name("Metastore.java")


class Metastore(JavaService):
    """Knows the schema ``default`` when it starts. A context manager; 4 s to start.

    ``conf`` are Hadoop's settings, such as those of ``cache://``.
    """

    def __init__(self, directory: Path, conf: Mapping[str, str]) -> None:
        self._port = free_port()
        pairs = [f"{key}={value}" for key, value in conf.items()]
        super().__init__(
            "the metastore", directory, _MAIN,
            lambda: [f"{jars_folder(_POM, f'metastore-{VERSION}')}/*", str(engine.client_jar())],
            [str(directory), str(self._port), *pairs],
        )  # fmt: skip

    @property
    def uri(self) -> str:
        return f"thrift://127.0.0.1:{self._port}"
