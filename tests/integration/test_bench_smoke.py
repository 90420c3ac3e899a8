"""The benchmarks run from end to end, quickly, and write every row they declare."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.bench import cold, fs, publish, python, stores
from tests.bench.measures import COLD_MEASURES, FIRST_PAGE, MEASURES
from tests.bench.run import main as run
from tests.bench.run import measurements
from tests.bench.targets import REMOTE, WARM

if TYPE_CHECKING:
    from pathlib import Path

ROW_KEYS = {
    "measure", "target", "threads", "value", "unit", "rounds", "ratio", "ratio_low", "ratio_to",
    "cpu_s_per_gib",
}  # fmt: skip


def test_measurements_are_listed_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert {"fs", "cold", "faults", "publish", "stores"} <= set(measurements())
    assert run(["--list"]) == 0
    assert "fs " in capsys.readouterr().out
    assert run(["no-such"]) == 2
    assert "no measurement 'no-such'" in capsys.readouterr().err


@pytest.mark.timeout(300)
@pytest.mark.full
def test_fs_writes_every_declared_row(tmp_path: Path) -> None:
    out = tmp_path / "fs.json"
    assert fs.main(["--quick", "--work", str(tmp_path / "work"), "--out", str(out)]) == 0
    document = json.loads(out.read_text())
    assert {"cpu", "cores", "java", "store_model", "page_cache"} <= set(document["machine"])
    rows = {(r["measure"], r["target"]): r for r in document["rows"]}
    assert set(rows) == {(m.name, t) for m in MEASURES for t in (*WARM, *REMOTE)}
    for key, row in rows.items():
        assert set(row) >= ROW_KEYS, key
        assert row["value"] > 0, key
    for m in MEASURES:
        hit = rows[m.name, "cache_hit"]
        assert hit["ratio_to"] == "raw_local"
        assert hit["ratio_low"] <= hit["ratio"] <= hit["ratio_high"]
        assert rows[m.name, "cache_cold"]["ratio_to"] in ("s3a_classic", "s3a_analytics")
        if m.blocks:
            assert hit["calls_per_op"] == 0
    assert publish.sections(tmp_path) == {}  # quick figures are never published


@pytest.mark.timeout(300)
@pytest.mark.full
def test_cold_writes_every_declared_row(tmp_path: Path) -> None:
    out = tmp_path / "cold.json"
    options = ["--quick", "--first-byte-ms", "0,5", "--work", str(tmp_path / "work")]
    assert cold.main([*options, "--out", str(out)]) == 0
    rows = json.loads(out.read_text())["rows"]
    found = {(r["measure"], r["target"], r["first_byte_ms"]) for r in rows}
    assert found == {(m.name, t, ms) for m in COLD_MEASURES for t in REMOTE for ms in (0, 5)}
    for row in rows:
        if row["target"] == "cache_cold" and row["measure"] != FIRST_PAGE:
            assert row["fills_per_gib"] > 0
            assert row["direct_bytes"] == 0


# fsspec's block cache leaves the file of its memory map open.
@pytest.mark.filterwarnings("ignore:.*blockcache:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.full
def test_python_writes_every_declared_row_and_reads_only_hits(tmp_path: Path) -> None:
    out = tmp_path / "python.json"
    assert python.main(["--quick", "--work", str(tmp_path / "work"), "--out", str(out)]) == 0
    rows = json.loads(out.read_text())["rows"]
    hits = {(r["measure"], r["ratio_to"]) for r in rows if r["target"] == python.HIT}
    assert hits >= {(m.name, python.LOCAL) for m in python.MEASURES}
    assert (python.DUCKDB.name, python.NATIVE) in hits


@pytest.mark.timeout(600)
@pytest.mark.full  # it makes an environment with s3fs, from PyPI
def test_stores_writes_every_declared_row(tmp_path: Path) -> None:
    out = tmp_path / "stores.json"
    assert stores.main(["--quick", "--work", str(tmp_path / "work"), "--out", str(out)]) == 0
    rows = {(r["measure"], r["target"]): r for r in json.loads(out.read_text())["rows"]}
    hdfs = {(stores.HDFS.name, target) for target in (stores.JVM, stores.NATIVE)}
    s3 = {(stores.S3.name, target) for target in (stores.OURS, stores.OBSTORE, stores.S3FS)}
    assert set(rows) == hdfs | s3
    assert all(set(row) >= ROW_KEYS for row in rows.values())
