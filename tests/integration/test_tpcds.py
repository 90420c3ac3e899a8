"""TPC-DS from end to end, small: real data, real queries, real engines, stopped and resumed."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("pyspark", reason="Spark is not installed: millpond[spark]")

from millpond.errors import Corrupt, InvalidSetting, NotSupported
from millpond_tpcds import dataset, destination, generate, presto, queries
from millpond_tpcds.compare import difference
from millpond_tpcds.dataset import PARTITIONED, PLAIN, DataSet, TableNote
from millpond_tpcds.oracle import Oracle
from millpond_tpcds.tables import FACTS, TABLES, parts
from millpond_tpcds.targets import ANALYTICS, COLD, PRESTO_S3, PRESTO_WARM, S3A, chosen

if TYPE_CHECKING:
    from pathlib import Path

    from millpond.testing.hdfs_cluster import HdfsCluster
    from millpond.testing.s3_gateway import S3Gateway

# The first run on a machine fetches S3A and the queries by Maven.
pytestmark = pytest.mark.timeout(900)
SCALE = 0.01
NAMES = "q3,q42,q96"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the smallest data set."""
    root = tmp_path_factory.mktemp("tpcds")
    generate.generate(root, SCALE, PLAIN, lambda *_: None)
    return root


def made_again(root: Path, layout: str) -> list[str]:
    """The tables that one more generation makes."""
    made: list[str] = []

    def told(table: str, note: TableNote, now: bool) -> None:
        if now:
            made.append(table)

    generate.generate(root, SCALE, layout, told)
    return made


def test_what_is_complete_is_not_made_again(root: Path) -> None:
    data = DataSet(root, SCALE, PLAIN)
    before = data.complete()
    assert set(before) == set(TABLES)
    assert before["date_dim"].rows == 73049  # fixed by the specification
    assert made_again(root, PLAIN) == []

    # A table that lost a byte is made again, the same; the others stay.
    torn = data.folder / "reason" / "part-0.parquet"
    data_bytes = torn.read_bytes()
    torn.unlink()  # another layout may share the file
    torn.write_bytes(data_bytes[:-1])
    with pytest.raises(NotSupported, match="missing: reason"):
        data.complete()
    assert made_again(root, PLAIN) == ["reason"]
    assert data.complete() == before


def test_partitions_hold_the_same_rows_in_one_file_each(root: Path, tmp_path: Path) -> None:
    plain = DataSet(root, SCALE, PLAIN)
    generate.rewrite(plain, "web_sales", tmp_path)
    note = dataset.verified(tmp_path)
    assert note.rows == plain.complete()["web_sales"].rows
    folders = [name.rpartition("/")[0] for name in note.files]
    assert len(set(folders)) == len(folders) > 500
    assert all(folder.startswith("ws_sold_date_sk=") for folder in folders)


@pytest.mark.full
def test_a_partitioned_data_set_answers_alike(root: Path, tmp_path: Path) -> None:
    generate.generate(root, SCALE, PARTITIONED, lambda *_: None)
    assert made_again(root, PARTITIONED) == []
    plain, dated = DataSet(root, SCALE, PLAIN), DataSet(root, SCALE, PARTITIONED)
    for table, note in dated.complete().items():
        assert note.rows == plain.complete()[table].rows, table
    with Oracle(plain.folder) as one, Oracle(dated.folder) as other:
        for query in queries.load():
            rows = [row for group in other.answer(query.sql).groups for row in group]
            answer = one.answer(query.sql)
            assert difference(rows[: answer.limit], answer) is None, query.name
    command = [*run_command(root, tmp_path), "--rounds", "1", "--layout", "partitioned"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "out").glob("*-quick-sf0.01-partitioned-1ms.json")
    document = json.loads(file.read_text())
    assert set(document["targets"]) == {t.name for t in chosen(None)}
    for name, costs in document["targets"].items():
        reads_store = name in (S3A, ANALYTICS, COLD)
        assert (costs["requests"]["GET"] > 0) is reads_store, name
    assert document["summary"]["cold_time_vs_s3a"] > 0


def test_files_are_never_below_128_mib_where_there_is_more() -> None:
    assert parts("store_sales", 1) == 1
    assert parts("reason", 1000) == 1
    for scale in (2, 3, 10, 33, 100):
        for table in FACTS:
            count = parts(table, scale)
            assert count == 1 or 128 <= 115 * scale / parts("store_sales", scale) <= 320


def test_bad_scales_are_told(tmp_path: Path) -> None:
    for scale in (0, -1, 1e6):
        with pytest.raises(InvalidSetting, match="--scale"):
            generate.generate(tmp_path, scale, PLAIN, lambda *_: None)


def test_all_statements_of_the_99_queries_run_on_duckdb(root: Path) -> None:
    every = queries.load()
    assert len(every) == 103
    assert len({q.name.rstrip("ab") for q in every}) == 99
    data = DataSet(root, SCALE, PLAIN)
    total = sum(note.bytes for note in data.complete().values())
    with Oracle(data.folder) as oracle:
        for query in every:
            answer = oracle.answer(query.sql)
            rows = [row for group in answer.groups for row in group]
            assert difference(rows[: answer.limit], answer) is None, query.name
            assert 0 < dataset.projected_bytes(data, query.sql) < total, query.name


def test_queries_by_name() -> None:
    assert [q.name for q in queries.load(["q14", "q3", "q14a"])] == ["q14a", "q14b", "q3"]
    with pytest.raises(InvalidSetting, match="there is no query 'q100'"):
        queries.load(["q100"])


def test_the_ten_queries_are_translated_for_presto() -> None:
    for query in queries.load(queries.QUICK):
        assert "`" not in presto.translated(query.sql), query.name


def test_a_data_set_is_copied_once(root: Path, s3_gateway: S3Gateway) -> None:
    data = DataSet(root, SCALE, PLAIN)
    keys = (s3_gateway.access_key, s3_gateway.secret_key)
    bucket = s3_gateway.new_bucket()
    to = destination.S3Destination(bucket, "sf", s3_gateway.endpoint, keys)
    check_copies(data, to)
    s3_gateway.put_object(bucket, "sf/reason/part-9.parquet", b"other rows")
    with pytest.raises(InvalidSetting, match="files that are not of this data set"):
        destination.copy(data, to, lambda *_: None)


def test_a_data_set_is_copied_to_hdfs(root: Path, hdfs_cluster: HdfsCluster) -> None:
    check_copies(
        DataSet(root, SCALE, PLAIN), destination.destination(f"{hdfs_cluster.uri}/tpcds/sf")
    )


def check_copies(data: DataSet, to: destination.Destination) -> None:
    def ignored(*_: object) -> None:
        pass

    assert destination.copy(data, to, ignored) == len(TABLES)
    assert to.sizes() == {name: size for name, _, size in data.files()}
    assert destination.copy(data, to, ignored) == 0
    to.put("reason/part-0.parquet", data.folder / "ship_mode" / "part-0.parquet")
    assert destination.copy(data, to, ignored) == 1
    assert destination.copy(data, to, ignored) == 0


def test_destinations_are_checked() -> None:
    for uri in ("ftp://x/y", "s3:///key", "/folder"):
        with pytest.raises(InvalidSetting, match="--to is"):
            destination.destination(uri)


def test_another_artifact_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "x.jar"
    fake.write_bytes(b"PK")
    with pytest.raises(Corrupt, match="not the pinned artifact"):
        queries.verify(fake)


def run_command(root: Path, folder: Path) -> list[str]:
    return [
        sys.executable, "-m", "millpond_tpcds", "run", "--scale", str(SCALE), "--data", str(root),
        "--work", str(folder / "work"), "--out", str(folder / "out"), "--queries", NAMES,
        "--first-byte-ms", "1", "--memory", "1g", "--cores", "2", "--json",
    ]  # fmt: skip


@pytest.mark.full
def test_a_run_is_interrupted_and_resumed(root: Path, tmp_path: Path) -> None:
    command = [*run_command(root, tmp_path), "--rounds", "1", "--targets", "s3a,cache_warm"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as first:
        assert first.stderr is not None
        try:
            before = list(itertools.takewhile(lambda x: not x.startswith("warm-up"), first.stderr))
            first.send_signal(signal.SIGINT)
            rest = first.stderr.read()
        finally:
            first.terminate()  # nothing, where it has ended
    assert first.returncode == 130, "".join(before) + rest
    assert "interrupted after 1 steps" in rest

    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stderr
    assert "1 steps done" in second.stderr
    summary = json.loads(second.stdout)
    assert summary["results_equal_duckdb"] is True
    assert summary["speedup_warm_vs_s3a"] > 0
    assert summary["cold_time_vs_s3a"] is None, "it was not run"
    (file,) = (tmp_path / "out").glob("*-quick-sf0.01-1ms.json")
    document = json.loads(file.read_text())
    assert document["summary"] == summary
    assert {"cpu", "cores", "memory_gib"} <= set(document["machine"])
    assert document["store_model"] == "1 ms to first byte, 100 MB/s a connection"
    assert document["differences"] == []
    assert document["targets"]["cache_warm"]["requests"]["GET"] == 0
    assert document["targets"]["s3a"]["requests"]["GET"] > 0
    for query in document["queries"]:
        for target, found in query["targets"].items():
            assert found["median_s"] > 0, (query["name"], target)
    assert "| q96 |" in file.with_suffix(".md").read_text()
    assert file.with_suffix(".png").read_bytes().startswith(b"\x89PNG")

    # Nothing is left to do: the same command only reports.
    third = subprocess.run(command, capture_output=True, text=True, check=False)
    assert json.loads(third.stdout) == summary


@pytest.mark.full
def test_presto_answers_as_duckdb_and_warm_it_reads_nothing_of_the_store(
    root: Path, tmp_path: Path
) -> None:
    pytest.importorskip("prestodb", reason="Presto's client is not installed")
    command = [*run_command(root, tmp_path), "--rounds", "1"]
    command += ["--targets", f"{PRESTO_S3},{PRESTO_WARM}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "out").glob("*-quick-presto-sf0.01-1ms.json")
    document = json.loads(file.read_text())
    assert document["summary"]["results_equal_duckdb"] is True
    assert document["summary"]["speedup_presto_warm_vs_s3"] > 0
    assert document["engines"] == {"presto": "0.287"}
    costs = {name: target["requests"]["GET"] for name, target in document["targets"].items()}
    assert costs[PRESTO_S3] > 0
    assert costs[PRESTO_WARM] == 0
    for query in document["queries"]:
        assert set(query["targets"][PRESTO_WARM]["counters"]) <= {"call_list", "call_report"}
