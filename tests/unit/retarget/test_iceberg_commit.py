"""The commit of a table whose locations are rewritten, when its answer does not come."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import fastavro
import pytest
from fsspec.implementations.local import LocalFileSystem

from millpond.errors import Conflict, SidecarUnavailable, StoreUnavailable
from millpond.retarget.iceberg import TRIES, Retarget
from millpond.retarget.locations import Locations

if TYPE_CHECKING:
    from pathlib import Path

FILE: dict[str, Any] = {
    "type": "record", "name": "r2", "fields": [{"name": "file_path", "type": "string"}],
}  # fmt: skip
ENTRY: dict[str, Any] = {
    "type": "record", "name": "entry", "fields": [{"name": "data_file", "type": FILE}],
}  # fmt: skip


class Interrupted(LocalFileSystem):  # type: ignore[misc]
    """Files whose rename ends in an error, after it was ``done`` or before."""

    cachable = False
    done = False

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def mv(self, path1: str, path2: str, **kwargs: Any) -> None:
        if self.done:
            super().mv(path1, path2, **kwargs)
        raise self.error


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """One data file in one manifest."""
    metadata = tmp_path / "t" / "metadata"
    metadata.mkdir(parents=True)
    out = io.BytesIO()
    fastavro.writer(out, ENTRY, [{"data_file": {"file_path": f"cache://{tmp_path}/t/data/f"}}])
    (metadata / "m.avro").write_bytes(out.getvalue())
    snapshot = {"snapshot-id": 1, "manifests": [f"cache://{metadata}/m.avro"]}
    document = {"location": f"cache://{tmp_path}/t", "last-updated-ms": 1, "snapshots": [snapshot]}
    (metadata / "v1.metadata.json").write_text(json.dumps(document))
    return metadata


def retarget(table: Path, fs: Interrupted) -> None:
    where = Locations.of([("/", "s3://bucket")], to_cache=False, s3="s3a")
    Retarget(fs, where, apply=True).table(f"cache://{table.parent}")


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), StoreUnavailable("?")])
def test_what_an_unknown_commit_names_stays(table: Path, error: BaseException, done: bool) -> None:
    fs = Interrupted(error)
    fs.done = done
    with pytest.raises(SidecarUnavailable, match=r"unknown.*Look at .*v2\.metadata\.json"):
        retarget(table, fs)
    new = table / "v2.metadata.json"
    if not done:  # it may come yet
        [new] = [f for f in table.glob("*.metadata.json") if f.name != "v1.metadata.json"]
    [manifest] = json.loads(new.read_text())["snapshots"][0]["manifests"]
    assert (table / manifest.rpartition("/")[2]).exists()


@pytest.mark.parametrize("error", [FileExistsError(), Conflict("pending data")])
def test_what_a_refused_commit_names_goes(table: Path, error: Exception) -> None:
    before = sorted(table.iterdir())
    with pytest.raises(Conflict, match=f"{TRIES} times|pending data"):
        retarget(table, Interrupted(error))
    assert sorted(table.iterdir()) == before
