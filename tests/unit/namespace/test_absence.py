"""What a store was seen not to have is not asked for again within the mount's freshness."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from millpond.errors import PathNotFound
from millpond.namespace import Namespace
from millpond.store import BlockStore
from tests.property.freshness_model import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

S = 10**9


class Site:
    """A store with ``t/d=1/f``, mounted with a bound of 30 s."""

    def __init__(self, folder: Path) -> None:
        self.now = 10**12
        self.world = World(self.tick)
        self.world.write("t/d=1/f", "v1")
        self.store = BlockStore.open(folder / "cache", capacity_bytes=64 << 20)
        self.namespace = Namespace(
            self.store, folder / "namespace.db", open_store=self.world.opener, clock=self.tick
        )
        self.namespace.add_mount("/m", "s3a://b", {"freshness": "30s"}, check=False)

    def tick(self) -> int:
        self.now += 1
        return self.now

    def wait(self, seconds: int) -> None:
        self.now += seconds * S

    def there(self, path: str, *, force: bool = False) -> bool:
        try:
            self.namespace.stat(f"/m/{path}", force=force)
        except PathNotFound:
            return False
        return True

    def list(self, path: str, *, recursive: bool = False) -> list[str]:
        pages = self.namespace.list(f"/m/{path}".rstrip("/"), recursive=recursive)
        return [each.path for _, page in pages for each in page]

    @property
    def asked(self) -> int:
        return self.world.counters.head + self.world.counters.list


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.namespace.close()
    made.store.close()


def test_absence_is_asked_for_once_within_the_bound(site: Site) -> None:
    assert not site.there("t/_spark_metadata")
    asked = site.asked
    site.wait(29)
    assert not site.there("t/_spark_metadata")
    assert site.asked == asked
    site.wait(2)
    assert not site.there("t/_spark_metadata")
    assert site.asked == asked + 1


def test_what_a_listing_does_not_show_is_asked_for(site: Site) -> None:
    assert site.list("t") == ["d=1"]
    site.world.write("t/new", "v1")
    asked = site.asked
    assert site.there("t/d=1")
    assert site.asked == asked
    assert site.there("t/new")


def test_the_error_says_how_old_it_is_and_what_asks_again(site: Site) -> None:
    assert not site.there("t/late")
    site.wait(5)
    with pytest.raises(PathNotFound, match=r"5\.0 s ago.*millpond refresh /m/t/late"):
        site.namespace.stat("/m/t/late")
    site.world.write("t/late", "v1")
    assert site.there("t/late", force=True)
    assert site.there("t/late")


def test_a_listing_that_shows_it_ends_the_absence(site: Site) -> None:
    assert not site.there("t/new")
    site.world.write("t/new", "v1")
    assert site.list("t") == ["d=1", "new"]
    assert site.there("t/new")


@pytest.mark.parametrize("shown", ["t/d=2", "t", ""])
def test_what_lies_below_a_directory_shows_it(site: Site, shown: str) -> None:
    assert site.list("t") == ["d=1"]
    assert not site.there("t/d=2")
    site.world.write("t/d=2/f", "v1")
    assert not site.there("t/d=2"), "within the bound"
    assert site.list(shown, recursive=True)
    assert site.there("t/d=2")


def test_a_file_that_is_met_shows_its_directories(site: Site) -> None:
    assert site.list("t") == ["d=1"]
    assert not site.there("t/d=2")
    site.world.write("t/d=2/e/f", "v1")
    assert site.there("t/d=2/e/f")
    assert site.there("t/d=2")


@pytest.mark.parametrize("tree", [False, True])
def test_an_invalidation_ends_absence_at_and_above_it(site: Site, tree: bool) -> None:
    assert site.list("t") == ["d=1"]
    for path in ("t/new", "t/new/e", "t/new/e/f"):
        assert not site.there(path)
    site.world.write("t/new/e/f", "v1")
    site.namespace.invalidate(["/m/t/new/e/f"], tree=tree)
    for path in ("t/new", "t/new/e", "t/new/e/f"):
        assert site.there(path)


def test_a_tree_that_is_invalidated_takes_all_absence_in_it(site: Site) -> None:
    assert not site.there("t/a/f")
    site.world.write("t/a/f", "v1")
    site.namespace.invalidate(["/m/t"], tree=True)
    assert site.there("t/a/f")


@pytest.mark.parametrize("path", ["t/new", "t/new/f"])
def test_an_answer_older_than_an_invalidation_is_not_kept(site: Site, path: str) -> None:
    """The store says that there is nothing; before it is heard, a write is reported."""

    def write() -> None:
        site.world.write("t/new/f", "v1")
        site.namespace.invalidate(["/m/t/new/f"], tree=False)

    site.world.meanwhile = write
    assert not site.there(path)
    assert site.there(path)


@pytest.mark.parametrize("name", ["_delta_log/_last_checkpoint", "metadata/v2.metadata.json"])
def test_a_tables_state_is_asked_for_each_time(site: Site, name: str) -> None:
    for _ in range(2):
        asked = site.asked
        assert not site.there(f"t/{name}")
        assert site.asked == asked + 1


def test_without_a_bound_nothing_is_remembered(site: Site) -> None:
    options = {"freshness": "0s", "immutable": "**"}
    site.namespace.add_mount("/z", "s3a://b/t", options, check=False)
    for _ in range(2):
        asked = site.asked
        with pytest.raises(PathNotFound):
            site.namespace.stat("/z/none")
        assert site.asked == asked + 1
