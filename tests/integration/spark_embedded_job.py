"""A job that counts the lines of each URI it is told, and says what its session has read.

The URIs come through the pipe that its argument names: PySpark keeps standard input to itself.
"""

import json
import sys

from pyspark.sql import SparkSession

import millpond_spark

spark = SparkSession.builder.getOrCreate()
with open(sys.argv[1]) as told:
    for uri in told:
        rows = spark.read.text(uri.strip()).count() if uri.strip() else 0
        print(json.dumps({"rows": rows, **millpond_spark.status(spark)}), flush=True)
spark.stop()
