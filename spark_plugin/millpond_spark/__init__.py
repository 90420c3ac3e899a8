"""Millpond for Spark: settings of a session that reads ``cache://``, and sessions that run."""

from __future__ import annotations

from millpond_spark.running import Status, attach, status
from millpond_spark.session import conf

__all__ = ["Status", "attach", "conf", "status"]
