"""URIs to stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from millpond.errors import InvalidPath, InvalidSetting, StoreNotSupported
from millpond.under import registry
from millpond.under.registry import DRIVERS, Driver, open_store

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = {"endpoint": "http://store:9000", "access_key": "a", "secret_key": "s", "region": "r"}


def test_sorted() -> None:
    assert list(DRIVERS) == sorted(DRIVERS)


def test_s3_has_three_names() -> None:
    opened = [open_store(f"{s}://bucket/a//b%41/", OPTIONS) for s in ("s3", "s3a", "S3N")]
    assert {key for _, key in opened} == {"a//b%41"}
    assert len({(s.store_id, s.root, s.scheme) for s, _ in opened}) == 1
    assert "'s'" not in repr(opened[0][0])
    for store, _ in opened:
        store.close()


@pytest.mark.parametrize(
    ("uri", "key"), [("s3://b", ""), ("s3://b/", ""), ("s3://b/k", "k"), ("s3://b//k", "/k")]
)
def test_keys_of_uris(uri: str, key: str) -> None:
    assert open_store(uri, OPTIONS)[1] == key


def test_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"1")
    store, key = open_store(f"file://{tmp_path}", {})
    assert (store.root, key) == ("", str(tmp_path)[1:])
    assert store.stat(key + "/f").length == 1
    with pytest.raises(InvalidSetting):
        open_store(f"file://{tmp_path}", {"x": "y"})


def test_a_scheme_that_nobody_knows() -> None:
    with pytest.raises(StoreNotSupported, match="no implementation nonesuch"):
        open_store("nonesuch://host/path", {})


def test_fsspec_serves_what_has_no_driver() -> None:
    store, key = open_store("memory://pond/a/b/", {})
    assert (store.scheme, store.root, key) == ("memory", "pond", "a/b")
    with pytest.raises(StoreNotSupported, match="libarchive is not installed"):
        open_store("libarchive://host/path", {})
    with pytest.raises(StoreNotSupported, match="file:///path"):
        open_store("local://host/path", {})


def test_fsspec_takes_over_where_the_mount_says_so(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"1")
    native, _ = open_store(f"file://{tmp_path}", {})
    store, key = open_store(f"file://{tmp_path}", {"driver": "local"})
    assert type(store).__name__ == "FsspecStore"
    assert store.stat(key + "/f").length == 1
    assert store.store_id != native.store_id
    with pytest.raises(InvalidSetting, match="no option secret"):
        open_store(f"file://{tmp_path}", {"driver": "local", "secret": "hunter2"})


@pytest.mark.parametrize(("uri", "driver"), [("hdfs3://h:1/p", None), ("hdfs://h:1/p", "hdfs3")])
def test_hdfs3_names_what_to_use(uri: str, driver: str | None) -> None:
    with pytest.raises(StoreNotSupported, match=r"Python 3\.10.*hdfs-native"):
        open_store(uri, {"driver": driver} if driver else {})


@pytest.mark.parametrize(
    "uri", ["", "/path", "s3:/b/k", "s3:///k", "s3://k:hunter2@b/x", "file://host/x", "file://",
            "file:///a/../b", "s3://b/\0"],
)  # fmt: skip
def test_invalid(uri: str) -> None:
    with pytest.raises(InvalidPath) as caught:
        open_store(uri, OPTIONS if uri.startswith("s3") else {})
    assert "hunter2" not in str(caught.value)


def test_a_driver_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.DRIVERS, "x", Driver("millpond.under.absent:f", "pip install x"))
    with pytest.raises(StoreNotSupported, match="pip install x"):
        open_store("x://a/b", {})
