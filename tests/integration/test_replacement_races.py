"""Objects are replaced behind the cache while readers of all kinds read them.

No read has bytes of two versions, or a version that was not the store's at some moment of
[when it was opened less the mount's freshness, its end]; what a listing says, or is planned on it,
was the store's after the listing began. The sidecar is killed in between.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.fixtures.versions import Seen, judge
from tests.integration.races_reader import BLIND
from tests.integration.races_site import (
    BUCKET_MOUNTS,
    KIB,
    MIB,
    Item,
    RaceSite,
    Writer,
    bound_ns,
)

if TYPE_CHECKING:
    from pathlib import Path

    from millpond.testing.s3_gateway import S3Gateway

SMALL = [Item(i, f"s{i}", 1 * KIB, 60 * KIB) for i in range(5)]
MEDIUM = [Item(10 + i, f"m{i}", 70 * KIB, 900 * KIB) for i in range(2)]
LARGE = [Item(20, "l0", 17 * MIB, 18 * MIB)]
FILES = [
    Item(30, "f0", 2 * KIB, 60 * KIB),
    Item(31, "f1", 90 * KIB, 1 * MIB),
    Item(32, "f2", 17 * MIB, 18 * MIB),
]
READ = [*SMALL * 3, *MEDIUM * 2, *LARGE]
READ_FILES = [*FILES[:2] * 4, FILES[2]]


@pytest.mark.parametrize(
    ("replacements", "at_most_s", "kill_every_s"),
    [
        pytest.param(200, 6, 3, id="short", marks=pytest.mark.timeout(300)),
        pytest.param(
            10_000, 3000, 20, id="long", marks=[pytest.mark.full, pytest.mark.timeout(3600)]
        ),
    ],
)
def test_no_read_is_mixed_or_stale(
    tmp_path: Path, s3_gateway: S3Gateway, replacements: int, at_most_s: int, kill_every_s: int
) -> None:
    with RaceSite(tmp_path, s3_gateway) as site:
        writers = [
            Writer(
                site.bucket_target(), items, site.ledger, seed=number, count=count, rest_s=rest_s,
                over=site.over,
            )
            for number, (items, count, rest_s) in enumerate(
                [(SMALL[:3], replacements, 0.01), (SMALL[3:] + MEDIUM, replacements, 0.05),
                 (LARGE, replacements, 1.0)]
            )
        ] + [
            Writer(
                site.folder_target(), FILES, site.ledger, seed=9, count=replacements, rest_s=0.9,
                over=site.over,
            )
        ]  # fmt: skip
        watchers = [
            site.jvm(READ, READ_FILES, seed=1),
            site.python(READ, BUCKET_MOUNTS, seed=2),
        ]
        for watcher in watchers:
            watcher.await_up()
        for writer in writers:
            writer.start()
        began = time.monotonic()
        killed = began
        while sum(w.done for w in writers) < replacements and time.monotonic() < began + at_most_s:
            assert [w.error for w in writers if w.error] == []
            time.sleep(0.1)
            if time.monotonic() > killed + kill_every_s:
                site.kill_and_restart()
                killed = time.monotonic()
        site.over.set()
        for writer in writers:
            writer.join(60)
        for watcher in watchers:
            watcher.finish()
        seen = [each for watcher in watchers for each in watcher.seen]
        replaced = sum(w.done for w in writers)
        print(replaced, "replaced;", len(seen), "reads;", site.kills, "kills")
        print(sum((w.how for w in writers), Counter[str]()))
        tell(seen)
        blind = [each for each in seen if each.kind == BLIND]
        seen = [each for each in seen if each.kind != BLIND]
        wrong = [found for each in seen if (found := judge(site.ledger, each, bound_ns(each)))]
        assert wrong == [], f"{len(wrong)} wrong: {wrong[:5]}"
        assert all(w.ended for w in watchers)
        # What there was to find: by a reader that names no version, and with a second less.
        assert any(each.outcome.startswith("mixed") for each in blind)
        assert any(judge(site.ledger, each, bound_ns(each) - 10**9) for each in seen)


def tell(seen: list[Seen]) -> None:
    """Reads by kind, mount and outcome."""
    counts: dict[str, Counter[str]] = {}
    for each in seen:
        known = each.outcome.startswith(("absent", "changed", "gone", "mixed", "error"))
        outcome = each.outcome[:60] if known else "a version"
        counts.setdefault(f"{each.kind} {each.mount}", Counter())[outcome] += 1
    for name, count in sorted(counts.items()):
        print(name, dict(count))
