"""A PySpark job that (over)writes a table: write.py TABLE ROWS FACTOR [FILES]."""

import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

table, rows, factor, files = sys.argv[1], *map(int, [*sys.argv[2:], "2"][:3])
spark = SparkSession.builder.appName("write").getOrCreate()
numbers = spark.range(0, rows, 1, files).withColumn("k", F.col("id") % 3)
numbers = numbers.withColumn("v", F.col("id") * factor)
numbers.write.mode("overwrite").parquet(table)
