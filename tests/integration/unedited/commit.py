"""A PySpark job with one of S3A's committers: commit.py DIRECTORY COMMITTER LINE; reads it back."""

import json
import sys

from pyspark.sql import SparkSession

directory, committer, line = sys.argv[1:]
spark = SparkSession.builder.appName("commit").getOrCreate()
conf = {
    "mapreduce.outputcommitter.factory.scheme.s3a": (
        "org.apache.hadoop.fs.s3a.commit.S3ACommitterFactory"
    ),
    "fs.s3a.committer.name": committer,
    "fs.s3a.committer.staging.conflict-mode": "replace",
    "fs.s3a.committer.staging.unique-filenames": "false",
    "mapreduce.output.fileoutputformat.outputdir": directory,
}
lines = spark.sparkContext.parallelize([(f"{line} {i:02}", None) for i in range(20)], 2)
lines.saveAsNewAPIHadoopFile(
    directory,
    "org.apache.hadoop.mapreduce.lib.output.TextOutputFormat",
    "org.apache.hadoop.io.Text",
    "org.apache.hadoop.io.NullWritable",
    conf=conf,
)
mark = spark._jvm.org.apache.hadoop.fs.Path(f"{directory}/_SUCCESS")
opened = mark.getFileSystem(spark._jsc.hadoopConfiguration()).open(mark)
success = opened.readAllBytes()
opened.close()
found = sorted(row[0] for row in spark.read.text(directory).collect())
print(json.dumps({"committer": json.loads(success)["committer"], "lines": found}))
