"""``millpond presto-install`` and ``millpond doctor --presto`` on an installation made by hand."""

from __future__ import annotations

import json
import shlex
import shutil
from typing import TYPE_CHECKING, Any

import pytest

import millpond
import millpond_jars
from millpond.cli import app
from millpond.errors import InvalidSetting, NotSupported, PermissionDenied
from millpond.settings import load
from millpond.store import node
from millpond_presto import Catalog, checks, jar
from millpond_presto.catalogs import TRANSPARENT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from millpond.cli.findings import Finding

    Run = Callable[..., tuple[int, str, str]]

NAME = f"millpond-client-{millpond.__version__}.jar"
HIVE = "connector.name=hive-hadoop2\nhive.config.resources={}\n"
RESOURCES = (
    "<configuration><property><name>fs.cache.impl</name>"
    "<value>io.millpond.fs.CacheFileSystem</value></property>"
    "<property><name>fs.cache.dir</name><value>{}</value></property></configuration>"
)


@pytest.fixture(autouse=True)
def client_jar(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file is enough: these tests pass before Maven ran."""
    (tmp_path / "built").mkdir()
    path = tmp_path / "built" / NAME
    path.write_bytes(b"this release")
    monkeypatch.setattr(millpond_jars, "client", lambda: path)
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "presto"
    for plugin in ("hive-hadoop2", "iceberg", "tpcds"):
        (home / "plugin" / plugin).mkdir(parents=True)
    return home


@pytest.fixture
def healthy(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation of which nothing is to be said."""
    cache = tmp_path / "cache"
    cache.mkdir()
    values = node.new() | {"node.aliases": "10.0.0.7,worker7"}
    (cache / "node.properties").write_text(node.render(values))
    monkeypatch.setenv("MILLPOND_DIR", str(cache))
    etc = home / "etc"
    (etc / "catalog").mkdir(parents=True)
    (etc / "config.properties").write_text("node-scheduler.network-topology=flat\n")
    (etc / "node.properties").write_text("node.internal-address=worker7\n")
    (etc / "catalog/hive.properties").write_text(HIVE.format(etc / "m.xml"))
    (etc / "catalog/tpcds.properties").write_text("connector.name=tpcds\n")
    (etc / "m.xml").write_text(RESOURCES.format(cache))
    jar.install(home)
    return home


def resources(values: dict[str, str]) -> str:
    return Catalog({}, values).resources_text()


def look(home: Path) -> dict[str, Finding]:
    """What is not ok."""
    return {f.check: f for f in checks.check(home, load()) if f.level.value != "ok"}


def test_the_jar_goes_where_files_are_read(home: Path) -> None:
    changes = jar.install(home)
    assert [(c.folder.name, c.done) for c in changes] == [
        ("hive-hadoop2", "installed"), ("iceberg", "installed"),
    ]  # fmt: skip
    assert sorted(p.name for p in home.rglob("*.jar*")) == [NAME, NAME]
    assert [c.done for c in jar.install(home)] == ["kept", "kept"]


def test_trinos_plugins_keep_hadoop_in_a_folder(tmp_path: Path) -> None:
    for plugin in ("hive/hdfs", "iceberg/hdfs"):
        (tmp_path / "trino/plugin" / plugin).mkdir(parents=True)
    jar.install(tmp_path / "trino")
    assert {p.parent.name for p in (tmp_path / "trino").rglob("*.jar")} == {"hdfs"}


def test_older_releases_and_other_builds_are_replaced(home: Path, client_jar: Path) -> None:
    folder = home / "plugin/hive-hadoop2"
    (folder / "millpond-client-0.0.1.jar").write_bytes(b"old")
    (folder / "hadoop.jar").write_bytes(b"theirs")
    changes = {c.folder.name: c for c in jar.install(home)}
    assert changes["hive-hadoop2"].done == "replaced"
    assert changes["hive-hadoop2"].removed == ("0.0.1",)
    assert sorted(p.name for p in folder.iterdir()) == ["hadoop.jar", NAME]

    client_jar.write_bytes(b"built anew!!")
    assert {c.done for c in jar.install(home)} == {"installed"}
    assert (folder / NAME).read_bytes() == b"built anew!!"


def test_removing_leaves_what_was_there(home: Path) -> None:
    (home / "plugin/iceberg/other.jar").write_bytes(b"theirs")
    jar.install(home)
    assert {c.done for c in jar.remove(home)} == {"removed"}
    assert {c.done for c in jar.remove(home)} == {"kept"}
    assert [p.name for p in home.rglob("*.jar")] == ["other.jar"]


def test_what_is_no_presto_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="no home of Presto's"):
        jar.install(tmp_path / "absent")
    (tmp_path / "odd/plugin/tpcds").mkdir(parents=True)
    with pytest.raises(NotSupported, match="no plug-in that reads files"):
        jar.install(tmp_path / "odd")


def test_a_folder_that_cannot_be_changed_is_named(home: Path) -> None:
    (home / "plugin/iceberg" / NAME).mkdir()
    with pytest.raises(PermissionDenied, match="iceberg can't be changed"):
        jar.install(home)
    assert not [p for p in (home / "plugin/iceberg").iterdir() if p.name != NAME]


def test_a_whole_installation_is_healthy(healthy: Path) -> None:
    assert look(healthy) == {}


def test_missing_older_and_strange_jars_are_found(healthy: Path) -> None:
    hive = healthy / "plugin/hive-hadoop2"
    (hive / NAME).write_bytes(b"another build")
    assert "another build" in look(healthy)["jar in plugin/hive-hadoop2"].text
    (hive / NAME).rename(hive / "millpond-client-0.0.1.jar")
    found = look(healthy)["jar in plugin/hive-hadoop2"]
    assert "0.0.1 beside" in found.text
    assert f"millpond presto-install {healthy}" in found.remedy
    (healthy / "plugin/iceberg/millpond-client-0.0.1.jar").write_bytes(b"")
    assert "several releases" in look(healthy)["jar in plugin/iceberg"].text
    jar.remove(healthy)
    assert "absent" in look(healthy)["jar in plugin/iceberg"].text


@pytest.mark.parametrize(
    ("file", "text", "check", "said", "remedy"),
    [
        ("config.properties", "", checks.TOPOLOGY, "legacy", "=flat"),
        ("config.properties", "node-scheduler.network-topology=benchmark", checks.TOPOLOGY,
         "benchmark", "=flat"),
        ("node.properties", "", checks.ADDRESS, "not set", "10.0.0.7"),
        ("node.properties", "node.internal-address=localhost", checks.ADDRESS, "drops", "address"),
        ("node.properties", "node.internal-address : worker8", checks.ADDRESS,
         "worker8 is no name of the sidecar's (10.0.0.7, worker7)", "node_aliases"),
        ("jvm.config", "-server\n-Dnode.internal-address=a\n", checks.ADDRESS, "a is no", "one of"),
    ],
)  # fmt: skip
def test_scheduling_that_misses_the_blocks_is_found(
    healthy: Path, file: str, text: str, check: str, said: str, remedy: str
) -> None:
    (healthy / "etc" / file).write_text(text)
    found = look(healthy)
    assert list(found) == [check]
    assert said in found[check].text
    assert remedy in found[check].remedy + found[check].text


@pytest.mark.parametrize(
    ("more", "level", "said"),
    [
        ("hive.node-selection-strategy=SOFT_AFFINITY", "warning", "hash of their path"),
        ("hive.node-selection-strategy=hard_affinity", "problem", "fails queries"),
        ("cache.enabled=true\ncache.type=ALLUXIO", "warning", "second time"),
        ("hive.config.resources=", "problem", "fs.cache.impl is not set"),
        ("hive.config.resources=/none.xml", "problem", "can't be read"),
        ("hive.config.resources={other}", "problem", "fs.cache.impl is org.example.Fs"),
        ("hive.config.resources={garbled}", "problem", "can't be read"),
        ("hive.config.resources={elsewhere}", "warning", "fs.cache.dir is /elsewhere"),
        ("hive.config.resources={s3a}", "problem", "hive.s3-file-system-type is PRESTO"),
        (
            "hive.s3-file-system-type=HADOOP_DEFAULT\nhive.config.resources={alone}",
            "problem",
            "fs.cache.delegate.s3a is not set",
        ),
        (
            "connector.name=iceberg\niceberg.catalog.type=hadoop",
            "problem",
            "iceberg.hadoop.config.resources is not what",
        ),
    ],
)
def test_catalogs_that_read_past_the_cache_are_found(
    healthy: Path, more: str, level: str, said: str
) -> None:
    other = RESOURCES.replace("io.millpond.fs.CacheFileSystem", "org.example.Fs")
    files = {
        "other": other.format(load().cache_dir),
        "garbled": "<configuration>",
        "elsewhere": RESOURCES.format("/elsewhere"),
        "alone": resources({"fs.s3a.impl": TRANSPARENT}),
        "s3a": resources({"fs.s3a.impl": TRANSPARENT, "fs.cache.delegate.s3a": "org.example.S3"}),
    }
    for name, text in files.items():
        (healthy / name).write_text(text)
    path = healthy / "etc/catalog/hive.properties"
    path.write_text(path.read_text() + more.format(**{n: healthy / n for n in files}) + "\n")
    found = look(healthy)
    assert list(found) == ["catalog hive"]
    assert (found["catalog hive"].level.value, said in found["catalog hive"].text) == (level, True)
    assert found["catalog hive"].remedy


def test_trinos_catalogs_have_to_use_hadoop(healthy: Path) -> None:
    for plugin in ("hive/hdfs", "iceberg/hdfs"):
        (healthy / "plugin" / plugin).mkdir(parents=True)
    (healthy / "plugin/iceberg").joinpath(NAME).unlink()
    shutil.rmtree(healthy / "plugin/hive-hadoop2")
    jar.install(healthy)
    (healthy / "etc/config.properties").write_text("")  # Trino has no such scheduler
    path = healthy / "etc/catalog/hive.properties"
    path.write_text(path.read_text().replace("hive-hadoop2", "hive"))
    assert "fs.hadoop.enabled" in look(healthy)["catalog hive"].text
    path.write_text(path.read_text() + "fs.hadoop.enabled=true\n")
    assert look(healthy) == {}


def test_no_catalog_and_no_presto_are_found(healthy: Path, tmp_path: Path) -> None:
    (healthy / "etc/catalog/hive.properties").unlink()
    assert "presto-catalog" in look(healthy)["catalogs"].remedy
    assert "no home of Presto's" in look(tmp_path)["presto"].text


def test_the_commands(
    healthy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(line: str) -> tuple[int, Any]:
        code = app.run(shlex.split(line))
        return code, json.loads(capsys.readouterr().out)

    assert [c["done"] for c in run(f"presto-install {healthy} --json")[1]] == ["kept", "kept"]
    assert run(f"presto-install {healthy} --remove --json")[1][0]["done"] == "removed"
    code, said = run(f"doctor --presto {healthy} --json")
    assert code == 1
    wrong = {f["check"]: f for f in said["findings"] if f["level"] == "problem"}
    assert "presto-install" in wrong["jar in plugin/iceberg"]["remedy"]
