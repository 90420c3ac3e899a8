"""Millpond: a cache of HDFS and object-store data on the disks beside the engines."""

__version__ = "0.1.0"
