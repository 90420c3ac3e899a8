"""Millpond for Spark: the settings of a session that reads ``cache://``."""

from __future__ import annotations

from millpond_spark.session import conf

__all__ = ["conf"]
