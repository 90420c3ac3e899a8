"""Files are written here, async, while others replace, rename and delete them in the store.

What the persister replaces in the store was there when its writer looked, or was written here: no
other's change is overwritten unseen. What makes a file appear takes turns with the others' changes
of its key, so that it is known what was replaced (and since the gateway does not heed the
conditions of a PUT); now and then its answer is lost.
"""

from __future__ import annotations

import os
import random
import threading
import time
import weakref
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from millpond.errors import Conflict, StoreUnavailable
from millpond.namespace.pending.begun import UnderWay
from millpond.namespace.pending.data import PendingData
from millpond.settings import Settings
from millpond.under.s3_upload import WholeUpload
from tests.fixtures.async_site import ASYNC
from tests.fixtures.sidecar import LoopSidecar
from tests.fixtures.write_site import WriteSite, stored

if TYPE_CHECKING:
    from pathlib import Path

    from millpond.namespace.pending.begun import Begun
    from millpond.namespace.pending.records import Entry
    from millpond.testing.s3_gateway import S3Gateway

NAMES = [f"f{number}" for number in range(8)]
LOST = 0.1
"""Of answers to what makes a file appear."""
REST_S = 0.1
WORKS = ("write", "write", "disturb", "disturb")


class Races:
    """``now``: what the store has, by name; ``put_s``: not before then it had what others made;
    ``looked_s``: when the writer of an entry looked, or of one before it that was skipped."""

    def __init__(self, site: WriteSite, count: int, seed: int) -> None:
        self.site, self.left = site, count
        self.turns = {name: threading.Lock() for name in NAMES}
        self.chance = random.Random(seed)
        self.now: dict[str, bytes | None] = dict.fromkeys(NAMES)
        self.put_s: dict[bytes, float] = {}
        self.looked_s: dict[str, float] = {}
        self.how: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.errors: list[BaseException] = []
        self._begun_s: weakref.WeakKeyDictionary[Begun, float] = weakref.WeakKeyDictionary()
        self._pace = threading.Event()
        self._number = 0
        self._lock = threading.Lock()

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        """Be told what the sidecar does."""
        complete, found = WholeUpload.complete, UnderWay.found
        record, settle, discard = PendingData.record, PendingData.settle, PendingData.discard
        discarded: set[int] = set()

        def completes(upload: Any, expect: str | None = None) -> str:
            entry = upload.source._entry
            name = entry.key.rpartition("/")[2]
            with self.turns[name]:
                made = complete(upload, expect)
                self._check(name, entry)
                self.now[name] = stored(self.site, name)
            if self.chance.random() < LOST:
                self.how["answers lost"] += 1
                raise StoreUnavailable("the answer was lost")
            return made

        def looked(under_way: UnderWay, begun: Begun, version: str) -> None:
            found(under_way, begun, version)
            self._begun_s[begun] = time.monotonic()

        def recorded(data: PendingData, entry: Entry, begun: Begun | None = None) -> None:
            assert begun is not None
            self.looked_s[entry.version] = self._begun_s[begun]
            record(data, entry, begun)

        def settled(data: PendingData, entry: Entry, *args: Any, **said: Any) -> bool:
            after = [e for e in data.view.of(entry.place, entry.key) if e.seq > entry.seq]
            if after and said.get("changed") is False and entry.seq not in discarded:
                since = min(self.looked_s[e.version] for e in (entry, after[0]))
                self.looked_s[after[0].version] = since
            return settle(data, entry, *args, **said)

        def gives_up(data: PendingData, entry: Entry) -> None:
            discarded.add(entry.seq)
            discard(data, entry)

        patch.setattr(WholeUpload, "complete", completes)
        patch.setattr(UnderWay, "found", looked)
        patch.setattr(PendingData, "record", recorded)
        patch.setattr(PendingData, "settle", settled)
        patch.setattr(PendingData, "discard", gives_up)

    def _check(self, name: str, entry: Entry) -> None:
        before = self.now[name]
        self.how["persisted"] += 1
        if before is not None and self.put_s.get(before, 0.0) > self.looked_s[entry.version]:
            self.wrong.append(f"{name}: {before[:16]!r} was replaced by who had not seen it")

    # -- who changes files

    def write(self) -> None:
        name = self.chance.choice(NAMES)
        try:
            self.site.write(f"/s3/{name}", self._content("here"))
            self.how["written"] += 1
        except Conflict:
            self.how["refused"] += 1

    def disturb(self) -> None:
        gateway, bucket = self.site.gateway, self.site.bucket
        name, other = self.chance.sample(NAMES, 2)
        how = self.chance.choice(["put", "put", "delete", "rename"])
        first, second = sorted([name, other])
        with self.turns[first], self.turns[second]:
            data = self.now[name]
            if how == "put":
                self._put(name, self._content("other"))
            elif how == "rename" and data is not None:
                self._put(other, b"moved " + data)
            if how != "put" and data is not None:
                gateway.delete_object(bucket, f"data/{name}")
                self.now[name] = None
            self.how[how] += 1
        self._pace.wait(self.chance.random() * REST_S)

    def _put(self, name: str, data: bytes) -> None:
        self.put_s[data] = time.monotonic()
        self.site.gateway.put_object(self.site.bucket, f"data/{name}", data)
        self.now[name] = data

    def _content(self, whose: str) -> bytes:
        with self._lock:
            self._number += 1
            return f"{whose} {self._number} ".encode() * self.chance.choice([1, 8_000])

    def give_up(self) -> None:
        """End the conflicts: what others made is seen again."""
        control = self.site.sidecar.control
        self.how["conflicts"] += control.persists("/").conflicts
        control.persist_retry("/", discard=True)

    def run(self) -> None:
        threads = [threading.Thread(target=self._run, args=(getattr(self, w),)) for w in WORKS]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            self.give_up()
            threads[0].join(0.05)
        assert self.errors == []

    def _run(self, work: Any) -> None:
        try:
            while self._more():
                work()
        except BaseException as e:
            self.errors.append(e)

    def _more(self) -> bool:
        with self._lock:
            self.left -= 1
            return self.left >= 0 and not self.errors


def seen(site: WriteSite, path: str) -> bytes | None:
    try:
        return site.read(path)
    except FileNotFoundError:
        return None


@pytest.mark.parametrize("count", [400, pytest.param(10_000, marks=pytest.mark.full)])
@pytest.mark.timeout(3600)
def test_nothing_of_another_is_overwritten_unseen(
    s3_gateway: S3Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    number = int(os.environ.get("MILLPOND_TEST_SEED") or random.randrange(1 << 32))
    print(f"MILLPOND_TEST_SEED={number}")
    settings = Settings(cache_dir=tmp_path / "cache", http_port=0)
    with LoopSidecar(settings) as sidecar:
        site = WriteSite(sidecar, s3_gateway, tmp_path, options=ASYNC | {"freshness": "0s"})
        races = Races(site, count, number)
        races.watch(monkeypatch)
        races.run()
        sidecar.control.persist_wait("/", timeout_s=60)
        races.give_up()
        print(dict(races.how))
        assert races.wrong == []
        assert sidecar.control.persists("/").files == 0
        for name, data in races.now.items():
            assert stored(site, name) == data
            assert seen(site, f"/s3/{name}") == data
        assert races.how["persisted"] > count / 20
        assert races.how["conflicts"]
        site.close()
