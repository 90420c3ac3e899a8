"""A PySpark job that replaces a text file again and again, and reads it each time: its URI."""

import json
import sys

from pyspark.sql import SparkSession

spark = SparkSession.builder.appName("replace").getOrCreate()
jvm, conf = spark._jvm, spark._jsc.hadoopConfiguration()
path = jvm.org.apache.hadoop.fs.Path(sys.argv[1])
system = path.getFileSystem(conf)
seen = []
for number in range(6):
    out = system.create(path, True)
    out.write(f"version {number}\n".encode())
    out.close()
    seen.append([row[0] for row in spark.read.text(sys.argv[1]).collect()])
moved = jvm.org.apache.hadoop.fs.Path(sys.argv[1] + ".moved")
system.delete(moved, True)
system.rename(path, moved)
seen.append([row[0] for row in spark.read.text(moved.toString()).collect()])
print(json.dumps(seen))
