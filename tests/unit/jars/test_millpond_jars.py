"""The jars' version is the package's, and a missing jar names the command that builds it."""

import re
from pathlib import Path

import pytest

import millpond
import millpond_jars

ROOT = Path(__file__).parents[3]


def test_maven_and_python_have_one_version() -> None:
    pom = (ROOT / "jars/pom.xml").read_text()
    revision = re.search(r"<revision>(.*)</revision>", pom)
    assert revision is not None
    assert revision[1] == millpond.__version__


def test_a_missing_jar_names_what_is_there_and_the_build_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "millpond-client-0.0.1.jar").touch()
    monkeypatch.setattr(millpond_jars, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(FileNotFoundError) as e:
        millpond_jars.paths()
    assert "millpond-client-0.0.1.jar" in str(e.value)
    assert millpond_jars.BUILD in str(e.value)


def test_the_jars_of_this_release_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("client", "spark", "s3a", "hdfs")
    jars = [tmp_path / f"millpond-{name}-{millpond.__version__}.jar" for name in names]
    for jar in jars:
        jar.touch()
    monkeypatch.setattr(millpond_jars, "__file__", str(tmp_path / "__init__.py"))
    assert millpond_jars.paths() == jars
