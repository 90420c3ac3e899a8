"""Page arithmetic against the slow and obvious way of saying it."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from millpond.model import sizes

page_maps = st.integers(0, 2**256 - 1) | st.integers(0, 2**16 - 1).map(lambda n: n << 240)


@given(page_maps)
def test_runs_are_the_maximal_runs_of_set_bits(bits):
    pages = [p for p in range(256) if bits >> p & 1]
    found = list(sizes.runs(bits))
    assert [p for first, last in found for p in range(first, last)] == pages
    assert all(a[1] < b[0] for a, b in itertools.pairwise(found))


@given(st.integers(0, 256), st.integers(0, 256))
def test_a_mask_is_one_run(a, b):
    first, last = sorted((a, b))
    assert list(sizes.runs(sizes.page_mask(first, last))) == ([(first, last)] if a != b else [])


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60))), st.integers(0, 5))
def test_coalescing_loses_nothing_and_bridges_only_small_gaps(ranges, gap):
    wanted = {x for a, b in ranges for x in range(a, b)}
    merged = sizes.coalesce(ranges, gap)
    covered = {x for a, b in merged for x in range(a, b)}
    assert wanted <= covered
    assert all(b[0] - a[1] > gap for a, b in itertools.pairwise(merged))
    for extra in covered - wanted:
        assert any(x in wanted for x in range(extra - gap, extra))
        assert any(x in wanted for x in range(extra + 1, extra + gap + 1))


@given(st.integers(0, 5 * sizes.BLOCK_BYTES + 77))
def test_blocks_and_pages_add_up_to_the_file(length):
    blocks = range(sizes.block_count(length))
    valid = [sizes.block_valid_bytes(length, b) for b in blocks]
    assert sum(valid) == length
    assert all(0 < v <= sizes.BLOCK_BYTES for v in valid)
    for v in valid:
        pages = [sizes.page_valid_bytes(v, p) for p in range(sizes.page_count(v))]
        assert sum(pages) == v
        assert all(0 < p <= sizes.PAGE_BYTES for p in pages)
