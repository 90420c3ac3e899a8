"""Reads one object from start to end as often as it is told, and says what that took.

Arguments: a reader's name, and JSON of what it needs. Each line on standard input is answered by a
line of JSON: elapsed_ns, cpu_ns of this process with all its threads, bytes. A process of its own,
because s3fs pins a botocore that nothing else here shares.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

from millpond.under.registry import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Read = Callable[[], Iterable[Any]]


def driver(uri: str, options: dict[str, str]) -> Read:
    """One of Millpond's drivers, as a fill reads."""
    store, key = open_store(uri, options)
    found = store.stat(key)
    return lambda: store.read(key, 0, found.length, found.version)


def library(uri: str, options: dict[str, str]) -> Read:
    """obstore, without anything of Millpond's."""
    import obstore
    from obstore.store import S3Store

    bucket, _, key = uri.partition("://")[2].partition("/")
    store = S3Store(
        bucket,
        endpoint=options["endpoint"],
        access_key_id=options["access_key"],
        secret_access_key=options["secret_key"],
        region="us-east-1",
        client_options={"allow_http": True},
        virtual_hosted_style_request=False,
    )
    return lambda: obstore.get(store, key).stream(min_chunk_size=1 << 20)


def sample(read: Read) -> dict[str, int]:
    """One reading, timed."""
    cpu, began = time.process_time_ns(), time.perf_counter_ns()
    total = sum(len(part) for part in read())
    return {
        "elapsed_ns": time.perf_counter_ns() - began,
        "cpu_ns": time.process_time_ns() - cpu,
        "ops": 1,
        "bytes": total,
    }


if __name__ == "__main__":
    made = {"driver": driver, "library": library}[sys.argv[1]]
    read = made(**json.loads(sys.argv[2]))
    for _ in sys.stdin:
        print(json.dumps(sample(read)), flush=True)
