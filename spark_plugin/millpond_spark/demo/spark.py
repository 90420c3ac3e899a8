"""The demo's Spark session: a builder with ``millpond_spark.conf`` and nothing clever."""

from __future__ import annotations

import logging
import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from millpond.testing.service import trouble
from millpond_spark.session import conf

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pyspark.sql import SparkSession

    from millpond_spark.demo.site import Site

SETTINGS = {
    "spark.app.name": "millpond demo",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "1g",
    "spark.sql.shuffle.partitions": "2",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}


@contextmanager
def session(site: Site, log: Path) -> Iterator[SparkSession]:
    """A session on the site's sidecar, with as many threads as are good for a demo."""
    # The direct connector's credentials are the engine's own: here they are in its environment.
    os.environ |= site.credentials
    settings = conf(site.sidecar.cache_dir, s3a="fetch")
    with launched(f"local[{min(4, os.cpu_count() or 1)}]", settings, log) as spark:
        yield spark


@contextmanager
def launched(master: str, settings: Mapping[str, str], log: Path) -> Iterator[SparkSession]:
    """A session whose JVM says what it has to say in ``log``; the JVM ends with the session."""
    handler = signal.getsignal(signal.SIGINT)
    with _output_to(log):
        from pyspark.errors import PySparkRuntimeError
        from pyspark.sql import SparkSession

        builder = SparkSession.builder.master(master)
        for key, value in (SETTINGS | dict(settings)).items():
            builder = builder.config(key, value)
        try:
            spark = builder.getOrCreate()
        except PySparkRuntimeError as e:  # it says of a JVM that ended no more than that
            raise trouble(log, "Spark did not start") from e
    try:
        with _plain_interrupts():
            yield spark
    finally:
        _stop(spark)
        signal.signal(signal.SIGINT, handler)


@contextmanager
def _plain_interrupts() -> Iterator[None]:
    """Ctrl-C ends the program, in order and without py4j's tracebacks.

    PySpark's handler cancels jobs by a call to the JVM out of the call that it interrupts.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    quiet = logging.getLogger()
    level = quiet.level
    quiet.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        quiet.setLevel(level)


def _stop(spark: SparkSession) -> None:
    """Ends the JVM too: PySpark leaves it running until Python ends."""
    from pyspark import SparkContext

    gateway = SparkContext._gateway
    try:
        spark.stop()
    finally:
        if gateway is not None:
            process = gateway.proc
            gateway.shutdown()
            process.stdin.close()
            process.wait()
            SparkContext._gateway = SparkContext._jvm = None


@contextmanager
def _output_to(log: Path) -> Iterator[None]:
    """The JVM inherits file descriptors 1 and 2: for its start they are the log."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        for number, copy in enumerate(kept, 1):
            os.dup2(copy, number)
            os.close(copy)
