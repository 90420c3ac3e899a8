"""``millpond serve``: the sidecar."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import sys
import threading
from contextlib import suppress
from io import UnsupportedOperation
from pathlib import Path  # noqa: TC003 (Typer reads the annotations)
from typing import TYPE_CHECKING, Annotated

import typer

from millpond import settings as declared
from millpond.cli.logs import configure
from millpond.cli.notify import notify
from millpond.cli.output import note
from millpond.errors import InvalidSetting
from millpond.settings import DECLARED

if TYPE_CHECKING:
    from collections.abc import Callable

    from millpond.settings import Settings


def register(app: typer.Typer) -> None:
    app.command("serve")(serve)


def _flag(name: str, *names: str) -> object:
    about = DECLARED[name]
    flags = names or (f"--{name.replace('_', '-')}",)
    return typer.Option(*flags, help=about.description, show_default=False)


def serve(
    config: Annotated[Path | None, typer.Option(help="The TOML file with the settings.")] = None,
    cache_dir: Annotated[Path | None, _flag("cache_dir")] = None,
    cache_capacity: Annotated[
        str | None, _flag("cache_capacity_bytes", "--cache-capacity", "--cache-capacity-bytes")
    ] = None,
    http_port: Annotated[int | None, _flag("http_port")] = None,
    tcp_port: Annotated[int | None, _flag("tcp_port")] = None,
    node_aliases: Annotated[str | None, _flag("node_aliases")] = None,
    log_level: Annotated[str | None, _flag("log_level")] = None,
    log_format: Annotated[str | None, _flag("log_format")] = None,
    with_parent: Annotated[
        bool,
        typer.Option(
            "--with-parent",
            help="End when standard input does: for a program that starts a sidecar of its own "
            "and holds the other end of the pipe.",
        ),
    ] = False,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other setting, name=value; repeatable."),
    ] = None,
) -> None:
    """Run the sidecar of this node, until SIGTERM or Ctrl-C.

    `millpond settings` lists all settings. One sidecar serves one cache directory.
    """
    flags: dict[str, object] = {
        "cache_dir": None if cache_dir is None else cache_dir.absolute(),
        "cache_capacity_bytes": cache_capacity,
        "http_port": http_port,
        "tcp_port": tcp_port,
        "node_aliases": node_aliases,
        "log_level": log_level,
        "log_format": log_format,
    }
    settings = declared.load(flags, named=_named(setting or []), config=config)
    configure(settings.log_level, settings.log_format)
    for name in declared.unknown_environment(os.environ):
        note(f"note: {name} is no setting of Millpond; `millpond settings` lists all")
    asyncio.run(_run(settings, with_parent))


def _named(texts: list[str]) -> dict[str, str]:
    """What ``--set`` said, by the setting's name."""
    named = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise InvalidSetting(
                f"--set {text} has no '='", remedy="Write --set name=value; see `millpond settings`"
            )
        named[name.strip()] = value
    return named


async def _run(settings: Settings, with_parent: bool) -> None:
    from millpond.server import Sidecar  # what it needs, no other command does

    sidecar = Sidecar(settings)
    loop = asyncio.get_running_loop()

    def ask_to_stop() -> None:
        # A second signal ends the process at once: nothing on disk needs a clean end.
        for number in signals:
            loop.remove_signal_handler(number)
        notify("STOPPING=1\nSTATUS=Stopping")
        sidecar.request_stop()

    signals = [signal.SIGTERM, signal.SIGINT]
    if with_parent:
        # Ctrl-C reaches all of a terminal's processes, and there it may only end a query.
        signals.remove(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _await_end_of_input(lambda: loop.call_soon_threadsafe(ask_to_stop))
    for number in signals:
        loop.add_signal_handler(number, ask_to_stop)
    with suppress(AttributeError, UnsupportedOperation):  # closed, or no file
        _tell_stacks_at(signal.SIGUSR1, sys.stderr.fileno())
    await sidecar.start()
    notify(f"READY=1\nSTATUS=Serving {settings.cache_dir}")
    await sidecar.serve_forever()


def _tell_stacks_at(number: signal.Signals, file: int) -> None:
    """For when not even `millpond stacks` is answered.

    By Python's own handler, which holds the interpreter: faulthandler's looks at stacks while other
    threads change them, and may end the process.
    """
    signal.signal(number, lambda *_: faulthandler.dump_traceback(file, all_threads=True))


def _await_end_of_input(ended: Callable[[], object]) -> None:
    """Calls ``ended`` once nobody can write to standard input any more."""

    def read() -> None:
        try:
            while sys.stdin is not None and os.read(0, 4096):  # None: closed from the beginning
                pass
        except OSError:
            pass  # nothing comes from there, which is as good as its end
        with suppress(RuntimeError):  # the loop has ended before
            ended()

    threading.Thread(target=read, name="parent", daemon=True).start()
