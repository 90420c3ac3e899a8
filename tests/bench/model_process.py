"""The store model in a process of its own: its CPU is counted apart. Ends with its stdin."""

from __future__ import annotations

import sys

from millpond.testing.store_model import StoreModel

if __name__ == "__main__":
    upstream, first_byte_ms, mb_per_s = sys.argv[1:]
    with StoreModel(
        upstream, first_byte_ms=float(first_byte_ms), mb_per_s=float(mb_per_s)
    ) as model:
        print(model.endpoint, flush=True)
        sys.stdin.read()
