"""What the command line loads before it knows what it is asked for."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("grpc", "aiohttp", "botocore", "pyspark", "pandas")


def test_help_loads_nothing_that_is_slow_to_load() -> None:
    code = (
        "import sys; from millpond.cli import app; app.build(); "
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"
