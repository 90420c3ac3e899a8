"""A statement; its rows as JSON."""

import json
import sys

from pyspark.sql import SparkSession

rows = SparkSession.builder.getOrCreate().sql(sys.argv[1]).collect()
print(json.dumps([list(row) for row in rows]))
