"""A synchronous client of one sidecar: what the CLI uses, and notebooks and tools may."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from millpond import settings as declared
from millpond.control.loading import Loaded, load_tree
from millpond.errors import (
    FrameTooLarge,
    Internal,
    MillpondError,
    NotPersisted,
    NotSupported,
    Overloaded,
    SidecarUnavailable,
    from_wire,
)
from millpond.model.paths import parse_uri
from millpond.wire import millpond_pb2 as wire
from millpond.wire import pending_pb2 as pending
from millpond.wire import service
from millpond.wire.local_client import LocalClient

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

WAIT_S = 5.0
"""How long one call waits for what is pending."""
ANSWER_S = 10.0
"""What is answered from memory comes within this time, or nobody is there."""
_OPTIONS = [
    ("grpc.max_send_message_length", service.MAX_REQUEST_BYTES),
    ("grpc.max_receive_message_length", service.MAX_REPLY_BYTES),
    ("grpc.absolute_max_metadata_size", service.MAX_METADATA_BYTES),
    ("grpc.enable_retries", 0),  # a change is sent once
    ("grpc.keepalive_time_ms", service.PING_S * 1000),
    ("grpc.keepalive_timeout_ms", service.PING_ANSWER_S * 1000),
    ("grpc.http2.ping_timeout_ms", service.PING_ANSWER_S * 1000),
    ("grpc.http2.max_pings_without_data", 0),
]
_TIMED_OUT = re.compile(r"ping timeout|keepalive|timed out")
_SYSTEM_ERROR = re.compile(r"No such file or directory|Connection refused|Permission denied")


def connect(cache_dir: str | os.PathLike[str] | None = None) -> Control:
    """The sidecar of this node, or of the cache directory named.

    Without a name the settings of this process say where it is (MILLPOND_DIR, a TOML file, the
    default). Raises SidecarUnavailable where none has ever run.
    """
    return Control(declared.load().cache_dir if cache_dir is None else Path(cache_dir))


class Control:
    """One sidecar. A context manager; may be used by many threads at once.

    Paths are those of the namespace, ``/flights/2013`` or ``cache:///flights/2013``. Every method
    raises the error that the sidecar answered (``millpond.errors``), or SidecarUnavailable when it
    is gone. Results are the messages of ``millpond.proto``.
    """

    def __init__(self, directory: Path, *, answer_s: float = ANSWER_S) -> None:
        self.directory = directory
        self._answer_s = answer_s
        self._metadata = ((service.AUTHORIZATION, service.bearer(self._token())),)
        self._channel = grpc.insecure_channel(service.address(directory), _OPTIONS)
        self._calls = {
            name: self._channel.unary_unary(
                method.path, method.request.SerializeToString, method.reply.FromString
            )
            for name, method in service.METHODS.items()
        }

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> Control:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- mounts ------------------------------------------------------------------------------

    def mounts(self) -> list[wire.Mount]:
        """All mounts, by path. Secrets are not among what is shown."""
        return list(self._call("mounts", wire.MountsRequest(), self._answer_s).mounts)

    def mount_add(
        self,
        path: str,
        store_uri: str,
        options: Mapping[str, str] | None = None,
        *,
        check: bool = True,
    ) -> wire.Mount:
        """Mount a store; ``options`` as those of `millpond mount add`. ``check``: list it first."""
        asked = wire.MountAddRequest(
            path=parse_uri(path), store_uri=store_uri, options=options, unchecked=not check
        )
        mount: wire.Mount = self._call("mount_add", asked)
        return mount

    def mount_remove(self, path: str) -> wire.Mount:
        """Unmount a path; the mount as it was."""
        mount: wire.Mount = self._call(
            "mount_remove", wire.MountRemoveRequest(path=parse_uri(path))
        )
        return mount

    # -- what is cached ----------------------------------------------------------------------

    def load(
        self, path: str, *, jobs: int = 4, on_progress: Callable[[int, int], object] | None = None
    ) -> Loaded:
        """Bring a file, or all files below a directory, into the cache.

        ``on_progress`` is told (bytes done, bytes in all), from any thread. What could not be
        cached is in the result. An interrupt ends it within 100 ms; the next load goes on there.
        """
        return load_tree(
            lambda: LocalClient.connect(self.directory), parse_uri(path), jobs, on_progress
        )

    def evict(self, path: str) -> wire.EvictReply:
        """Forget what is cached of a file, or of all files below a directory."""
        reply: wire.EvictReply = self._call("evict", wire.EvictRequest(path=parse_uri(path)))
        return reply

    def pin(self, path: str, *, recursive: bool = False) -> wire.PinInfo:
        """Keep what is and will be cached of a file, or of all below a directory, from eviction."""
        asked = wire.PinRequest(path=parse_uri(path), recursive=recursive)
        pin: wire.PinInfo = self._call("pin", asked)
        return pin

    def unpin(self, path: str) -> wire.PinInfo:
        """Let it be evicted again; the pin as it was."""
        pin: wire.PinInfo = self._call("unpin", wire.UnpinRequest(path=parse_uri(path)))
        return pin

    def pins(self) -> wire.PinsReply:
        """All pins, what they keep on disk, and what they may."""
        reply: wire.PinsReply = self._call("pins", wire.PinsRequest(), self._answer_s)
        return reply

    def refresh(self, path: str, *, recursive: bool = False) -> wire.RefreshReply:
        """Ask the store now what a file, a directory or a whole tree is: `millpond refresh`."""
        asked = wire.RefreshRequest(path=parse_uri(path), recursive=recursive)
        reply: wire.RefreshReply = self._call("refresh", asked)
        return reply

    def explain(self, path: str) -> wire.ExplainReply:
        """Per block of a file: here, or absent and why."""
        reply: wire.ExplainReply = self._call("explain", wire.ExplainRequest(path=parse_uri(path)))
        return reply

    # -- what is pending

    def persists(self, path: str = "/", *, limit: int = 1000) -> pending.PersistsReply:
        """What is committed at or below a path and not in its store yet."""
        asked = pending.PersistsRequest(path=parse_uri(path), limit=limit)
        reply: pending.PersistsReply = self._call("persists", asked, self._answer_s)
        return reply

    def persist_wait(self, path: str = "/", *, timeout_s: float = 3600) -> pending.PersistsReply:
        """Wait until the store has all that is pending there now, but for conflicts; what is left.

        Raises NotPersisted after the time given.
        """
        end = time.monotonic() + timeout_s
        while True:
            left = max(0.0, end - time.monotonic())
            asked = pending.PersistWaitRequest(path=parse_uri(path), timeout_s=min(left, WAIT_S))
            reply: pending.PersistsReply = self._call("persist_wait", asked)
            if reply.files == reply.conflicts:
                return reply
            if time.monotonic() >= end:
                raise NotPersisted(
                    f"{reply.files - reply.conflicts} changes at {path} are not in the store yet",
                    cause=f"after {timeout_s:g} s",
                    remedy="`millpond persist ls` shows how far they are",
                )

    def persist_retry(
        self, path: str, *, overwrite: bool = False, discard: bool = False
    ) -> pending.PersistsReply:
        """End conflicts at or below a path: try again as they were, ``overwrite`` what is in the
        store by now, or ``discard`` what was written here. What they were."""
        how = pending.DISCARD if discard else pending.OVERWRITE if overwrite else pending.AGAIN
        asked = pending.PersistRetryRequest(path=parse_uri(path), how=how)
        reply: pending.PersistsReply = self._call("persist_retry", asked)
        return reply

    def batches(self, *, ended: bool = False) -> list[pending.BatchInfo]:
        """Batches that are open, or committed and not in the store yet; those that are over, too,
        as far as they are remembered, with ``ended``."""
        asked = pending.BatchesRequest(ended=ended)
        return list(self._call("batches", asked, self._answer_s).batches)

    def batch_show(self, batch: str, *, limit: int = 1000) -> pending.BatchShowReply:
        """A batch, by its id or the start of it, and what no store has of it yet."""
        asked = pending.BatchShowRequest(batch=batch, limit=limit)
        reply: pending.BatchShowReply = self._call("batch_show", asked, self._answer_s)
        return reply

    def batch_abort(self, batch: str) -> pending.BatchInfo:
        """Drop an open batch with its files."""
        asked = pending.BatchDropRequest(batch=batch)
        reply: pending.BatchInfo = self._call("batch_drop", asked)
        return reply

    # -- what the sidecar does ---------------------------------------------------------------

    def stats(self) -> wire.StatsReply:
        """Hits, space, and what the stores were asked, since the sidecar started."""
        reply: wire.StatsReply = self._call("stats", wire.StatsRequest(), self._answer_s)
        return reply

    def settings(self) -> list[wire.Setting]:
        """All settings, as the running sidecar has them."""
        asked = wire.SettingsRequest()
        return list(self._call("settings", asked, self._answer_s).settings)

    def set(self, name: str, value: str) -> wire.Setting:
        """Change a setting until the sidecar stops; ``value`` as people write it: ``500GiB``.

        Raises InvalidSetting, which says how those are changed that take a restart.
        """
        asked = wire.ChangeSettingRequest(name=name, value=value)
        told: wire.Setting = self._call("change_setting", asked, self._answer_s)
        return told

    def stacks(self) -> wire.StacksReply:
        """The Python stacks of all its threads and tasks, also while its control loop is stuck."""
        reply: wire.StacksReply = self._call("stacks", wire.StacksRequest(), self._answer_s)
        return reply

    # -- calls -------------------------------------------------------------------------------

    def _token(self) -> str:
        """The token that may do most of those that may be read."""
        why: OSError | None = None
        for name in (service.CHANGE_TOKEN, service.READ_TOKEN):
            try:
                return (self.directory / name).read_text().strip()
            except OSError as e:
                why = e
        assert why is not None
        raise self._unavailable(why.strerror or str(why)) from None

    def _call(self, name: str, request: Any, timeout_s: float | None = None) -> Any:
        """Without ``timeout_s``: until it is answered, or the sidecar answers no ping."""
        try:
            return self._calls[name](request, timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as e:
            raise self._as_error(e, timeout_s) from None

    def _as_error(self, call: Any, timeout_s: float | None) -> MillpondError:
        """The error of a call that failed; gRPC's types do not say that it is one."""
        sent = dict(call.trailing_metadata() or ()).get(service.ERROR)
        if sent is not None:
            error = wire.Error.FromString(sent)
            return from_wire(error.code, error.problem, error.cause, error.remedy)
        said = call.details() or ""
        match call.code():
            case grpc.StatusCode.UNAVAILABLE if _TIMED_OUT.search(said):
                return self._silent("it answers no ping")
            case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.CANCELLED:
                found = _SYSTEM_ERROR.search(said)
                return self._unavailable(found[0] if found else "it ended the connection")
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return self._silent(f"nothing came for {timeout_s:g} s")
            case grpc.StatusCode.RESOURCE_EXHAUSTED if "larger than max" in said:
                return FrameTooLarge("a request or its answer is too large", cause=said)
            case grpc.StatusCode.RESOURCE_EXHAUSTED:
                return Overloaded(
                    "the sidecar has too many calls in hand", remedy="Try again in a moment"
                )
            case grpc.StatusCode.UNIMPLEMENTED:
                return NotSupported(
                    "the sidecar does not know this command", remedy="Restart it after an upgrade"
                )
        return Internal("the call failed", cause=f"{call.code()}: {said}")

    def _silent(self, cause: str) -> SidecarUnavailable:
        return SidecarUnavailable(
            f"the sidecar of {self.directory} does not answer",
            cause=cause,
            remedy="See its log, or restart it; `millpond doctor` says more",
        )

    def _unavailable(self, cause: str) -> SidecarUnavailable:
        return SidecarUnavailable(
            f"no sidecar answers in {self.directory}",
            cause=cause,
            remedy="Start it with 'millpond serve', or name its cache directory",
        )
