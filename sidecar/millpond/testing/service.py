"""A service that a ``with`` block starts and stops."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from millpond.errors import InvalidSetting, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType


class Service(ABC):
    """What runs between ``start`` and ``stop``. ``stop`` is idempotent."""

    @abstractmethod
    def start(self) -> Self:
        """Return once it answers."""

    @abstractmethod
    def stop(self) -> None:
        """Return once it is gone."""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


_POLL_S = 0.05
_TELLING = ("ERROR", "Error", "Exception", "error:")


def started(
    command: Sequence[str], *, name: str, log: Path, line: str, within_s: float, **options: Any
) -> subprocess.Popen[bytes]:
    """A process whose log, begun anew, says ``line``; ``options`` are Popen's.

    Raises StoreUnavailable with its last errors for one that ends or stays silent: it is gone then.
    """
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, **options)
    try:
        await_said(process, log, [line], f"{name} did not start", within_s)
    except BaseException:
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()
        raise
    return process


def await_said(
    process: subprocess.Popen[bytes], log: Path, lines: Iterable[str], problem: str, within_s: float
) -> None:
    """Return once one of ``lines`` stands in the log of ``process``.

    Raises StoreUnavailable, which begins with ``problem``, when it ends or stays silent.
    """
    until_s = time.monotonic() + within_s
    wanted = [line.encode() for line in lines]
    while True:
        ended = process.poll() is not None or time.monotonic() > until_s
        said = log.read_bytes()
        if any(line in said for line in wanted):
            return
        if ended:
            raise trouble(log, problem)
        time.sleep(_POLL_S)


def trouble(log: Path, problem: str) -> StoreUnavailable:
    """``problem`` with the last errors in the log."""
    lines = log.read_text(errors="replace").strip().splitlines()
    errors = [text for text in lines if any(word in text for word in _TELLING)]
    return StoreUnavailable(problem, cause=" / ".join((errors or lines)[-3:]))


def reap(process: subprocess.Popen[Any], within_s: float) -> None:
    """Return once a process that was told to end is gone; one that does not end is killed."""
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM and a closed terminal end the program as Ctrl-C does: services are stopped."""

    def end(number: int, _: object) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    caught = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, end) for number in caught}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def workplace(folder: Path) -> Iterator[Path]:
    """A folder for data and servers that no other measurement uses meanwhile.

    Raises InvalidSetting where one does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidSetting(
                f"another measurement uses {folder}",
                remedy="Wait for it, or name another folder with --work.",
            ) from None
        yield folder
