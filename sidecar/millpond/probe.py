"""``python -m millpond.probe``: whether the sidecar of this cache directory answers, as exit code.

For probes of containers, which ask every few seconds: it imports little, and says little.
"""

from __future__ import annotations

import os
import sys
from http.client import HTTPConnection, HTTPException
from pathlib import Path

TIMEOUT_S = 3.0
DIRECTORY = "/var/lib/millpond"


def main() -> int:
    """0: it serves. 1: it does not, and standard error says why."""
    directory = Path(os.environ.get("MILLPOND_DIR") or DIRECTORY)
    try:
        answer = _ask(_port(directory))
    except (OSError, HTTPException, ValueError) as e:
        answer = f"no sidecar of {directory} answers: {e}"
    if answer:
        print(answer, file=sys.stderr)
    return 1 if answer else 0


def _port(directory: Path) -> int:
    for line in (directory / "node.properties").read_text().splitlines():
        key, _, value = line.partition("=")
        if key == "http.port":
            return int(value)
    raise ValueError("node.properties names no port")


def _ask(port: int) -> str:
    """What is wrong, or nothing."""
    connection = HTTPConnection("localhost", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/health")
        response = connection.getresponse()
        body = response.read(1000).decode(errors="replace")
        return "" if response.status == 200 else f"{response.status}: {body}"
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
