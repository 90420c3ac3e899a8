"""A store in a temporary directory, closed after each test."""

import contextlib

import pytest

from millpond.store import BlockStore


@pytest.fixture
def open_store(tmp_path):
    """Opens stores, by default at the same directory; closes what the test left open."""
    with contextlib.ExitStack() as stack:

        def opened(directory=None, **options):
            options.setdefault("capacity_bytes", 1 << 28)
            store = BlockStore.open(directory or tmp_path / "cache", **options)
            stack.callback(store.close)
            assert store.wait_reconciled(30)
            return store

        yield opened


@pytest.fixture
def store(open_store):
    return open_store()
