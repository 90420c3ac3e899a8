"""The process's lines to its sidecar: few, kept, and given up quickly when nobody answers."""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from millpond.errors import (
    FileChanged,
    Internal,
    InvalidPath,
    IsADirectory,
    MillpondError,
    MountNotFound,
    NotADirectory,
    Overloaded,
    PathNotFound,
    PermissionDenied,
    ProtocolMismatch,
    SidecarUnavailable,
    StoreUnavailable,
    Unauthenticated,
)
from millpond.wire.local_client import LocalClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from millpond.client.cachedir import CacheDir

    T = TypeVar("T")

PROBE_S = 5.0
MAX_IDLE = 4
_THE_USERS = (FileChanged, InvalidPath, IsADirectory, MountNotFound, NotADirectory, PathNotFound)
_REASONS: dict[type[MillpondError], str] = {
    Overloaded: "overloaded",
    PermissionDenied: "permission",
    ProtocolMismatch: "protocol_mismatch",
    StoreUnavailable: "store_unavailable",
    Unauthenticated: "unauthenticated",
    Internal: "sidecar_error",
}


class Trouble(Exception):
    """Why a call to the sidecar brought nothing; ``reason`` is a counter's name."""

    def __init__(self, reason: str, cause: str) -> None:
        self.reason = reason
        super().__init__(cause)


class Sidecar:
    """Calls to one sidecar, from any thread. They raise Trouble, or what is the user's to see."""

    def __init__(self, directory: CacheDir, silence_s: float, count: Callable[[str], None]) -> None:
        self._directory = directory
        self._silence_s = silence_s
        self._count = count
        self._lock = threading.Lock()
        self._idle: list[LocalClient] = []
        self._silences = 0
        self._shut_until_s = 0.0
        self._clocks_agree: bool | None = None

    def clocks_agree(self) -> bool:
        """Whether lease and stamps mean something to this process; asks once by a Hello."""
        if self._clocks_agree is None:
            try:
                self._give(self._take())
            except Trouble:
                return False
        return bool(self._clocks_agree)

    def call(self, verb: str, ask: Callable[[LocalClient], T], *, again: bool = True) -> T:
        """One call on a connection of its own; ``verb`` is counted, unless it is empty."""
        client = self._take()
        if verb:
            self._count(verb)
        try:
            answer = ask(client)
        except SidecarUnavailable as e:
            client.close()
            trouble = self._gone(e)
            if again and trouble.reason == "sidecar_gone":
                return self.call(verb, ask, again=False)  # it may have been started anew
            raise trouble from e
        except MillpondError as e:
            self._give(client)
            if isinstance(e, _THE_USERS):
                raise
            raise Trouble(_REASONS.get(type(e), "sidecar_error"), str(e)) from e
        except BaseException:
            client.close()
            raise
        self._give(client)
        return answer

    def close(self, *, locked: bool = True) -> None:
        """Give idle connections back; without the lock where no other thread can be here."""
        with self._lock if locked else nullcontext():
            idle, self._idle = self._idle, []
        for each in idle:
            each.close()

    def _take(self) -> LocalClient:
        with self._lock:
            if time.monotonic() < self._shut_until_s:
                raise Trouble("breaker_open", "the sidecar fell silent")
            if self._idle:
                return self._idle.pop()
        before = time.monotonic_ns()
        self._count("hellos")
        try:
            made = LocalClient.connect(self._directory.path, silence_s=self._silence_s)
        except SidecarUnavailable as e:
            raise self._gone(e) from e
        except MillpondError as e:
            raise Trouble(_REASONS.get(type(e), "sidecar_error"), str(e)) from e
        hello: Any = made.hello
        self._clocks_agree = (
            before <= hello.monotonic_ns <= time.monotonic_ns()
            and hello.boot_id == self._directory.boot_id
        )
        return made

    def _give(self, client: LocalClient) -> None:
        with self._lock:
            self._silences = 0
            if len(self._idle) < MAX_IDLE:
                self._idle.append(client)
                return
        client.close()

    def _gone(self, error: SidecarUnavailable) -> Trouble:
        silent = isinstance(error.__cause__, TimeoutError)
        with self._lock:
            stale, self._idle = self._idle, []
            if silent:
                self._silences += 1
                if self._silences >= 2:
                    self._shut_until_s = time.monotonic() + PROBE_S
        for each in stale:
            each.close()
        absent = isinstance(error.__cause__, FileNotFoundError | ConnectionRefusedError)
        reason = "silence" if silent else "sidecar_absent" if absent else "sidecar_gone"
        return Trouble(reason, str(error))
