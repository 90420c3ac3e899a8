"""A sidecar that is killed at any moment of async writes and batches, and started again."""

from __future__ import annotations

import os
import random
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from millpond.client.writer import StagedWriter
from millpond.errors import MillpondError, PathNotFound
from tests.fixtures.async_site import Site, opened
from tests.fixtures.write_site import stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from millpond.testing.s3_gateway import S3Gateway

NAMES = [f"{directory}f{number}" for directory in ("", "d/") for number in range(3)]
SIZES = [0, 10, 70_000, 300_000]
WITHIN_S = 0.8
"""After so long at most a sidecar is killed."""
Files = dict[str, bytes | None]


class Writer(threading.Thread):
    """Writes until the sidecar is gone. ``known``: what was acknowledged; ``doubt``: what the last
    write was to make, not known to have been."""

    def __init__(self, site: Site, known: Files, chance: random.Random) -> None:
        super().__init__()
        self.site, self.known, self.chance = site, known, chance
        self.doubt: Files = {}
        self.done = 0

    def run(self) -> None:
        while True:
            mount = self.chance.choice(["/s3", "/local"])
            write = self.file if self.chance.random() < 0.5 else self.batch
            self.doubt = {}
            try:
                write(mount)
            except (MillpondError, OSError):
                return
            self.known |= self.doubt
            self.done += 1

    def data(self) -> bytes:
        return self.chance.randbytes(self.chance.choice(SIZES))

    def file(self, mount: str) -> None:
        path, data = f"{mount}/{self.chance.choice(NAMES)}", self.data()
        with self.begun(path) as writer:
            writer.write(data)
            self.doubt = {path: data}
            writer.commit()

    @contextmanager
    def begun(self, path: str) -> Iterator[StagedWriter]:
        with self.site.connect() as client:
            writer = StagedWriter(client, self.site.directory, path)
            try:
                yield writer
            finally:
                writer.close()

    def batch(self, mount: str) -> None:
        names = self.chance.sample(NAMES, 3)
        new = {name: self.data() for name in names[:2]}
        gone = f"{mount}/{names[2]}"
        with self.site.connect() as client:
            begun = client.batch_begin(mount)
            if self.known.get(gone) is not None:
                client.batch_replace(begun.batch, gone)
            for name, data in new.items():
                with self.begun(f"{mount}/{begun.staging}/t/{name}") as writer:
                    writer.write(data)
                    writer.commit()
            self.doubt = {**{f"{mount}/{n}": d for n, d in new.items()}, gone: None}
            client.batch_commit(begun.batch)


def seen(site: Site, paths: Iterable[str]) -> Files:
    fs = {mount: site.fs(mount) for mount in ("/s3", "/local")}
    found: Files = {}
    for path in paths:
        try:
            site.client.stat(path, force=True)
            data = fs["/" + path.split("/")[1]].cat_file(path)
            assert isinstance(data, bytes)
            found[path] = data
        except PathNotFound:
            found[path] = None
    return found


def differing(one: Files, other: Files) -> list[str]:
    return [path for path in one if one[path] != other[path]]


@pytest.mark.parametrize("kills", [3, pytest.param(200, marks=pytest.mark.full)])
@pytest.mark.timeout(3600)
def test_nothing_acknowledged_is_lost(s3_gateway: S3Gateway, tmp_path: Path, kills: int) -> None:
    number = int(os.environ.get("MILLPOND_TEST_SEED") or random.randrange(1 << 32))
    print(f"MILLPOND_TEST_SEED={number}")
    chance = random.Random(number)
    known: Files = {f"{mount}/{name}": None for mount in ("/s3", "/local") for name in NAMES}
    done = doubtful = 0
    with opened(tmp_path, s3_gateway) as site:
        for _ in range(kills):
            site.model.set(latency_ms=chance.choice([0, 0, 20]))
            writer = Writer(site, known, chance)
            writer.start()
            writer.join(chance.random() * WITHIN_S)  # any moment is meant
            site.sidecar.process.send_signal(signal.SIGKILL)
            writer.join()
            site.restart(tmp_path / "log")
            done += writer.done
            now = seen(site, known)
            if differing(now, known):
                assert not differing(now, known | writer.doubt)
                doubtful += 1
            known = now
        site.model.set(latency_ms=0)
        left = site.sidecar.control.persist_wait("/", timeout_s=120)
        assert left.files == 0, left
        for path, data in known.items():
            key = path.split("/", 2)[2]
            if path.startswith("/s3"):
                assert stored(site, key) == data
            else:
                file = site.base / key
                assert (file.read_bytes() if file.exists() else None) == data
    print(f"{kills} kills, {done} writes acknowledged, {doubtful} seen that were not")
    assert done
