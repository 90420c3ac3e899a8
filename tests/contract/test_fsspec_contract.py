"""fsspec's own suites on ``cache://``, over S3 and a folder, written ``through`` and ``async``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fsspec.tests.abstract import (
    AbstractCopyTests,
    AbstractFixtures,
    AbstractGetTests,
    AbstractOpenTests,
    AbstractPipeTests,
    AbstractPutTests,
)

from millpond.settings import Settings
from tests.fixtures.sidecar import LoopSidecar
from tests.fixtures.write_site import WriteSite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from millpond.client import CacheFileSystem
    from millpond.testing.s3_gateway import S3Gateway

ALL = pytest.mark.full
KINDS = [("/s3", "async"), pytest.param(("/local", "through"), marks=ALL)]
KINDS += [pytest.param((m, w), marks=ALL) for m, w in (("/s3", "through"), ("/local", "async"))]


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind[0][1:] + "-" + kind[1])
def kind(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A mount and how it is written."""
    found: tuple[str, str] = request.param
    return found


@pytest.fixture(scope="module")
def site(
    kind: tuple[str, str], s3_gateway: S3Gateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WriteSite]:
    base = tmp_path_factory.mktemp("fsspec-contract")
    settings = Settings(cache_dir=base / "cache", http_port=0, cache_capacity_bytes=256 << 20)
    with LoopSidecar(settings) as sidecar:
        site = WriteSite(sidecar, s3_gateway, base, options={"write": kind[1]})
        yield site
        site.close()


class Fixtures(AbstractFixtures):  # type: ignore[misc]
    """What the suites ask for."""

    @pytest.fixture
    def fs_path(self, kind: tuple[str, str]) -> str:
        return f"{kind[0]}/suite"

    @pytest.fixture
    def fs(self, site: WriteSite, fs_path: str) -> Iterator[CacheFileSystem]:
        """Made anew for each test: nothing is left of the one before."""
        fs = site.fs(fs_path)
        fs.makedirs(fs_path, exist_ok=True)
        yield fs
        fallbacks = {name for name in fs.counters if name.startswith("fallback_")}
        assert fallbacks <= {"fallback_not_cached"}  # of what changed a moment ago
        fs.rm(fs_path, recursive=True)


class TestCopy(Fixtures, AbstractCopyTests):  # type: ignore[misc]
    """Copies within a mount."""


class TestGet(Fixtures, AbstractGetTests):  # type: ignore[misc]
    """Out of a mount."""


class TestPut(Fixtures, AbstractPutTests):  # type: ignore[misc]
    """Into a mount."""


class TestOpen(Fixtures, AbstractOpenTests):  # type: ignore[misc]
    """Files open for writing."""


class TestPipe(Fixtures, AbstractPipeTests):  # type: ignore[misc]
    """Whole files."""
