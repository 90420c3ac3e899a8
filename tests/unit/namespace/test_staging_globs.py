"""Staging globs: which directories of a mount are staging areas."""

from __future__ import annotations

import pytest

from millpond.errors import InvalidSetting
from millpond.namespace.options import parse_options
from millpond.namespace.pending.areas import StagingGlobs


@pytest.mark.parametrize(
    ("below", "top", "names"),
    [
        ("_temporary", "_temporary", ()),
        ("a/b/_temporary/0/f", "a/b/_temporary", ("0", "f")),
        ("t/.hive-staging_1/x/_temporary/0", "t/.hive-staging_1", ("x", "_temporary", "0")),
        ("tmp/presto-me/1/f", "tmp/presto-me", ("1", "f")),
        ("wh/tmp/presto-me", "wh/tmp/presto-me", ()),
    ],
)
def test_paths_in_an_area(below: str, top: str, names: tuple[str, ...]) -> None:
    assert StagingGlobs().split(below) == (top, names)


@pytest.mark.parametrize(
    "below",
    ["", "a/b", "_temporary2/f", "x_temporary", "presto-me/1", "tmp/x/presto-me", "_SUCCESS"],
)
def test_paths_outside(below: str) -> None:
    assert StagingGlobs().split(below) is None


def test_an_odd_key_is_the_stores() -> None:
    assert StagingGlobs().split("_temporary//f") is None


def test_the_option() -> None:
    assert StagingGlobs.parse("none").split("_temporary/0") is None
    assert StagingGlobs.parse("jobs/tmp-?, _temporary").split("jobs/tmp-1/f") == (
        "jobs/tmp-1",
        ("f",),
    )


@pytest.mark.parametrize("text", ["", "**/tmp", "/tmp", "tmp/", "*"])
def test_what_is_no_glob_of_directories(text: str) -> None:
    with pytest.raises(InvalidSetting, match="option staging of mount /m"):
        parse_options("/m", {"staging": text}, freshness_ms=0, list_freshness_ms=0)
