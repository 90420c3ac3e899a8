"""Blocks that are never there, whatever the sidecar says: two rounds of Fill, then the store."""

from __future__ import annotations

import socket
import threading
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest

from millpond.client import CacheFileSystem
from millpond.wire import millpond_pb2 as wire
from millpond.wire.frames import FrameParser, frame
from tests.integration.test_jvm_client import MIB, Folder, Site, content

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATA = content(20 * MIB, seed=5)
AT, COUNT = 17 * MIB + 5, 300_000


class WithoutBlocks:
    """A sidecar's cache directory as a client would see it whose ``blocks`` is another one, empty.

    The local protocol passes through, but that bytes in answers are withheld: "they are there".
    ``fills`` counts the answers to Fill.
    """

    def __init__(self, real: Path, directory: Path) -> None:
        self.directory, self.fills = directory, 0
        self._sidecar = str(real / "sidecar.sock")
        directory.mkdir(mode=0o750)
        for each in real.iterdir():
            if each.name not in ("blocks", "sidecar.sock"):
                (directory / each.name).symlink_to(each)
        (directory / "blocks").mkdir()
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(directory / "sidecar.sock"))
        self._server.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                sidecar = socket.socket(socket.AF_UNIX)
                sidecar.connect(self._sidecar)
                for relay in (self._asked, self._answered):
                    threading.Thread(target=relay, args=(client, sidecar), daemon=True).start()

    def _asked(self, client: socket.socket, sidecar: socket.socket) -> None:
        with client, sidecar, suppress(OSError):
            while data := client.recv(1 << 16):
                sidecar.sendall(data)
            sidecar.shutdown(socket.SHUT_RDWR)

    def _answered(self, client: socket.socket, sidecar: socket.socket) -> None:
        parser = FrameParser()
        with suppress(OSError):
            while data := sidecar.recv(1 << 16):
                for message in parser.feed(data):
                    client.sendall(frame(self._withheld(message)))

    def _withheld(self, message: bytes) -> bytes:
        reply = wire.Reply.FromString(message)
        if reply.WhichOneof("outcome") == "fill":
            self.fills += 1
            reply.fill.result = wire.FillResult.PRESENT
            reply.fill.ClearField("data")
        return reply.SerializeToString()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "data").mkdir()
    store = Folder(tmp_path / "data")
    store.put("f", DATA)
    made = Site(tmp_path, store)
    try:
        made.start()
        yield made
    finally:
        made.sidecar.stop()


@pytest.fixture
def without(site: Site, tmp_path: Path) -> Iterator[WithoutBlocks]:
    with closing(WithoutBlocks(site.sidecar.cache_dir, tmp_path / "seen")) as made:
        yield made


def test_the_jvm_asks_twice_and_reads_the_store(site: Site, without: WithoutBlocks) -> None:
    with site.probe(fs_cache_dir=str(without.directory)) as probe:
        probe.open("/m/f", "random")
        assert probe.pread(AT, COUNT) == DATA[AT : AT + COUNT]
        counters = probe.counters()
    assert counters["fallback_fill_rounds"] == 1
    assert counters["fill_rounds_max"] == without.fills == 2
    assert counters["direct_bytes"] == COUNT


def test_python_asks_twice_and_reads_the_store(without: WithoutBlocks, site: Site) -> None:
    site.store.settle()
    fs = CacheFileSystem(cache_dir=without.directory, skip_instance_cache=True)
    with fs.open("/m/f", "rb") as f:
        f.seek(AT)
        assert f.read(COUNT) == DATA[AT : AT + COUNT]
    assert fs.counters["fallback_fill_rounds"] == 1
    assert without.fills == 2
    assert fs.counters["direct_bytes"] == COUNT
