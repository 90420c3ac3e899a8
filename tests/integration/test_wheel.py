"""The wheel as the container file installs it: alone, with nothing that only tests need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).parents[2]
CONTAINER_FILE = (ROOT / "packaging/Containerfile").read_text()
START_S = 60

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def bin_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs of an environment that has the wheel and what it needs."""
    base = tmp_path_factory.mktemp("wheel")
    uv = Path(sys.executable).with_name("uv")
    run = {"cwd": base, "check": True, "capture_output": True}
    subprocess.run([uv, "build", "-q", "--wheel", "-o", base / "dist", ROOT], **run)  # type: ignore[call-overload]
    [wheel] = (base / "dist").glob("millpond-*.whl")
    extras = "[hdfs,fsspec]"
    assert f"${{wheel}}{extras}" in CONTAINER_FILE
    subprocess.run([uv, "venv", "-q", "-p", sys.executable, base / "venv"], **run)  # type: ignore[call-overload]
    subprocess.run(
        [uv, "pip", "install", "-q", "-c", ROOT / "constraints.txt", f"{wheel}{extras}"],
        env={**os.environ, "VIRTUAL_ENV": str(base / "venv")}, **run,
    )  # type: ignore[call-overload]  # fmt: skip
    return base / "venv/bin"


def test_it_serves_is_probed_and_shows_itself(bin_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_bytes(b"content")
    env = {
        "PATH": f"{bin_dir}:/usr/bin:/bin", "HOME": str(tmp_path),
        "MILLPOND_DIR": str(tmp_path / "cache"), "MILLPOND_HTTP_PORT": "0",
    }  # fmt: skip

    def millpond(*words: str) -> str:
        done = subprocess.run(
            [bin_dir / "millpond", *words], env=env, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def healthy() -> bool:
        probe = [bin_dir / "python", "-m", "millpond.probe"]
        return subprocess.run(probe, env=env, check=False, capture_output=True).returncode == 0

    millpond("mount", "add", "/data", f"file://{tmp_path}/data")
    assert not healthy()
    with (tmp_path / "log").open("wb") as log:
        sidecar = subprocess.Popen([bin_dir / "millpond", "serve"], env=env, stderr=log)
    try:
        until = time.monotonic() + START_S
        while not healthy():
            assert sidecar.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < until
            time.sleep(0.2)
        assert millpond("cat", "/data/file") == "content"
        found = {f["check"]: f for f in json.loads(millpond("doctor", "--json"))["findings"]}
        assert found["jar"]["level"] == "ok", "the jar is in the wheel"
        lines = (tmp_path / "cache/node.properties").read_text().splitlines()
        port = dict(line.split("=", 1) for line in lines)["http.port"]
        for path in ("", "dashboard.css", "dashboard.js", "metrics"):
            with urlopen(f"http://127.0.0.1:{port}/{path}") as page:
                assert page.status == 200
        script = "import fsspec; assert fsspec.filesystem('cache').cat('/data/file') == b'content'"
        subprocess.run([bin_dir / "python", "-c", script], env=env, check=True)
    finally:
        sidecar.terminate()
        assert sidecar.wait(30) == 0


def test_the_jar_can_be_copied_out(bin_dir: Path, tmp_path: Path) -> None:
    """As the pod template of Spark does."""
    import yaml

    pod = yaml.safe_load((ROOT / "packaging/kubernetes/spark-pod-template.yaml").read_text())
    program, flag, script = pod["spec"]["initContainers"][0]["command"]
    script = script.replace("/jar/", f"{tmp_path}/")
    subprocess.run([bin_dir / program, flag, script], check=True)
    assert (tmp_path / "millpond.jar").stat().st_size > 500_000
