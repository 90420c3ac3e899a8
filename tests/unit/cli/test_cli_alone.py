"""The command line without a sidecar: usage, errors, mounts for the next one, findings."""

from __future__ import annotations

import json
import logging
import os
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest
import typer
from crc32c import crc32c

import millpond
from millpond.cli import app, checks, findings, notify
from millpond.cli.logs import JsonLines
from millpond.errors import StoreUnavailable
from millpond.model.records import Lease, parse_mounts
from millpond.settings import DECLARED, Settings
from millpond.wire import millpond_pb2 as wire
from tests.fixtures.sidecar import LoopSidecar

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs one command line against a cache directory of its own: (exit code, stdout, stderr)."""
    for name in list(os.environ):
        if name.startswith("MILLPOND_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("MILLPOND_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "200")

    def one(line: str) -> tuple[int, str, str]:
        code = app.run(shlex.split(line))
        out, err = capsys.readouterr()
        return code, out, err

    return one


def commands() -> list[str]:
    group: Any = typer.main.get_command(app.build())
    found = []
    for name, command in group.commands.items():
        found.append(name)
        found += [f"{name} {sub}" for sub in getattr(command, "commands", {})]
    return found


GROUPS = ("mount", "tpcds", "persist", "batch", "retarget")


@pytest.mark.parametrize("command", ["", *commands()])
def test_every_command_explains_itself(command: str, run: Run) -> None:
    code, out, err = run(f"{command} --help")
    assert (code, err) == (0, "")
    assert "Usage: millpond" in out


@pytest.mark.parametrize("command", [c for c in commands() if c not in GROUPS])
def test_every_command_that_tells_something_has_json(command: str, run: Run) -> None:
    tells = command not in ("serve", "cat")
    assert ("--json" in run(f"{command} --help")[1]) == tells


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("bogus", "No such command 'bogus'"),
        ("ls --wat", "No such option"),
        ("mount add /x", "Missing argument"),
        ("load /x --jobs 0", "Invalid value"),
    ],
)
def test_wrong_usage_is_2(line: str, problem: str, run: Run) -> None:
    code, out, err = run(line)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert problem in err
    assert "remedy: `millpond" in err
    assert "--help` shows how it is used" in err


def test_no_arguments_show_the_help(run: Run) -> None:
    code, out, _ = run("")
    assert code == 2
    assert "Usage: millpond" in out


def test_an_error_has_problem_cause_and_remedy(run: Run) -> None:
    code, out, err = run("ls /x")
    assert (code, out) == (1, "")
    problem, cause, remedy = err.splitlines()
    assert problem.startswith("error: no sidecar answers in ")
    assert cause == "cause: No such file or directory"
    assert remedy.startswith("remedy: Start it with 'millpond serve'")


def test_a_json_error_is_one_object(run: Run) -> None:
    code, out, err = run("ls /x --json")
    assert (code, out) == (1, "")
    document = json.loads(err)
    assert document["error"] == "SidecarUnavailable"
    assert document["retriable"] is True
    assert all(document[k] for k in ("problem", "cause", "remedy"))
    assert json.loads(run("--json bogus")[2])["error"] == "InvalidRequest"


def test_a_defect_is_no_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millpond.cli.files.connect", lambda _: 1 / 0)
    code, out, err = run("ls /x")
    assert (code, out) == (1, "")
    assert "ZeroDivisionError" in err
    assert "Traceback" not in err
    assert "remedy:" in err


def test_interrupted_is_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("millpond.cli.files.connect", interrupted)
    assert run("ls /x") == (130, "", "interrupted\n")


def test_user_text_steers_no_terminal(run: Run) -> None:
    code, _, err = run("'ls' '/a\x1b[31m[bold]b'")
    assert code == 1
    assert "\x1b" not in err


def test_bad_paths_are_refused_before_anybody_is_asked(run: Run) -> None:
    for path in ("/a/../b", "relative", "s3a://b/k", "cache://host:1/a"):
        code, _, err = run(f"stat {path} --json")
        assert (code, json.loads(err)["error"]) == (1, "InvalidPath")


def with_paths() -> list[str]:
    """Every command that takes a path of the namespace."""
    group: Any = typer.main.get_command(app.build())
    every = {name: c for name, c in group.commands.items() if not hasattr(c, "commands")}
    every |= {f"mount {name}": c for name, c in group.commands["mount"].commands.items()}
    return [n for n, c in every.items() if any(p.name == "path" for p in c.params)]


def test_the_commands_that_take_a_path_are_known() -> None:
    assert {"ls", "stat", "cat", "evict", "load", "mount add", "mount rm"} <= {*with_paths()}


@pytest.mark.parametrize("command", with_paths())
@pytest.mark.parametrize("path", ["/a\0b", "cache:///a\0b", "\0", "/m/\0"])
def test_a_path_with_nul_is_invalid(
    command: str, path: str, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*command.split(), path, *([f"file://{tmp_path}"] if command == "mount add" else [])]
    assert app.run(words if command == "cat" else [*words, "--json"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    if command == "cat":  # has no --json
        assert "is not absolute" in err if path == "\0" else "contains NUL" in err
    else:
        assert json.loads(err)["error"] == "InvalidPath"
    assert "\0" not in err
    assert not (tmp_path / "cache/namespace.db").exists()


def test_a_store_uri_with_nul_is_invalid(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for uri in ("file:///a\0b", "s3a://buck\0et/x", "s3a://bucket/x\0"):
        assert app.run(["mount", "add", "/m", uri, "--no-check", "--json"]) == 1
        assert json.loads(capsys.readouterr().err)["error"] == "InvalidPath"
    assert json.loads(run("mount ls --json")[1]) == []


def test_a_broken_plug_in_takes_no_other_command_with_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        name = "broken"

        def load(self) -> None:
            raise ImportError("no such engine")

    class Good:
        name = "good"

        def load(self) -> Callable[[typer.Typer], None]:
            return lambda parent: parent.command("brought")(lambda: print("hello"))

    monkeypatch.setattr(app, "entry_points", lambda group: [Broken(), Good()])
    code, out, err = run("brought")
    assert (code, out) == (0, "hello\n")
    assert "commands of broken are missing: ImportError: no such engine" in err


def test_version(run: Run) -> None:
    assert millpond.__version__ in run("version")[1]
    assert json.loads(run("version --json")[1])["millpond"] == millpond.__version__


def test_settings_show_value_and_origin(run: Run, tmp_path: Path) -> None:
    shown = json.loads(run("settings --json")[1])
    assert set(shown) == set(DECLARED)
    assert shown["cache_dir"]["value"] == str(tmp_path / "cache")
    assert shown["cache_dir"]["origin"] == "MILLPOND_DIR"
    assert (shown["tcp_port"]["value"], shown["tcp_port"]["origin"]) == (0, "default")
    file = tmp_path / "config/millpond/millpond.toml"
    file.parent.mkdir(parents=True)
    file.write_text("http_port = 1234\n")
    shown = json.loads(run("settings --json")[1])
    assert shown["http_port"]["value"] == 1234
    assert shown["http_port"]["origin"] == f"{file}: http_port"
    assert "1234" in run("settings")[1]
    file.write_text("http_prot = 1234\n")
    code, _, err = run("settings")
    assert code == 1
    assert "Did you mean http_port?" in err


def test_mounts_of_no_cache_directory_are_not_no_mounts(run: Run, tmp_path: Path) -> None:
    code, out, err = run("mount ls")
    assert (code, out) == (1, "")
    problem, cause, remedy = err.splitlines()
    assert problem == f"error: the cache directory {tmp_path}/cache can't be read"
    assert cause == "cause: No such file or directory"
    assert "--cache-dir" in remedy
    assert not (tmp_path / "cache").exists()
    (tmp_path / "cache").touch()
    assert "cause: Not a directory" in run("mount ls")[2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--set nope=1", "unknown setting 'nope' (--set nope)"),
        ("--set evict_high=7", "evict_high (--set evict_high) is '7'"),
        ("--set evict_high", "--set evict_high has no '='"),
        ("--http-port 99999", "http_port (--http-port) is 99999"),
    ],
)
def test_serve_names_what_was_written(words: str, said: str, run: Run, tmp_path: Path) -> None:
    code, out, err = run(f"serve {words}")
    assert (code, out) == (1, "")
    assert err.startswith(f"error: {said}\n")
    assert "remedy: " in err
    assert not (tmp_path / "cache").exists()


def test_mounts_wait_for_the_next_sidecar(run: Run, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    code, out, err = run("mount ls --json")
    assert (code, out) == (1, "")
    assert json.loads(err)["error"] == "CacheDirUnusable"
    (tmp_path / "cache").mkdir(mode=0o750)
    assert json.loads(run("mount ls --json")[1]) == []
    code, out, err = run(f"mount add cache:///m file://{data} --freshness 5s --immutable '*.p'")
    assert (code, out) == (0, f"/m is file://{data}\n")
    assert "No sidecar runs here" in err
    [mount] = json.loads(run("mount ls --json")[1])
    assert (mount["path"], mount["freshness"], mount["immutable"]) == ("/m", "5s", ["*.p"])
    published = parse_mounts((tmp_path / "cache/mounts").read_bytes(), crc32c)
    assert [m.path for m in wire.MountTable.FromString(published).mounts] == ["/m"]
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o750
    assert json.loads(run(f"mount add /m {data} --json")[2])["error"] == "MountConflict"
    assert run("mount rm /m")[0] == 0
    assert json.loads(run("mount rm /m --json")[2])["error"] == "MountNotFound"
    assert "Nothing is mounted" in run("mount ls")[2]


def test_secrets_are_in_the_database_alone(run: Run, tmp_path: Path) -> None:
    line = (
        "mount add /s s3a://bucket --no-check -o endpoint=http://127.0.0.1:1 "
        "-o access_key=AKIAPLAIN -o secret_key=sEcReTpLaIn"
    )
    code, out, err = run(line)
    assert code == 0
    for more in ("mount ls", "mount ls --json", "settings", "doctor --json", "mount rm /zz"):
        _, shown, said = run(more)
        out, err = out + shown, err + said
    kept = {f for f in (tmp_path / "cache").iterdir() if b"sEcReTpLaIn" in f.read_bytes()}
    assert {f.name.partition("-")[0] for f in kept} == {"namespace.db"}
    assert {f.stat().st_mode & 0o777 for f in kept} == {0o600}
    assert "sEcReTpLaIn" not in out + err
    assert "AKIAPLAIN" not in out + err
    _, _, err = run("mount add /t s3a://bucket -o sEcReTpLaIn")
    assert "no '='" in err
    assert "sEcReTpLaIn" not in err


def test_a_held_directory_is_not_changed_behind_its_sidecar(run: Run, tmp_path: Path) -> None:
    run(f"mount add /m {tmp_path} --no-check")
    script = (
        "import fcntl,sys; f=open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print('held');"
        "sys.stdout.flush(); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "cache/lock")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        code, _, err = run("mount rm /m --json")
        holder.communicate()
    assert code == 1
    assert "does not answer" in json.loads(err)["problem"]
    assert len(json.loads(run("mount ls --json")[1])) == 1


def levels(run: Run, line: str = "doctor --json") -> dict[str, str]:
    code, out, _ = run(line)
    document = json.loads(out)
    assert document["healthy"] == (code == 0)
    assert all(f["remedy"] for f in document["findings"] if f["level"] != "ok")
    return {f["check"]: f["level"] for f in document["findings"]}


def test_doctor_on_nothing_and_on_a_bad_directory(run: Run, tmp_path: Path) -> None:
    found = levels(run)
    assert (found["cache dir"], found["sidecar"], found["lease"]) == ("problem",) * 3
    (tmp_path / "cache").mkdir(mode=0o755)
    (tmp_path / "cache").chmod(0o755)
    assert levels(run)["cache dir"] == "problem"
    (tmp_path / "cache").chmod(0o770)
    assert levels(run)["cache dir"] == "warning"
    (tmp_path / "cache").chmod(0o750)
    assert levels(run)["cache dir"] == "ok"
    assert "PROBLEM" in run("doctor")[1]


def test_doctor_finds_records_that_engines_cannot_read(run: Run, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o750)
    assert {"mounts", "node.properties"}.isdisjoint(levels(run))
    (cache / "mounts").write_bytes(b"garbage")
    (cache / "node.properties").write_bytes(b"format=9\n")
    found = levels(run)
    assert (found["mounts"], found["node.properties"]) == ("problem", "problem")
    (cache / "node.properties").write_bytes(b"\xff\xfe")
    assert levels(run)["node.properties"] == "problem"


def test_a_gone_reader_is_no_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("millpond.cli.files.connect", gone)
    monkeypatch.setattr("millpond.cli.app.os.dup2", lambda *_: 1)
    assert run("ls /x") == (0, "", "")


def test_doctor_names_misspelt_variables(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLPOND_HTTP_PROT", "1")
    assert levels(run)["settings"] == "warning"


@pytest.mark.parametrize(
    ("jars", "level"),
    [
        ([], {"spark": "problem"}),
        (["hadoop-client-api-3.5.0.jar"], {"hadoop-aws": "warning"}),
        (["hadoop-client-api-3.5.0.jar", "hadoop-aws-3.4.1.jar"], {"hadoop-aws": "problem"}),
        (["hadoop-client-api-3.5.0.jar", "hadoop-aws-3.5.0.jar"], {"hadoop-aws": "ok"}),
    ],
)
def test_doctor_looks_at_sparks_jars(
    jars: list[str], level: dict[str, str], run: Run, tmp_path: Path
) -> None:
    (tmp_path / "jars").mkdir()
    for jar in jars:
        (tmp_path / "jars" / jar).touch()
    assert level.items() <= levels(run, f"doctor --spark-jars {tmp_path}/jars --json").items()


def test_a_lease_is_judged(tmp_path: Path) -> None:
    settings = Settings(cache_dir=tmp_path)
    now = checks.time.monotonic_ns()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")

    def judged(renewed_ns: int, boot_id: bytes) -> tuple[str, str]:
        lease = Lease(renewed_ns, boot_id, 1, 1, 42, 1, 1)
        (tmp_path / "lease").write_bytes(lease.pack(crc32c))
        found = checks._lease(settings)
        return found.check, found.level.value

    this_boot = bytes.fromhex(boot)
    assert judged(now, this_boot) == ("lease", "ok")
    assert judged(now - 10**10, this_boot) == ("lease", "problem")
    assert judged(now, bytes(16)) == ("lease", "problem")
    assert judged(now + 10**13, this_boot) == ("clock", "problem")
    (tmp_path / "lease").write_bytes(b"rubbish")
    assert checks._lease(settings).level is findings.Level.problem


def test_doctor_tells_of_names_that_are_not_shown(run: Run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in (b"/one\xff", b"/two\xff", b"/good"):
        with open(os.fsencode(tmp_path / "data") + name, "wb"):
            pass
    settings = Settings(cache_dir=tmp_path / "cache", http_port=0)
    with LoopSidecar(settings) as sidecar:
        sidecar.control.mount_add("/m", f"file://{tmp_path}/data")
        _, out, _ = run("doctor --json")
        told = {f["check"]: f for f in json.loads(out)["findings"]}
        assert told["names"]["text"] == "2 names that are not UTF-8 are not shown"
        assert told["names"]["level"] == "warning"
        with urlopen(f"http://127.0.0.1:{sidecar.sidecar.http_port}/metrics") as metrics:
            assert b'millpond_store_names_left_out{mount="/m"} 2\n' in metrics.read()


def take_all_inodes(directory: Path) -> None:
    for number in range(1000):
        (directory / str(number)).touch()


def take_all_space(file: Path) -> None:
    with file.open("wb", buffering=0) as out:
        while out.write(bytes(4096)):
            pass


def test_doctor_names_a_full_file_system_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sidecar on a disk without inodes lives, and can't renew its lease."""
    point = tmp_path / "disk"
    point.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64m,nr_inodes=400", "none", str(point)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs mount (root), to have a small disk")
    try:
        settings = Settings(cache_dir=point / "cache", http_port=0)
        with LoopSidecar(settings):
            assert checks._lease(settings).level is findings.Level.ok
            with pytest.raises(OSError, match="No space left"):
                take_all_inodes(point)
            until = time.monotonic() + 30
            while (found := checks._lease(settings)).level is findings.Level.ok:
                assert time.monotonic() < until
                time.sleep(0.05)
            assert "no inodes left" in found.text
            assert "hangs" not in found.text
            assert "Remove files" in found.remedy
            levels = {f.check: f for f in checks.disk(settings)}
            assert levels["disk"].level is findings.Level.problem
            assert "no inodes left" in levels["disk"].text
            for number in range(100):
                (point / str(number)).unlink()
            while checks._lease(settings).level is not findings.Level.ok:
                assert time.monotonic() < until
                time.sleep(0.05)
        with pytest.raises(OSError, match="No space left"):
            take_all_space(point / "big")
        found = checks._lease(settings)
        assert "there is none: the file system of the cache has no space left" in found.text
    finally:
        subprocess.run(["umount", "-l", str(point)], check=True)


def test_ready_is_told_to_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for address, bound in ((str(tmp_path / "n"), str(tmp_path / "n")), ("@mp-test", "\0mp-test")):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(bound)
            sock.settimeout(10)
            monkeypatch.setenv("NOTIFY_SOCKET", address)
            notify.notify("READY=1")
            assert sock.recv(100) == b"READY=1"
    notify.notify("READY=1")  # nobody listens any more: no error
    monkeypatch.delenv("NOTIFY_SOCKET")
    notify.notify("READY=1")


def test_json_log_lines() -> None:
    try:
        raise StoreUnavailable("gone")
    except StoreUnavailable:
        record = logging.LogRecord(
            "millpond.x", logging.WARNING, "", 1, "é %s", ("a\nb",), sys.exc_info()
        )
    line = JsonLines().format(record)
    assert "\n" not in line
    document = json.loads(line)
    assert (document["level"], document["message"]) == ("warning", "é a\nb")
    assert "StoreUnavailable: gone" in document["error"]
