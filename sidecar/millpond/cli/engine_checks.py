"""What ``millpond doctor`` looks at on an engine's behalf: is the node's cache within its reach?

Meant to be run where the engine runs, in its container and as its user: a container may lack the
directory, the group, the socket, the network or the clock of the sidecar beside it.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from millpond.cli.checks import mounted_at
from millpond.cli.findings import Finding, ok, problem, warning
from millpond.cli.link import connect
from millpond.errors import MillpondError
from millpond.store import node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from millpond.settings import Settings

MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))
OVERFLOW_ID = 65534
CONNECT_S = 1.0


def place(settings: Settings) -> Iterator[Finding]:
    """Whether the directory is the node's, and ids mean here what they mean there."""
    directory = settings.cache_dir
    if not directory.is_dir():
        return  # told by the other checks
    if in_container():
        yield _mounted(directory)
    if mapped := _mapped(directory):
        yield mapped


def reach(settings: Settings) -> Iterator[Finding]:
    """Socket, TCP, clock and names, as seen from here."""
    directory = settings.cache_dir
    try:
        properties = node.load(directory / "node.properties") or {}
    except (OSError, MillpondError):
        return  # told by ``records``
    if not properties:
        return
    yield _socket(directory)
    yield _tcp(properties)
    yield from _clock(settings)
    yield _names(properties)


def in_container() -> bool:
    """Whether this process is known to run in one."""
    return any(mark.exists() for mark in MARKS) or "KUBERNETES_SERVICE_HOST" in os.environ


def _mounted(directory: Path) -> Finding:
    at, _ = mounted_at(directory)
    if at != "/":
        return ok("container", f"{at} is mounted into this container")
    try:
        _connect(directory)
    except OSError:
        return problem(
            "container", f"{directory} lies in this container's own file system",
            "Mount the node's directory there: a hostPath volume, or -v DIR:DIR; or start a "
            "sidecar in this container",
        )  # fmt: skip
    return ok("container", "the sidecar runs in this container too")


def _mapped(directory: Path) -> Finding | None:
    """User namespaces: the sidecar sees other ids than this process thinks it has."""
    first = Path("/proc/self/uid_map").read_text().split()[:3]
    if first == ["0", "0", "4294967295"]:
        return None
    found = directory.stat()
    if OVERFLOW_ID in (found.st_uid, found.st_gid):
        return problem(
            "user ids", f"the owner or group of {directory} has no id in this user namespace",
            "Run without a user namespace (hostUsers: true), or map the directory's group into it",
        )  # fmt: skip
    return warning(
        "user ids", "this user namespace maps ids: the node knows this user by another number",
        "Let the mapped user be in the directory's group",
    )  # fmt: skip


def _connect(directory: Path) -> None:
    """Reach the sidecar's socket, no more. Raises OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(CONNECT_S)
        line.connect(os.fspath(directory / "sidecar.sock"))


def _socket(directory: Path) -> Finding:
    path = directory / "sidecar.sock"
    try:
        _connect(directory)
    except FileNotFoundError:
        return problem("socket", f"there is no {path}", "Start the sidecar: `millpond serve`")
    except PermissionError:
        return problem(
            "socket", f"{path} may not be used by user {os.geteuid()}",
            "Put the user into the directory's group; in Kubernetes: supplementalGroups",
        )  # fmt: skip
    except OSError as e:
        return problem("socket", f"{path}: {e.strerror or e}", "Restart the sidecar")
    return ok("socket", f"{path} takes connections")


def _tcp(properties: dict[str, str]) -> Finding:
    host, port = properties.get("tcp.host", ""), properties.get("tcp.port", "0")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
    except (OSError, ValueError):
        return warning(
            "tcp", f"{host} port {port} does not answer here: another network namespace?",
            "Only Java below 16 needs it: give its container the host's network",
        )  # fmt: skip
    return ok("tcp", f"{host} port {port} takes connections")


def _clock(settings: Settings) -> Iterator[Finding]:
    """As clients compare them: the sidecar's time lies between asking and being answered."""
    before = time.monotonic_ns()
    try:
        with connect(settings) as client:
            hello = client.hello
    except MillpondError:
        return  # told by ``socket``
    boot = uuid.UUID(Path("/proc/sys/kernel/random/boot_id").read_text().strip()).bytes
    if hello.boot_id != boot:
        yield problem(
            "clock", "the sidecar runs on another machine or kernel than this process",
            "Run one sidecar on each node, outside of virtual machines that engines run in",
        )  # fmt: skip
    elif not before <= hello.monotonic_ns <= time.monotonic_ns():
        yield warning(
            "clock", "the sidecar's monotonic clock is another: every open asks the sidecar",
            "Run sidecar and engines in one time namespace (no `unshare --time`)",
        )  # fmt: skip
    else:
        yield ok("clock", "the sidecar's monotonic clock is ours")


def _names(properties: dict[str, str]) -> Finding:
    """Whether an engine here would register under a name that block locations have."""
    aliases = [n for n in properties.get("node.aliases", "").split(",") if n]
    here = node.own_names()
    if shared := [n for n in here if n in aliases]:
        return ok("host names", f"block locations name this host: {shared[0]}")
    return warning(
        "host names", f"here {', '.join(here) or 'none'}; block locations say "
        f"{', '.join(aliases) or 'none'}",
        "For locality set node_aliases to what engines register; on a pod network there is none",
    )  # fmt: skip
