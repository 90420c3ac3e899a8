"""``millpond_spark.conf``: what it says, what it refuses, how it is printed."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import crc32c
import pytest
import typer
from typer.testing import CliRunner

import millpond_jars
from millpond import engine
from millpond.errors import (
    Corrupt,
    InvalidPath,
    InvalidSetting,
    MillpondError,
    MountNotFound,
    NotSupported,
)
from millpond.model.records import pack_mounts
from millpond.wire import millpond_pb2 as wire
from millpond_spark import commands, conf, s3a, session

if TYPE_CHECKING:
    from pathlib import Path

ENDPOINT = "spark.hadoop.fs.s3a.bucket.flights-bucket.endpoint"


@pytest.fixture(autouse=True)
def client_jar(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Settings need a path, not a jar that works: these tests pass before Maven ran."""
    jar = tmp_path / "millpond-client-0.jar"
    monkeypatch.setattr(millpond_jars, "client", lambda: jar)
    for name in ("spark", "s3a", "hdfs"):
        other = tmp_path / f"millpond-{name}-0.jar"
        monkeypatch.setattr(millpond_jars, name, lambda other=other: other)
    return jar


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    table = wire.MountTable()
    table.mounts.add(
        path="/flights",
        store_uri="s3a://flights-bucket/tables",
        direct_conf={"fs.s3a.bucket.flights-bucket.endpoint": "http://127.0.0.1:9000"},
    )
    table.mounts.add(path="/local", store_uri="file:///data")
    (tmp_path / "mounts").write_bytes(pack_mounts(table.SerializeToString(), crc32c.crc32c))
    return tmp_path


def run(*arguments: str) -> Any:
    app = typer.Typer()
    app.callback()(lambda: None)
    commands.register(app)
    return CliRunner().invoke(app, ["spark-conf", *arguments])


def test_registers_the_scheme_for_both_hadoop_interfaces(cache_dir: Path, client_jar: Path) -> None:
    settings = conf(cache_dir)
    assert settings["spark.hadoop.fs.cache.impl"] == "io.millpond.fs.CacheFileSystem"
    assert (
        settings["spark.hadoop.fs.AbstractFileSystem.cache.impl"]
        == "io.millpond.fs.CacheAbstractFileSystem"
    )
    assert settings["spark.hadoop.fs.cache.dir"] == str(cache_dir)
    assert settings["spark.jars"].split(",")[0] == str(client_jar)


def test_tells_the_direct_connector_where_the_stores_are(cache_dir: Path) -> None:
    assert conf(cache_dir)[ENDPOINT] == "http://127.0.0.1:9000"
    assert ENDPOINT in conf(cache_dir, ["/flights/"])
    assert ENDPOINT not in conf(cache_dir, ["cache:///local"])
    assert ENDPOINT not in conf(cache_dir, fallback=False)


def test_names_the_mounts_for_nodes_without_a_cache_dir(cache_dir: Path) -> None:
    both = "/flights=s3a://flights-bucket/tables,/local=file:///data"
    assert conf(cache_dir)[session.MOUNTS] == both
    assert conf(cache_dir, ["/local"])[session.MOUNTS] == "/local=file:///data"
    assert session.MOUNTS not in conf(cache_dir, fallback=False)


def test_odd_names_in_the_mount_list_need_no_quotes() -> None:
    odd = "/a b,c=d%~${x}*'é"
    text = engine.mount_list([wire.Mount(path=odd, store_uri=f"file://{odd}")])
    assert shlex.quote(text) == text
    path, _, uri = text.partition("=")
    assert (unquote(path), unquote(uri)) == (odd, f"file://{odd}")
    assert not set(text[len(path) + 1 :]) & set(",= $~")


def test_a_cache_dir_without_a_sidecar_yet_is_fine(tmp_path: Path) -> None:
    settings = conf(tmp_path / "not-yet")
    assert settings["spark.hadoop.fs.cache.dir"] == str(tmp_path / "not-yet")
    assert session.MOUNTS not in settings


def test_the_default_dir_is_the_sidecars(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MILLPOND_DIR", str(tmp_path))
    assert conf()["spark.hadoop.fs.cache.dir"] == str(tmp_path)


def test_extra_settings_win_and_jars_add_up(cache_dir: Path, client_jar: Path) -> None:
    settings = conf(
        cache_dir,
        s3a="none",
        **{"spark.jars": "/a.jar,/b.jar", "spark.locality.wait": "1s", "spark.ui.enabled": False},
    )
    spark = client_jar.with_name("millpond-spark-0.jar")
    assert settings["spark.jars"] == f"{client_jar},{spark},/a.jar,/b.jar"
    assert settings["spark.locality.wait"] == "1s"
    assert settings["spark.ui.enabled"] == "false"


def test_the_plugin_is_added_beside_others(cache_dir: Path, client_jar: Path) -> None:
    assert "spark.plugins" not in conf(cache_dir)
    settings = conf(cache_dir, plugin=True, s3a="none", **{"spark.plugins": "a.B,c.D"})
    assert settings["spark.plugins"] == "io.millpond.spark.MillpondPlugin,a.B,c.D"
    assert settings["spark.jars"] == f"{client_jar},{client_jar.with_name('millpond-spark-0.jar')}"
    assert "spark.millpond.sidecar" not in settings


def test_jobs_are_committed_as_batches_unless_told_otherwise(
    cache_dir: Path, client_jar: Path
) -> None:
    (key,) = session.COMMIT
    assert conf(cache_dir)[key] == "io.millpond.spark.CacheCommitProtocol"
    assert conf(cache_dir, **{key: "a.B"})[key] == "a.B"
    assert key not in conf(cache_dir, batches=False)
    done = run("--cache-dir", str(cache_dir), "--no-batches", "--json")
    assert json.loads(done.stdout) == conf(cache_dir, batches=False)


def test_an_embedded_sidecar_is_told_what_to_mount(cache_dir: Path) -> None:
    settings = conf(cache_dir, {"cache:///new/": "s3://b/p"}, embedded=True, s3a="none")
    assert settings["spark.millpond.sidecar"] == "embedded"
    assert settings["spark.millpond.mounts"] == "/new=s3://b/p"
    assert settings["spark.plugins"] == "io.millpond.spark.MillpondPlugin"
    assert settings["spark.millpond.command"].endswith("/millpond")
    known = "/flights=s3a://flights-bucket/tables,/local=file:///data"
    assert settings[session.MOUNTS] == f"{known},/new=s3://b/p"
    assert ENDPOINT in settings
    assert "spark.millpond.mounts" not in conf(cache_dir, embedded=True)


def test_the_command_says_the_same_of_an_embedded_sidecar(cache_dir: Path) -> None:
    mount = "/k=1/new=s3://b/x=y"
    done = run("--cache-dir", str(cache_dir), "--embedded", "--mount", mount, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == conf(cache_dir, {"/k=1/new": "s3://b/x=y"}, embedded=True)
    done = run("--cache-dir", str(cache_dir), "--embedded", "--mount", "/new")
    assert isinstance(done.exception, InvalidSetting)
    assert "--mount /path=s3a://bucket/prefix" in str(done.exception)


def test_transparent_puts_the_cache_behind_store_uris(cache_dir: Path, client_jar: Path) -> None:
    settings = conf(cache_dir, s3a="none", transparent=True, include=["s3a://b/w/**"])
    assert settings["spark.hadoop.fs.s3a.impl"].startswith("io.millpond.fs.s3a.")
    assert settings["spark.hadoop.fs.hdfs.impl"].startswith("io.millpond.fs.hdfs.")
    assert settings[session.INCLUDE] == "s3a://b/w/**"
    assert session.EXCLUDE not in settings
    names = [jar.rpartition("/")[2] for jar in settings["spark.jars"].split(",")]
    assert names == [f"millpond-{name}-0.jar" for name in ("client", "spark", "s3a", "hdfs")]
    plain = conf(cache_dir, s3a="none", batches=False)
    assert "spark.hadoop.fs.s3a.impl" not in plain
    assert plain["spark.jars"] == str(client_jar)


def test_transparent_without_a_mount_says_that_nothing_is_cached(tmp_path: Path) -> None:
    notes = session.advice(conf(tmp_path, s3a="none", transparent=True))
    assert any("Nothing is mounted" in note and "millpond mount add" in note for note in notes)
    assert not any("mounted" in note for note in session.advice(conf(tmp_path, s3a="none")))


def test_transparent_is_printed_too(cache_dir: Path) -> None:
    done = run("--cache-dir", str(cache_dir), "--transparent", "--exclude", "**/tmp/**", "--json")
    assert done.exit_code == 0, done.output
    expected = conf(cache_dir, transparent=True, exclude=["**/tmp/**"])
    assert json.loads(done.stdout) == expected


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        ({"mounts": {"/new": "s3://b"}}, InvalidSetting, "embedded=True"),
        ({"transparent": True, "include": ["warehouse/**"]}, InvalidSetting, "no scheme"),
        ({"transparent": True, "exclude": ["s3a://b/{x,y}/**"]}, InvalidSetting, "no wildcard"),
        ({"transparent": True, "include": "s3a://b/**"}, InvalidSetting, "['s3a://b/**']"),
        ({"include": ["s3a://b/**"]}, InvalidSetting, "transparent=True"),
        ({"mounts": ["/absent"]}, MountNotFound, "millpond mount add /absent"),
        ({"mounts": ["/../x"]}, InvalidPath, "relative segments"),
        ({"mounts": "/flights"}, InvalidSetting, "mounts=['/flights']"),
        ({"fs.cache.dir": "/x"}, InvalidSetting, "spark.hadoop.fs.cache.dir"),
        ({"spark.x": None}, InvalidSetting, "text, a number"),
        ({"s3a": "perhaps"}, InvalidSetting, "present, fetch, none"),
    ],
)
def test_bad_input_is_refused(
    cache_dir: Path, call: dict[str, Any], error: type[MillpondError], says: str
) -> None:
    with pytest.raises(error) as raised:
        conf(cache_dir, **call)
    assert says in str(raised.value)


def test_a_file_is_no_cache_dir(cache_dir: Path) -> None:
    with pytest.raises(InvalidSetting, match="no directory"):
        conf(cache_dir / "mounts")


@pytest.mark.parametrize("at", [0, 10, -1])
def test_a_rotten_mount_table_is_corrupt_not_believed(cache_dir: Path, at: int) -> None:
    data = bytearray((cache_dir / "mounts").read_bytes())
    data[at] ^= 1
    (cache_dir / "mounts").write_bytes(data)
    with pytest.raises(MillpondError) as raised:
        conf(cache_dir)
    assert raised.value.name in {"Corrupt", "UnknownFormat"}


def test_a_truncated_mount_table_is_corrupt(cache_dir: Path) -> None:
    data = (cache_dir / "mounts").read_bytes()
    (cache_dir / "mounts").write_bytes(data[:-5])
    with pytest.raises(Corrupt):
        conf(cache_dir)


def test_a_jar_that_was_not_built_names_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def missing() -> Path:
        raise FileNotFoundError("build it with: mvn")

    monkeypatch.setattr(millpond_jars, "client", missing)
    with pytest.raises(NotSupported, match="mvn"):
        conf(tmp_path)


def test_the_s3a_connector_is_added_where_spark_has_none(
    cache_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spark = tmp_path / "spark"
    (spark / "jars").mkdir(parents=True)
    (spark / f"jars/hadoop-client-api-{s3a.HADOOP_VERSION}.jar").touch()
    monkeypatch.setenv("SPARK_HOME", str(spark))
    monkeypatch.setenv("MILLPOND_TEST_CACHE", str(tmp_path / "downloads"))
    assert "hadoop-aws" not in conf(cache_dir)["spark.jars"]
    assert "--s3a fetch" in session.advice(conf(cache_dir))[0]
    (note,) = session.advice(conf(cache_dir, transparent=True))
    assert "every s3a:// URI fails" in note

    s3a.folder().mkdir(parents=True)
    (s3a.folder() / "hadoop-aws-x.jar").touch()
    assert "hadoop-aws-x.jar" in conf(cache_dir)["spark.jars"]
    assert "hadoop-aws" not in conf(cache_dir, s3a="none")["spark.jars"]
    assert session.advice(conf(cache_dir)) == []

    (spark / "jars/hadoop-aws-3.5.0.jar").touch()
    assert "hadoop-aws" not in conf(cache_dir)["spark.jars"]
    assert session.advice(conf(cache_dir)) == []


def test_another_hadoop_gets_no_connector_of_ours(
    cache_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars/hadoop-client-api-3.3.4.jar").touch()
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    monkeypatch.setenv("MILLPOND_TEST_CACHE", str(tmp_path))
    with pytest.raises(NotSupported, match=r"hadoop-aws:3\.3\.4"):
        conf(cache_dir, s3a="fetch")


def test_printed_arguments_survive_a_shell(cache_dir: Path) -> None:
    settings = conf(cache_dir, **{"spark.app.name": 'it\'s a $HOME "job"'})
    words = iter(shlex.split(run_ok(cache_dir, "args")))
    printed = {}
    for flag in words:
        if flag == "--jars":
            printed["spark.jars"] = next(words)
        else:
            assert flag == "--conf"
            key, _, value = next(words).partition("=")
            printed[key] = value
    assert printed == settings


def test_printed_json_is_the_same(cache_dir: Path) -> None:
    settings = conf(cache_dir, **{"spark.app.name": 'it\'s a $HOME "job"'})
    assert json.loads(run_ok(cache_dir, "json")) == settings


def run_ok(cache_dir: Path, form: str) -> str:
    name = 'spark.app.name=it\'s a $HOME "job"'
    done = run("--cache-dir", str(cache_dir), "--format", form, "--set", name)
    assert done.exit_code == 0, done.output
    return str(done.stdout)


def test_a_setting_without_a_value_is_refused(cache_dir: Path) -> None:
    done = run("--cache-dir", str(cache_dir), "--set", "spark.x")
    assert isinstance(done.exception, InvalidSetting)


READ_PROPERTIES = """
import java.nio.file.*; import java.util.*;
public class Read {
    public static void main(String[] a) throws Exception {
        Properties p = new Properties();
        p.load(Files.newBufferedReader(Paths.get(a[0])));
        for (String key : p.stringPropertyNames()) {
            System.out.print(key + "\\0" + p.getProperty(key) + "\\0");
        }
    }
}
"""


@pytest.mark.skipif(shutil.which("java") is None, reason="Java is not installed")
def test_printed_properties_are_what_java_reads(tmp_path: Path) -> None:
    nasty = ["plain", " a b ", "C:\\dir\\x", "two\nlines", "tab\t", "a=b:c#d!e", "é", ""]
    settings = {f"spark.x{n}": value for n, value in enumerate(nasty)}
    (tmp_path / "Read.java").write_text(READ_PROPERTIES)
    (tmp_path / "spark.properties").write_text(session.as_properties(settings) + "\n")
    command = ["java", "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8"]
    command += [str(tmp_path / "Read.java"), str(tmp_path / "spark.properties")]
    words = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
    assert dict(zip(words[::2], words[1::2], strict=False)) == settings
