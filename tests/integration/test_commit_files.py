"""Files by which table formats commit: one of several wins, and after the data that it names."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from millpond.cli import checks
from millpond.errors import AlreadyExists, Conflict, MillpondError, NotPersisted
from millpond.settings import Settings
from millpond.testing.store_model import Fault, StoreModel
from millpond.under.base import ABSENT, BytesSource
from millpond.under.registry import open_store
from tests.fixtures.sidecar import LoopSidecar
from tests.fixtures.waiting import eventually
from tests.fixtures.write_site import WriteSite, stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from millpond.testing.s3_admin import S3Admin
    from millpond.testing.s3_gateway import S3Gateway

ROUNDS = 15
TABLE = "/s3/db/t"


class Site(WriteSite):
    """One sidecar on a store that honours conditions, behind a model; mounts write async."""

    model: StoreModel
    sidecar: Any

    def metadata(self, name: str) -> str:
        return f"{TABLE}/metadata/{name}"

    @property
    def pending(self) -> list[str]:
        return [e.path for e in self.sidecar.control.persists("/").entries]


@pytest.fixture
def sites(
    conditional_s3: S3Admin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Site]]:
    """Two nodes on one bucket."""
    with ExitStack() as stack:
        made: list[Site] = []
        for _ in range(2):
            base = tmp_path_factory.mktemp("commit")
            model = stack.enter_context(StoreModel(conditional_s3.endpoint))
            settings = Settings(cache_dir=base / "cache", http_port=0)
            sidecar = stack.enter_context(LoopSidecar(settings))
            site = Site(
                sidecar, conditional_s3, base, endpoint=model.endpoint,
                options={"write": "async"}, bucket=made[0].bucket if made else None,
            )  # fmt: skip
            site.model = model
            stack.callback(site.close)
            stack.callback(model.clear_faults)
            made.append(site)
        yield made


@pytest.fixture
def site(sites: list[Site]) -> Site:
    return sites[0]


def renamed(site: Site, name: str, data: bytes) -> None:
    """As Iceberg commits in a Hadoop catalog, and Delta by its HDFSLogStore."""
    temporary = site.metadata(f"{data.hex()}-0000-0000-0000-000000000000.metadata.json")
    with site.connect() as client:
        site.write(temporary, data)
        try:
            client.rename(temporary, site.metadata(name))
        except MillpondError:
            client.delete(temporary)
            raise


def created(site: Site, name: str, data: bytes) -> None:
    """As a log store commits that creates its files."""
    site.write(site.metadata(name), data, overwrite=False)


def put(site: Site, name: str, data: bytes) -> None:
    """As one commits who asks the store itself."""
    store, prefix = open_store(f"s3://{site.bucket}/data", site.gateway.mount_options())
    with closing(store):
        try:
            store.put(f"{prefix}/db/t/metadata/{name}", BytesSource(data), expect=ABSENT)
        except Conflict as e:
            raise AlreadyExists(name) from e


def race(contenders: list[Callable[[bytes], None]], turn: int) -> list[bytes]:
    """What those put who won."""
    start = threading.Barrier(len(contenders))

    def one(number: int) -> bytes | None:
        data = bytes([turn, number])
        start.wait()
        try:
            contenders[number](data)
        except AlreadyExists:
            return None
        return data

    with ThreadPoolExecutor(len(contenders)) as pool:
        return [w for w in pool.map(one, range(len(contenders))) if w is not None]


def test_of_several_at_once_one_commits(sites: list[Site]) -> None:
    """By both ways on two nodes, and by one who goes to the store."""
    for site in sites:
        site.model.set(latency_ms=20)  # what one looks at is another's a moment later
    ways = [(site, way) for site in sites for way in (renamed, created)] + [(sites[0], put)]
    for turn in range(ROUNDS):
        name = f"v{turn}.metadata.json"
        contenders = [partial(way, site, name) for site, way in ways]
        [won] = race(contenders, turn)
        assert [site.read(site.metadata(name)) for site in sites] == [won, won]
    for site in sites:
        site.sidecar.control.persist_wait("/")
        names = site.fs().ls(f"{TABLE}/metadata", detail=False)
        assert len(names) == ROUNDS, "what lost is gone, and so is what won under its first name"


def test_it_is_in_the_store_at_once_and_after_its_data(site: Site) -> None:
    data = bytes(20 << 20)  # in parts: what is refused below does not hold up the commit itself
    site.model.set(fault=Fault("status", on="POST"))
    site.write(f"{TABLE}/data/f", data, write_type="async")
    site.write("/s3/elsewhere/g", data, write_type="async")
    with ThreadPoolExecutor(1) as pool:
        commit = pool.submit(created, site, "v1.metadata.json", b"{}")
        eventually("uploads were refused", lambda: site.model.counters().faults >= 6)
        assert not commit.done()
        assert stored(site, "db/t/metadata/v1.metadata.json") is None
        site.model.clear_faults()
        commit.result()
    assert stored(site, "db/t/metadata/v1.metadata.json") == b"{}"
    for key in ("db/t/data/f", "elsewhere/g"):
        assert len(stored(site, key) or b"") == len(data)


@pytest.mark.parametrize(
    "name", ["metadata/version-hint.text", "_delta_log/0.json", "_delta_log/_last_checkpoint"]
)
@pytest.mark.parametrize("said", ["", "async"])
def test_the_write_type_does_not_matter(site: Site, name: str, said: str) -> None:
    for data in (b"1", b"2"):
        site.write(f"{TABLE}/{name}", data, write_type=said)
        assert stored(site, f"db/t/{name}") == data
    assert site.pending == []


def test_a_conflict_of_the_table_fails_its_commits_alone(site: Site) -> None:
    for path in (f"{TABLE}/data/f", "/s3/elsewhere/g"):
        with site.writer(path) as writer:
            writer.write(b"ours")
            site.gateway.put_object(site.bucket, f"data/{path.removeprefix('/s3/')}", b"foreign")
            writer.commit()
    assert site.sidecar.control.persist_wait("/").conflicts == 2
    with pytest.raises(Conflict, match="data/f can't be persisted"):
        created(site, "v1.metadata.json", b"{}")
    assert stored(site, "db/t/metadata/v1.metadata.json") is None
    site.sidecar.control.persist_retry(f"{TABLE}/data/f", discard=True)
    created(site, "v1.metadata.json", b"{}")
    assert stored(site, "db/t/metadata/v1.metadata.json") == b"{}"


def test_what_does_not_get_to_the_store_fails_the_commit(site: Site) -> None:
    site.sidecar.sidecar.commit_files.barrier_s = 0.2
    site.model.set(fault=Fault("status", on="POST"))
    site.write(f"{TABLE}/data/f", bytes(20 << 20))
    with pytest.raises(NotPersisted):
        created(site, "v1.metadata.json", b"{}")
    assert stored(site, "db/t/metadata/v1.metadata.json") is None


def test_a_rename_whose_answer_was_lost_is_asked_for_again(sites: list[Site]) -> None:
    site, other = sites
    names = [site.metadata(n) for n in ("a.json", "v1.metadata.json", "b.json", "v2.metadata.json")]
    one, first, two, second = names
    site.write(one, b"mine")
    site.client.rename(one, first)
    site.client.rename(one, first, again=True)  # it had been done
    site.write(two, b"mine, too")
    put(site, "v2.metadata.json", b"mine, too")
    site.client.rename(two, second, again=True)  # but for the end
    site.write(two, b"not mine")
    site.sidecar.control.persist_wait("/")  # else it is not there for the other node
    with pytest.raises(AlreadyExists):
        other.client.rename(two, second, again=True)
    site.client.rename(two, site.metadata("v3.metadata.json"), again=True)  # it had not
    assert site.read(site.metadata("v3.metadata.json")) == b"not mine"
    assert stored(site, "db/t/metadata/b.json") is None


def test_the_first_may_still_be_under_way_when_a_rename_is_asked_for_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have looked for the target, and waited for data, before the first makes it."""
    making = site.sidecar.sidecar.commit_files
    await_data, turns = making._await_data, iter(("first", "second"))
    first_came, second_came, made = threading.Event(), threading.Event(), threading.Event()

    def awaited(*args: Any) -> None:
        await_data(*args)
        if next(turns) == "first":
            first_came.set()
            assert second_came.wait(20)
        else:
            second_came.set()
            assert made.wait(20)

    monkeypatch.setattr(making, "_await_data", awaited)
    source, target = site.metadata("a.json"), site.metadata("v1.metadata.json")
    site.write(source, b"mine")
    with site.connect() as lost, ThreadPoolExecutor(2) as pool:
        first = pool.submit(lost.rename, source, target)
        assert first_came.wait(20)
        second = pool.submit(site.client.rename, source, target, again=True)
        first.result()
        made.set()
        assert second.result() == target
    assert stored(site, "db/t/metadata/v1.metadata.json") == b"mine"
    assert stored(site, "db/t/metadata/a.json") is None


def test_a_store_that_ignores_conditions_is_told_of(s3_gateway: S3Gateway, tmp_path: Path) -> None:
    """Then those of one node take turns all the same."""
    settings = Settings(cache_dir=tmp_path / "cache", http_port=0)
    with LoopSidecar(settings) as sidecar:
        site = Site(sidecar, s3_gateway, tmp_path)
        for turn in range(ROUNDS):
            name = f"v{turn}.metadata.json"
            ways = [partial(way, site, name) for way in (renamed, created, renamed)]
            [won] = race(ways, turn)
            assert site.read(site.metadata(name)) == won
        [said] = [m for m in sidecar.control.mounts() if m.path == "/s3"]
        assert said.unconditional
        told = [f for f in checks.mounts(settings) if "If-None-Match" in f.text]
        assert [f.check for f in told] == ["mount /s3"]
        site.close()


def test_without_a_sidecar_python_asks_the_store(conditional_s3: S3Admin, tmp_path: Path) -> None:
    temporary = [f"{TABLE}/metadata/{name}.metadata.json" for name in "ab"]
    target = f"{TABLE}/metadata/v1.metadata.json"
    with LoopSidecar(Settings(cache_dir=tmp_path / "cache", http_port=0)) as sidecar:
        site = Site(sidecar, conditional_s3, tmp_path)
        for name in temporary:
            site.write(name, name.encode())
        site.close()
    fs = site.fs()
    fs.mv(temporary[0], target)
    with pytest.raises(Conflict):
        fs.mv(temporary[1], target)
    assert stored(site, target.removeprefix("/s3/")) == temporary[0].encode()
    assert fs.ls(f"{TABLE}/metadata", detail=False) == [temporary[1], target]


def test_a_store_that_honours_them_is_not(site: Site) -> None:
    created(site, "v1.metadata.json", b"{}")
    assert not any(m.unconditional for m in site.sidecar.control.mounts())
    names = site.fs().ls(f"{TABLE}/metadata", detail=False)
    assert names == [site.metadata("v1.metadata.json")], "what was tried with is gone"
