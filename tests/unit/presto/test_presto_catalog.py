"""``millpond presto-catalog``: what the files say, what is refused, what is never overwritten."""

from __future__ import annotations

import json
import shlex
import xml.etree.ElementTree as ET
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import crc32c
import pytest

from millpond.cli import app
from millpond.errors import InvalidSetting, MountNotFound
from millpond.model.records import pack_mounts
from millpond.wire import millpond_pb2 as wire
from millpond_presto import catalog
from millpond_presto.configuration import read_properties, read_resources

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., tuple[int, str, str]]

METASTORE = "thrift://127.0.0.1:9083"
S3 = {"endpoint": "http://127.0.0.1:9000", "path.style.access": "true",
      "connection.ssl.enabled": "false", "endpoint.region": "us-east-1"}  # fmt: skip


def mount(table: wire.MountTable, path: str, bucket: str, conf: dict[str, str]) -> None:
    keys = {f"fs.s3a.bucket.{bucket}.{key}": value for key, value in conf.items()}
    table.mounts.add(path=path, store_uri=f"s3a://{bucket}/p", root=bucket, direct_conf=keys)


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    table = wire.MountTable()
    mount(table, "/sales", "sales", S3)
    mount(table, "/more", "more", S3)
    mount(table, "/far", "far", S3 | {"endpoint": "https://far.example"})
    table.mounts.add(path="/local", store_uri="file:///data")
    directory = tmp_path / "cache"
    directory.mkdir()
    (directory / "mounts").write_bytes(pack_mounts(table.SerializeToString(), crc32c.crc32c))
    return directory


@pytest.fixture
def run(
    cache_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    monkeypatch.setenv("MILLPOND_DIR", str(cache_dir))

    def one(line: str) -> tuple[int, str, str]:
        code = app.run(shlex.split(line))
        out, err = capsys.readouterr()
        return code, out, err

    return one


def test_it_names_the_file_system_the_directory_and_the_store(cache_dir: Path) -> None:
    made = catalog(Path("/presto/etc/m.xml"), METASTORE, cache_dir, ["/sales", "/more", "/local"])
    assert made.properties == {
        "connector.name": "hive-hadoop2",
        "hive.metastore.uri": METASTORE,
        "hive.config.resources": "/presto/etc/m.xml",
        "hive.s3.endpoint": "http://127.0.0.1:9000",
        "hive.s3.path-style-access": "true",
        "hive.s3.ssl.enabled": "false",
    }
    assert made.resources == {
        "fs.cache.impl": "io.millpond.fs.CacheFileSystem",
        "fs.cache.dir": str(cache_dir),
        "fs.cache.mounts": "/sales=s3a://sales/p,/more=s3a://more/p,/local=file:///data",
    }
    [note] = made.notes
    assert "to write to /sales, make a catalog with --mount /sales" in note


def test_it_stages_in_the_mount_of_its_tables(cache_dir: Path) -> None:
    made = catalog(Path("/presto/etc/m.xml"), METASTORE, cache_dir, ["/sales"])
    staging = made.properties["hive.temporary-staging-directory-path"]
    assert staging == "/sales/tmp/presto-${USER}"
    assert made.notes == ()


def test_stores_at_two_endpoints_are_told_of(cache_dir: Path) -> None:
    made = catalog(Path("m.xml"), METASTORE, cache_dir)
    assert made.properties["hive.s3.endpoint"] == "http://127.0.0.1:9000"
    assert "/sales /more; /far" in made.notes[0]


def test_without_fallback_nothing_is_said_of_stores(cache_dir: Path) -> None:
    made = catalog(Path("m.xml"), METASTORE, cache_dir, fallback=False)
    assert "fs.cache.mounts" not in made.resources
    assert not any(key.startswith("hive.s3.") for key in made.properties)


def test_transparent_catalogs_put_the_cache_before_prestos_own_class(cache_dir: Path) -> None:
    keys = Path("/presto/etc/keys.xml")
    made = catalog(
        Path("/presto/etc/m.xml"), METASTORE, cache_dir, ["/sales"],
        transparent=True, more_resources=[keys], hadoop={"fs.cache.silence.ms": "800"},
    )  # fmt: skip
    assert made.properties == {
        "connector.name": "hive-hadoop2",
        "hive.metastore.uri": METASTORE,
        "hive.config.resources": "/presto/etc/m.xml,/presto/etc/keys.xml",
        "hive.s3-file-system-type": "HADOOP_DEFAULT",
    }, "with that type no hive.s3 property may stand beside it"
    for scheme in ("s3", "s3a", "s3n"):
        assert made.resources[f"fs.{scheme}.impl"] == "io.millpond.fs.TransparentFileSystem"
        delegate = made.resources[f"fs.cache.delegate.{scheme}"]
        assert delegate == "com.facebook.presto.hive.s3.PrestoS3FileSystem"
    assert made.resources["presto.s3.endpoint"] == "http://127.0.0.1:9000"
    assert made.resources["presto.s3.path-style-access"] == "true"
    assert made.resources["presto.s3.ssl.enabled"] == "false"
    assert made.resources["fs.cache.silence.ms"] == "800"


def test_iceberg_in_a_metastore_or_in_a_warehouse(cache_dir: Path) -> None:
    make = partial(catalog, Path("m.xml"), cache_dir=cache_dir, mounts=[], connector="iceberg")
    hive = make(METASTORE).properties
    assert (hive["connector.name"], hive["iceberg.catalog.type"]) == ("iceberg", "HIVE")
    made = make(warehouse="cache:///local/w", transparent=True)
    assert made.properties["iceberg.catalog.type"] == "HADOOP"
    assert made.properties["iceberg.catalog.warehouse"] == "cache:///local/w"
    assert made.notes == ()
    for properties in (hive, made.properties):
        named = properties["iceberg.hadoop.config.resources"]
        assert named == properties["hive.config.resources"]
    assert "--transparent" in make(warehouse="cache:///local/w").notes[0]


def test_trino_has_names_of_its_own(cache_dir: Path) -> None:
    made = catalog(Path("m.xml"), METASTORE, cache_dir, [], trino=True).properties
    assert (made["connector.name"], made["fs.hadoop.enabled"]) == ("hive", "true")
    iceberg = catalog(Path("m.xml"), METASTORE, cache_dir, [], trino=True, connector="iceberg")
    assert not [key for key in iceberg.properties if key.startswith("iceberg.")]


def test_further_properties_win(cache_dir: Path) -> None:
    extra = {"iceberg.catalog.type": "NESSIE", "a.b": "c"}
    made = catalog(Path("m.xml"), None, cache_dir, [], connector="iceberg", extra=extra)
    assert extra.items() <= made.properties.items()
    assert "metastore" in catalog(Path("m.xml"), None, cache_dir, []).notes[0]


def test_what_is_wrong_is_refused(cache_dir: Path) -> None:
    with pytest.raises(MountNotFound, match="/nope is not mounted"):
        catalog(Path("m.xml"), METASTORE, cache_dir, ["/nope"])
    with pytest.raises(InvalidSetting, match="thrift://host:port"):
        catalog(Path("m.xml"), "127.0.0.1:9083", cache_dir)
    with pytest.raises(InvalidSetting, match="hive-hadoop2"):
        catalog(Path("m.xml"), METASTORE, cache_dir, connector="hive")  # type: ignore[arg-type]
    for uri, connector, metastore, why in (
        ("cache:///w", "hive-hadoop2", None, "has none"),
        ("cache:///w", "iceberg", METASTORE, "both are named"),
        ("/w", "iceberg", None, "as a URI"),
    ):
        with pytest.raises(InvalidSetting, match=why):
            catalog(Path("m.xml"), metastore, cache_dir, connector=connector, warehouse=uri)  # type: ignore[arg-type]
    with pytest.raises(InvalidSetting, match="another S3 class"):
        catalog(Path("m.xml"), METASTORE, cache_dir, trino=True, transparent=True)


def test_odd_values_survive_both_files(cache_dir: Path, tmp_path: Path) -> None:
    odd = cache_dir.parent / "a <b> & c\\d"
    made = catalog(tmp_path / "m\\n.xml", METASTORE, odd, [], extra={"x.y": " z"})
    (tmp_path / "c.properties").write_text(made.properties_text())
    (tmp_path / "r.xml").write_text(made.resources_text())
    properties = read_properties(tmp_path / "c.properties")
    assert properties["hive.config.resources"] == str(tmp_path / "m\\n.xml")
    assert read_resources(tmp_path / "r.xml") == made.resources


def test_printed_json_and_written_say_the_same(run: Run, tmp_path: Path) -> None:
    line = f"presto-catalog --metastore {METASTORE} --mount /sales --etc {tmp_path}/etc --name pond"
    code, out, _ = run(f"{line} --json")
    assert code == 0
    told = json.loads(out)
    properties = tmp_path / "etc/catalog/pond.properties"
    assert told["properties"]["file"] == str(properties)
    assert read_properties(properties) == told["properties"]["values"]
    resources = told["properties"]["values"]["hive.config.resources"]
    assert read_resources(resources) == told["resources"]["values"]
    assert Path(resources).parent == tmp_path / "etc", "outside the folder of catalogs"

    assert run(line)[0] == 0, "the same again changes nothing"
    properties.write_text("connector.name=tpcds\n")
    code, _, err = run(line)
    assert code == 1
    assert "says something else" in err
    assert properties.read_text() == "connector.name=tpcds\n"
    assert run(f"{line} --force")[0] == 0
    assert read_properties(properties) == told["properties"]["values"]


def test_printing_writes_nothing(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    code, out, err = run(f"presto-catalog --metastore {METASTORE}")
    assert code == 0
    assert "connector.name=hive-hadoop2" in out
    assert ET.fromstring(out[out.index("<configuration>") :]).tag == "configuration"
    assert "several S3 endpoints" in err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a b"])
def test_a_catalogs_name_is_no_path(name: str, run: Run) -> None:
    code, _, err = run(f"presto-catalog --name '{name}' --metastore {METASTORE}")
    assert code == 1
    assert "letters, digits" in err


def test_a_folder_that_cannot_be_written_is_an_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = run(f"presto-catalog --metastore {METASTORE} --etc {tmp_path}/file/etc")
    assert code == 1
    assert "can't be written" in err
