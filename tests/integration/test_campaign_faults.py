"""A job whose sidecar is killed or stopped in mid-read: no failure, right answer, local pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from millpond.testing.store_model import Model
from tests.bench import faults
from tests.bench.jvm import BUILD

if TYPE_CHECKING:
    from pathlib import Path

DECIDE_MS = 1000


@pytest.mark.timeout(600)
@pytest.mark.full
def test_a_lost_sidecar_costs_no_job(tmp_path: Path) -> None:
    size = faults.Size(files=4, file_bytes=16 << 20, rounds=1, model=Model(15, 100))
    check(faults.run(size, tmp_path, tmp_path / "faults.json"), rounds=1)


@pytest.mark.full
@pytest.mark.timeout(7200)
def test_twenty_kills_and_twenty_stops_on_two_gib() -> None:
    size = faults.Size(files=16, file_bytes=136 << 20, rounds=20, model=Model(15, 100))
    work = BUILD / "work"
    document = faults.run(size, work, BUILD / "faults.json")
    assert document["table"]["bytes"] >= 2 << 30
    check(document, rounds=20)


def check(document: dict[str, Any], *, rounds: int) -> None:
    for fault in faults.FAULTS:
        sums = document["faults"][fault]
        assert sums["rounds"] == rounds
        assert sums["failed_jobs"] == 0, document["rounds"]
        assert sums["wrong_results"] == 0, document["rounds"]
        assert sums["pages_after_min"] >= 1, document["rounds"]
        assert sums["decide_ms_max"] <= DECIDE_MS, document["rounds"]
