"""The application and its end. Exit codes: 0 done, 1 error, 2 wrong usage, 130 interrupted."""

from __future__ import annotations

import logging
import os
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import typer

from millpond.cli import (
    change,
    doctor,
    evict,
    explain,
    files,
    load,
    mount,
    persist,
    pin,
    refresh,
    retarget,
    secret,
    serve,
    show,
    stacks,
    stats,
)
from millpond.cli.output import (
    EXIT_ERROR,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    Mode,
    note,
    print_error,
)
from millpond.errors import Internal, InvalidRequest, MillpondError

if TYPE_CHECKING:
    from collections.abc import Sequence

FAMILIES = (
    serve, mount, files, load, refresh, evict, pin, persist, explain, stats, doctor, show, change,
    stacks, secret, retarget,
)  # fmt: skip
PLUGINS = "millpond.commands"
# Typer brings its own Click from some release on: the class is known by name alone.
_USAGE_ERROR: type[Exception] = next(
    c for c in typer.BadParameter.__mro__ if c.__name__ == "UsageError" and issubclass(c, Exception)
)
log = logging.getLogger(__name__)


def build() -> typer.Typer:
    """The application with the commands of every installed plug-in."""
    app = typer.Typer(
        name="millpond",
        help="A cache of HDFS and object-store data on the disks beside the engines.",
        epilog="Each command has --help and --json. Exit codes: 0 done, 1 error, 2 usage, 130 "
        "interrupted.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )
    for family in FAMILIES:
        family.register(app)
    for plugin in entry_points(group=PLUGINS):
        try:
            plugin.load()(app)
        except Exception as e:
            # A broken plug-in must not take the other commands with it.
            note(f"note: commands of {plugin.name} are missing: {type(e).__name__}: {e}")
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """The script: never a traceback, always an exit code that means something."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """The exit code of one run of the program."""
    Mode.json = "--json" in arguments
    try:
        result = build()(list(arguments), prog_name="millpond", standalone_mode=False)
        if sys.stdout is not None:  # None: it was closed (`>&-`)
            sys.stdout.flush()
        code = result if isinstance(result, int) else 0
        if code == EXIT_INTERRUPTED:
            note("interrupted")
        return code
    except _USAGE_ERROR as e:
        return _usage(e)
    except typer.Exit as e:
        return e.exit_code
    except (KeyboardInterrupt, typer.Abort):
        note("interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return _unread()
    except SystemExit as e:
        # So Typer ends a command whose output broke; nothing else here exits this way.
        if not isinstance(e.__context__, BrokenPipeError):
            raise
        return _unread()
    except MillpondError as e:
        print_error(e)
        return EXIT_ERROR
    except Exception as e:
        log.debug("unexpected", exc_info=True)
        print_error(
            Internal(
                "this command met a defect",
                cause=f"{type(e).__name__}: {e}",
                remedy="Run it again with MILLPOND_LOG_LEVEL=debug and report what it prints",
            )
        )
        return EXIT_ERROR


def _unread() -> int:
    """The reader of our output has gone (`| head`): not an error of ours."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 0


def _usage(error: BaseException) -> int:
    """Say what is wrong with the arguments; no arguments at all are answered with the help."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "millpond"
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    if type(error).__name__ == "NoArgsIsHelpError":
        note(message or f"`{path} --help` shows how it is used")
    else:
        print_error(InvalidRequest(message, remedy=f"`{path} --help` shows how it is used"))
    return EXIT_USAGE
