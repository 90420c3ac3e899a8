"""``millpond retarget metastore`` against a real one."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from pymetastore.hive_metastore import ttypes

from millpond.cli import app
from millpond.retarget.metastore import connected
from millpond.settings import Settings
from millpond.testing.metastore import Metastore
from tests.fixtures.sidecar import LoopSidecar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(1800)  # the first run on a machine fetches the metastore

METADATA = {"location": "cache:///lake/db.db/ice", "last-updated-ms": 1, "properties": {}}


def spelt(location: str) -> str:
    """As we write it: Hadoop leaves out the slashes of an empty authority."""
    return re.sub(r"^(\w+):/+", r"\1:///", location)


class Site:
    """A metastore whose tables lie on a mount."""

    def __init__(self, base: Path, cache_dir: Path, metastore: Metastore, client: Any) -> None:
        self.base, self.cache_dir, self.uri, self.client = base, cache_dir, metastore.uri, client

    def location(self, table: str) -> str:
        return spelt(self.client.get_table("db", table).sd.location)

    def database(self) -> str:
        return spelt(self.client.get_database("db").locationUri)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "data").mkdir()
    cache_dir = tmp_path / "cache"
    conf = {"fs.cache.impl": "io.millpond.fs.CacheFileSystem", "fs.cache.dir": str(cache_dir)}
    with (
        LoopSidecar(Settings(cache_dir=cache_dir, http_port=0)) as sidecar,
        Metastore(tmp_path / "metastore", conf) as metastore,
        connected(metastore.uri) as client,
    ):
        sidecar.control.mount_add("/lake", f"file://{tmp_path}/data")
        fill(client, tmp_path / "data")
        yield Site(tmp_path / "data", cache_dir, metastore, client)


def fill(client: Any, data: Path) -> None:
    """A database with a partitioned table, one of Iceberg, one that lies elsewhere."""
    client.create_database(ttypes.Database("db", "", "cache:///lake/db.db", {}))
    day = [ttypes.FieldSchema("day", "int", "")]
    client.create_table(table("parts", "cache:///lake/db.db/parts", day))
    for number in range(3):
        sd = described(f"cache:///lake/db.db/parts/day={number}")
        client.add_partition(ttypes.Partition([str(number)], "db", "parts", 0, 0, sd, {}))
    metadata = data / "db.db/ice/metadata/00004-0a.metadata.json"
    metadata.parent.mkdir(parents=True)
    metadata.write_text(json.dumps(METADATA))
    ice = table("ice", "cache:///lake/db.db/ice")
    ice.parameters["metadata_location"] = f"{METADATA['location']}/metadata/{metadata.name}"
    client.create_table(ice)
    client.create_table(table("elsewhere", f"file://{data}/x"))


def described(location: str) -> Any:
    formats = "org.apache.hadoop.hive.ql.io.parquet.MapredParquet{}Format"
    serde = ttypes.SerDeInfo(
        "", "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe", {"path": location}
    )
    return ttypes.StorageDescriptor(
        [ttypes.FieldSchema("id", "bigint", "")], location, formats.format("Input"),
        formats.format("Output"), False, 0, serde, [], [], {},
    )  # fmt: skip


def table(name: str, location: str, partitions: Any = ()) -> Any:
    return ttypes.Table(
        name, "db", "me", 0, 0, 0, described(location), list(partitions),
        {"EXTERNAL": "TRUE"}, "", "", "EXTERNAL_TABLE",
    )  # fmt: skip


@pytest.fixture
def retarget(site: Site, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def run(*words: str, code: int = 0) -> Any:
        capsys.readouterr()
        told = ("--json", "--cache-dir", str(site.cache_dir))
        assert app.run(["retarget", "metastore", site.uri, *words, *told]) == code
        said = capsys.readouterr()
        return json.loads(said.out or said.err)

    return run


def test_all_of_it_and_back(site: Site, retarget: Callable[..., Any]) -> None:
    counts = {"databases": 1, "tables": 2, "partitions": 3, "iceberg": 1}
    said = retarget()
    assert {k: said[k] for k in counts} == counts
    assert site.location("parts") == "cache:///lake/db.db/parts", "nothing was done"

    said = retarget("--apply")
    assert ({k: said[k] for k in counts}, said["failed"]) == (counts, {})
    store = f"file://{site.base}"
    assert site.database() == f"{store}/db.db"
    assert site.location("parts") == f"{store}/db.db/parts"
    for part in site.client.get_partitions("db", "parts", -1):
        place = f"{store}/db.db/parts/day={part.values[0]}"
        assert spelt(part.sd.location) == place
        assert part.sd.serdeInfo.parameters["path"] == place
    ice = site.client.get_table("db", "ice").parameters
    name = ice["metadata_location"].removeprefix(f"{store}/db.db/ice/metadata/")
    assert name.startswith("00005-")
    assert ice["previous_metadata_location"].endswith("/00004-0a.metadata.json")
    written = json.loads((site.base / "db.db/ice/metadata" / name).read_text())
    assert written["location"] == f"{store}/db.db/ice"
    [before] = written["metadata-log"]
    assert before["metadata-file"] == f"{store}/db.db/ice/metadata/00004-0a.metadata.json"

    assert retarget("--apply")["tables"] == 0, "there is nothing more to do"
    # Back, what lay elsewhere comes along: a mount covers it.
    assert retarget("--apply", "--to", "cache")["tables"] == 3
    assert site.location("parts") == "cache:///lake/db.db/parts"


def test_one_table_alone(site: Site, retarget: Callable[..., Any]) -> None:
    assert retarget("--apply", "-t", "db.parts")["tables"] == 1
    assert site.location("parts").startswith("file:")
    assert site.location("ice").startswith("cache:")
    assert site.database() == "cache:///lake/db.db"


def test_errors(site: Site, retarget: Callable[..., Any], tmp_path: Path) -> None:
    assert retarget("-d", "nowhere", code=1)["error"] == "PathNotFound"
    assert (
        retarget("-t", "db.nothing", code=1)["problem"] == "the metastore has no table db.nothing"
    )
    uri, site.uri = site.uri, "http://127.0.0.1:1"
    assert retarget(code=1)["error"] == "InvalidSetting"
    site.uri = "thrift://127.0.0.1:1"
    assert retarget(code=1)["error"] == "StoreUnavailable"
    site.uri = uri


def test_a_table_that_fails_is_named_and_the_others_are_done(
    site: Site, retarget: Callable[..., Any]
) -> None:
    for file in (site.base / "db.db/ice/metadata").iterdir():
        file.write_text("{")
    said = retarget("--apply", code=1)
    assert "can't be understood" in said["failed"]["db.ice"]
    assert site.location("parts").startswith("file:")
    assert site.location("ice").startswith("cache:")
