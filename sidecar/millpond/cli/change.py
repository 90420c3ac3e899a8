"""``millpond set``: another value of a setting, while the sidecar runs."""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated

import typer

from millpond.cli.link import CacheDir, Config, control, load_settings
from millpond.cli.output import Json, Mode, note, print_json
from millpond.errors import InvalidSetting


def register(app: typer.Typer) -> None:
    app.command("set")(set_)


def set_(
    name: Annotated[str, typer.Argument(help="The setting, as `millpond settings` names it.")],
    value: Annotated[str, typer.Argument(help="Its new value: 500GiB, 30s, 0.9.")],
    save: Annotated[
        bool, typer.Option("--save", help="Write it to the sidecar's TOML file too.")
    ] = False,
    cache_dir: CacheDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Change a setting of the running sidecar.

    It holds until the sidecar stops; with [b]--save[/] the TOML file that the sidecar reads at its
    start says it too. `millpond settings --running` shows which settings can change; for the others
    the error says how they are changed.
    """
    with control(load_settings(cache_dir, config)) as sidecar:
        told = sidecar.set(name, value)
    file = Path(told.config_file).resolve()
    if save:
        save_setting(file, name, value)
    if Mode.json:
        saved = os.fspath(file) if save else None
        print_json({"name": name, "value": told.value, "previous": told.previous, "saved": saved})
        return
    print(f"{name} is {told.value} (it was {told.previous})")
    if not save:
        note("Until the sidecar stops; --save keeps it.")
    elif told.start_origin.startswith(("MILLPOND_", "--")):
        note(f"warning: {told.start_origin} was given at the start, and wins over {file}")


def save_setting(file: Path, name: str, value: str) -> None:
    """Have the TOML file say ``name = value``; its other lines stay as they are.

    Replaced at once, with its mode and owner. Raises InvalidSetting.
    """
    try:
        old = file.read_text() if file.exists() else ""
        new = edited(old, name, value)
        file.parent.mkdir(parents=True, exist_ok=True)
        mode, uid, gid = 0o644, -1, -1
        if file.exists():
            about = file.stat()
            mode, uid, gid = about.st_mode & 0o7777, about.st_uid, about.st_gid
        staged = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            staged.write_text(new)
            staged.chmod(mode)
            if (uid, gid) not in ((-1, -1), (os.geteuid(), os.getegid())):
                os.chown(staged, uid, gid)
            staged.replace(file)
        finally:
            staged.unlink(missing_ok=True)
    except (OSError, UnicodeDecodeError) as e:
        raise _not_saved(file, e.strerror or str(e) if isinstance(e, OSError) else str(e)) from None


def edited(text: str, name: str, value: str) -> str:
    """The TOML with another value of one top-level key. Raises InvalidSetting."""
    plain = re.fullmatch(r"[0-9]+(\.[0-9]+)?", value) is not None
    line = f"{name} = {value if plain else json.dumps(value, ensure_ascii=False)}"
    try:
        before = tomllib.loads(text)
        pattern = re.compile(rf"^[ \t]*{re.escape(name)}[ \t]*=.*$", re.MULTILINE)
        # A new line comes first: before any table.
        new = pattern.sub(lambda _: line, text, count=1) if name in before else f"{line}\n{text}"
        after = tomllib.loads(new)
    except tomllib.TOMLDecodeError as e:
        raise InvalidSetting("the TOML file can't be edited", cause=str(e)) from None
    if after != before | {name: tomllib.loads(line)[name]}:
        raise InvalidSetting(
            f"{name} can't be edited in the TOML file",
            cause="its line is not of the form key = value",
            remedy="Write it by hand; the running sidecar has the new value",
        )
    return new


def _not_saved(file: Path, cause: str) -> InvalidSetting:
    return InvalidSetting(
        f"{file} was not written",
        cause=cause,
        remedy="Write the setting there as a user who may; the running sidecar has the new value",
    )
