"""Traces of block requests made from a seed: the same on every machine.

A trace is two packed arrays: object numbers, and each request's size in units of 64 KiB (constant
per object). Sizes stay far below a tenth of the cache sizes used, as blocks do.
"""

from __future__ import annotations

import bisect
import itertools
import random
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCK_UNITS = 256  # a full block


@dataclass(frozen=True)
class Trace:
    name: str
    objects: array[int]
    sizes: array[int]

    def __len__(self) -> int:
        return len(self.objects)

    @property
    def working_set(self) -> int:
        """Units of all distinct objects together."""
        return sum(dict(zip(self.objects, self.sizes, strict=True)).values())


def _zipf(rng: random.Random, objects: int, alpha: float) -> Iterator[int]:
    """Object numbers, 0 the most popular."""
    weights = list(itertools.accumulate(1 / (i + 1) ** alpha for i in range(objects)))
    while True:
        yield bisect.bisect(weights, rng.random() * weights[-1])


def _uniform(objects: Iterator[int], requests: int) -> tuple[array[int], array[int]]:
    numbers = array("Q", itertools.islice(objects, requests))
    return numbers, array("I", [1]) * len(numbers)


def zipf(requests: int) -> tuple[array[int], array[int]]:
    """Popular blocks and a long tail."""
    return _uniform(_zipf(random.Random(1), 20_000, 0.9), requests)


def scans(requests: int) -> tuple[array[int], array[int]]:
    """Popular blocks, and now and then a scan over blocks that nobody else reads."""

    def objects() -> Iterator[int]:
        rng = random.Random(2)
        popular = _zipf(rng, 10_000, 1.0)
        fresh = itertools.count(1 << 20)
        while True:
            yield from itertools.islice(popular, rng.randrange(500, 3000))
            yield from itertools.islice(fresh, rng.randrange(200, 2000))

    return _uniform(objects(), requests)


def loop(requests: int) -> tuple[array[int], array[int]]:
    """A table of 6,000 blocks read again and again, among popular ones."""

    def objects() -> Iterator[int]:
        rng = random.Random(3)
        popular = _zipf(rng, 5_000, 0.8)
        for at in itertools.count():
            yield (1 << 20) + at % 6000 if rng.random() < 0.7 else next(popular)

    return _uniform(objects(), requests)


def footers(requests: int) -> tuple[array[int], array[int]]:
    """Parquet: of each split the footer (1-4 pages), then parts of blocks or whole ones."""
    rng = random.Random(4)
    files = _zipf(rng, 3000, 0.9)
    numbers, sizes = array("Q"), array("I")
    while len(numbers) < requests:
        file = next(files)
        numbers.append(file << 8)
        sizes.append(1 + file % 4)
        for _ in range(rng.randrange(1, 5)):
            block = rng.randrange(1, 9)
            numbers.append(file << 8 | block)
            sizes.append((BLOCK_UNITS, 40, 8, 160)[(file + block) % 4])
    return numbers[:requests], sizes[:requests]


MAKERS: dict[str, Callable[[int], tuple[array[int], array[int]]]] = {
    maker.__name__: maker for maker in (zipf, scans, loop, footers)
}


def trace(name: str, requests: int) -> Trace:
    return Trace(name, *MAKERS[name](requests))
