"""No answer, and nothing a client may read off the disk, is staler than its mount's bound.

Random stores, clocks, overlapping requests, little memory and restarts; judged by the history of
the store alone.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from millpond.errors import NotADirectory, PathNotFound
from millpond.namespace import Namespace
from millpond.store import BlockStore
from tests.property.freshness_model import Client, World

MS = 1_000_000
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # nothing here is about fsync
KEYS = ["f", "g", "d/f", "d/g", "d/e/f", "d/e/g"]
DIRECTORIES = ["d", "d/e"]
# path → (prefix, bound of opens, bound of listings) in ms
MOUNTS = {"/m": ("", 3, 0), "/n": ("d", 10, 2), "/z": ("", 0, 0)}
keys = st.sampled_from(KEYS)
mounts = st.sampled_from(sorted(MOUNTS))
versions = st.sampled_from(["v1", "v2", "v3", "weak", None])


class Look(NamedTuple):
    """A look, a change, some time, what may tell of the change; then the same look again."""

    mount: str
    key: str
    first: str
    other: str
    same: bool
    version: str | None
    ms: int
    then: str
    mount2: str


looks = st.builds(
    Look,
    mount=mounts,
    key=keys,
    first=st.sampled_from(["stat", "list", "list tree", "directory"]),
    other=keys,
    same=st.booleans(),
    version=st.sampled_from(["v1", "v2", None]),
    ms=st.sampled_from([0, 1, 2, 4, 11]),
    then=st.sampled_from(
        ["nothing", "list", "list tree", "stat", "invalidate", "invalidate tree", "changed"]
    ),
    mount2=mounts,
)


def path_of(mount: str, key: str) -> str | None:
    prefix = MOUNTS[mount][0]
    if prefix and not key.startswith(prefix + "/"):
        return None
    return f"{mount}/{key[len(prefix) :].lstrip('/')}"


def parent(key: str) -> str:
    return key.rpartition("/")[0]


class Bounds(RuleBasedStateMachine):
    """``since``: for each key, the moment from which on nothing older may be shown (a listing that
    began then has been answered, or the file was reported as changed). ``told``: the same for who
    asks, where meta that nobody remembers may stand until its bound."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="millpond-", dir=MEMORY))
        self.now = 10**12
        self.world = World(self.tick)
        self.world.weak = {"weak"}
        self.since = dict.fromkeys(KEYS, -(1 << 62))
        self.told = dict(self.since)
        self.told_directory = dict.fromkeys(DIRECTORIES, -(1 << 62))
        self.depth = 0

    def tick(self) -> int:
        self.now += 1
        return self.now

    @initialize(
        hot=st.sampled_from([0, 1500, 1 << 20]), listings=st.sampled_from([0, 2000, 1 << 20])
    )
    def start(self, hot: int, listings: int) -> None:
        self.sizes = (hot, listings)
        self.remembers = listings > 2000
        self.open()
        for mount, (prefix, bound, list_bound) in MOUNTS.items():
            options = {"freshness": f"{bound}ms", "list_freshness": f"{list_bound}ms"}
            uri = f"s3a://b/{prefix}".rstrip("/")
            self.namespace.add_mount(mount, uri, options, check=False)

    def open(self) -> None:
        self.store = BlockStore.open(self.directory / "cache", capacity_bytes=64 << 20)
        self.namespace = Namespace(
            self.store, self.directory / "namespace.db", open_store=self.world.opener,
            clock=self.tick, hot_bytes=self.sizes[0], listing_bytes=self.sizes[1],
        )  # fmt: skip
        self.client = Client(self.store.directory, self.store.boot_id)

    def close(self) -> None:
        self.namespace.close()
        self.store.close()

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.close()
        shutil.rmtree(self.directory)

    @rule(key=keys, version=versions)
    def change(self, key: str, version: str | None) -> None:
        self.world.write(key, version)

    @rule(ms=st.sampled_from([1, 2, 4, 11]))
    def wait(self, ms: int) -> None:
        self.now += ms * MS

    @rule()
    def restart(self) -> None:
        self.close()
        self.open()
        self.remembers = False

    @rule(mount=mounts, key=keys, version=versions)
    def change_and_report(self, mount: str, key: str, version: str | None) -> None:
        self.world.write(key, version)
        self.report_changed(mount, key)

    @rule(mount=mounts, key=keys)
    def report_changed(self, mount: str, key: str) -> None:
        path = path_of(mount, key)
        if path is not None:
            asked = self.tick()
            self.namespace.changed(path)
            self.since[key] = asked

    @rule(mount=mounts, key=keys, version=versions, tree=st.booleans())
    def change_and_invalidate(self, mount: str, key: str, version: str | None, tree: bool) -> None:
        self.world.write(key, version)
        self.invalidate(mount, key, tree)

    @rule(mount=mounts, key=keys, tree=st.booleans())
    def invalidate(self, mount: str, key: str, tree: bool) -> None:
        """A file, or with ``tree`` the directory that holds it."""
        target = parent(key) if tree else key
        prefix = MOUNTS[mount][0]
        if not f"{target}/".startswith(f"{prefix}/" if prefix else ""):
            return
        asked = self.tick()
        below = target[len(prefix) :].lstrip("/")
        self.namespace.invalidate([f"{mount}/{below}".rstrip("/")], tree=tree)
        for each in DIRECTORIES:
            inside = f"{target}/" if target else ""
            if (
                target.startswith(f"{each}/")
                or each == target
                or (tree and each.startswith(inside))
            ):
                self.told_directory[each] = asked
        for each in KEYS:
            if each == target or (tree and each.startswith(f"{target}/" if target else "")):
                self.told[each] = asked
                if self.remembers or not tree:
                    self.since[each] = asked

    @rule(mount=mounts, key=keys, force=st.booleans())
    def stat(self, mount: str, key: str, force: bool) -> None:
        path = path_of(mount, key)
        if path is None:
            return
        asked, since = self.tick(), max(self.since[key], self.told[key])
        bound = MOUNTS[mount][1] * MS
        try:
            info = self.namespace.stat(path, force=force)
            version = None if info.directory else info.version
            assert bool(info.file_id) == (version not in ("weak", None))
        except PathNotFound:
            version = None
        oldest = asked if force else max(asked - bound, since)
        assert self.world.history(key).held(version, oldest, self.tick())

    @rule(mount=mounts, key=st.sampled_from(DIRECTORIES), force=st.booleans())
    def stat_directory(self, mount: str, key: str, force: bool) -> None:
        path = path_of(mount, key)
        if path is None:
            return
        asked, told = self.tick(), self.told_directory[key]
        try:
            present = self.namespace.stat(path, force=force).directory
        except PathNotFound:
            present = False
        oldest = asked if force else max(asked - MOUNTS[mount][1] * MS, told)
        assert self.world.held_directory(key, present, oldest, self.tick()), (key, present)

    @rule(look=looks)
    def look_twice(self, look: Look) -> None:
        """The second look is answered by what the first has learnt, unless that is void."""
        mount, key = look.mount, look.key
        other = key if look.same else look.other
        if look.first.startswith("list"):
            self.list(mount, parent(key), look.first == "list tree")
        elif look.first == "directory" and parent(key):
            self.stat_directory(mount, parent(key), False)
        else:
            self.stat(mount, key, False)
        self.change(other, look.version)
        self.wait(look.ms)
        if look.then.startswith("invalidate"):
            self.invalidate(look.mount2, other, look.then == "invalidate tree")
        elif look.then == "changed":
            self.report_changed(look.mount2, other)
        elif look.then.startswith("list"):
            self.list(look.mount2, parent(other), look.then == "list tree")
        elif look.then == "stat":
            self.stat(look.mount2, other, False)
        self.stat(mount, key, False)
        if parent(key):
            self.stat_directory(mount, parent(key), False)

    @rule(mount=mounts, directory=st.sampled_from(["", "d", "d/e"]), recursive=st.booleans())
    def list(self, mount: str, directory: str, recursive: bool) -> None:
        prefix, _, list_bound = MOUNTS[mount]
        if prefix and not (directory + "/").startswith(prefix + "/"):
            return
        path = f"{mount}/{directory[len(prefix) :].lstrip('/')}".rstrip("/")
        asked, told = self.tick(), dict(self.told)
        oldest = asked - (0 if recursive else list_bound * MS)
        try:
            pages = list(self.namespace.list(path, recursive=recursive))
            listed = {e.path: e.version for _, page in pages for e in page if not e.directory}
        except (PathNotFound, NotADirectory):
            listed = {}
        ended = self.tick()
        inside = f"{directory}/" if directory else ""
        for key in KEYS:
            name = key[len(inside) :]
            if not key.startswith(inside) or ("/" in name and not recursive):
                continue
            history = self.world.history(key)
            version = listed.pop(name, None)
            assert history.held(version, max(oldest, told[key]), ended), (key, version)
            if version is None and not self.remembers:
                continue  # meta of a file that is gone and forgotten stands until its bound
            self.since[key] = max(self.since[key], oldest)
            if oldest == asked:
                for bound in (3 * MS, 10 * MS):
                    assert self.client.opens(key, ended, bound) in (None, version)
        assert not listed

    @rule(mount=mounts, key=keys, other=keys, version=versions, late=st.booleans(),
          what=st.sampled_from(["change", "changed", "list", "list tree", "stat", "invalidate",
                              "invalidate tree"]),
          mount2=mounts, directory=st.booleans())  # fmt: skip
    def stat_meanwhile(
        self, mount: str, key: str, other: str, version: str | None, late: bool, what: str,
        mount2: str, directory: bool,
    ) -> None:  # fmt: skip
        """Something else happens while the store answers a forced Stat, of a file or of what
        holds it."""

        def happen() -> None:
            self.world.late = not late
            if version is not None or what == "change":
                self.world.write(key, version)
            if what == "changed":
                self.report_changed(mount2, key)
            elif what.startswith("invalidate"):
                self.invalidate(mount2, key, what == "invalidate tree")
            elif what.startswith("list"):
                self.list(mount2, parent(key), what == "list tree")
            elif what == "stat" and other != key:
                self.stat(mount2, other, True)

        self.world.late, self.world.meanwhile = late, happen
        if directory and parent(key):
            self.stat_directory(mount, parent(key), True)
        else:
            self.stat(mount, key, True)
        self.world.meanwhile = None

    @rule(mount=mounts, key=keys, version=versions, late=st.booleans(), recursive=st.booleans(),
          what=st.sampled_from(["change", "changed", "stat", "inline", "invalidate",
                                "invalidate tree"]),
          mount2=mounts)  # fmt: skip
    def list_meanwhile(
        self, mount: str, key: str, version: str | None, late: bool, recursive: bool, what: str,
        mount2: str,
    ) -> None:  # fmt: skip
        """Something else happens while the store lists."""

        def happen() -> None:
            if version is not None or what == "change":
                self.world.write(key, version)
            if what == "changed":
                self.report_changed(mount2, key)
            elif what.startswith("invalidate"):
                self.invalidate(mount2, key, what == "invalidate tree")
            elif what == "stat":
                self.stat(mount2, key, True)
            elif what == "inline":
                self.inline(mount2, key)

        self.world.late, self.world.meanwhile = late, happen
        self.list(mount, parent(key), recursive)
        self.world.meanwhile = None

    @rule(mount=mounts, key=keys)
    def inline(self, mount: str, key: str) -> None:
        path = path_of(mount, key)
        info = self.namespace.stat_cached(path) if path else None
        if info is not None and info.file_id:
            self.namespace.inlined(info, b"x" * info.length)

    @invariant()
    def clients_open_nothing_stale(self) -> None:
        if not hasattr(self, "store"):
            return
        now = self.tick()
        for key in KEYS:
            history = self.world.history(key)
            for mount, (_, bound, _) in MOUNTS.items():
                version = self.client.opens(key, now, bound * MS)
                if version is not None and bound:
                    oldest = max(now - bound * MS, self.since[key])
                    assert history.held(version, oldest, now), ("on disk", key, version)
                path = path_of(mount, key)
                ready = self.namespace.stat_cached(path) if path is not None else None
                if ready is not None and not ready.directory:
                    oldest = max(now - bound * MS, self.since[key], self.told[key])
                    assert history.held(ready.version, oldest, now), ("ready", key, ready)


def look_on(given_looks: list[Look]) -> None:
    machine = Bounds()
    try:
        machine.start(1 << 20, 1 << 20)
        for look in given_looks:
            machine.look_twice(look)
            machine.clients_open_nothing_stale()
    finally:
        machine.teardown()


@settings(max_examples=150, deadline=None)
@given(st.lists(looks, min_size=1, max_size=4))
def test_second_looks(given_looks: list[Look]) -> None:
    look_on(given_looks)


def campaign(examples: int) -> settings:
    return settings(
        max_examples=examples, stateful_step_count=30, deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )  # fmt: skip


def test_bounds() -> None:
    run_state_machine_as_test(Bounds, settings=campaign(60))


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_bounds_at_length() -> None:
    run_state_machine_as_test(Bounds, settings=campaign(3000))
