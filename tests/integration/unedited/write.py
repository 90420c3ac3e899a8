"""A PySpark job that (over)writes a table: write.py TABLE ROWS FACTOR."""

import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

table, rows, factor = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
spark = SparkSession.builder.appName("write").getOrCreate()
numbers = spark.range(0, rows, 1, 2).withColumn("k", F.col("id") % 3)
numbers = numbers.withColumn("v", F.col("id") * factor)
numbers.write.mode("overwrite").parquet(table)
