"""A PySpark job that reads a table: read.py TABLE; prints its answer as JSON."""

import json
import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

spark = SparkSession.builder.appName("read").getOrCreate()
table = spark.read.parquet(sys.argv[1])
groups = table.groupBy("k").agg(F.sum("v"), F.count("*")).collect()
print(json.dumps(sorted([row[0], row[1], row[2]] for row in groups)))
