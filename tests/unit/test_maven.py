"""Downloads go on where they broke off, and only what is whole is kept."""

from __future__ import annotations

import hashlib
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar

import pytest

from millpond.errors import StoreAnswerInvalid, StoreUnavailable
from millpond.maven import download

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATA = random.Random(1).randbytes(3_000_000)


class Repository(BaseHTTPRequestHandler):
    """One artifact. The first answers end early; ``asked`` are the ranges."""

    asked: ClassVar[list[str]] = []
    breaks: ClassVar[int] = 0
    sha1: ClassVar[str] = ""

    def do_GET(self) -> None:
        if self.path.endswith(".sha1"):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.sha1.encode())
            return
        if not self.path.endswith("/big.tar.gz"):
            self.send_error(404)
            return
        self.asked.append(self.headers["Range"])
        at = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        if at >= len(DATA):
            self.send_error(416)
            return
        self.send_response(206)
        self.send_header("Content-Length", str(len(DATA) - at))
        self.end_headers()
        if Repository.breaks:
            Repository.breaks -= 1
            self.wfile.write(DATA[at : at + 1_000_000])
        else:
            self.wfile.write(DATA[at:])

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Repository)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    Repository.asked.clear()
    Repository.breaks, Repository.sha1 = 0, hashlib.sha1(DATA).hexdigest()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_broken_download_goes_on(url: str, tmp_path: Path) -> None:
    Repository.breaks = 2
    target = download("a/b/big.tar.gz", tmp_path / "x/big.tar.gz", url)
    assert target.read_bytes() == DATA
    assert Repository.asked == ["bytes=0-", "bytes=1000000-", "bytes=2000000-"]
    assert [p.name for p in target.parent.iterdir()] == ["big.tar.gz"]
    download("a/b/big.tar.gz", target, url)
    assert len(Repository.asked) == 3, "what is there is not asked for"


@pytest.mark.parametrize("had", [1_234_567, len(DATA)])
def test_what_an_earlier_process_left_is_used(had: int, url: str, tmp_path: Path) -> None:
    (tmp_path / "big.tar.gz.part").write_bytes(DATA[:had])
    assert download("a/big.tar.gz", tmp_path / "big.tar.gz", url).read_bytes() == DATA
    assert Repository.asked == [f"bytes={had}-"]


def test_what_does_not_match_its_hash_is_thrown_away(url: str, tmp_path: Path) -> None:
    (tmp_path / "big.tar.gz.part").write_bytes(bytes(1000))
    with pytest.raises(StoreAnswerInvalid, match="came damaged"):
        download("a/big.tar.gz", tmp_path / "big.tar.gz", url)
    assert download("a/big.tar.gz", tmp_path / "big.tar.gz", url).read_bytes() == DATA


def test_what_is_not_there_is_an_error(url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="404"):
        download("a/absent", tmp_path / "absent", url)
    with pytest.raises(StoreUnavailable, match="could not be fetched"):
        download("a/absent", tmp_path / "absent", "http://127.0.0.1:1")
