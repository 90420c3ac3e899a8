"""``millpond settings`` and ``millpond version``."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import millpond
from millpond.cli.link import CacheDir, Config, control, load_settings
from millpond.cli.output import Json, Mode, print_json, print_table
from millpond.settings import DECLARED

if TYPE_CHECKING:
    from millpond.settings import Settings


def register(app: typer.Typer) -> None:
    app.command("settings")(settings)
    app.command("version")(version)


def settings(
    running: Annotated[
        bool,
        typer.Option("--running", help="As the running sidecar has them, and which `set` changes."),
    ] = False,
    cache_dir: CacheDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show every setting: its value, and where that came from.

    A value comes from the first of: a flag of `millpond serve`, the environment, a TOML file, the
    default. These are what a sidecar started here would have; one that runs may have others.
    """
    loaded = load_settings(cache_dir, config)
    if running:
        _show_running(loaded)
        return
    if Mode.json:
        print_json({name: _row(loaded, name) for name in DECLARED})
        return
    rows = []
    for name, declared in DECLARED.items():
        shown = declared.kind.show(getattr(loaded, name))
        rows.append([name, shown, loaded.origin(name), declared.description])
    print_table(["SETTING", "VALUE", "FROM", "MEANING"], rows)


def _show_running(loaded: Settings) -> None:
    with control(loaded) as sidecar:
        told = sidecar.settings()
    if Mode.json:
        print_json(
            {s.name: {"value": s.value, "origin": s.origin, "running": s.running} for s in told}
        )
        return
    rows = [[s.name, s.value, s.origin, "yes" if s.running else "at a restart"] for s in told]
    print_table(["SETTING", "VALUE", "FROM", "CAN CHANGE"], rows)


def _row(loaded: Settings, name: str) -> dict[str, object]:
    declared, value = DECLARED[name], getattr(loaded, name)
    return {
        "value": str(value) if isinstance(value, Path) else value,
        "unit": declared.kind.unit,
        "origin": loaded.origin(name),
        "env": list(declared.env),
        "allowed": declared.kind.allowed,
        "description": declared.description,
    }


def version(as_json: Json = False) -> None:
    """Show the release."""
    if Mode.json:
        print_json({"millpond": millpond.__version__, "python": platform.python_version()})
    else:
        print(f"millpond {millpond.__version__} (Python {platform.python_version()})")
