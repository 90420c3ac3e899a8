"""The Spark job of the fault campaign, in a process of its own, driven line by line.

Reads one verb a line and answers each with one line of JSON: ``start`` begins the query in a
thread, ``counters`` tells what this process's cache client counted so far, ``result`` waits for the
query and tells its rows or its error, ``quit`` ends. Arguments: a JSON file of Spark settings, and
the path of the table.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.faults_data import KEY, MODULUS, VALUES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class Job:
    """One query over every byte of a table."""

    def __init__(self, spark: SparkSession, table: str) -> None:
        self._spark = spark
        self._table = table
        self._told: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> dict[str, Any]:
        self._thread.start()
        return {}

    def _run(self) -> None:
        from pyspark.sql import functions as f

        began = time.monotonic()
        try:
            sums = [f.sum(f.col(c) % MODULUS).alias(c) for c in VALUES]
            frame = self._spark.read.parquet(self._table)
            rows = frame.groupBy(KEY).agg(f.count("*").alias("rows"), *sums).collect()
            told: dict[str, Any] = {"rows": sorted([int(v) for v in row] for row in rows)}
        except Exception as e:  # whatever made the job fail is the campaign's finding
            told = {"error": f"{type(e).__name__}: {e}"}
        self._told = told | {"seconds": time.monotonic() - began}

    def result(self) -> dict[str, Any]:
        self._thread.join()
        return self._told

    def counters(self) -> dict[str, int]:
        """The client's counters, by Hadoop's own interface; of this JVM, executors included.

        ``done`` beside them: 1 when the query has ended.
        """
        jvm = self._spark.sparkContext._jvm
        assert jvm is not None
        conf = self._spark.sparkContext._jsc.hadoopConfiguration()
        path = jvm.org.apache.hadoop.fs.Path(self._table)
        each = path.getFileSystem(conf).getStorageStatistics().getLongStatistics()
        found = {"done": int(bool(self._told))}
        while each.hasNext():
            one = each.next()
            found[one.getName()] = int(one.getValue())
        return found


def serve() -> None:
    settings, table = json.loads(Path(sys.argv[1]).read_text()), sys.argv[2]
    # Spark's launcher writes where it likes: answers go to a descriptor of their own.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    from pyspark.sql import SparkSession

    builder = SparkSession.builder
    for key, value in settings.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    job = Job(spark, table)
    verbs = {"start": job.start, "counters": job.counters, "result": job.result, "ready": dict}
    for line in sys.stdin:
        verb = line.strip()
        if verb == "quit":
            break
        answers.write(json.dumps(verbs[verb]()) + "\n")
    spark.stop()


if __name__ == "__main__":
    serve()
