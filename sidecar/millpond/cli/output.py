"""How commands speak: tables for people, one JSON document for programs, errors for both.

Results go to stdout, everything else to stderr. With ``--json`` the result is one JSON document
and an error is one JSON object on stderr.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from millpond.errors import MillpondError

EXIT_ERROR, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130


class Mode:
    """What this run of the program was asked for; set once, by the options."""

    json = False


def _set_json(value: bool) -> bool:
    Mode.json = Mode.json or value
    return value


Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document instead.", callback=_set_json),
]


def stdout() -> Console:
    return Console(file=sys.stdout, highlight=False, soft_wrap=True)


def stderr() -> Console:
    return Console(file=sys.stderr, highlight=False, soft_wrap=True)


def print_json(document: Any) -> None:
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()
) -> None:
    """A table without lines: what `cut` and people can read."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(columns))
    for column in columns:
        table.add_column(
            column, justify="right" if column in right else "left", overflow="fold", no_wrap=True
        )
    for row in rows:
        table.add_row(*(_plain(cell) for cell in row))
    console = stdout()
    if not console.is_terminal:
        console.width = 10_000
    console.print(table)


def when(at_ms: int) -> str:
    """Unix time as people here write it; nothing for 0."""
    return datetime.fromtimestamp(at_ms / 1000).isoformat(" ", "seconds") if at_ms else ""


def note(text: str) -> None:
    """A remark that is no part of the result."""
    stderr().print(_plain(text))


def print_error(error: MillpondError) -> None:
    """Problem, cause and remedy, each on its line; or all of them as JSON."""
    if Mode.json:
        document = {
            "error": error.name,
            "problem": error.problem,
            "cause": error.cause,
            "remedy": error.remedy,
            "retriable": error.retriable,
        }
        sys.stderr.write(json.dumps(document, ensure_ascii=False) + "\n")
        return
    console = stderr()
    console.print("[bold red]error:[/] ", end="")
    console.print(_plain(error.problem))
    for label, text in (("cause", error.cause), ("remedy", error.remedy)):
        if text:
            console.print(f"[bold]{label}:[/] ", end="")
            console.print(_plain(text))


def _plain(text: str) -> str:
    """User text is never markup, nor may it steer a terminal."""
    from rich.markup import escape

    return escape("".join(c if c.isprintable() else repr(c)[1:-1] for c in text))
