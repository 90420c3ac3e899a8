"""A power loss at any moment of recorded writes, and the start after it: what was acknowledged is
there. Every sync is needed: without it something is lost at some moment."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from crc32c import crc32c

from millpond.errors import MillpondError, PathNotFound
from millpond.model.records import parse_mounts
from millpond.model.sizes import MIB
from millpond.namespace import Namespace
from millpond.store import BlockStore
from millpond.testing.store_model import Fault, StoreModel
from millpond.wire import millpond_pb2 as wire
from tests.fixtures.recorded_disk import LOST, NAMES, SENDS, Call, Disk, calls, purposes, strace
from tests.integration.recorded_writes import LOCAL, PENDING, content

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from millpond.testing.s3_gateway import S3Gateway

pytestmark = pytest.mark.timeout(900)
CHECKOUT = Path(__file__).parents[2]
MAPPED = {"epochs", "namespace.db-shm"}
"""Mapped for writing: what is in them is not needed after a start."""
KEPT = ("token", "control.token", "writer.secret")
PURPOSES = (
    "name of cache",
    *(f"data of cache/{name}" for name in ("node.properties", "mounts", *KEPT)),
    "name of cache/*",
    "namespace.db",
    "data of cache/blocks/*/*/*",
    "name of cache/blocks/*/*/*",
    "name of cache/blocks/*/*",
    "name of cache/blocks/*",
    "data of store/**",
    "name of store/**",
)
"""What is synced, for all files of a kind; SQLite's own in one."""
World = dict[str, tuple[int, int] | None]


@dataclass
class Moment:
    """From a call of the recording on: what was acknowledged, and what may be seen instead."""

    number: int
    world: World
    next: World | None = None


@dataclass
class Recording:
    root: Path
    calls: list[Call]
    moments: list[Moment] = field(default_factory=list)
    started: int = 0

    @classmethod
    def of(cls, root: Path, log: Path) -> Recording:
        """An acknowledgement counts from the sidecar's last reply before its mark."""
        made = cls(root, list(calls(log)))
        world: World = {}
        replied = 0
        for call in made.calls:
            if call.name in SENDS and any(s.endswith("sidecar.sock") for s in call.sockets()):
                replied = call.number
            if not (text := call.marked()):
                continue
            said = json.loads(text)
            if "started" in said:
                made.started = call.number
                made.moments.append(Moment(call.number, {}))
            elif "begin" in said:
                new = world | {p: tuple(c) if c else None for p, c in said["begin"].items()}
                made.moments.append(Moment(call.number, world, new))
            else:
                world = new
                assert replied > made.moments[-1].number
                made.moments.append(Moment(replied, world))
        return made

    def disk(self) -> Disk:
        return Disk(self.root, "store")

    def states(self, without: Collection[int] = ()) -> Iterator[tuple[int, Disk]]:
        """The disk after each call that changes what a power loss leaves; ``without`` these
        syncs."""
        disk = self.disk()
        begins: dict[int, list[Call]] = {}
        for call in self.calls:
            if disk.synced_by(call) is not None and call.begun != call.number:
                begins.setdefault(call.begun, []).append(call)
        last = {m.number for m in self.moments}
        for call in self.calls:
            for begun in begins.get(call.number, ()):
                disk.begin(begun)
            synced = disk.synced_by(call)
            if call.name not in SENDS and not call.marked():
                disk.apply(call, ignored=call.number in without)
            if synced is not None or call.number in last:
                yield call.number, disk
        assert {Path(p).name for p in disk.mapped} <= MAPPED

    def at(self, number: int) -> Moment | None:
        """What is to be seen after this call."""
        found = [m for m in self.moments if m.number <= number]
        return found[-1] if found else None


class Checker:
    """The start-up code of a sidecar on what a power loss left, at its own place."""

    def __init__(self, recording: Recording) -> None:
        self._root = recording.root
        self._store = self._root / "store"
        self.node = (self._root / "cache/node.properties").read_text().splitlines()
        self.ident = next(line for line in self.node if line.startswith("node.id"))
        self.tokens = {name: (self._root / "cache" / name).read_text() for name in KEPT}

    def loss(self, disk: Disk, kind: str, moment: Moment) -> str:
        """What was acknowledged and is not there; "" where nothing is lost."""
        disk.leave(kind, self._root)
        return self._identity() or self._told(moment) or self._seen(moment)

    def _identity(self) -> str:
        cache = self._root / "cache"
        for name, text in self.tokens.items():
            if not (cache / name).is_file() or (cache / name).read_text() != text:
                return f"{name} is another"
        properties = cache / "node.properties"
        if not properties.is_file() or self.ident not in properties.read_text():
            return "the node is another"
        return ""

    def _told(self, moment: Moment) -> str:
        """Clients without a sidecar have to know that their store lacks something."""
        for path, made in moment.world.items():
            if moment.next is not None and moment.next.get(path) != made:
                continue
            mount = PENDING if path.startswith(PENDING) else LOCAL
            if mount == LOCAL and self._stored(path) == (content(*made) if made else None):
                continue
            if not self._flagged(mount):
                return f"{mount} is not told to hold what its store has not: {path}"
        return ""

    def _stored(self, path: str) -> Any:
        file = self._store / path.removeprefix(f"{LOCAL}/")
        return None if not file.is_file() else file.read_bytes()

    def _flagged(self, mount: str) -> bool:
        try:
            data = (self._root / "cache/mounts").read_bytes()
            table = wire.MountTable.FromString(parse_mounts(data, crc32c))
        except (FileNotFoundError, MillpondError):
            return False
        return any(m.path == mount and m.pending for m in table.mounts)

    def _seen(self, moment: Moment) -> str:
        try:
            store = BlockStore.open(self._root / "cache", capacity_bytes=256 * MIB, await_pins=True)
        except MillpondError as e:
            return f"no start: {e}"
        with closing(store):
            try:
                namespace = Namespace(store, store.directory / "namespace.db")
            except MillpondError as e:
                return f"no start: {e}"
            with closing(namespace):
                found = [self._missing(namespace, moment.world)]
                if found[0] and moment.next is not None:
                    found.append(self._missing(namespace, moment.next))
                return " / ".join(found) if all(found) else ""

    def _missing(self, namespace: Namespace, world: World) -> str:
        for path, made in world.items():
            try:
                file = namespace.locate(namespace.stat(path, force=True))
                data = b"".join(map(bytes, file.read(0, file.length))) if file.length else b""
                wrong = made is None or data != content(*made)
            except PathNotFound:
                wrong = made is not None
            except MillpondError as e:
                return f"{path}: {e}"
            if wrong:
                return f"{path} is another"
        return ""


@pytest.fixture(scope="module", params=[False, pytest.param(True, marks=pytest.mark.full)])
def recording(
    request: pytest.FixtureRequest, s3_gateway: S3Gateway,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Recording]:  # fmt: skip
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    base = tmp_path_factory.mktemp("durability")
    shm = Path("/dev/shm")
    root = Path(tempfile.mkdtemp(dir=shm if shm.is_dir() else base))
    (root / "store").mkdir()
    bucket = s3_gateway.new_bucket()
    s3_gateway.put_object(bucket, "data/")
    with StoreModel(s3_gateway.endpoint) as model:
        model.set(fault=Fault("status", on="PUT", status=403, code="AccessDenied"))
        written = {"write": "async", "freshness": "0s"}
        options = s3_gateway.mount_options(model.endpoint)
        said = {
            "cache": str(root / "cache"), "log": str(base / "log"), "whole": request.param,
            "mounts": {
                PENDING: (f"s3://{bucket}/data", options | written),
                LOCAL: (f"file://{root}/store", written),
            },
        }  # fmt: skip
        (base / "said").write_text(json.dumps(said))
        script = [sys.executable, "-m", "tests.integration.recorded_writes", str(base / "said")]
        done = subprocess.run(
            [*strace(base / "calls"), *script], cwd=CHECKOUT, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-4000:]
        yield Recording.of(root, base / "calls")
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def checker(recording: Recording) -> Checker:
    return Checker(recording)


@pytest.fixture(scope="module")
def purpose(recording: Recording) -> dict[int, str]:
    """What each sync is for."""
    found = purposes(recording.calls, recording.disk())
    return {number: general(text, recording.root) for number, text in found.items()}


def general(purpose: str, root: Path) -> str:
    """A purpose, for all files of a kind."""
    text = purpose.replace(f"{root}/", "")
    text = re.sub(r"blocks/[0-9a-f]{2}", "blocks/*", text)
    text = re.sub(r"\*/[0-9a-f]{32}", "*/*", text)
    text = re.sub(r"\*/\*/\d+", "*/*/*", text)
    text = re.sub(r"^.* of cache/namespace\.db.*", "namespace.db", text)
    text = re.sub(r"^name of cache/[^/*]+$", "name of cache/*", text)
    return re.sub(r" store/.*", " store/**", text)


def test_nothing_acknowledged_is_lost(recording: Recording, checker: Checker) -> None:
    checked = 0
    acknowledged = {m.number for m in recording.moments}
    for number, disk in recording.states():
        moment = recording.at(number)
        if moment is not None:
            for kind in (LOST, NAMES) if number in acknowledged else (LOST,):
                checked += 1
                assert checker.loss(disk, kind, moment) == "", (number, kind)
    print(f"{checked} power losses")
    assert checked > 100


def test_each_sync_is_known(purpose: dict[int, str]) -> None:
    assert not {*purpose.values()} ^ {*PURPOSES}, {*purpose.values()} ^ {*PURPOSES}


@pytest.mark.parametrize("without", PURPOSES)
def test_each_sync_is_needed(
    recording: Recording, checker: Checker, purpose: dict[int, str], without: str
) -> None:
    left_out = {number for number, text in purpose.items() if text == without}
    acknowledged = {m.number for m in recording.moments}
    for number, disk in recording.states(without=left_out):
        moment = recording.at(number)
        if moment is not None and number in acknowledged and checker.loss(disk, LOST, moment):
            return
    pytest.fail("nothing is lost without it")
