"""The control service over gRPC, on ``control.sock`` in the cache directory.

The server is gRPC's synchronous one, on threads of its own: the handlers block, and their answers
have to come while the control loop is stuck too. The loop that answers Stat never sees a call.

gRPC does not tell who is at the other end of a Unix socket, so rights are shown by a token: who may
read ``token`` (the cache directory's group) may look, who may read ``control.token`` (the sidecar's
user and root) may change things.
"""

from __future__ import annotations

import hmac
import logging
import os
import threading
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, cast

import grpc

from millpond.errors import (
    CacheDirUnusable,
    MillpondError,
    Overloaded,
    PermissionDenied,
    Unauthenticated,
)
from millpond.server import replies
from millpond.server.admin import READS
from millpond.server.workers import Workers
from millpond.wire import service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path

    from millpond.server.admin import Admin
    from millpond.wire.service import Method

log = logging.getLogger(__name__)

THREADS = 16
SLOW_CALLS = 12
"""Calls that may wait for a store or a disk, at once; the other threads are for ``QUICK`` ones."""
QUICK = frozenset({"mounts", "pins", "settings", "stacks", "stats"})
GRACE_S = 1.0
_MAX_TEXT = 1000
_OPTIONS = [
    ("grpc.max_receive_message_length", service.MAX_REQUEST_BYTES),
    ("grpc.max_send_message_length", service.MAX_REPLY_BYTES),
    ("grpc.absolute_max_metadata_size", service.MAX_METADATA_BYTES),
    ("grpc.http2.min_ping_interval_without_data_ms", service.PING_S * 500),
]
_CODES = {code.name: code for code in grpc.StatusCode}


class ControlServer:
    """Serves ``admin``. All methods block but the constructor.

    ``count`` is told (method, the error's name or "") of every call.
    """

    def __init__(
        self,
        admin: Admin,
        read_token: str,
        change_token: str,
        count: Callable[[str, str], None],
    ) -> None:
        self._admin = admin
        self._read_token = service.bearer(read_token).encode()
        self._change_token = service.bearer(change_token).encode()
        self._count = count
        self._threads = _Threads(Workers("control", THREADS))
        self._server: grpc.Server | None = None
        self._path: Path | None = None
        self._gid = -1
        self._lock = threading.Lock()
        self._slow = threading.BoundedSemaphore(SLOW_CALLS)

    def listen(self, directory: Path, gid: int) -> None:
        """Listen in a cache directory that is ours. Raises CacheDirUnusable."""
        path = directory / service.SOCKET
        threads = cast("ThreadPoolExecutor", self._threads)  # only its submit is used
        server = grpc.server(threads, maximum_concurrent_rpcs=THREADS, options=_OPTIONS)
        handlers: dict[str, dict[str, Any]] = {}
        for method in service.METHODS.values():
            name = method.path.split("/")[1]
            handlers.setdefault(name, {})[method.name] = self._handler(method)
        server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(*each) for each in handlers.items()]
        )
        try:
            server.add_insecure_port(service.address(directory))
            os.chmod(path, 0o660)
            if os.stat(path).st_gid != gid:
                os.chown(path, -1, gid)
        except (RuntimeError, OSError) as e:
            raise CacheDirUnusable(
                f"can't listen at {path}", cause=str(e), remedy="See that it can be written"
            ) from e
        server.start()
        self._server, self._path, self._gid = server, path, gid

    def heal(self) -> None:
        """Listen anew where the socket file was deleted by hand. Raises as ``listen``."""
        with self._lock:
            if self._server is not None and self._path is not None and not self._path.exists():
                self._server.stop(0).wait(GRACE_S)
                self.listen(self._path.parent, self._gid)

    def stop(self, timeout_s: float) -> bool:
        """Take no more calls, end those in hand; False when some outlast the time given."""
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            server.stop(min(GRACE_S, timeout_s)).wait(timeout_s)
        return self._threads.workers.close(timeout_s)

    # -- calls -------------------------------------------------------------------------------

    def _handler(self, method: Method) -> Any:
        about = self._admin if hasattr(self._admin, method.handler) else self._admin.pending
        handle = getattr(about, method.handler)

        def behaviour(request: Any, context: grpc.ServicerContext) -> Any:
            try:
                self._authorise(method, context)
                with self._room(method):
                    reply = handle(request)
            except Exception as e:
                if not isinstance(e, MillpondError):
                    log.exception("%s failed", method.name)
                self._refuse(method, context, replies.as_millpond(e))
            self._count(method.handler, "")
            return reply

        return grpc.unary_unary_rpc_method_handler(
            behaviour,
            request_deserializer=method.request.FromString,
            response_serializer=method.reply.SerializeToString,
        )

    @contextmanager
    def _room(self, method: Method) -> Iterator[None]:
        """Raises Overloaded where too many slow calls run: quick ones are answered all the same."""
        if method.handler in QUICK:
            yield
            return
        if not self._slow.acquire(blocking=False):
            raise Overloaded(
                "the sidecar has too many calls of control in hand",
                cause=f"{SLOW_CALLS} wait for stores or disks",
                remedy="Try again; `millpond stacks` shows what they wait for",
            )
        try:
            yield
        finally:
            self._slow.release()

    def _authorise(self, method: Method, context: grpc.ServicerContext) -> None:
        """Raises Unauthenticated, PermissionDenied."""
        shown = dict(context.invocation_metadata()).get(service.AUTHORIZATION, "")
        given = shown if isinstance(shown, bytes) else shown.encode()
        if hmac.compare_digest(given, self._change_token):
            return
        if not hmac.compare_digest(given, self._read_token):
            raise Unauthenticated(
                "the token is " + ("wrong" if given else "missing"),
                remedy="Read the file 'token' in the cache directory of this sidecar",
            )
        if method.handler not in READS:
            raise PermissionDenied(
                "this user may not change what is cached",
                cause=f"mounts and cached data are changed by user {os.geteuid()} and root, who "
                f"may read {service.CHANGE_TOKEN}",
                remedy="Run the command as that user",
            )

    def _refuse(
        self, method: Method, context: grpc.ServicerContext, error: MillpondError
    ) -> NoReturn:
        self._count(method.handler, error.name)
        message = replies.error_message(error)
        for part in ("problem", "cause", "remedy"):
            setattr(message, part, getattr(message, part)[:_MAX_TEXT])
        context.set_trailing_metadata(((service.ERROR, message.SerializeToString()),))
        context.abort(_CODES[error.status], message.problem)


class _Threads(Executor):
    """Workers as the executor that gRPC wants: a thread stuck in a store ends with the process."""

    def __init__(self, workers: Workers) -> None:
        self.workers = workers

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def run() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as e:
                future.set_exception(e)

        self.workers.submit(run)
        return future
