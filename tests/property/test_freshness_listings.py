"""Packed listings say what they were given."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from millpond.namespace.listings import Listing
from millpond.under.base import ObjectStat

names = st.text("ab/é日\0", max_size=4)
entries = st.builds(
    ObjectStat,
    key=names,
    length=st.integers(0, 2**64 - 1),
    mtime_ms=st.integers(-(2**63), 2**63 - 1),
    version=st.text(max_size=5),
    weak=st.booleans(),
    is_dir=st.booleans(),
)
several = st.lists(entries, max_size=12, unique_by=lambda e: (e.key, e.is_dir))


@given(several)
def test_all_entries_in_key_order(given_entries: list[ObjectStat]) -> None:
    listing = Listing(given_entries)
    assert list(listing) == sorted(given_entries, key=lambda e: (e.key.encode(), e.is_dir))
    assert len(listing) == len(given_entries)


@given(several, names)
def test_find_prefers_the_file(given_entries: list[ObjectStat], name: str) -> None:
    found = [e for e in given_entries if e.key == name]
    expected = min(found, key=lambda e: e.is_dir) if found else None
    assert Listing(given_entries).find(name) == expected


@given(several)
def test_versions_are_those_of_files_that_may_be_cached(given_entries: list[ObjectStat]) -> None:
    expected = {e.key: e.version for e in given_entries if not e.is_dir and not e.weak}
    assert dict(Listing(given_entries).versions()) == expected


@given(several, several)
def test_same_versions(one: list[ObjectStat], other: list[ObjectStat]) -> None:
    def said(given_entries: list[ObjectStat]) -> set[tuple[str, bool, bool, str]]:
        return {(e.key, e.is_dir, e.weak, e.version) for e in given_entries}

    assert Listing(one).same_versions(Listing(other)) == (said(one) == said(other))
    assert Listing(one).same_versions(Listing(reversed(one)))


@given(several)
def test_repeated_entries_count_once(given_entries: list[ObjectStat]) -> None:
    assert list(Listing([*given_entries, *given_entries])) == list(Listing(given_entries))
