"""Which location stands for which."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.errors import MountNotFound
from millpond.retarget.locations import Locations

MOUNTS = {
    "/lake": "s3://bucket/lake",
    "/lake/raw": "hdfs://ns/raw/",
    "/data": "s3a://bucket",
    "/here": "/srv/data",
}
PAIRS = [
    ("cache:///lake/db/t", "s3a://bucket/lake/db/t"),
    ("cache:///lake", "s3a://bucket/lake"),
    ("cache:///lake/", "s3a://bucket/lake/"),
    ("cache:///lake/raw/t", "hdfs://ns/raw/t"),
    ("cache:///lake/rawer", "s3a://bucket/lake/rawer"),
    ("cache:///data/a b/%20/ü//x", "s3a://bucket/a b/%20/ü//x"),
    ("cache:///here/f", "file:///srv/data/f"),
]


def locations(*, to_cache: bool = False, s3: str = "s3a", **mounts: str) -> Locations:
    said = {f"/{k}" if k != "root" else "/": v for k, v in mounts.items()} or MOUNTS
    return Locations.of(said.items(), to_cache=to_cache, s3=s3)


@pytest.mark.parametrize(("cached", "stored"), PAIRS)
def test_both_ways(cached: str, stored: str) -> None:
    assert locations().change(cached) == stored
    assert locations().change(stored) == stored
    assert locations(to_cache=True).change(stored) == cached
    assert locations(to_cache=True).change(cached) == cached


def test_other_spellings() -> None:
    for cached in ("cache:/lake/t", "cache://cluster/lake/t"):
        assert locations().change(cached) == "s3a://bucket/lake/t"
    assert locations(s3="s3").change("cache:///lake/t") == "s3://bucket/lake/t"
    for stored in ("s3://bucket/lake/t", "s3n://bucket/lake/t"):
        assert locations(to_cache=True).change(stored) == "cache:///lake/t"
    assert locations(to_cache=True).change("file:/srv/data/f") == "cache:///here/f"
    whole = locations(root="s3a://bucket")
    assert whole.change("cache:///") == "s3a://bucket/"
    assert locations(to_cache=True, root="s3a://bucket").change("s3a://bucket") == "cache:///"


@pytest.mark.parametrize(
    "text", ["", "zorder", "cached:///x", "gs://other/x", "/lake/t", "s3a://b"]
)
def test_what_is_no_such_location_stays(text: str) -> None:
    assert locations().change(text) == text
    assert locations(to_cache=True).change(text) == text
    assert locations().path(text) is None


def test_a_location_that_no_mount_covers_is_an_error() -> None:
    with pytest.raises(MountNotFound, match="cache:///elsewhere/t is in no store"):
        locations().change("cache:///elsewhere/t")
    assert locations(to_cache=True).change("s3a://elsewhere/t") == "s3a://elsewhere/t"


def test_the_path_of_either() -> None:
    assert locations().path("cache:///lake/t") == "/lake/t"
    assert locations().path("s3://bucket/lake/t") == "/lake/t"


@given(st.sampled_from(sorted(MOUNTS)), st.text(st.characters(exclude_categories=["Cs"])))
def test_there_and_back(mount: str, below: str) -> None:
    cached = f"cache://{mount}/x{below}"
    stored = locations().change(cached)
    again = locations(to_cache=True).change(stored)
    assert locations().change(again) == stored
    assert (again == cached) or mount in ("/data", "/lake")
