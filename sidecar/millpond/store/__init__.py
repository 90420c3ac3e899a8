"""The block store: blocks, meta and directory stamps on the node's disk, within a given space."""

from millpond.store.facade import BlockStore
from millpond.store.proven import Extent
from millpond.store.stats import StoreStats
from millpond.store.writing import BlockWriter

__all__ = ["BlockStore", "BlockWriter", "Extent", "StoreStats"]
