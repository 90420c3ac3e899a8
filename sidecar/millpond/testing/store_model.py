"""A model of a distant object store: a proxy that adds delay, bounds speed, counts and misbehaves.

``python -m millpond.testing.store_model --upstream http://127.0.0.1:PORT`` runs it as a process of
its own and prints one line of JSON with its two addresses; ``StoreModel`` does that for a test and
talks to the control address. What it costs itself is measured by ``--self-cost``.

Control: ``GET /counters``, ``GET /settings``, ``POST /settings`` (JSON), ``POST /reset``.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import IPPROTO_TCP, TCP_NODELAY, create_server, socket
from typing import TYPE_CHECKING, Any, NoReturn, Self
from urllib.parse import urlsplit

from millpond.errors import StoreUnavailable
from millpond.testing.atomic import Turns
from millpond.testing.service import Service, reap
from millpond.testing.store_relay import FAULTS, KINDS, Fault, ModelState, Relay

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Fault", "ModelCounters", "StoreModel"]
_STOP_S = 10.0
_CONTROL_S = 30.0


@dataclass(frozen=True, slots=True)
class ModelCounters:
    """Since the start or the last reset, but ``cpu_s``: CPU seconds of the model's process.

    ``requests`` and ``bytes`` (of answers' bodies, sent to clients) are by kind: HEAD, LIST, GET
    (an object's data), PUT, POST, DELETE, OTHER.
    """

    requests: dict[str, int]
    bytes: dict[str, int]
    faults: int
    connections: int
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Model:
    """Distance and speed of the store: delay before each answer, bytes per second a connection."""

    first_byte_ms: float = 15.0
    mb_per_s: float = 100.0

    def describe(self) -> str:
        return f"{self.first_byte_ms:g} ms to first byte, {self.mb_per_s:g} MB/s a connection"

    def before(self, upstream: str) -> StoreModel:
        """A proxy in front of ``upstream`` that makes it so."""
        return StoreModel(upstream, latency_ms=self.first_byte_ms, rate_mb_s=self.mb_per_s)


class StoreModel(Service):
    """The model as a child process in front of ``upstream``. A context manager.

    ``latency_ms``: an answer's first byte leaves no sooner than that after its request came.
    ``rate_mb_s``: 10^6 bytes a second a connection; 0 is no bound. ``atomic``: a change of a
    key waits for reads of it, and they for it, so that each answer is of one version, as S3's are
    and the gateway's are not. It ends with this process.
    """

    def __init__(
        self,
        upstream: str,
        *,
        latency_ms: float = 0.0,
        rate_mb_s: float = 0.0,
        port: int = 0,
        atomic: bool = False,
    ) -> None:
        self.endpoint = ""
        self.control = ""
        self._command = [
            sys.executable, "-m", "millpond.testing.store_model", "--upstream", upstream,
            "--port", str(port), "--latency-ms", str(latency_ms), "--rate-mb-s", str(rate_mb_s),
            "--until-stdin-closes", *(["--atomic"] if atomic else []),
        ]  # fmt: skip
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        return self._running().pid

    def start(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            self.stop()
            raise StoreUnavailable("the store model ended while starting")
        said = json.loads(line)
        self.endpoint, self.control = said["endpoint"], said["control"]
        return self

    def stop(self) -> None:
        """End the process. Idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        reap(process, _STOP_S)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def set(
        self,
        *,
        latency_ms: float | None = None,
        rate_mb_s: float | None = None,
        fault: Fault | Sequence[Fault] | None = None,
    ) -> None:
        """Change what is named, from the next request on. ``clear_faults`` ends faults."""
        given: dict[str, Any] = {}
        if latency_ms is not None:
            given["latency_ms"] = latency_ms
        if rate_mb_s is not None:
            given["rate_mb_s"] = rate_mb_s
        if fault is not None:
            faults = [fault] if isinstance(fault, Fault) else fault
            given["fault"] = [asdict(f) for f in faults]
        self._ask("POST", "/settings", given)

    def clear_faults(self) -> None:
        self._ask("POST", "/settings", {"fault": []})

    def counters(self) -> ModelCounters:
        return ModelCounters(**self._ask("GET", "/counters"))

    def reset_counters(self) -> None:
        self._ask("POST", "/reset")

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise StoreUnavailable("the store model is not running", remedy="Call start() first")
        return self._process

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        self._running()
        conn = http.client.HTTPConnection(urlsplit(self.control).netloc, timeout=_CONTROL_S)
        try:
            conn.request(method, path, body=json.dumps(body or {}))
            answer = conn.getresponse()
            said: dict[str, Any] = json.loads(answer.read())
        finally:
            conn.close()
        if answer.status != 200:
            raise ValueError(said.get("error"))
        return said


def serve(listener: socket, upstream: tuple[str, int], state: ModelState) -> NoReturn:
    """Accept for ever; one daemon thread a connection."""
    while True:
        client, _ = listener.accept()
        client.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        relay = Relay(client, upstream, state)
        threading.Thread(target=relay.run, daemon=True).start()


def _control(state: ModelState, port: int) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown = {"/counters": state.counted, "/settings": state.settings}.get(self.path)
            self._say(200, shown()) if shown else self._say(404, {"error": "unknown path"})

        def do_POST(self) -> None:
            try:
                given = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                if self.path == "/settings":
                    state.change(given)
                elif self.path == "/reset":
                    state.reset()
                else:
                    raise ValueError("unknown path")
            except (TypeError, ValueError) as e:
                self._say(400, {"error": str(e)})
            else:
                self._say(200, {})

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: stderr belongs to the tests that run the model."""

        def _say(self, status: int, what: dict[str, Any]) -> None:
            body = json.dumps(what).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m millpond.testing.store_model",
        description="A proxy before an S3 endpoint that models distance and injects faults.",
        epilog=f"Faults (POST /settings): {', '.join(FAULTS)}. Kinds: {', '.join(KINDS)}.",
    )
    parser.add_argument("--upstream", help="http://host:port of the real store")
    parser.add_argument("--port", type=int, default=0, help="to serve on; 0: a free one")
    parser.add_argument("--control-port", type=int, default=0, help="0: a free one")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="to an answer's first byte")
    parser.add_argument("--rate-mb-s", type=float, default=0.0, help="a connection; 0: no bound")
    parser.add_argument("--atomic", action="store_true", help="each answer is of one version")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end with the parent")
    parser.add_argument("--self-cost", action="store_true", help="measure CPU s/GiB, and end")
    args = parser.parse_args(argv)
    if args.self_cost:
        from millpond.testing.store_model_cost import self_cost

        print(json.dumps(self_cost()))
        return 0
    upstream = urlsplit(args.upstream or "")
    if upstream.scheme != "http" or not upstream.hostname:
        parser.error("--upstream must be http://host:port")
    turns = Turns() if args.atomic else None
    state = ModelState(latency_ms=args.latency_ms, rate_mb_s=args.rate_mb_s, turns=turns)
    listener = create_server(("127.0.0.1", args.port), backlog=512)
    control = _control(state, args.control_port)
    threading.Thread(target=control.serve_forever, daemon=True).start()
    addresses = {
        "endpoint": f"http://127.0.0.1:{listener.getsockname()[1]}",
        "control": f"http://127.0.0.1:{control.server_address[1]}",
    }
    print(json.dumps(addresses), flush=True)
    if args.until_stdin_closes:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        serve(listener, (upstream.hostname, upstream.port or 80), state)
    except KeyboardInterrupt:
        return 0


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
