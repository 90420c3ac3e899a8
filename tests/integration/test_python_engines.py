"""pandas, pyarrow, DuckDB and Dask read ``cache://`` through the Python client."""

from __future__ import annotations

import io
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.tests.abstract import AbstractFixtures, AbstractGetTests

from millpond.client import CacheFileSystem
from tests.fixtures.loader import Dataset, Items, fetch
from tests.fixtures.python_client import PythonSite
from tests.fixtures.sidecar import ProcessSidecar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from millpond.testing.s3_gateway import S3Gateway

ROWS = 50_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, s3_gateway: S3Gateway) -> Iterator[PythonSite]:
    directory = tmp_path_factory.mktemp("python-engines")
    with ProcessSidecar(directory / "cache", directory / "log") as sidecar:
        site = PythonSite(directory / "cache", s3_gateway, sidecar)
        for part in range(2):
            numbers = pa.array(range(part * ROWS, (part + 1) * ROWS))
            out = io.BytesIO()
            pq.write_table(pa.table({"n": numbers, "half": pa.array([part] * ROWS)}), out)
            site.put(f"table/part-{part}.parquet", out.getvalue())
        yield site
        site.close()


@pytest.fixture
def fs(site: PythonSite, monkeypatch: pytest.MonkeyPatch) -> Iterator[CacheFileSystem]:
    """Named by the environment, as tools that only see a URL find it."""
    monkeypatch.setenv("MILLPOND_DIR", str(site.directory))
    # fsspec keeps instances by their arguments: one of another test knows another directory.
    CacheFileSystem.clear_instance_cache()
    yield site.fs()
    CacheFileSystem.clear_instance_cache()


TOTAL = 2 * ROWS * (2 * ROWS - 1) // 2


def test_pandas(fs: CacheFileSystem) -> None:
    import pandas as pd

    frame = pd.read_parquet("cache:///m/table/part-1.parquet")
    assert list(frame.n) == list(range(ROWS, 2 * ROWS))


def test_pyarrow_dataset(fs: CacheFileSystem) -> None:
    data = ds.dataset("/m/table", filesystem=fs, format="parquet")
    table = data.to_table(filter=ds.field("n") >= ROWS - 1)
    assert sorted(table["n"].to_pylist()) == list(range(ROWS - 1, 2 * ROWS))


def test_duckdb(fs: CacheFileSystem) -> None:
    import duckdb

    with duckdb.connect() as base:
        base.register_filesystem(fs)
        found = base.sql("SELECT sum(n), count(*) FROM 'cache:///m/table/*.parquet'").fetchall()
    assert found == [(TOTAL, 2 * ROWS)]


def test_dask(site: PythonSite, fs: CacheFileSystem) -> None:
    from dask.bytes import read_bytes

    lines = b"".join(b"%d\n" % n for n in range(200_000))
    site.put("lines.txt", lines)
    _, blocks = read_bytes("cache:///m/lines.txt", blocksize=100_000, delimiter=b"\n", sample=False)
    import dask

    parts = dask.compute(*blocks[0], scheduler="threads")
    assert len(parts) > 10
    assert b"".join(parts) == lines


def test_the_readme_says_what_works(fs: CacheFileSystem, site: PythonSite) -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text().partition("### Python")[2]
    code = text.partition("```python\n")[2].partition("```")[0]
    names: dict[str, Any] = {}
    exec(code.replace("/lake/sales", "/m/table"), names)
    assert (len(names["frame"]), names["rows"]) == (ROWS, 2 * ROWS)
    assert names["top"] == [(2 * ROWS - 1,)]


class _ByTheStore(CacheFileSystem):
    """Reads ``/f`` through the cache; what the suite writes goes to the folder behind it."""

    def __init__(self, folder: str, cache_dir: Path) -> None:
        super().__init__(cache_dir=cache_dir, skip_instance_cache=True)
        self._folder, self._local = folder, LocalFileSystem(auto_mkdir=True)

    def _there(self, path: str) -> str:
        return self._folder + str(self._strip_protocol(path)).removeprefix("/f")

    def makedirs(self, path: str, exist_ok: bool = False, **kwargs: Any) -> None:
        self._local.makedirs(self._there(path), exist_ok=True)

    def mkdir(self, path: str, **kwargs: Any) -> None:
        self.makedirs(path)

    def touch(self, path: str, **kwargs: Any) -> None:
        self._local.touch(self._there(path))

    def pipe_file(self, path: str, value: bytes, **kwargs: Any) -> None:
        self._local.pipe_file(self._there(path), value)

    def rm(self, path: str, recursive: bool = False, **kwargs: Any) -> None:
        self._local.rm(self._there(path), recursive=recursive)


@pytest.fixture(scope="module")
def folder_fs(site: PythonSite, tmp_path_factory: pytest.TempPathFactory) -> _ByTheStore:
    folder = tmp_path_factory.mktemp("folder")
    site.sidecar.control.mount_add("/f", f"file://{folder}", {"freshness": "0s"})
    return _ByTheStore(str(folder), site.directory)


class TestGet(AbstractFixtures, AbstractGetTests):  # type: ignore[misc]
    """fsspec's own suite for what copies out of a file system: walk, find, glob, info, open."""

    @pytest.fixture
    def fs(self, folder_fs: _ByTheStore) -> _ByTheStore:
        return folder_fs

    @pytest.fixture
    def fs_path(self) -> str:
        return "/f"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_pytorch(fs: CacheFileSystem, site: PythonSite, method: str) -> None:
    loading = pytest.importorskip("torch.utils.data", reason="PyTorch is not installed")
    urls = [f"cache:///m/table/part-{part}.parquet" for part in range(2)]
    assert sum(len(fs.cat(url)) for url in urls), "all of it is cached"
    before = site.store_calls().get
    with fs.open(urls[0]) as first, fs.open(urls[1]) as second:
        items = Items(Dataset(fs, urls, [first, second]))
        loader = loading.DataLoader(
            items, batch_size=None, shuffle=True, num_workers=2, multiprocessing_context=method
        )
        found = [number for item in loader for number in item.tolist()]
    assert sorted(found) == list(range(2 * ROWS))
    assert site.store_calls().get == before


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_data_loader(fs: CacheFileSystem, site: PythonSite, method: str) -> None:
    """As PyTorch's DataLoader has them: a dataset that was used before goes to two workers."""
    urls = [f"cache:///m/table/part-{part}.parquet" for part in range(2)]
    with fs.open(urls[0]) as first, fs.open(urls[1]) as second:
        dataset = Dataset(fs, urls, [first, second])
        assert sum(map(sum, map(dataset.by_url, range(2)))) == TOTAL
        before = site.store_calls()
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(2, mp_context=context) as workers:
            futures = [workers.submit(fetch, dataset, i % 2) for i in range(6)]
            found = [future.result(60) for future in futures]
        for i, (by_url, by_file, counters) in enumerate(found):
            assert by_url == by_file == list(range(i % 2 * ROWS, (i % 2 + 1) * ROWS))
            assert not [name for name in counters if name.startswith("fallback_")]
    after = site.store_calls()
    assert (after.get, after.bytes_read) == (before.get, before.bytes_read), "all of it were hits"
