"""The process's lines to its sidecar: few, kept, and given up quickly when nobody answers."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from millpond.errors import (
    BatchEnded,
    DataLost,
    FileChanged,
    Internal,
    InvalidPath,
    IsADirectory,
    MillpondError,
    MountNotFound,
    NotADirectory,
    NotPersisted,
    NotSupported,
    Overloaded,
    PathNotFound,
    PendingUnreachable,
    PermissionDenied,
    ProtocolMismatch,
    SidecarUnavailable,
    StoreAnswerInvalid,
    StoreUnavailable,
    Unauthenticated,
)
from millpond.wire.local_client import LocalClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from millpond.client.cachedir import CacheDir


class _Closable(Protocol):
    def close(self) -> None: ...


T = TypeVar("T")
C = TypeVar("C", bound=_Closable)

PROBE_S = 5.0
MAX_IDLE = 4
_THE_USERS = (
    BatchEnded, DataLost, FileChanged, InvalidPath, IsADirectory, MountNotFound, NotADirectory,
    NotPersisted, PathNotFound, PendingUnreachable,
)  # fmt: skip
_REASONS: dict[type[MillpondError], str] = {
    Overloaded: "overloaded",
    PermissionDenied: "permission",
    ProtocolMismatch: "protocol_mismatch",
    StoreAnswerInvalid: "store_unavailable",
    StoreUnavailable: "store_unavailable",
    Unauthenticated: "unauthenticated",
    Internal: "sidecar_error",
}


_STORES = (NotSupported, PermissionDenied, StoreAnswerInvalid, StoreUnavailable)
"""What the sidecar says of a store: the user is to see its type, wherever he reads."""


class Trouble(Exception):
    """Why a call to the sidecar brought nothing; ``reason`` is a counter's name.

    ``error`` is what the sidecar answered, or that it did not; None where it sent the read away.
    """

    def __init__(self, reason: str, cause: str | MillpondError) -> None:
        self.reason = reason
        self.error = cause if isinstance(cause, MillpondError) else None
        super().__init__(str(cause))


class Lines(ABC, Generic[C]):
    """Calls to one sidecar, from any thread. They raise Trouble, or what is the user's to see."""

    def __init__(self, count: Callable[[str], None]) -> None:
        self._count = count
        self._lock = threading.Lock()
        self._idle: list[C] = []
        self._silences = 0
        self._shut_until_s = 0.0

    @abstractmethod
    def _connect(self) -> C:
        """A connection that was greeted."""

    def call(self, verb: str, ask: Callable[[C], T], *, again: bool = True) -> T:
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
            raise Trouble(_REASONS.get(type(e), "sidecar_error"), e) from e
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

    def _take(self) -> C:
        with self._lock:
            if time.monotonic() < self._shut_until_s:
                raise Trouble("breaker_open", SidecarUnavailable("the sidecar fell silent"))
            if self._idle:
                return self._idle.pop()
        try:
            return self._connect()
        except SidecarUnavailable as e:
            raise self._gone(e) from e
        except MillpondError as e:
            raise Trouble(_REASONS.get(type(e), "sidecar_error"), e) from e

    def _give(self, client: C) -> None:
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
        return Trouble(reason, error)


class Sidecar(Lines[LocalClient]):
    """The sidecar of a cache directory, over its Unix socket."""

    def __init__(self, directory: CacheDir, silence_s: float, count: Callable[[str], None]) -> None:
        super().__init__(count)
        self._directory = directory
        self._silence_s = silence_s
        self._clocks_agree: bool | None = None

    def clocks_agree(self) -> bool:
        """Whether lease and stamps mean something to this process; asks once by a Hello."""
        if self._clocks_agree is None:
            try:
                self._give(self._take())
            except Trouble:
                return False
        return bool(self._clocks_agree)

    def _connect(self) -> LocalClient:
        before = time.monotonic_ns()
        self._count("hellos")
        made = LocalClient.connect(self._directory.path, silence_s=self._silence_s)
        hello: Any = made.hello
        self._clocks_agree = (
            before <= hello.monotonic_ns <= time.monotonic_ns()
            and hello.boot_id == self._directory.boot_id
        )
        return made


def both_failed(trouble: Trouble, error: MillpondError) -> MillpondError:
    """The error of a direct read, with what sent it there: of the type that the sidecar named, if
    it spoke of the store, else of the type that this process met."""
    told = trouble.error
    if told is None or isinstance(error, FileChanged | PendingUnreachable):
        return error
    kind = told if isinstance(told, _STORES) else error
    return type(kind)(
        "neither the sidecar nor this process could read the store",
        cause=f"the sidecar: {_brief(told)}; this process: {_brief(error)}",
        remedy=kind.remedy or "'millpond doctor' looks at both",
    )


def _brief(error: MillpondError) -> str:
    return f"{error.problem}: {error.cause}" if error.cause else error.problem
