"""``millpond stacks``: what the sidecar is doing now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millpond.cli.link import CacheDir, Config, control, load_settings
from millpond.cli.output import Json, Mode, note, print_json

if TYPE_CHECKING:
    import typer

STUCK_S = 3.0
"""The loop's clock runs each second."""


def register(app: typer.Typer) -> None:
    app.command("stacks")(stacks)


def stacks(cache_dir: CacheDir = None, config: Config = None, as_json: Json = False) -> None:
    """Show the Python stacks of all threads and tasks of the running sidecar.

    A thread of its own answers: also while the control loop is stuck. Where not even that comes,
    `kill -USR1` the sidecar: it writes the stacks of its threads to its log.
    """
    settings = load_settings(cache_dir, config)
    with control(settings) as sidecar:
        reply = sidecar.stacks()
    stuck = reply.loop_age_s > STUCK_S
    if Mode.json:
        print_json(
            {
                "pid": reply.pid,
                "loop_age_s": round(reply.loop_age_s, 3),
                "loop_stuck": stuck,
                "stacks": reply.text,
            }
        )
        return
    print(reply.text, end="")
    if stuck:
        note(f"warning: the control loop has been stuck for {reply.loop_age_s:.0f} s")
