"""The dashboard over HTTP: a real sidecar with mounts and reads, and names that mean harm."""

from __future__ import annotations

import os
import re
import secrets
import time
from html.parser import HTMLParser
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest

from millpond.settings import Settings
from millpond.wire import millpond_pb2 as wire
from tests.fixtures.sidecar import LoopSidecar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOSTILE = "/<script>window.hurt=1</script><img src=x onerror=window.hurt=1>\"'&amp;"
TOKEN_FREE = ("/", "/metrics", "/health", "/dashboard.css", "/dashboard.js")


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopSidecar]:
    """Two mounts, one miss, reported hits and fallbacks."""
    base = tmp_path_factory.mktemp("dashboard")
    (base / "private-bucket").mkdir()
    file = base / "private-bucket/private-name"
    file.write_bytes(secrets.token_bytes(3 << 20))
    settings = Settings(cache_dir=base / "cache", cache_capacity_bytes=1 << 30, http_port=0)
    with LoopSidecar(settings) as running:
        with running.client() as client:
            running.control.mount_add("/lake", f"file://{base}/private-bucket")
            running.control.mount_add(HOSTILE, f"file://{base}/private-bucket")
            info = client.stat("/lake/private-name")
            while not info.file_id:  # until the store takes the version for strong
                time.sleep(0.1)
                info = client.stat("/lake/private-name", force=True)
            client.fill("/lake/private-name", info.file_id, [(0, 1 << 20)])
            client.fill(
                "/lake/private-name", info.file_id, [(0, info.length)], intent=wire.Intent.WARM_UP
            )
            client.report(
                counters={
                    "hit_bytes": 3 << 20, "hit_reads": 9, "fallback_silence": 4,
                    "fallback_<b>": 1, "fallback_breaker_open": 2,
                }
            )  # fmt: skip
        yield running


def get(
    sidecar: LoopSidecar, path: str, host: str = "localhost"
) -> tuple[int, str, dict[str, str]]:
    connection = HTTPConnection("127.0.0.1", sidecar.sidecar.http_port, timeout=20)
    try:
        connection.request("GET", path, headers={"Host": host})
        response = connection.getresponse()
        return response.status, response.read().decode(), dict(response.getheaders())
    finally:
        connection.close()


class Elements(HTMLParser):
    """All tags, with their attributes, and all text outside of them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.text += " " if tag in ("td", "th") else ""

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_says_what_the_sidecar_did(sidecar: LoopSidecar) -> None:
    status, html, _ = get(sidecar, "/")
    assert status == 200
    text = re.sub(r"\s+", " ", Elements(html).text)
    assert "Hits by bytes 75.0 %" in text
    assert "Hits by reads 90.0 %" in text
    assert "Saved 3 MiB" in text
    assert re.search(r"Misses, by reason .*never_read\D+ 1 ", text), text
    assert re.search(r"silence\D+0.4 s 4 breaker_open\D+ 2", text), text
    assert re.search(r"python 0\.\S+ \S+ \d+ .{1,12} 3 MiB 1 MiB 0 B 2 MiB", text), text
    assert "rotten pages found 0" in text


@pytest.mark.parametrize("window", ["15m", "1h", "6h", "24h"])
def test_every_window_has_a_page(sidecar: LoopSidecar, window: str) -> None:
    status, html, _ = get(sidecar, f"/?window={window}")
    assert status == 200
    current = [a for _, a in Elements(html).tags if a.get("aria-current") == "page"]
    assert [a["href"] for a in current] == [f"?window={window}"]
    assert len(html) < 200_000


def test_a_window_that_is_none_is_refused_in_plain_text(sidecar: LoopSidecar) -> None:
    status, text, headers = get(sidecar, "/?window=%3Cscript%3E")
    assert (status, headers["Content-Type"].partition(";")[0]) == (404, "text/plain")
    assert "15m, 1h, 6h, 24h" in text


def test_names_that_mean_harm_are_text(sidecar: LoopSidecar) -> None:
    """As HTML they would be a script and an image whose error runs code."""
    _, html, headers = get(sidecar, "/")
    page = Elements(html)
    assert HOSTILE in page.text
    assert "img" not in [tag for tag, _ in page.tags]
    assert [a for tag, a in page.tags if tag == "script"] == [
        {"src": "/dashboard.js", "defer": None}
    ]
    assert not [a for _, a in page.tags if any(name.startswith("on") for name in a)]
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_nothing_private_is_told_without_a_token(sidecar: LoopSidecar) -> None:
    """No store URI, no file's name, no path of this machine, no token."""
    token = (sidecar.directory / "token").read_text()
    for path in TOKEN_FREE:
        _, body, _ = get(sidecar, path)
        for private in ("private-bucket", "private-name", token, os.fspath(sidecar.directory)):
            assert private not in body, (path, private)


def test_a_page_of_another_site_can_not_read_ours(sidecar: LoopSidecar) -> None:
    """What a name that an attacker's DNS points at this node would ask for."""
    port = sidecar.sidecar.http_port
    for path in TOKEN_FREE:
        status, body, _ = get(sidecar, path, f"attacker.example:{port}")
        assert status == 403, path
        assert "node_aliases" in body
    for host in ("localhost", f"localhost:{port}", "127.0.0.1:1", f"[::1]:{port}", "10.1.2.3"):
        assert get(sidecar, "/health", host)[0] == 200, host
    alias = sidecar.sidecar.aliases[0]
    assert get(sidecar, "/", alias.upper())[0] == 200


def test_a_sidecar_that_stops_still_answers_what_it_is(tmp_path: Path) -> None:
    settings = Settings(cache_dir=tmp_path / "cache", cache_capacity_bytes=1 << 30, http_port=0)
    with LoopSidecar(settings) as running:
        running.sidecar.state = "stopping"
        assert "The sidecar is stopping." in get(running, "/")[1]
        running.sidecar.state = "ok"
