"""The command line as people run it: programs, a real sidecar, a real S3 server."""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from millpond.cli import app
from millpond.cli.findings import Finding, Level
from millpond.cli.reading import read_range
from millpond.control import Control
from millpond.errors import FileChanged, SidecarUnavailable
from millpond.settings import Settings
from millpond.wire.local_client import LocalClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from millpond.testing.s3_gateway import S3Gateway

MIB = 1 << 20
FILES = {
    "t/p=1/big": secrets.token_bytes(18 * MIB + 12_345),
    "t/p=1/small": b"small",
    "t/p=2/empty": b"",
    "t/p=2/odd name %41+ü": secrets.token_bytes(70_000),
}


class Shell:
    """Runs ``millpond`` against one cache directory."""

    def __init__(self, directory: Path, **env: str) -> None:
        self.directory = directory
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("MILLPOND_", "AWS_"))}
        self.env = clean | {"MILLPOND_DIR": str(directory), "COLUMNS": "200"} | env

    def popen(self, *words: str, **more: Any) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", "from millpond.cli import main; main()", *words]
        return subprocess.Popen(command, env=self.env, **more)

    def run(self, *words: str, code: int = 0) -> bytes:
        """In this process, as `main` would: starting Python anew costs more than the command."""
        out, err = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(io.BytesIO())
        with (
            patch.dict(os.environ, self.env, clear=True),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            ended = app.run(words)
        texts = []
        for stream in (out, err):
            stream.flush()
            texts.append(stream.buffer.getvalue())  # type: ignore[attr-defined]
        assert ended == code, texts[1].decode()
        assert b"Traceback" not in texts[1]
        return texts[0] if code == 0 else texts[1]

    def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(self.run(*words, "--json", code=code))

    def serve(self, *words: str, **more: Any) -> subprocess.Popen[bytes]:
        process = self.popen("serve", "--http-port", "0", *words, **more)
        until = time.monotonic() + 60
        while True:
            try:
                LocalClient.connect(self.directory).close()
                return process
            except SidecarUnavailable:
                assert process.poll() is None, "the sidecar ended"
                assert time.monotonic() < until
                time.sleep(0.05)


@pytest.fixture(scope="module")
def bucket(s3_gateway: S3Gateway) -> str:
    name = s3_gateway.new_bucket()
    for key, data in FILES.items():
        s3_gateway.put_object(name, key, data)
    return name


@pytest.fixture(scope="module")
def shell(
    s3_gateway: S3Gateway, bucket: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shell]:
    directory = tmp_path_factory.mktemp("cli") / "cache"
    shell = Shell(directory, THE_SECRET=s3_gateway.secret_key)
    with (directory.parent / "log").open("wb") as log:
        sidecar = shell.serve("--cache-capacity", "1GiB", stderr=log)
        options = {
            **s3_gateway.mount_options(), "secret_key": "env:THE_SECRET", "freshness": "10s",
        }  # fmt: skip
        words = [w for k, v in options.items() for w in ("-o", f"{k}={v}")]
        shell.run("mount", "add", "/s3", f"s3://{bucket}/t", *words)
        yield shell
        sidecar.send_signal(signal.SIGTERM)
        assert sidecar.wait(30) == 0
    assert s3_gateway.secret_key not in (directory.parent / "log").read_text()


def test_mounts(shell: Shell, bucket: str, s3_gateway: S3Gateway) -> None:
    [mount] = shell.json("mount", "ls")
    assert (mount["path"], mount["store_uri"]) == ("/s3", f"s3a://{bucket}/t")
    assert mount["direct_conf"][f"fs.s3a.bucket.{bucket}.endpoint"] == s3_gateway.endpoint
    assert s3_gateway.secret_key.encode() not in shell.run("mount", "ls")
    error = shell.json("mount", "add", "/no", "s3://no-such-bucket-here", "-o",
                       f"endpoint={s3_gateway.endpoint}", "-o", "access_key=millpond", "-o",
                       "secret_key=wrong-secret-here", code=1)  # fmt: skip
    assert error["error"] in ("PermissionDenied", "PathNotFound")
    assert "wrong-secret-here" not in json.dumps(error)


def test_listing(shell: Shell) -> None:
    assert [e["path"] for e in shell.json("ls", "/")] == ["s3"]
    assert [e["path"] for e in shell.json("ls", "/s3")] == ["p=1", "p=2"]
    found = {e["path"]: e["length"] for e in shell.json("ls", "-r", "/s3")}
    assert found == {key[2:]: len(data) for key, data in FILES.items()}
    assert [e["length"] for e in shell.json("ls", "/s3/p=1/small")] == [5]
    text = shell.run("ls", "cache:///s3/p=1").decode()
    assert "18 MiB" in text
    assert str(len(FILES["t/p=1/big"])) in shell.run("ls", "-b", "/s3/p=1").decode()
    assert shell.json("ls", "/s3/zz", code=1)["error"] == "PathNotFound"


def test_load_what_is_missing_and_evict(shell: Shell) -> None:
    total = sum(map(len, FILES.values()))
    shell.run("evict", "/s3")
    plan = shell.json("load", "-n", "/s3")
    assert plan["missing_bytes"] == total
    assert {f["path"] for f in plan["files"]} == {f"/s3/{k[2:]}" for k, v in FILES.items() if v}
    done = shell.json("load", "/s3")
    assert (done["loaded_bytes"], done["present_bytes"], done["errors"]) == (total, 0, [])
    reads = shell.json("stats")["store_bytes_read"]
    again = shell.json("load", "/s3")
    assert (again["loaded_bytes"], again["present_bytes"]) == (0, total)
    assert shell.json("load", "-n", "/s3")["missing_bytes"] == 0
    stat = shell.json("stat", "/s3/p=1/big")
    assert stat["cached_bytes"] == stat["length"] == len(FILES["t/p=1/big"])
    assert shell.json("stats")["store_bytes_read"] == reads
    evicted = shell.json("evict", "/s3/p=1")
    assert evicted["files"] == 2
    assert evicted["bytes"] >= 18 * MIB
    assert shell.json("stat", "/s3/p=1/big")["cached_bytes"] == 0
    assert shell.json("load", "/s3/p=1/big")["loaded_bytes"] == len(FILES["t/p=1/big"])


@pytest.mark.parametrize("key", FILES)
def test_cat_is_the_file(key: str, shell: Shell) -> None:
    path = f"/s3/{key[2:]}"
    for _ in range(2):  # cold, then from what is cached
        out = shell.run("cat", path)
        assert hashlib.sha256(out).digest() == hashlib.sha256(FILES[key]).digest()


@pytest.mark.parametrize("below", ["/d/f", "/d", ""])
def test_refresh_of_a_bucket(below: str, shell: Shell, bucket: str, s3_gateway: S3Gateway) -> None:
    options = {**s3_gateway.mount_options(), "secret_key": "env:THE_SECRET"}
    words = [w for k, v in options.items() for w in ("-o", f"{k}={v}")]
    prefix = f"fresh-{len(below)}"
    s3_gateway.put_object(bucket, f"{prefix}/d/f", b"old")
    shell.run("mount", "add", "/fresh", f"s3://{bucket}/{prefix}", "--freshness", "1h", *words)
    try:
        assert shell.run("cat", "/fresh/d/f") == b"old"
        s3_gateway.put_object(bucket, f"{prefix}/d/f", b"newer")
        assert shell.run("cat", "/fresh/d/f") == b"old"
        assert shell.json("refresh", f"/fresh{below}", "-r")["files"] == 1
        assert shell.run("cat", "/fresh/d/f") == b"newer"
    finally:
        shell.run("mount", "rm", "/fresh")


def drain(chunks: Iterator[bytes | memoryview], into: bytearray) -> None:
    for chunk in chunks:
        into += chunk


def test_cat_of_an_object_replaced_in_mid_read(
    shell: Shell, bucket: str, s3_gateway: S3Gateway
) -> None:
    """What was written is the old version's beginning; then an error, never the new version."""
    old, new = secrets.token_bytes(64 * MIB), secrets.token_bytes(64 * MIB)
    options = {**s3_gateway.mount_options(), "secret_key": "env:THE_SECRET"}
    words = [w for k, v in options.items() for w in ("-o", f"{k}={v}")]
    s3_gateway.put_object(bucket, "c/changing", old)
    shell.run("mount", "add", "/c", f"s3://{bucket}/c", *words)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "bufsize": 0}
    with shell.popen("cat", "/c/changing", **pipes) as process:
        assert process.stdout is not None
        got = process.stdout.read(1000)
        s3_gateway.put_object(bucket, "c/changing", new)
        more, err = process.communicate(timeout=60)
    got += more
    assert process.returncode == 1
    assert err.startswith(b"error: /c/changing has ")
    assert b"Traceback" not in err
    assert len(got) < len(old)
    assert got == old[: len(got)]
    settings = Settings(cache_dir=shell.directory)
    with LocalClient.connect(shell.directory) as client:
        info = client.stat("/c/changing", force=True)
        chunks = read_range(client, settings, info, 0, info.length)
        taken = bytearray(next(chunks))
        s3_gateway.put_object(bucket, "c/changing", old)
        with pytest.raises(FileChanged, match="/c/changing has "):
            drain(chunks, taken)
    assert taken == new[: len(taken)]
    assert len(taken) < len(new)
    shell.run("stat", "--force", "/c/changing")
    assert shell.run("cat", "/c/changing") == old
    shell.run("evict", "/c")
    shell.run("mount", "rm", "/c")


@pytest.mark.parametrize(
    ("words", "start", "end"),
    [
        (["--offset", "1MiB", "--length", "2MiB"], MIB, 3 * MIB),
        (["--offset", "16777210", "--length", "20"], 16777210, 16777230),
        (["--offset=-10"], -10, None),
        (["--offset", "1GiB"], 1 << 30, None),
        (["--length", "0"], 0, 0),
    ],
)
def test_cat_a_range(words: list[str], start: int, end: int | None, shell: Shell) -> None:
    assert shell.run("cat", "/s3/p=1/big", *words) == FILES["t/p=1/big"][start:end]


def test_cat_without_a_cache(shell: Shell, tmp_path: Path) -> None:
    """A file with a weak version is not cached: it comes from the store itself."""
    shell.run("mount", "add", "/weak", f"file://{tmp_path}")
    (tmp_path / "f").write_bytes(b"just now")
    os.utime(tmp_path / "f", (time.time() + 3600,) * 2)  # by a clock that tells nothing
    assert shell.json("stat", "/weak/f")["cacheable"] is False
    assert shell.run("cat", "/weak/f") == b"just now"
    assert b"1 files are not cached: changing" in shell.run("load", "/weak", code=1)
    shell.run("mount", "rm", "/weak")
    assert shell.json("cat", "/weak/f", code=2)["error"] == "InvalidRequest"  # cat has no --json


def test_stats_and_doctor(shell: Shell) -> None:
    stats = shell.json("stats")
    assert stats["mounts"]["/s3"]["list"] > 0
    assert stats["store_requests"] == sum(
        m[k] for m in stats["mounts"].values() for k in ("head", "list", "get")
    )
    assert stats["capacity_bytes"] == 1 << 30
    assert b"store requests" in shell.run("stats")
    with patch("millpond.cli.checks._jar", lambda: Finding("jar", Level.ok, "")):
        findings = {f["check"]: f for f in shell.json("doctor")["findings"]}
    for check in ("cache dir", "group", "sidecar", "lease", "mount /s3"):
        assert findings[check]["level"] == "ok", findings[check]


def test_watching_ends_with_ctrl_c(shell: Shell) -> None:
    process = shell.popen("stats", "--watch", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == b"interrupted\n"


def test_two_loads_at_once_fetch_each_byte_once(shell: Shell) -> None:
    shell.run("evict", "/s3")
    before = shell.json("stats")["store_bytes_read"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    both = [shell.popen("load", "/s3", "--json", **pipes) for _ in range(2)]
    told = [json.loads(process.communicate(timeout=60)[0]) for process in both]
    total = sum(map(len, FILES.values()))
    assert [process.returncode for process in both] == [0, 0]
    assert [t["loaded_bytes"] + t["present_bytes"] for t in told] == [total, total]
    assert shell.json("stats")["store_bytes_read"] - before == total


def test_a_command_that_waits_ends_with_ctrl_c(
    shell: Shell, bucket: str, s3_gateway: S3Gateway
) -> None:
    """A mount that waits for its store: interrupted, it says so at once."""
    options = {**s3_gateway.mount_options(), "secret_key": "env:THE_SECRET"}
    words = [w for k, v in options.items() for w in ("-o", f"{k}={v}")]
    os.kill(s3_gateway.pid, signal.SIGSTOP)
    try:
        process = shell.popen(
            "mount", "add", "/waits", f"s3://{bucket}/t", *words, stderr=subprocess.PIPE
        )
        with Control(shell.directory) as control:
            until = time.monotonic() + 30
            while "in mount_add" not in control.stacks().text:
                assert time.monotonic() < until
                assert process.poll() is None
                time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
        assert (process.returncode, err) == (130, b"interrupted\n")
    finally:
        os.kill(s3_gateway.pid, signal.SIGCONT)
    until = time.monotonic() + 60
    while "in mount_add" in (stacks := shell.run("stacks").decode()):
        assert time.monotonic() < until, stacks
        time.sleep(0.05)
    if any(m["path"] == "/waits" for m in shell.json("mount", "ls")):
        shell.run("mount", "rm", "/waits")


def test_load_ends_cleanly_with_ctrl_c(shell: Shell, tmp_path: Path) -> None:
    """Interrupted, a load says so at once; the next goes on where it stopped."""
    for i in range(40):
        with (tmp_path / f"{i:02}").open("wb") as file:
            file.truncate(64 * MIB)
    shell.run("mount", "add", "/much", f"file://{tmp_path}")
    time.sleep(2.1)  # until the file store takes the versions for strong
    process = shell.popen("load", "/much", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with Control(shell.directory) as control:
        until = time.monotonic() + 30
        while control.stats().used_bytes < 150 * MIB:
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    interrupted = time.monotonic()
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - interrupted < 5
    assert (process.returncode, err) == (130, b"interrupted\n")
    shell.run("evict", "/much")
    shell.run("mount", "rm", "/much")


def test_serve_refuses_what_it_cannot(shell: Shell, tmp_path: Path) -> None:
    taken = shell.run("serve", "--http-port", "0", code=1).decode()
    assert "error: " in taken
    assert "remedy: " in taken
    other = Shell(tmp_path / "other")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        busy = other.run("serve", "--http-port", str(port), code=1).decode()
    assert str(port) in busy
    bad = other.run("serve", "--set", "cache_polcy=lru", code=1).decode()
    assert "Did you mean cache_policy?" in bad
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    world = Shell(tmp_path / "open").run("serve", "--http-port", "0", code=1).decode()
    assert "error: " in world


def test_a_restart_keeps_mounts_and_data(shell: Shell, tmp_path: Path) -> None:
    """Mounted before the first start; ready is told; the second start finds all as it was."""
    (tmp_path / "data").mkdir()
    data = secrets.token_bytes(300_000)
    (tmp_path / "data/f").write_bytes(data)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(60)
        mine = Shell(tmp_path / "cache", NOTIFY_SOCKET=str(tmp_path / "notify"))
        mine.run("mount", "add", "/d", f"file://{tmp_path}/data")
        time.sleep(2.1)  # until the file store takes the version for strong
        for expected in (0, len(data)):
            sidecar = mine.serve(stderr=subprocess.DEVNULL)
            assert sock.recv(1000).startswith(b"READY=1\n")
            assert mine.json("stat", "/d/f")["cached_bytes"] == expected
            assert mine.run("cat", "/d/f") == data
            sidecar.send_signal(signal.SIGTERM)
            assert sock.recv(1000).startswith(b"STOPPING=1\n")
            assert sidecar.wait(30) == 0
