"""The notebooks run from top to bottom, each in a Python of its own, without Jupyter."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyspark", reason="Spark is not installed: millpond[spark]")

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
# The value of a cell's last expression is what Jupyter would show below it.
RUN = """
import ast, json, sys
names = {"__name__": "__main__"}
shown = []
for source in json.load(open(sys.argv[1])):
    *body, last = ast.parse(source).body
    value = None
    if isinstance(last, ast.Expr):
        exec(compile(ast.Module(body, []), "cell", "exec"), names)
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    else:
        exec(compile(source, "cell", "exec"), names)
    shown.append(repr(value))
json.dump(shown, open(sys.argv[2], "w"))
"""


def run(name: str, folder: Path) -> dict[str, str]:
    """What is shown below each cell, by the cell's last line."""
    document = json.loads((NOTEBOOKS / name).read_text())
    sources = ["".join(c["source"]) for c in document["cells"] if c["cell_type"] == "code"]
    cells, shown, log = folder / "cells.json", folder / "shown.json", folder / "log"
    cells.write_text(json.dumps(sources))
    with log.open("wb") as out:
        done = subprocess.run(
            [sys.executable, "-c", RUN, str(cells), str(shown)],
            env=os.environ | {"TMPDIR": str(folder), "SPARK_LOCAL_IP": "127.0.0.1"},
            cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=400, check=False,
        )  # fmt: skip
    assert done.returncode == 0, log.read_text()[-3000:]
    last_lines = [source.splitlines()[-1] for source in sources]
    return dict(zip(last_lines, json.loads(shown.read_text()), strict=True))


@pytest.mark.timeout(480)
def test_flights(tmp_path: Path) -> None:
    shown = run("flights.ipynb", tmp_path)
    assert ast.literal_eval(shown["by_spark"])["UA"] == 58665
    assert shown["by_pandas == by_spark"] == "True"
    assert shown["by_duckdb == by_spark"] == "True"
    status = shown["millpond_spark.status(spark)"]
    assert status.startswith("Millpond: ")
    (pid,) = re.findall(r"sidecar +running, pid (\d+), on", status)
    assert not Path(f"/proc/{pid}").exists(), "the sidecar ends with the session"
    counters = ast.literal_eval(shown["{name: n for name, n in cache.counters.items() if n}"])
    assert counters["hit_bytes"] > 0
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("millpond-")] == []


@pytest.mark.parametrize("name", sorted(p.name for p in NOTEBOOKS.glob("*.ipynb")))
def test_no_output_is_kept(name: str) -> None:
    """What a run showed belongs to that run; it would change with each."""
    for cell in json.loads((NOTEBOOKS / name).read_text())["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
