"""What every thread and every task is doing now, as text; for any thread, the loop stuck or not."""

from __future__ import annotations

import asyncio
import io
import sys
import threading
import traceback

MAX_TEXT = 1 << 20


def stacks(loop: asyncio.AbstractEventLoop) -> str:
    """The stacks of all threads, then of the tasks of ``loop``, most recent call last."""
    out = io.StringIO()
    names = {t.ident: t.name for t in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        out.write(f"Thread {names.get(ident, '?')} ({ident})\n")
        out.write("".join(traceback.format_stack(frame)) + "\n")
    # Its tasks change while they are looked at from here: what is gone meanwhile is left out.
    for task in sorted(asyncio.all_tasks(loop), key=lambda t: t.get_name()):
        out.write(f"Task {task.get_name()}: {task.get_coro()!r}\n")
        for frame in task.get_stack():
            out.write("".join(traceback.format_stack(frame, limit=1)))
        out.write("\n")
    return out.getvalue()[:MAX_TEXT]
