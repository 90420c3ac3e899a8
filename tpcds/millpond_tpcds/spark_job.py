"""A Spark session in a process of its own, driven line by line: ``spark_job SETTINGS``.

Reads one request a line and answers each with one line of JSON, by its ``verb``:

- ``run``: declares the tables it names (``tables``: name → path, schema, renamed columns) and runs
  ``sql``. Answers the seconds for both together, those until the tables were declared, and the
  rows; or ``error``.
- ``renew``: closes the file system of ``path``, changes Hadoop's settings (``conf``), and asks the
  new one for the path, so that nothing of the old one's memory is left and nothing has to be set up
  under the clock.
- ``counters``: what the file system of ``path`` counted in this JVM.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millpond_tpcds.compare import encode

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_ERROR_CHARACTERS = 2000


class Job:
    """The verbs, on one session."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark
        self._jvm: Any = spark.sparkContext._jvm
        self._conf: Any = spark.sparkContext._jsc.hadoopConfiguration()

    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        began = time.perf_counter()
        try:
            for name, table in request["tables"].items():
                self._declare(name, **table)
            declared = time.perf_counter()
            rows = self._spark.sql(request["sql"]).collect()
            ended = time.perf_counter()
        except Exception as e:  # whatever the engine says is the sample's outcome
            return {"error": f"{type(e).__name__}: {e}"[:_ERROR_CHARACTERS]}
        return {
            "seconds": ended - began,
            "declare_s": declared - began,
            "rows": [[encode(value) for value in row] for row in rows],
        }

    def _declare(self, name: str, path: str, schema: str, renamed: dict[str, str]) -> None:
        from pyspark.sql import functions as f

        frame = self._spark.read.schema(schema).parquet(path)
        for new, old in renamed.items():
            frame = frame.withColumn(new, f.col(old))
        frame.createOrReplaceTempView(name)

    def renew(self, request: dict[str, Any]) -> dict[str, Any]:
        path = self._jvm.org.apache.hadoop.fs.Path(request["path"])
        path.getFileSystem(self._conf).close()
        for key, value in request["conf"].items():
            self._conf.set(key, value)
        path.getFileSystem(self._conf).getFileStatus(path)
        return {}

    def counters(self, request: dict[str, Any]) -> dict[str, Any]:
        path = self._jvm.org.apache.hadoop.fs.Path(request["path"])
        each = path.getFileSystem(self._conf).getStorageStatistics().getLongStatistics()
        found = {}
        while each.hasNext():
            one = each.next()
            found[one.getName()] = int(one.getValue())
        return found


def serve() -> None:
    settings = json.loads(Path(sys.argv[1]).read_text())
    # Spark's launcher writes where it likes: answers go to a descriptor of their own.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    from pyspark.sql import SparkSession

    builder = SparkSession.builder
    for key, value in settings.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    job = Job(spark)
    verbs = {"run": job.run, "renew": job.renew, "counters": job.counters}
    answers.write(json.dumps({"version": spark.version}) + "\n")
    for line in sys.stdin:
        request = json.loads(line)
        answers.write(json.dumps(verbs[request["verb"]](request)) + "\n")
    spark.stop()


if __name__ == "__main__":
    serve()
