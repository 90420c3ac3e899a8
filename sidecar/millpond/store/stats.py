"""What the cache tells of itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoreStats:
    """What the cache holds and did since the start of this process."""

    capacity_bytes: int
    limit_bytes: int  # what it may take now: less than the capacity on a disk that others fill
    used_bytes: int
    blocks: int
    metas: int
    dirs: int
    inodes: int
    evicted_bytes: int
    evicted_blocks: int
    expired_bytes: int
    expired_blocks: int
    pinned_bytes: int
    corrupt_pages: int
    scrubbed_bytes: int
    free_disk_bytes: int
    free_disk_inodes: int
    policy: str
    reconciled: bool
