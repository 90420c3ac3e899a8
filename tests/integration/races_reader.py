"""Python readers of objects that others replace; says what it saw as ``versions.Seen``.

``python -m tests.integration.races_reader``; on standard input one line of JSON: a ``Task``.
"""

from __future__ import annotations

import http.client
import json
import random
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from millpond.client import CacheFileSystem
from millpond.errors import FileChanged, PathNotFound
from millpond.under import s3_options
from millpond.under.s3_wire import S3Wire
from millpond.wire import millpond_pb2 as wire
from tests.fixtures.versions import RECORD_BYTES, Mixed, Seen, version_in

if TYPE_CHECKING:
    from collections.abc import Callable

STEP_BYTES = 1 << 20
CAT_EVERY_S = 0.7
GONE_S = 0.1
REST_S = 0.2
BLIND = "blind"
BLIND_S = 1.0
Found = tuple[str, int]


class Gone(Exception):
    """Nobody answers, and this interface promises no other way."""


@dataclass(frozen=True)
class Task:
    """``objects``: (number, name, least length); ``mounts``: their paths."""

    cache_dir: str
    address: str
    token: str
    store_options: dict[str, str]
    endpoint: str
    bucket: str
    mounts: list[str]
    objects: list[tuple[int, str, int]]
    seed: int


class Readers:
    def __init__(self, task: Task) -> None:
        self._task = task
        self._over = threading.Event()
        self._told = threading.Lock()
        host, _, port = task.address.rpartition(":")
        self._at = host, int(port)

    def run(self) -> None:
        kinds: dict[str, Callable[[random.Random, CacheFileSystem | None], Any]] = {
            "py-read": self._read, "py-ranges": self._ranges, "py-ls": self._ls,
            "pyremote-read": self._read, "http-ranges": self._http, "cat": self._cat,
            BLIND: self._blind,
        }  # fmt: skip
        threads = [
            threading.Thread(target=self._loop, args=(kind, number, act))
            for number, (kind, act) in enumerate(kinds.items())
        ]
        print("up", flush=True)
        for thread in threads:
            thread.start()
        sys.stdin.read()
        self._over.set()
        for thread in threads:
            thread.join()
        print("end", flush=True)

    def _fs(self, kind: str) -> CacheFileSystem | None:
        task = self._task
        given = {"store_options": task.store_options, "skip_instance_cache": True}
        if kind.startswith("pyremote"):
            none = f"{task.cache_dir}/none"
            return CacheFileSystem(none, sidecar=task.address, token=task.token, **given)
        return CacheFileSystem(task.cache_dir, **given) if kind.startswith("py-") else None

    def _loop(self, kind: str, number: int, act: Callable[..., Found]) -> None:
        rng = random.Random(self._task.seed * 100 + number)
        fs = self._fs(kind)
        while not self._over.is_set():
            mount = rng.choice(self._task.mounts)
            obj, name, least = rng.choice(self._task.objects)
            if kind == BLIND:
                obj, name, least = self._task.objects[0]
            if kind == "cat":
                self._over.wait(CAT_EVERY_S)
            opened_ns = time.monotonic_ns()
            try:
                outcome, length = act(rng, fs, obj, f"{mount}/{name}", least)
            except FileNotFoundError:
                outcome, length = "absent", -1
            except FileChanged:
                outcome, length = "changed", -1
            except Gone:
                outcome, length = "gone", -1
                self._over.wait(GONE_S)
            except Mixed as e:
                outcome, length = f"mixed {e}", -1
            except Exception as e:
                outcome, length = "error " + " ".join(f"{e!r}".split()), -1
            ended_ns = time.monotonic_ns()
            line = Seen(kind, mount, obj, opened_ns, ended_ns, outcome, length).line()
            with self._told:
                print(line, flush=True)
            self._over.wait(min(REST_S, (ended_ns - opened_ns) / 1e9))

    def _read(
        self, rng: random.Random, fs: CacheFileSystem, obj: int, path: str, least: int
    ) -> Found:
        versions, at = set(), 0
        with fs.open(path) as file:
            while data := file.read(STEP_BYTES):
                versions.add(version_in(data, at, obj))
                at += len(data)
        return _one(versions), at

    def _ranges(
        self, rng: random.Random, fs: CacheFileSystem, obj: int, path: str, least: int
    ) -> Found:
        spans = [_span(rng, least) for _ in range(4)]
        parts = fs.cat_ranges([path] * 4, [s for s, _ in spans], [e for _, e in spans])
        for part in parts:
            if isinstance(part, Exception):
                raise part
        found = {version_in(p, start, obj) for p, (start, _) in zip(parts, spans, strict=True)}
        return _one(found), -1

    def _ls(
        self, rng: random.Random, fs: CacheFileSystem, obj: int, path: str, least: int
    ) -> Found:
        parent, _, name = path.rpartition("/")
        fs.invalidate_cache()
        for entry in fs.ls(parent):
            if entry["name"] == path:
                return f"e{entry['version']}", entry["size"]
        raise FileNotFoundError(name)

    def _http(self, rng: random.Random, fs: None, obj: int, path: str, least: int) -> Found:
        info, tag = self._get("stat", path, {})
        about = wire.FileInfo.FromString(info)
        whole = about.length <= STEP_BYTES
        spans = [(0, about.length)] if whole else [_span(rng, least) for _ in range(4)]
        versions = set()
        for start, end in spans:
            headers = {"If-Match": tag, "Range": f"bytes={start}-{end - 1}"}
            data, _ = self._get("file", path, headers)
            if len(data) != end - start:
                raise Gone("the bytes end early, as announced")
            versions.add(version_in(data, start, obj))
        return _one(versions), about.length if whole else -1

    def _get(self, verb: str, path: str, headers: dict[str, str]) -> tuple[bytes, str]:
        line = http.client.HTTPConnection(*self._at, timeout=20)
        try:
            shown = {"Authorization": f"Bearer {self._task.token}"}
            line.request("GET", f"/v1/{verb}?path={quote(path)}", headers=shown | headers)
            answer = line.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as e:
            raise Gone(str(e)) from e
        finally:
            line.close()
        if answer.status == 404:
            raise FileNotFoundError(path)
        if answer.status == 412:
            raise FileChanged(path)
        if answer.status >= 300:
            raise RuntimeError(f"{answer.status} {body!r}")
        return body, answer.getheader("ETag") or ""

    def _blind(self, rng: random.Random, fs: None, obj: int, path: str, least: int) -> Found:
        """What a reader would be that asks for no version: the store in two parts, some time apart.

        Where nothing is wrong with it, nothing was being raced.
        """
        task, half = self._task, least // 2 // RECORD_BYTES * RECORD_BYTES
        options = s3_options.parse(
            task.store_options
            | {"endpoint": task.endpoint, "region": "us-east-1", "path_style": "true"}
        )
        wire = S3Wire(options, lambda: s3_options.credentials(options), task.bucket)
        key = f"data/{path.rpartition('/')[2]}"
        versions = set()
        try:
            for start in (0, half):
                span = {"Range": f"bytes={start}-{start + half - 1}"}
                versions.add(version_in(wire.send("GET", key, headers=span).document(), start, obj))
                self._over.wait(BLIND_S if start == 0 else 0)
        except PathNotFound as e:
            raise FileNotFoundError(path) from e
        finally:
            wire.close()
        return _one(versions), -1

    def _cat(self, rng: random.Random, fs: None, obj: int, path: str, least: int) -> Found:
        command = [str(Path(sys.executable).with_name("millpond")), "cat", path]
        done = subprocess.run(
            [*command, "--cache-dir", self._task.cache_dir], capture_output=True, check=False
        )
        version = version_in(done.stdout, 0, obj)
        if done.returncode == 0:
            return _one({version}), len(done.stdout)
        said = done.stderr.decode()
        if "does not exist" in said:
            raise FileNotFoundError(path)
        if "changed" in said or "another than the one" in said:
            raise FileChanged(said)
        if "no sidecar" in said or "sidecar" in said:
            raise Gone(said)
        raise RuntimeError(said)


def _span(rng: random.Random, least: int) -> tuple[int, int]:
    start = rng.randrange(least // RECORD_BYTES)
    most = min(least // RECORD_BYTES - start, STEP_BYTES // RECORD_BYTES)
    return start * RECORD_BYTES, (start + rng.randint(1, most)) * RECORD_BYTES


def _one(versions: set[int | None]) -> str:
    told = versions - {None}
    if len(told) != 1:
        raise Mixed(f"versions {sorted(map(str, told))}")
    return f"v{told.pop()}"


if __name__ == "__main__":
    Readers(Task(**json.loads(sys.stdin.readline()))).run()
