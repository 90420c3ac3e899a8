"""A service that a ``with`` block starts and stops."""

from __future__ import annotations

import fcntl
import signal
import subprocess
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from millpond.errors import InvalidSetting

if TYPE_CHECKING:
    from collections.abc import Iterator
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
