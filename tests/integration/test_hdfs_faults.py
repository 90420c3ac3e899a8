"""An HDFS that restarts, stalls and is in safe mode: readers of both languages."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hdfs_native import WriteOptions

from millpond.under.retry import RetryBudget
from tests.fixtures.fault_site import (
    RIGHT,
    FaultSite,
    Meanwhile,
    Outcome,
    by_jvm,
    by_python,
    content,
    storm,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from millpond.testing.hdfs_cluster import HdfsCluster
    from tests.fixtures.fault_site import Place

# The first run on a machine fetches Hadoop by Maven.
pytestmark = pytest.mark.timeout(600)

LONG_AGO_MS = 1_700_000_000_000
RECOVERED_S = 60.0
ENDS = {RIGHT, "StoreUnavailable"}


def put(cluster: HdfsCluster, *names: str) -> None:
    client = cluster.client()
    for name in names:
        path = f"/data/{name}"
        with client.create(path, WriteOptions(overwrite=True)) as writer:
            writer.write(content(name))
        client.set_times(path, LONG_AGO_MS, LONG_AGO_MS - 1)


@pytest.fixture(scope="module")
def site(
    hdfs_cluster: HdfsCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FaultSite]:
    put(hdfs_cluster, "warm")
    with FaultSite(tmp_path_factory.mktemp("site"), {}, {}, s3a=False) as site:
        yield site
    hdfs_cluster.client().delete("/data", recursive=True)


@pytest.fixture
def place(site: FaultSite, hdfs_cluster: HdfsCluster) -> Place:
    place = site.mount(f"{hdfs_cluster.uri}/data", {})
    assert by_python(site.fs(), f"{place.kept}/warm").told == RIGHT
    assert by_jvm(site.jvm, f"{place.kept}/warm").told == RIGHT
    return place


def until_right(ask: Callable[[], Outcome]) -> None:
    """Ask until the answer is right: what comes before is a typed error."""
    until_s = time.monotonic() + RECOVERED_S
    while (outcome := ask()).told != RIGHT:
        assert outcome.told in ENDS, outcome
        assert time.monotonic() < until_s, outcome
        time.sleep(0.1)


def test_safe_mode_is_no_matter_to_readers(
    site: FaultSite, place: Place, hdfs_cluster: HdfsCluster
) -> None:
    put(hdfs_cluster, "safe0", "safe1")
    fs = site.fs()
    with hdfs_cluster.safe_mode():
        for path in (f"{place.kept}/warm", f"{place.now}/warm", f"{place.now}/"):
            assert by_python(fs, path).told == by_jvm(site.jvm, path).told == RIGHT
        assert by_python(fs, f"{place.now}/safe0").told == RIGHT
        assert by_jvm(site.jvm, f"{place.now}/safe1").told == RIGHT
    assert fs.counters["direct_reads"] == 0


def test_a_restart_of_the_name_node(
    site: FaultSite, place: Place, hdfs_cluster: HdfsCluster
) -> None:
    names = [f"name{i}" for i in range(12)]
    put(hdfs_cluster, *names)
    fs = site.fs()
    paths = place.files(names)
    before = site.asked(place)
    began_s = time.monotonic()
    with Meanwhile(lambda: by_jvm(site.jvm, paths[0])) as java:
        with hdfs_cluster.without_namenode():
            assert by_python(fs, f"{place.kept}/warm").told == RIGHT
            with Meanwhile(lambda: by_python(fs, paths[1])) as python:
                told = storm(fs, paths)
                assert set(told) <= ENDS
        assert python.outcome.told in ENDS
    assert java.outcome.told in ENDS
    requests = len(paths) + 2
    budget = RetryBudget()
    # Each read asks who it is, and at its end again: a stat, an open.
    asked = site.asked(place) - before
    assert asked <= 3 * requests + budget.capacity + budget.per_s * (time.monotonic() - began_s)
    until_right(lambda: by_python(fs, paths[1]))
    assert storm(fs, paths) == {RIGHT: len(paths)}
    assert by_jvm(site.jvm, paths[0]).told == RIGHT


def test_a_restart_of_the_data_node(
    site: FaultSite, place: Place, hdfs_cluster: HdfsCluster
) -> None:
    names = ["data0", "data1", "data2"]
    put(hdfs_cluster, *names)
    fs = site.fs()
    paths = place.files(names)
    with (
        Meanwhile(lambda: by_jvm(site.jvm, paths[0])) as java,
        Meanwhile(lambda: by_python(fs, paths[1])) as python,
        hdfs_cluster.without_datanode(),
    ):
        assert by_python(fs, f"{place.kept}/warm").told == RIGHT
        assert by_python(fs, f"{place.now}/").told == RIGHT, "names are the NameNode's"
    assert {java.outcome.told, python.outcome.told} <= ENDS
    for path in paths:
        until_right(lambda path=path: by_python(fs, path))
    assert by_jvm(site.jvm, paths[0]).told == RIGHT


@pytest.mark.parametrize("seconds", [2.0, pytest.param(10.0, marks=pytest.mark.full)])
def test_a_stall_is_waited_for_and_holds_up_nobody_else(
    site: FaultSite, place: Place, hdfs_cluster: HdfsCluster, tmp_path: Path, seconds: float
) -> None:
    names = [f"stall{seconds}-{i}" for i in range(2)]
    put(hdfs_cluster, *names)
    (tmp_path / "local").write_bytes(content("local"))
    local = site.mount(f"file://{tmp_path}", {})
    fs = site.fs()
    java_path, python_path = place.files(names)
    many = 40 * [f"{place.now}/warm"]
    with hdfs_cluster.stalled():
        stalled_s = time.monotonic()
        with (
            Meanwhile(lambda: by_jvm(site.jvm, java_path)) as java,
            Meanwhile(lambda: by_python(fs, python_path)) as python,
            ThreadPoolExecutor(len(many)) as pool,
        ):
            waiting = [pool.submit(by_python, fs, path) for path in many]
            assert by_python(fs, f"{place.kept}/warm").told == RIGHT
            assert by_python(site.fs(), f"{local.now}/local").told == RIGHT
            # The stall itself is what is tested.
            time.sleep(max(0.0, seconds - (time.monotonic() - stalled_s)))
            assert not java.ended
            assert not python.ended
            hdfs_cluster.resume()
            assert {each.result().told for each in waiting} == {RIGHT}
    assert java.outcome.told == python.outcome.told == RIGHT
