"""A PySpark job that reads text files: lines.py DIRECTORY; prints their lines, sorted, as JSON."""

import json
import sys

from pyspark.sql import SparkSession

spark = SparkSession.builder.appName("lines").getOrCreate()
print(json.dumps(sorted(row[0] for row in spark.read.text(sys.argv[1]).collect())))
