"""node.properties: who this node is, as ``key=value`` lines. A value has no line breaks."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import secrets
import socket
import uuid
from typing import TYPE_CHECKING

from millpond.errors import Corrupt, InvalidRequest, UnknownFormat
from millpond.model.secrets import is_name, writer_secret
from millpond.store.tree import FILE_MODE, PRIVATE_MODE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from millpond.store.tree import Tree

FORMAT = 1
WRITER_SECRET = "writer.secret"
"""Of this process's own user."""
TOKENS = {"token": FILE_MODE, "control.token": PRIVATE_MODE, WRITER_SECRET: PRIVATE_MODE}
FIRST_SHARE = 0.80  # of the disks' free space, at first start
_TOKEN = re.compile(r"[0-9a-f]{64}\Z")


def parse(text: str) -> dict[str, str]:
    """The properties. Raises Corrupt for garbage, UnknownFormat for a newer format."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if not equals:
            raise Corrupt("node.properties is garbled", cause=f"line {line[:40]!r}")
        values[key.strip()] = value.strip()
    known = values.get("format", "")
    if not known.isdecimal():
        raise Corrupt("node.properties is garbled", cause="no format")
    if int(known) > FORMAT:
        raise UnknownFormat(
            f"the cache directory has format {known}",
            cause=f"this release knows formats up to {FORMAT}",
            remedy="Start the newer release again, or point cache_dir at an empty directory",
        )
    try:
        uuid.UUID(values["node.id"])
    except (KeyError, ValueError):
        raise Corrupt("node.properties is garbled", cause="no node.id") from None
    return values


def render(values: Mapping[str, str]) -> str:
    """The text of the file. Raises InvalidRequest for keys or values that can't stand in it."""
    for key, value in values.items():
        if not key or "=" in key or any(c in key + value for c in "\n\r\0"):
            raise InvalidRequest(f"property {key!r} can't be written", cause="line break or '='")
    return "".join(f"{key}={values[key]}\n" for key in sorted(values))


def load(path: Path) -> dict[str, str] | None:
    """The properties at ``path``; None if absent. Raises as ``parse``."""
    try:
        return parse(path.read_bytes().decode())
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise Corrupt("node.properties is garbled", cause="not UTF-8") from None


def new() -> dict[str, str]:
    """The properties of a node that starts for the first time."""
    return {"format": str(FORMAT), "node.id": str(uuid.uuid4())}


def load_or_make(
    tree: Tree,
    capacity_bytes: int | None,
    aliases: Sequence[str],
    statvfs: Callable[[], os.statvfs_result],
) -> dict[str, str]:
    """The properties of this start, written down. A capacity of None is that of before."""
    path = tree.directory / "node.properties"
    try:
        values = load(path) or new()
    except Corrupt as e:
        tree.set_aside(path, str(e))
        values = new()
    values["format"] = str(FORMAT)  # what is in it from now on, the release before may not read
    values["node.aliases"] = ",".join(aliases)
    if capacity_bytes is not None:
        values["capacity"] = str(capacity_bytes)
    elif not values.get("capacity", "").isdecimal() or int(values["capacity"]) <= 0:
        fs = statvfs()
        values["capacity"] = str(int(fs.f_bavail * fs.f_frsize * FIRST_SHARE))
    tree.replace("node.properties", render(values).encode(), durable=True)
    return values


def load_tokens(tree: Tree) -> dict[str, str]:
    """What the files of ``TOKENS`` hold, each made where there is no sound one."""
    found = {name: _load_token(tree, name, TOKENS[name]) for name in ("token", "control.token")}
    secret = writer_secret(found["control.token"], user_name(os.geteuid()))
    tree.replace(WRITER_SECRET, secret.encode(), durable=True, mode=TOKENS[WRITER_SECRET])
    return {**found, WRITER_SECRET: secret}


def user_name(uid: int) -> str:
    """A user's name; its number where it has none, or one that no writer can have."""
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
    return name if is_name(name) else str(uid)


def _load_token(tree: Tree, name: str, mode: int) -> str:
    """The token in a file of the cache dir, made where there is no sound one."""
    with contextlib.suppress(FileNotFoundError, UnicodeDecodeError):
        token = (tree.directory / name).read_text().strip()
        if _TOKEN.match(token):
            return token
    token = secrets.token_hex(32)
    tree.replace(name, token.encode(), durable=True, mode=mode)
    return token


def own_names() -> tuple[str, ...]:
    """This host's names and addresses, without loopback: what engines may have registered."""
    names = [socket.gethostname(), socket.getfqdn()]
    with contextlib.suppress(OSError):
        infos = socket.getaddrinfo(names[0], None, type=socket.SOCK_STREAM)
        names += [str(info[4][0]) for info in infos]
    kept = (n for n in names if n and not n.startswith(("127.", "::1", "localhost")))
    return tuple(dict.fromkeys(kept))
