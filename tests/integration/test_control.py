"""The control service of a real sidecar: rights, hostile clients, its end; its Python client."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from millpond import control as package
from millpond import errors
from millpond.control import Control
from millpond.control import client as client_module
from millpond.server.grpc_server import SLOW_CALLS
from millpond.settings import Settings
from millpond.wire import millpond_pb2 as wire
from millpond.wire import service
from tests.fixtures.sidecar import LoopSidecar, ProcessSidecar

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopSidecar]:
    directory = tmp_path_factory.mktemp("a b%41?#ü") / "cache"
    settings = Settings(cache_dir=directory, http_port=0, cache_capacity_bytes=256 * MIB)
    with LoopSidecar(settings) as sidecar:
        yield sidecar


@pytest.fixture
def folder(tmp_path: Path, sidecar: LoopSidecar) -> Iterator[Path]:
    """A folder mounted at /f."""
    folder = tmp_path / "folder"
    folder.mkdir()
    sidecar.control.mount_add("/f", f"file://{folder}", {"freshness": "1h"})
    yield folder
    sidecar.control.evict("/f")
    sidecar.control.mount_remove("/f")


def write(sidecar: LoopSidecar, folder: Path, files: dict[str, bytes]) -> None:
    """Write files, and wait until the store takes their versions for strong: 2 s after a change."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    with sidecar.client() as client:
        for name in files:
            while not client.stat(f"/f/{name}", force=True).file_id:
                time.sleep(0.05)


def call(directory: Path, handler: str, request: Any, *metadata: tuple[str, str | bytes]) -> Any:
    method = service.METHODS[handler]
    with grpc.insecure_channel(service.address(directory)) as channel:
        ask = channel.unary_unary(
            method.path, lambda r: r if isinstance(r, bytes) else r.SerializeToString(),
            method.reply.FromString,
        )  # fmt: skip
        return ask(request, timeout=20, metadata=metadata)


def refused(directory: Path, handler: str, request: Any, *metadata: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as told:
        call(directory, handler, request, *metadata)
    code = told.value.code()  # type: ignore[attr-defined]
    assert isinstance(code, grpc.StatusCode)
    return code


@pytest.mark.parametrize(
    "metadata",
    [
        [],
        [("authorization", "")],
        [("authorization", "Bearer ")],
        [("authorization", "Bearer " + "0" * 64)],
        [("authorization", "0" * 64)],
    ],
)
@pytest.mark.parametrize("handler", sorted(service.METHODS))
def test_no_method_is_answered_without_a_token(
    sidecar: LoopSidecar, handler: str, metadata: list[tuple[str, str]]
) -> None:
    request = service.METHODS[handler].request()
    code = refused(sidecar.directory, handler, request, *metadata)
    assert code is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("handler", sorted(service.METHODS))
def test_the_groups_token_may_look_and_change_nothing(sidecar: LoopSidecar, handler: str) -> None:
    from millpond.server.admin import READS

    if handler in READS:
        return
    token = (sidecar.directory / service.READ_TOKEN).read_text()
    metadata = (service.AUTHORIZATION, service.bearer(token))
    request = service.METHODS[handler].request()
    code = refused(sidecar.directory, handler, request, metadata)
    assert code is grpc.StatusCode.PERMISSION_DENIED


def test_the_group_reads_with_its_token(
    sidecar: LoopSidecar, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As a member of the group, who can't read control.token, has it."""
    for name in (service.READ_TOKEN, service.SOCKET):
        (tmp_path / name).symlink_to(sidecar.directory / name)
    with Control(tmp_path) as control:
        assert control.mounts() == []
        with pytest.raises(errors.PermissionDenied, match=r"user \d+ and root"):
            control.evict("/")


def test_files_of_rights_have_modes(sidecar: LoopSidecar) -> None:
    modes = {
        name: (sidecar.directory / name).stat().st_mode & 0o777
        for name in (service.SOCKET, service.READ_TOKEN, service.CHANGE_TOKEN)
    }
    assert modes == {"control.sock": 0o660, "token": 0o640, "control.token": 0o600}


def test_errors_are_typed_and_bounded(sidecar: LoopSidecar) -> None:
    with pytest.raises(errors.MountNotFound, match="no mount covers /nowhere") as told:
        sidecar.control.evict("/nowhere")
    assert told.value.remedy
    with pytest.raises(errors.InvalidPath):
        sidecar.control.evict("/a/../b")
    with pytest.raises(errors.MillpondError) as long:
        sidecar.control.mount_add("/" + "é" * 4000, "s3q://bucket")
    assert len(long.value.problem) <= 4100


def test_what_is_too_large_is_refused_and_harms_nobody(sidecar: LoopSidecar) -> None:
    token = (sidecar.directory / service.CHANGE_TOKEN).read_text()
    metadata = (service.AUTHORIZATION, service.bearer(token))
    large = wire.EvictRequest(path="/" + "x" * (2 * service.MAX_REQUEST_BYTES))
    code = refused(sidecar.directory, "evict", large, metadata)
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(errors.FrameTooLarge):
        sidecar.control._call("evict", large)
    code = refused(sidecar.directory, "evict", b"\xff" * 100, metadata)
    assert code is not grpc.StatusCode.OK
    assert sidecar.control.stats().version


def test_a_method_that_is_not_there_is_not_supported(
    sidecar: LoopSidecar, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = sidecar.control._channel
    newer = channel.unary_unary("/millpond.wire.Control/Newer", lambda _: b"", lambda _: None)
    monkeypatch.setitem(sidecar.control._calls, "newer", newer)
    with pytest.raises(errors.NotSupported, match="after an upgrade"):
        sidecar.control._call("newer", None)


def test_every_error_has_a_status_of_its_own_choice() -> None:
    names = {code.name for code in grpc.StatusCode}
    for error in errors.BY_CODE.values():
        assert "status" in vars(error), error
        assert error.status in names
        assert error.status != "OK"


def test_two_clients_at_once_get_their_own_answers(sidecar: LoopSidecar, folder: Path) -> None:
    write(sidecar, folder, {f"d{i}/f": b"x" * 70_000 for i in range(20)})
    sidecar.control.load("/f")
    seen: list[int] = []

    def evict(numbers: range) -> None:
        with Control(sidecar.directory) as control:
            seen.extend(control.evict(f"/f/d{i}").files for i in numbers)

    threads = [threading.Thread(target=evict, args=(range(at, 20, 2),)) for at in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert seen == [1] * 20


def test_load_tells_what_it_does(sidecar: LoopSidecar, folder: Path) -> None:
    write(sidecar, folder, {"a": b"x" * MIB, "b": b"y" * 3 * MIB})
    told: list[tuple[int, int]] = []
    loaded = sidecar.control.load("cache:///f", on_progress=lambda *at: told.append(at))
    assert (loaded.files, loaded.loaded_bytes, loaded.errors) == (2, 4 * MIB, [])
    assert max(told) == (4 * MIB, 4 * MIB)
    assert sidecar.control.load("/f").present_bytes == 4 * MIB


def test_the_socket_comes_back_when_it_is_deleted(sidecar: LoopSidecar) -> None:
    for name in (service.SOCKET, service.CHANGE_TOKEN):
        (sidecar.directory / name).unlink()
    until = time.monotonic() + 20
    while not all((sidecar.directory / n).exists() for n in (service.SOCKET, service.CHANGE_TOKEN)):
        assert time.monotonic() < until
        time.sleep(0.02)
    with Control(sidecar.directory) as control:
        assert control.stats().version
    assert (sidecar.directory / service.CHANGE_TOKEN).stat().st_mode & 0o777 == 0o600


def test_without_a_sidecar_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(errors.SidecarUnavailable, match="no sidecar answers in"):
        package.connect(tmp_path / "none")
    directory = tmp_path / "cache"
    with ProcessSidecar(directory, tmp_path / "log") as sidecar:
        sidecar.await_client().close()
        kept = Control(directory)
        assert kept.stats().version
        sidecar.process.kill()
        sidecar.process.wait(20)
        with pytest.raises(errors.SidecarUnavailable, match="millpond serve") as told:
            kept.stats()
        assert "\n" not in str(told.value)
        kept.close()
        with Control(directory) as control, pytest.raises(errors.SidecarUnavailable):
            control.mounts()
        # The next one takes the socket that the killed one left.
    with ProcessSidecar(directory, tmp_path / "log") as sidecar:
        sidecar.await_client().close()
        assert sidecar.control.mounts() == []


def test_a_stopped_process_is_given_up(tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    with ProcessSidecar(directory, tmp_path / "log") as sidecar:
        sidecar.await_client().close()
        with Control(directory, answer_s=0.5) as control:
            assert control.stats().version
            os.kill(sidecar.process.pid, signal.SIGSTOP)
            try:
                with pytest.raises(errors.SidecarUnavailable, match="does not answer"):
                    control.stats()
            finally:
                os.kill(sidecar.process.pid, signal.SIGCONT)
            assert control.stats().version, "the connection did not live on"


def test_it_ends_with_the_sidecar(tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    with ProcessSidecar(directory, tmp_path / "log") as sidecar:
        sidecar.await_client().close()
        assert sidecar.control.stats().version
        sidecar.process.terminate()
        assert sidecar.process.wait(20) == 0
        assert not (directory / service.SOCKET).exists()
        assert "Traceback" not in sidecar.log_text()


def test_a_directory_that_is_gone_comes_back(tmp_path: Path) -> None:
    settings = Settings(cache_dir=tmp_path / "c", http_port=0, cache_capacity_bytes=64 * MIB)
    with LoopSidecar(settings) as sidecar:
        token = (tmp_path / "c" / service.CHANGE_TOKEN).read_text()
        shutil.rmtree(tmp_path / "c", ignore_errors=True)
        until = time.monotonic() + 20
        while True:
            try:
                assert sidecar.control.stats().version
                break
            except errors.SidecarUnavailable:
                assert time.monotonic() < until
                time.sleep(0.02)
        assert (tmp_path / "c" / service.CHANGE_TOKEN).read_text() == token


def test_slow_calls_leave_room_for_quick_ones(
    sidecar: LoopSidecar, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, waiting = threading.Event(), threading.Semaphore(0)

    def evict(_: str) -> tuple[int, int]:
        waiting.release()
        assert go.wait(60)
        return 0, 0

    monkeypatch.setattr(sidecar.sidecar.namespace, "evict", evict)
    with ThreadPoolExecutor(SLOW_CALLS) as pool:
        calls = [pool.submit(sidecar.control.evict, "/") for _ in range(SLOW_CALLS)]
        try:
            for _ in calls:
                assert waiting.acquire(timeout=20)
            with pytest.raises(errors.Overloaded, match="stacks"):
                sidecar.control.refresh("/")
            assert sidecar.control.stats().version
            assert "in evict" in sidecar.control.stacks().text
        finally:
            go.set()
        assert [call.result(20).files for call in calls] == [0] * SLOW_CALLS
    assert sidecar.control.refresh("/").files == 0


def test_bytes_that_are_no_grpc_harm_nobody(sidecar: LoopSidecar) -> None:
    idle = []
    for _ in range(50):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(20)
        sock.connect(str(sidecar.directory / service.SOCKET))
        idle.append(sock)
    with suppress(OSError):  # closed as soon as it is seen to be none
        for _ in range(64):
            idle[0].sendall(os.urandom(65536))
    with suppress(ConnectionError):
        while idle[0].recv(65536):
            pass
    assert sidecar.control.stats().version
    for sock in idle:
        sock.close()


def test_the_example_of_the_page_runs(
    sidecar: LoopSidecar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    page = (Path(__file__).parents[2] / "docs/control.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "flights/year=2012").mkdir(parents=True)
    (tmp_path / "flights/year=2012/f").write_bytes(b"12")
    store = f'"/lake", "file://{tmp_path}", {{}}'
    code = re.sub(r'"/lake", "s3://.*?"\}', store, code)
    assert str(tmp_path) in code
    monkeypatch.setenv("MILLPOND_DIR", str(sidecar.directory))
    try:
        exec(compile(code, "control.md", "exec"), {})
    finally:
        sidecar.control.mount_remove("/lake")
    assert capsys.readouterr().out.startswith("['/lake']\n")


def test_the_package_names_its_client() -> None:
    assert package.Control is client_module.Control
