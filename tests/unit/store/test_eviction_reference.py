"""s3fifo against libCacheSim's S3FIFO: byte misses within a point, on short committed traces."""

import pytest

from millpond.store.eviction import POLICIES
from tests.bench.eviction import misses, reference_misses
from tests.bench.eviction_traces import MAKERS, trace


@pytest.mark.parametrize("share", [0.05, 0.2])
@pytest.mark.parametrize("name", sorted(MAKERS))
def test_s3fifo_misses_what_the_reference_misses(name, share):
    short = trace(name, 12_000)
    capacity = int(short.working_set * share)
    reference = reference_misses(short, capacity)
    assert 0.1 < reference < 0.99
    assert abs(misses(POLICIES["s3fifo"], short, capacity) - reference) <= 0.01


def test_another_policy_would_be_told_apart():
    short = trace("zipf", 12_000)
    capacity = int(short.working_set * 0.05)
    assert misses(POLICIES["lru"], short, capacity) > reference_misses(short, capacity) + 0.05
