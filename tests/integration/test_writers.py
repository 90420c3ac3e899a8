"""Who may write: users that the kernel names, names that a secret proves, and nobody else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from millpond.cli.app import run
from millpond.client import CacheFileSystem
from millpond.client.writer import StagedWriter
from millpond.errors import MillpondError, NotAWriter, Unauthenticated
from millpond.settings import Settings
from millpond.wire.local_client import LocalClient
from tests.fixtures.sidecar import LoopSidecar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STRANGER = 64_321
"""A uid without a name; as a gid, one more."""
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
MOUNTS = {"/own": None, "/named": f"etl, {STRANGER}", "/group": f"@{STRANGER}", "/all": "*"}


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopSidecar]:
    base = tmp_path_factory.mktemp("writers")
    settings = Settings(cache_dir=base / "cache", http_port=0, cache_capacity_bytes=256 << 20)
    with LoopSidecar(settings) as sidecar:
        for path, writers in MOUNTS.items():
            (base / path[1:]).mkdir()
            options = {} if writers is None else {"writers": writers}
            sidecar.control.mount_add(path, f"file://{base / path[1:]}", options)
        yield sidecar


def _write(client: LocalClient, directory: Path, path: str) -> None:
    StagedWriter(client, directory, path).commit()


CHANGES: dict[str, Callable[[LocalClient, str], object]] = {
    "begin": lambda c, mount: c.abort(c.begin(f"{mount}/f").write),
    "mkdirs": lambda c, mount: c.mkdirs(f"{mount}/d"),
    "rename": lambda c, mount: c.rename(f"{mount}/there", f"{mount}/away"),
    "delete": lambda c, mount: c.delete(f"{mount}/there"),
    "set_times": lambda c, mount: c.set_times(f"{mount}/there", 1_000),
    "batch_begin": lambda c, mount: c.batch_abort(c.batch_begin(f"{mount}/t").batch),
}


def tcp(sidecar: LoopSidecar, secret: str = "") -> LocalClient:
    token = (sidecar.directory / "token").read_text()
    return LocalClient.connect_tcp("127.0.0.1", sidecar.sidecar.tcp_port, token, secret=secret)


def secret(sidecar: LoopSidecar, name: str, capsys: pytest.CaptureFixture[str]) -> str:
    """As the command prints it."""
    assert run(["writer-secret", name, "--cache-dir", str(sidecar.directory)]) == 0
    return capsys.readouterr().out.strip()


def refused(sidecar: LoopSidecar, client: LocalClient, mount: str) -> None:
    """Every change is, and nothing of it happened; reading is not."""
    with sidecar.client() as own:
        _write(own, sidecar.directory, f"{mount}/there")
        batch = own.batch_begin(f"{mount}/t").batch
        for verb, change in CHANGES.items():
            with pytest.raises(NotAWriter, match="writers") as met:
                change(client, mount)
            assert met.value.remedy.startswith("Mount it with -o writers="), verb
        for end in (client.batch_abort, client.batch_commit, client.batch_replace):
            with pytest.raises(NotAWriter):
                end(batch)
        own.batch_abort(batch)
        assert not client.stat(f"{mount}/there").directory
        names = {e.path for reply in own.list(mount) for e in reply.entries}
        assert names & {"there", "f", "d", "away"} == {"there"}
        own.delete(f"{mount}/there")


def test_over_tcp_the_token_reads_and_a_secret_writes(
    sidecar: LoopSidecar, capsys: pytest.CaptureFixture[str]
) -> None:
    with tcp(sidecar) as reader:
        refused(sidecar, reader, "/named")
        _write(reader, sidecar.directory, "/all/by-anyone")
    with tcp(sidecar, secret(sidecar, "etl", capsys)) as etl:
        _write(etl, sidecar.directory, "/named/by-etl")
        refused(sidecar, etl, "/own")
    with tcp(sidecar, secret(sidecar, "other", capsys)) as other:
        refused(sidecar, other, "/named")
    own = (sidecar.directory / "writer.secret").read_text()
    with tcp(sidecar, own) as client:
        for mount in MOUNTS:
            _write(client, sidecar.directory, f"{mount}/by-the-sidecar-s-user")
    assert (sidecar.directory / "writer.secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("wrong", ["etl", "etl:", f"etl:{'0' * 64}", ":", "é:0", f"e/l:{'0' * 64}"])
def test_a_wrong_secret_is_refused(sidecar: LoopSidecar, wrong: str) -> None:
    with pytest.raises(Unauthenticated, match="secret"):
        tcp(sidecar, wrong)


def as_user(uid: int, gids: list[int], directory: Path, do: Callable[[LocalClient], object]) -> str:
    """How a change ended that a process of another user made; "" where it was done."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.chdir(directory)  # as root: the folders above are closed to others
            os.setgroups(gids)
            os.setgid(gids[0])
            os.setuid(uid)
            with LocalClient.connect(directory.relative_to(directory)) as client:
                do(client)
        except MillpondError as e:
            os.write(into, e.name.encode())
        except BaseException as e:
            os.write(into, repr(e).encode())
        finally:
            os._exit(0)
    os.close(into)
    with os.fdopen(out) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return text


@AS_ROOT
def test_the_kernel_says_who_a_user_is(sidecar: LoopSidecar) -> None:
    here = sidecar.directory.stat().st_gid
    found = {
        (uid, *gids): "".join(
            "-+"[not as_user(uid, gids, sidecar.directory, lambda c, m=m: c.mkdirs(f"{m}/d"))]
            for m in MOUNTS
        )
        for uid, gids in (
            (STRANGER, [here]),
            (STRANGER + 1, [here]),
            (STRANGER + 1, [here, STRANGER]),
        )
    }
    assert found == {
        (STRANGER, here): "-+-+",
        (STRANGER + 1, here): "---+",
        (STRANGER + 1, here, STRANGER): "--++",
    }
    said = as_user(STRANGER, [here], sidecar.directory, lambda c: c.mkdirs("/own/d"))
    assert said == NotAWriter.__name__


def test_who_is_no_writer_writes_as_oneself(
    sidecar: LoopSidecar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With their own access to the store, past the sidecar; not past pending data."""
    fs = CacheFileSystem(cache_dir=sidecar.directory, skip_instance_cache=True)
    monkeypatch.setattr(fs, "connected", lambda: tcp(sidecar))
    fs.pipe("/own/as-oneself", b"mine")
    assert fs.cat_file("/own/as-oneself") == b"mine"
    assert fs.counters["fallback_permission"] == 1
    monkeypatch.setattr(type(fs.here().dir), "pending", lambda *_: True)
    with pytest.raises(PermissionError, match="its writers are"):
        fs.pipe("/own/another", b"mine")
    with pytest.raises(PermissionError, match="its writers are"):
        fs.rm("/own/as-oneself")
