"""What the replacement races run on: stores with writers, a sidecar that is killed, readers."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

import millpond_jars
from millpond.errors import MillpondError
from millpond.testing.s3_admin import S3Admin
from millpond.testing.s3_gateway import free_port
from millpond.testing.store_model import StoreModel
from tests.bench.jvm import classpath, compiled, find_java
from tests.fixtures.sidecar import ProcessSidecar
from tests.fixtures.versions import Ledger, Put, Seen, content
from tests.integration.races_reader import Task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from millpond.testing.s3_gateway import S3Gateway

KIB, MIB = 1 << 10, 1 << 20
BOUNDS_S = {"/a1": 1.0, "/b30": 30.0, "/c0": 0.0, "/d1": 1.0, "/e30": 30.0}
BUCKET_MOUNTS, FOLDER_MOUNTS = ("/a1", "/b30", "/c0"), ("/d1", "/e30")
TRANSPARENT_MOUNT = "/a1"
SERVE_S = 120.0
HOW = {"new": 65, "same length": 12, "same bytes": 8, "again": 7, "delete": 8}
NOW = ("list", "listed", "ls", "t-planned")
"""Kinds that plan on what was listed, or asked of the store, after they began."""


@dataclass(frozen=True)
class Item:
    """An object and what it is made: a length of at least ``least`` and at most ``most`` bytes."""

    number: int
    name: str
    least: int
    most: int


class Target(Protocol):
    def put(self, name: str, data: bytes) -> None: ...

    def delete(self, name: str) -> None: ...


class Bucket:
    def __init__(self, admin: S3Admin, bucket: str) -> None:
        self._admin, self._bucket = admin, bucket

    def put(self, name: str, data: bytes) -> None:
        self._admin.put_object(self._bucket, f"data/{name}", data)

    def delete(self, name: str) -> None:
        self._admin.delete_object(self._bucket, f"data/{name}")


class Folder:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, name: str, data: bytes) -> None:
        made = self._directory / f".{name}"
        made.write_bytes(data)
        made.rename(self._directory / name)

    def delete(self, name: str) -> None:
        (self._directory / name).unlink()


class Writer(threading.Thread):
    """Replaces objects until it has done so ``count`` times, resting ``rest_s`` after each."""

    def __init__(
        self, target: Target, items: list[Item], ledger: Ledger, *, seed: int, count: int,
        rest_s: float, over: threading.Event,
    ) -> None:  # fmt: skip
        super().__init__(name=f"writer-{seed}")
        self._target, self._items, self._ledger = target, items, ledger
        self._rng = random.Random(seed)
        self._count, self._rest_s, self._over = count, rest_s, over
        self._last = dict.fromkeys((i.number for i in items), 0)
        self.done = 0
        self.how: Counter[str] = Counter()
        self.error: BaseException | None = None
        for item in items:
            self._put(item, 0, item.least)

    def run(self) -> None:
        try:
            while self.done < self._count and not self._over.is_set():
                self._replace(self._rng.choice(self._items))
                self.done += 1
                self._over.wait(self._rest_s)
        except BaseException as e:
            self.error = e

    def _replace(self, item: Item) -> None:
        rng, puts = self._rng, self._ledger.puts[item.number]
        last = puts[-1]
        (how,) = rng.choices(list(HOW), list(HOW.values()))
        self.how[how] += 1
        if how == "delete" and last.version is not None:
            began_ns = time.monotonic_ns()
            self._target.delete(item.name)
            self._ledger.record(item.number, Put(None, 0, "", began_ns, time.monotonic_ns()))
        elif how == "same bytes" and last.version is not None:
            self._put(item, last.version, last.length)
        elif how == "again":
            old = rng.choice([p for p in puts[-6:] if p.version is not None] or puts[:1])
            self._put(item, old.version or 0, old.length)
        else:
            self._last[item.number] += 1
            same = how == "same length" and last.version is not None
            length = last.length if same else rng.randint(item.least, item.most)
            self._put(item, self._last[item.number], length)

    def _put(self, item: Item, version: int, length: int) -> None:
        data = content(item.number, version, length)
        etag = f"{hashlib.md5(data, usedforsecurity=False).hexdigest()}:{length}"
        began_ns = time.monotonic_ns()
        self._target.put(item.name, data)
        put = Put(version, length, etag, began_ns, time.monotonic_ns())
        self._ledger.record(item.number, put)


class Watcher(threading.Thread):
    """A process of readers, and what it has seen; the sidecar is served before it."""

    def __init__(self, command: list[str], told: str, log: Path) -> None:
        super().__init__(name=command[0])
        self.seen: list[Seen] = []
        self.ended = False
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                ["nice", "-n", "5", *command],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self._in.write(told)
        self._in.flush()

    def await_up(self) -> None:
        assert self._out.readline() == "up\n"
        self.start()

    def run(self) -> None:
        for line in self._out:
            if line == "end\n":
                self.ended = True
            else:
                self.seen.append(Seen.parse(line))

    def finish(self) -> None:
        self._in.close()
        self.join(60)

    def close(self) -> None:
        self._in.close()
        if not self.ended:
            self._process.kill()
        self._process.wait()
        if self.is_alive():
            self.join()
        self._out.close()


class RaceSite:
    """One bucket mounted with three bounds, a folder with two, and readers of all kinds."""

    def __init__(self, folder: Path, gateway: S3Gateway) -> None:
        self.folder, self.gateway = folder, gateway
        self.ledger = Ledger()
        self.over = threading.Event()
        self.kills = 0
        self._port = free_port()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self.model = self._stack.enter_context(StoreModel(self.gateway.endpoint, atomic=True))
            self.bucket = self.gateway.new_bucket()
            (self.folder / "files").mkdir()
            self.cache = self.folder / "cache"
            self._serve()
            self._stack.callback(lambda: self.sidecar.__exit__())
            options = self.gateway.mount_options(self.model.endpoint)
            self.put_store("data/first")
            for path, bound_s in BOUNDS_S.items():
                of_bucket = path in BUCKET_MOUNTS
                uri = f"s3://{self.bucket}/data" if of_bucket else f"file://{self.folder}/files"
                given = {"freshness": f"{bound_s:g}s", "list_freshness": "0s"}
                self.sidecar.control.mount_add(path, uri, given | (options if of_bucket else {}))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._stack.close()

    def put_store(self, key: str) -> None:
        self.gateway.put_object(self.bucket, key)

    def bucket_target(self) -> Bucket:
        admin = S3Admin(self.model.endpoint, self.gateway.access_key, self.gateway.secret_key)
        self._stack.callback(admin.close)
        return Bucket(admin, self.bucket)

    def folder_target(self) -> Folder:
        return Folder(self.folder / "files")

    def _serve(self) -> None:
        self.sidecar = ProcessSidecar(
            self.cache, self.folder / "sidecar.log", MILLPOND_CACHE_CAPACITY_BYTES="256MiB",
            MILLPOND_REMOTE_HOST="127.0.0.1", MILLPOND_REMOTE_PORT=str(self._port),
        )  # fmt: skip
        until = time.monotonic() + SERVE_S
        while True:  # readers leave it little of a small machine
            try:
                self.sidecar.await_client().close()
                return
            except MillpondError:
                if self.sidecar.process.poll() is not None or time.monotonic() > until:
                    raise

    def kill_and_restart(self) -> None:
        self.sidecar.process.kill()
        self.sidecar.process.wait()
        self.kills += 1
        self._serve()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    # -- readers -----------------------------------------------------------------------------

    def jvm(self, of_bucket: list[Item], of_folder: list[Item], seed: int) -> Watcher:
        """All ways of Hadoop's interface: ``cache://``, ``s3a://`` through the cache, remote."""
        java = find_java()
        jars = [millpond_jars.client(), millpond_jars.s3a()]
        source = Path(__file__).parent / "jvm/io/millpond/races/Races.java"
        classes = compiled("races", [source], classpath("3.4.1", s3a=False))
        path = [classes, *jars, *classpath(java.hadoop, s3a=True)]
        command = [
            java.path,
            "-Xmx640m",
            "-cp",
            ":".join(map(str, path)),
            "io.millpond.races.Races",
        ]
        told = "".join("\t".join(w) + "\n" for w in self._said(of_bucket, of_folder, seed))
        watcher = Watcher(command, told, self.folder / "jvm.log")
        self._stack.callback(watcher.close)
        return watcher

    def _said(
        self, of_bucket: list[Item], of_folder: list[Item], seed: int
    ) -> Iterator[tuple[str, ...]]:
        number = seed * 1000

        def readers(
            kinds: str, mounts: tuple[str, ...], base: str, prefix: str = ""
        ) -> Iterator[tuple[str, ...]]:
            nonlocal number
            for kind in kinds.split():
                number += 1
                yield "reader", prefix + kind, ",".join(mounts), base, str(number)

        for key, value in self._conf().items():
            yield "conf", key, value
        yield from _objects(of_bucket)
        every = "read pread vectored planned listed"
        yield from readers(every, BUCKET_MOUNTS, "cache://MOUNT/")
        yield from readers("list", ("/b30",), "cache://MOUNT/")
        s3a = f"s3a://{self.bucket}/data/"
        yield "conf", "fs.s3a.impl", "io.millpond.fs.s3a.TransparentS3AFileSystem"
        yield from readers("read pread planned", (TRANSPARENT_MOUNT,), s3a, "t-")
        yield from _objects(of_folder)
        yield from readers("read pread listed", FOLDER_MOUNTS, "cache://MOUNT/")
        yield "conf", "fs.cache.dir", str(self.folder / "none")
        yield "conf", "fs.cache.sidecar", self.address
        yield "conf", "fs.cache.sidecar.token.file", str(self.cache / "token")
        yield from _objects(of_bucket)
        yield from readers("read pread", BUCKET_MOUNTS, "cache://MOUNT/", "remote-")
        yield ("go",)

    def _conf(self) -> dict[str, str]:
        return {
            "fs.cache.impl": "io.millpond.fs.CacheFileSystem",
            "fs.cache.dir": str(self.cache),
            "fs.s3a.endpoint": self.model.endpoint,
            "fs.s3a.endpoint.region": "us-east-1",
            "fs.s3a.path.style.access": "true",
            "fs.s3a.connection.ssl.enabled": "false",
            "fs.s3a.input.stream.type": "classic",
            "fs.s3a.access.key": self.gateway.access_key,
            "fs.s3a.secret.key": self.gateway.secret_key,
        }

    def python(self, items: list[Item], mounts: tuple[str, ...], seed: int) -> Watcher:
        keys = {"access_key": self.gateway.access_key, "secret_key": self.gateway.secret_key}
        task = Task(
            str(self.cache), self.address, (self.cache / "token").read_text().strip(), keys,
            self.model.endpoint, self.bucket, list(mounts),
            [(i.number, i.name, i.least) for i in items], seed,
        )  # fmt: skip
        command = [sys.executable, "-m", "tests.integration.races_reader"]
        told = json.dumps(asdict(task)) + "\n"
        watcher = Watcher(command, told, self.folder / "python.log")
        self._stack.callback(watcher.close)
        return watcher


def _objects(items: list[Item]) -> Iterator[tuple[str, ...]]:
    yield ("objects",)
    for item in items:
        yield "object", str(item.number), item.name, str(item.least)


def bound_ns(seen: Seen) -> int:
    """How old what a reader saw may have been when it began."""
    now = seen.kind.endswith(NOW)
    return 0 if now else int(BOUNDS_S[seen.mount] * 1e9)
