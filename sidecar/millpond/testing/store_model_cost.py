"""What the store model itself costs: CPU seconds per GiB moved, to subtract from a measurement."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import tempfile
from urllib.parse import urlsplit

_OBJECT_BYTES = 8 << 20


def self_cost(total_bytes: int = 1 << 30, rate_mb_s: float = 0.0) -> dict[str, float]:
    """Move ``total_bytes`` in 8 MiB answers over one connection; the model's CPU s per GiB.

    The source sends a file by sendfile and is a process of its own, as is the model.
    """
    from millpond.testing.store_model import StoreModel

    source = subprocess.Popen(
        [sys.executable, "-m", "millpond.testing.store_model_cost"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        port = source.stdout.readline().strip() if source.stdout else ""
        with StoreModel(f"http://127.0.0.1:{port}", rate_mb_s=rate_mb_s) as model:
            before = model.counters().cpu_s
            conn = http.client.HTTPConnection(urlsplit(model.endpoint).netloc)
            buffer = memoryview(bytearray(1 << 20))
            moved = 0
            while moved < total_bytes:
                conn.request("GET", "/b/k")
                answer = conn.getresponse()
                while n := answer.readinto(buffer):
                    moved += n
            conn.close()
            spent = model.counters().cpu_s - before
    finally:
        source.kill()
        source.wait()
        if source.stdout is not None:
            source.stdout.close()
    return {"cpu_s_per_gib": round(spent / (moved / 2**30), 3)}


def _source() -> None:
    """Say the port, serve one client."""
    with tempfile.TemporaryFile() as data, socket.create_server(("127.0.0.1", 0)) as listener:
        data.truncate(_OBJECT_BYTES)
        print(listener.getsockname()[1], flush=True)
        client, _ = listener.accept()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {_OBJECT_BYTES}\r\n\r\n".encode()
        while client.recv(1 << 16):
            client.sendall(head)
            sent = 0
            while sent < _OBJECT_BYTES:
                sent += os.sendfile(client.fileno(), data.fileno(), sent, _OBJECT_BYTES - sent)


if __name__ == "__main__":
    _source()
