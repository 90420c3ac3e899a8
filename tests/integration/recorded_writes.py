"""Writes whose system calls are recorded: a sidecar, and those who write, one after another.

Says by marks what it is about to do (``{"begin": {path: [seed, size] or null}}``) and that it was
acknowledged (``{"done": true}``).
"""

from __future__ import annotations

import json
import random
import sys
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millpond.client.writer import StagedWriter
from millpond.wire.local_client import LocalClient
from tests.fixtures.recorded_disk import mark
from tests.fixtures.sidecar import ProcessSidecar
from tests.integration.jvm_probe import Probe

if TYPE_CHECKING:
    from collections.abc import Iterator

SMALL, LARGE, BLOCKS = 10, 200_000, 17 << 20
PENDING, LOCAL = "/pending", "/local"


@cache
def content(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


@contextmanager
def acknowledged(files: dict[str, tuple[int, int] | None]) -> Iterator[None]:
    mark(json.dumps({"begin": files}))
    yield
    mark(json.dumps({"done": True}))


class Writes:
    def __init__(self, said: dict[str, Any], sidecar: ProcessSidecar) -> None:
        self._said, self._sidecar = said, sidecar
        self._cache = Path(said["cache"])
        self._seeds = iter(range(1, 1000))

    def file(self, path: str, size: int) -> None:
        seed = next(self._seeds)
        with acknowledged({path: (seed, size)}):
            self._write(path, content(seed, size))

    def _write(self, path: str, data: bytes) -> None:
        writer = StagedWriter(LocalClient.connect(self._cache, silence_s=60.0), self._cache, path)
        try:
            writer.write(data)
            writer.commit()
        finally:
            writer.close()

    def batch(self, mount: str, files: dict[str, int], removed: list[str]) -> None:
        new = {f"{mount}/{name}": (next(self._seeds), size) for name, size in files.items()}
        with LocalClient.connect(self._cache, silence_s=60.0) as client:
            begun = client.batch_begin(mount)
            for path in removed:
                client.batch_replace(begun.batch, path)
            for name in files:
                data = content(*new[f"{mount}/{name}"])
                self._write(f"{mount}/{begun.staging}/t1/{name}", data)
            self._write(f"{mount}/{begun.staging}/t2/other", b"of an attempt that does not count")
            with acknowledged({**new, **dict.fromkeys(removed)}):
                client.batch_commit(begun.batch, ["t1"])

    def area(self, out: str, files: dict[str, int]) -> None:
        """What a job renames out of its staging area."""
        new = {f"{out}/d/{name}": (next(self._seeds), size) for name, size in files.items()}
        held = f"{out}/_temporary/0"
        with LocalClient.connect(self._cache, silence_s=60.0) as client:
            client.mkdirs(held)
            for name in files:
                self._write(f"{held}/attempt/{name}", content(*new[f"{out}/d/{name}"]))
            client.rename(f"{held}/attempt", f"{held}/task")
            with acknowledged(dict(new)):
                client.rename(f"{held}/task", f"{out}/d")
            client.delete(f"{out}/_temporary", recursive=True)

    def by_jvm(self, path: str, size: int) -> None:
        log = Path(self._said["log"]).with_suffix(".jvm")
        with Probe(log, {"fs.cache.dir": str(self._cache)}) as jvm:
            seed = next(self._seeds)
            with acknowledged({path: (seed, size)}):
                jvm.write(path, content(seed, size))

    def persisted(self) -> None:
        assert self._sidecar.control.persist_wait(LOCAL, timeout_s=60).files == 0


def main(said: dict[str, Any]) -> None:
    with ProcessSidecar(Path(said["cache"]), Path(said["log"])) as sidecar:
        sidecar.await_client().close()
        mark(json.dumps({"started": True}))
        for path, (uri, options) in said["mounts"].items():
            sidecar.control.mount_add(path, uri, options)
        writes = Writes(said, sidecar)
        writes.file(f"{PENDING}/small", SMALL)
        writes.file(f"{PENDING}/d/large", LARGE)
        writes.file(f"{PENDING}/small", SMALL)
        writes.batch(PENDING, {"b/1": LARGE, "b/2": SMALL, "b/_SUCCESS": 0}, [f"{PENDING}/small"])
        writes.area(f"{PENDING}/job", {"1": LARGE, "2": SMALL})
        writes.file(f"{LOCAL}/new/small", SMALL)
        writes.file(f"{LOCAL}/new/large", LARGE)
        writes.persisted()
        writes.file(f"{LOCAL}/new/large", LARGE)
        writes.batch(LOCAL, {"deep/er/1": SMALL, "deep/2": LARGE}, [f"{LOCAL}/new/small"])
        writes.persisted()
        if said["whole"]:
            writes.by_jvm(f"{PENDING}/jvm", LARGE)
            writes.by_jvm(f"{LOCAL}/jvm", LARGE)
            writes.batch(PENDING, {f"many/{n}": SMALL for n in range(8)}, [f"{PENDING}/b/1"])
            writes.file(f"{PENDING}/blocks", BLOCKS)
            writes.persisted()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
