"""What `doctor` says of a container's share in the node; `test_container.py` runs it in one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from millpond.cli import engine_checks
from millpond.cli.findings import Finding, Level
from millpond.settings import Settings
from tests.fixtures.sidecar import LoopSidecar

if TYPE_CHECKING:
    from pathlib import Path


def found(settings: Settings) -> dict[str, Finding]:
    findings = [*engine_checks.place(settings), *engine_checks.reach(settings)]
    assert all(f.remedy for f in findings if f.level is not Level.ok)
    return {f.check: f for f in findings}


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mark").touch()
    monkeypatch.setattr(engine_checks, "MARKS", (tmp_path / "mark",))


@pytest.mark.usefixtures("container")
def test_a_container_that_holds_the_sidecar_too_is_no_problem(tmp_path: Path) -> None:
    """A development container, or a machine that was made from an image."""
    if engine_checks.mounted_at(tmp_path)[0] != "/":
        pytest.skip("needs a temporary directory on the root file system")
    settings = Settings(cache_dir=tmp_path / "cache", http_port=0)
    (tmp_path / "cache").mkdir(mode=0o750)
    assert found(settings)["container"].level is Level.problem
    with LoopSidecar(settings):
        levels = {check: f.level for check, f in found(settings).items()}
    assert levels == dict.fromkeys(("container", "socket", "tcp", "clock", "host names"), Level.ok)


def test_a_bare_host_is_told_nothing_of_containers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_checks, "MARKS", ())
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    (tmp_path / "cache").mkdir(mode=0o750)
    assert found(Settings(cache_dir=tmp_path / "cache")) == {}
    assert found(Settings(cache_dir=tmp_path / "absent")) == {}


def test_block_locations_of_another_name_are_a_warning(tmp_path: Path) -> None:
    settings = Settings(cache_dir=tmp_path / "cache", http_port=0, node_aliases=("other-host",))
    with LoopSidecar(settings):
        finding = found(settings)["host names"]
    assert finding.level is Level.warning
    assert "block locations say other-host" in finding.text


def test_a_sidecar_that_died_left_its_socket(tmp_path: Path) -> None:
    settings = Settings(cache_dir=tmp_path / "cache", http_port=0)
    with LoopSidecar(settings) as sidecar:
        path = sidecar.directory / "sidecar.sock"
        path.rename(tmp_path / "kept")
    (tmp_path / "kept").rename(path)
    finding = found(settings)["socket"]
    assert finding.level is Level.problem
    assert "refused" in finding.text
