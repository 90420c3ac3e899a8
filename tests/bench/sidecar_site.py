"""What the sidecar's benchmarks share: a process on a folder of files, and a paced Stat client."""

from __future__ import annotations

import os
import select
import socket
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from millpond.wire import millpond_pb2 as wire
from millpond.wire.frames import FrameParser, frame
from tests.fixtures.sidecar import ProcessSidecar

if TYPE_CHECKING:
    from collections.abc import Iterator

HELLO = wire.Request(id=1, hello=wire.HelloRequest(protocol_min=1, protocol_max=1))


@contextmanager
def folder_site(files: int = 100, **env: str) -> Iterator[tuple[ProcessSidecar, list[str]]]:
    """A sidecar with a folder of small files mounted at /d, and their paths, asked once."""
    with tempfile.TemporaryDirectory(prefix="millpond-bench-") as text:
        root = Path(text)
        (root / "data").mkdir()
        for i in range(files):
            (root / "data" / f"part-{i:05d}.parquet").write_bytes(b"x" * 100)
        env = {"MILLPOND_FRESHNESS_MS": "1h", "MILLPOND_CACHE_CAPACITY_BYTES": "1GiB"} | env
        with ProcessSidecar(root / "cache", root / "log", **env) as sidecar:
            with sidecar.await_client() as client:
                sidecar.control.mount_add("/d", f"file://{root}/data")
                paths = [f"/d/part-{i:05d}.parquet" for i in range(files)]
                for path in paths:  # a file changed just now has no certain version for 2 s
                    while not client.stat(path, force=True).file_id:
                        time.sleep(0.1)
            yield sidecar, paths


@dataclass(frozen=True, slots=True)
class Latencies:
    """Round trips of one run, sorted, in seconds."""

    seconds: list[float]
    wall_s: float

    def quantile_ms(self, q: float) -> float:
        return self.seconds[min(len(self.seconds) - 1, int(q * len(self.seconds)))] * 1000

    @property
    def rate(self) -> float:
        return len(self.seconds) / self.wall_s


class StatLoad:
    """Stat calls at a steady rate on one connection, each sent at its own time.

    A late reply does not delay the next call (no coordinated omission): latency counts from when a
    call was due. ``batch`` calls are due together, as tasks that open files together make them.
    """

    def __init__(self, directory: Path, paths: list[str], rate: float, batch: int = 1) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.connect(os.fspath(directory / "sidecar.sock"))
        self._sock.sendall(frame(HELLO.SerializeToString()))
        self._sock.recv(65536)
        self._parser = FrameParser()
        self._paths = paths
        self._every_s = batch / rate
        self._batch = batch

    def run(self, seconds: float) -> Latencies:
        due_at: dict[int, float] = {}
        latencies: list[float] = []
        number = 1
        began = time.perf_counter()
        due, end = began, began + seconds
        while due < end or due_at:
            now = time.perf_counter()
            if now >= due and due < end:
                out = []
                for _ in range(self._batch):
                    number += 1
                    path = self._paths[number % len(self._paths)]
                    request = wire.Request(id=number, stat=wire.StatRequest(path=path))
                    out.append(frame(request.SerializeToString()))
                    due_at[number] = due
                self._sock.sendall(b"".join(out))
                due += self._every_s
                continue
            wait = max(0.0, due - now) if due < end else 5.0
            if select.select([self._sock], [], [], wait)[0]:
                for message in self._parser.feed(self._sock.recv(1 << 18)):
                    reply = wire.Reply.FromString(message)
                    assert reply.WhichOneof("outcome") == "stat", reply
                    latencies.append(time.perf_counter() - due_at.pop(reply.id))
        return Latencies(sorted(latencies), time.perf_counter() - began)

    def close(self) -> None:
        self._sock.close()
