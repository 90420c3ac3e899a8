"""The sidecar as a process: killed, stopped, started twice, out of descriptors."""

from __future__ import annotations

import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from millpond.errors import AddressInUse, CacheDirUnusable, SidecarUnavailable
from millpond.model.sizes import MIB
from millpond.settings import Settings
from millpond.wire.local_client import LocalClient
from tests.fixtures.sidecar import LoopSidecar, ProcessSidecar, cached

if TYPE_CHECKING:
    from millpond.testing.s3_gateway import S3Gateway
    from millpond.wire import millpond_pb2 as wire

CONTENT = random.Random(17).randbytes(40 * MIB)
CAPACITY = {"MILLPOND_CACHE_CAPACITY_BYTES": "256MiB"}


def mount(sidecar: ProcessSidecar, client: LocalClient, gateway: S3Gateway) -> wire.FileInfo:
    bucket = gateway.new_bucket()
    gateway.put_object(bucket, "file", CONTENT)
    sidecar.control.mount_add("/m", f"s3://{bucket}", gateway.mount_options())
    return client.stat("/m/file")


def test_killed_in_mid_fill_it_comes_back_with_what_it_had(
    tmp_path: Path, s3_gateway: S3Gateway
) -> None:
    directory = tmp_path / "cache"
    with (
        ProcessSidecar(directory, tmp_path / "1.log", **CAPACITY) as first,
        first.await_client() as client,
    ):
        info = mount(first, client, s3_gateway)
        client.fill("/m/file", info.file_id, [(0, 16 * MIB)])

        def kill(_: int) -> None:
            first.process.send_signal(signal.SIGKILL)

        with pytest.raises(SidecarUnavailable):
            client.fill("/m/file", info.file_id, [(16 * MIB, 24 * MIB)], on_progress=kill)
        assert first.process.wait(20) == -signal.SIGKILL
    assert cached(directory, info.file_id, 0, 16 * MIB) == CONTENT[: 16 * MIB]
    with (
        ProcessSidecar(directory, tmp_path / "2.log", **CAPACITY) as second,
        second.await_client() as client,
    ):
        assert client.stat("/m/file").file_id == info.file_id
        client.fill("/m/file", info.file_id, [(0, 16 * MIB)])
        assert second.control.stats().mounts[0].get == 0, "what was on disk was fetched again"
        assert client.fill("/m/file", info.file_id, [(0, len(CONTENT))]).result == 0
        assert cached(directory, info.file_id, 0, len(CONTENT)) == CONTENT


def test_a_directory_deleted_by_hand_heals(tmp_path: Path, s3_gateway: S3Gateway) -> None:
    directory = tmp_path / "cache"
    with ProcessSidecar(directory, tmp_path / "log", **CAPACITY) as sidecar:
        with sidecar.await_client() as client:
            info = mount(sidecar, client, s3_gateway)
            client.fill("/m/file", info.file_id, [(0, 4 * MIB)])
        shutil.rmtree(directory)
        with sidecar.await_client() as client:
            assert client.stat("/m/file").file_id == info.file_id
            client.fill("/m/file", info.file_id, [(0, 20 * MIB)])
        assert cached(directory, info.file_id, 0, 20 * MIB) == CONTENT[: 20 * MIB]
        until = time.monotonic() + 90
        while not (directory / "namespace.db").exists() and time.monotonic() < until:
            time.sleep(0.05)
    with ProcessSidecar(directory, tmp_path / "log", **CAPACITY) as sidecar:
        sidecar.await_client().close()
        assert [m.path for m in sidecar.control.mounts()] == ["/m"], "the mounts did not survive"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_in_mid_fill(
    tmp_path: Path, s3_gateway: S3Gateway, number: signal.Signals
) -> None:
    directory = tmp_path / "cache"
    with (
        ProcessSidecar(directory, tmp_path / "log", **CAPACITY) as sidecar,
        sidecar.await_client() as client,
    ):
        info = mount(sidecar, client, s3_gateway)
        assert (directory / "lease").exists()
        client.fill("/m/file", info.file_id, [(0, 1)], window=32 * MIB, stream=1)
        sidecar.process.send_signal(number)
        assert sidecar.process.wait(20) == 0
        assert not (directory / "lease").exists()
        assert not (directory / "sidecar.sock").exists()
        assert (directory / "index.snapshot").exists()
        assert "Traceback" not in sidecar.log_text()


def test_with_its_parent_it_ends_in_order_and_leaves_ctrl_c_to_it(tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    command = [str(Path(sys.executable).with_name("millpond")), "serve", "--with-parent"]
    command += ["--cache-dir", str(directory), "--http-port", "0"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
    try:
        await_lease(directory)
        process.send_signal(signal.SIGINT)
        with LocalClient.connect(directory) as client:
            assert client.stat("/").directory
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    assert not (directory / "lease").exists()
    assert "Traceback" not in (tmp_path / "log").read_text()


def await_lease(directory: Path) -> None:
    until = time.monotonic() + 90
    while not (directory / "lease").exists():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_second_sidecar_on_one_directory_is_refused(tmp_path: Path) -> None:
    settings = Settings(cache_dir=tmp_path / "cache", http_port=0, cache_capacity_bytes=64 * MIB)
    with LoopSidecar(settings) as first:
        with pytest.raises(CacheDirUnusable, match="pid"), LoopSidecar(settings):
            pass
        with first.client() as client:
            assert client.stat("/").directory


@pytest.mark.parametrize("setting", ["tcp_port", "http_port"])
def test_a_taken_port_is_address_in_use_and_leaves_nothing_open(
    tmp_path: Path, setting: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = {"http_port": 0, setting: taken.getsockname()[1]}
        settings = Settings(cache_dir=tmp_path / "c", cache_capacity_bytes=64 * MIB, **ports)
        with pytest.raises(AddressInUse, match=f"set {setting}"), LoopSidecar(settings):
            pass
    free = Settings(cache_dir=tmp_path / "c", cache_capacity_bytes=64 * MIB, http_port=0)
    with LoopSidecar(free) as sidecar, sidecar.client() as client:
        assert client.stat("/").directory


def test_a_stale_socket_is_replaced_and_a_live_one_is_not(tmp_path: Path) -> None:
    settings = Settings(cache_dir=tmp_path / "c", http_port=0, cache_capacity_bytes=64 * MIB)
    with LoopSidecar(settings):
        pass
    path = str(tmp_path / "c" / "sidecar.sock")
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(path)
    stale.close()
    with LoopSidecar(settings) as sidecar, sidecar.client() as client:
        assert client.stat("/").directory
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(path)
        live.listen()
        with pytest.raises(AddressInUse, match="another process answers"), LoopSidecar(settings):
            pass


def test_out_of_descriptors_it_serves_whom_it_has_and_recovers(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        ProcessSidecar(tmp_path / "c", log, limit_files=96, **CAPACITY) as sidecar,
        sidecar.await_client() as kept,
    ):
        assert kept.stat("/").directory
        waiting = [_connect(tmp_path / "c") for _ in range(120)]
        assert kept.stat("/").directory
        for sock in waiting:
            sock.close()
        until = time.monotonic() + 20
        with sidecar.await_client() as client:
            assert client.stat("/").directory
            assert time.monotonic() < until
        assert sidecar.log_text().count("connections wait") == 1
        assert sidecar.process.poll() is None


def _connect(directory: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(20)
    sock.connect(str(directory / "sidecar.sock"))
    return sock
