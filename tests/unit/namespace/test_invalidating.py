"""What a writer says has changed is asked of the store by whoever comes next."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from millpond.errors import InvalidPath, PathNotFound
from millpond.namespace import Namespace
from tests.unit.namespace.test_namespace import age, data, names, namespace, store, write

if TYPE_CHECKING:
    from pathlib import Path

    from millpond.store import BlockStore

__all__ = ["data", "namespace", "store"]

BOUNDS = {"freshness": "1h", "list_freshness": "1h"}


@pytest.fixture
def mounted(namespace: Namespace, data: Path) -> Namespace:
    """Everything is known, and good for an hour."""
    namespace.add_mount("/m", f"file://{data}", BOUNDS)
    namespace.add_mount("/other/d", f"file://{data}/d", BOUNDS)
    age(namespace)
    assert names(namespace, "/m") == ["a", "d/"]
    assert names(namespace, "/m/d") == ["b", "e/"]
    assert names(namespace, "/m/d/e") == ["c"]
    for path in ("/m/a", "/m/d/b", "/m/d/e/c", "/other/d/b"):
        assert namespace.stat(path).meta_on_disk
    return namespace


def test_a_file_is_known_anew_through_every_mount(
    mounted: Namespace, store: BlockStore, data: Path
) -> None:
    write(data / "d/b", b"longer")
    assert mounted.stat("/m/d/b").length == 3, "the bound is an hour"
    old = store.get_meta(mounted.stat("/m/d/b").store_path)
    mounted.invalidate(["/m/d/b"], tree=False)
    assert old is not None
    assert store.get_meta(old.store_path) is None, "clients would read it without asking"
    assert mounted.stat("/m/d/b").length == 6
    assert mounted.stat("/other/d/b").length == 6
    assert mounted.stat("/m/a").length == 1


def test_a_new_file_is_listed_and_its_directories_are(mounted: Namespace, data: Path) -> None:
    write(data / "new/deep/f", b"f")
    assert names(mounted, "/m") == ["a", "d/"], "the bound is an hour"
    mounted.invalidate(["/m/new/deep/f"], tree=False)
    assert names(mounted, "/m") == ["a", "d/", "new/"]
    assert names(mounted, "/m/d") == ["b", "e/"]
    assert names(mounted, "/m", recursive=True) == ["a", "d/b", "d/e/c", "new/deep/f"]


def test_a_tree_goes_with_all_that_was_known_of_it(
    mounted: Namespace, store: BlockStore, data: Path
) -> None:
    known = {p: mounted.stat(p).store_path for p in ("/m/a", "/m/d/b", "/m/d/e/c")}
    shutil.rmtree(data / "d")
    mounted.invalidate(["/m/d"], tree=True)
    for path in ("/m/d/b", "/m/d/e/c", "/m/d/e", "/m/d", "/other/d/b"):
        with pytest.raises(PathNotFound):
            mounted.stat(path)
    assert store.get_meta(known["/m/d/b"]) is None
    assert store.get_meta(known["/m/d/e/c"]) is None
    assert names(mounted, "/m") == ["a"]
    assert store.get_meta(known["/m/a"]) is not None


def test_the_root_is_a_tree_too(mounted: Namespace, data: Path) -> None:
    write(data / "a", b"longer")
    mounted.invalidate(["/m"], tree=True)
    assert mounted.stat("/m/a").length == 6


def test_what_no_mount_covers_is_left_out(mounted: Namespace, data: Path) -> None:
    write(data / "a", b"longer")
    mounted.invalidate(["/nowhere/x", "/m/a"], tree=False)
    assert mounted.stat("/m/a").length == 6
    with pytest.raises(InvalidPath):
        mounted.invalidate(["relative"], tree=False)


def test_a_tree_goes_through_mounts_of_what_lies_in_it_too(
    store: BlockStore, data: Path, tmp_path: Path
) -> None:
    """Also where what was known of its directories had to be forgotten."""
    namespace = Namespace(store, tmp_path / "small.db", listing_bytes=0)
    try:
        namespace.add_mount("/m", f"file://{data}", BOUNDS)
        namespace.add_mount("/inner", f"file://{data}/d", BOUNDS)
        age(namespace)
        assert namespace.stat("/inner/b").length == 3
        assert namespace.stat_cached("/inner/b") is not None
        write(data / "d/b", b"longer")
        namespace.invalidate(["/m"], tree=True)
        assert namespace.stat("/inner/b").length == 6
    finally:
        namespace.close()
