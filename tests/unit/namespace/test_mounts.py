"""Mounts: what their options say, how they are shown, and the vectors both languages read."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from millpond.errors import InvalidPath, InvalidSetting, MountConflict, MountNotFound
from millpond.model.globs import COMMIT_FILES, glob_pattern
from millpond.namespace.mounts import (
    Mount,
    MountTable,
    canonical_uri,
    check_new,
    describe,
    direct_conf,
)
from millpond.namespace.options import Writers, check_units, parse_options
from millpond.namespace.places import split, stamp_path

VECTORS = json.loads((Path(__file__).parents[2] / "contract/vectors/mounts.json").read_text())


def mount(path: str, prefix: str = "", **more: object) -> Mount:
    uri = f"s3a://bucket/{prefix}".rstrip("/")
    return Mount(path, uri, "0123456789abcdef", "bucket", prefix, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("vector", VECTORS["globs"], ids=lambda v: v["glob"])
def test_globs(vector: dict[str, list[str]]) -> None:
    pattern = re.compile(glob_pattern(str(vector["glob"])))
    assert [t for t in vector["match"] if not pattern.fullmatch(t)] == []
    assert [t for t in vector["differ"] if pattern.fullmatch(t)] == []


@pytest.mark.parametrize("vector", VECTORS["directories"], ids=lambda v: v["store_path"])
def test_directory_of_a_store_path(vector: dict[str, str | None]) -> None:
    ident, root, key = str(vector["store_path"]).split("/", 2)
    at = Mount("/m", "s3a://b", ident, root, "")
    assert stamp_path(at, split(key)[0]) == vector["directory"]


def test_commit_files() -> None:
    vector = VECTORS["commit_files"]
    assert list(COMMIT_FILES) == vector["globs"]
    at = mount("/lake")
    assert [p for p in vector["match"] if not at.is_commit_file(f"/lake/{p}")] == []
    assert [p for p in vector["differ"] if at.is_commit_file(f"/lake/{p}")] == []
    own = mount("/lake", commit_files=("done/*",))
    assert own.is_commit_file("/lake/done/1")
    assert not own.is_commit_file(f"/lake/{vector['match'][0]}")


def test_immutable_globs_are_below_the_mount() -> None:
    m = mount("/data", immutable=("**/*.parquet", "log/*"))
    assert m.is_immutable("/data/a.parquet")
    assert m.is_immutable("/data/x/a.parquet")
    assert m.is_immutable("/data/log/1")
    assert not m.is_immutable("/data/log/1/2")
    assert not m.is_immutable("/data/x")
    assert not mount("/data").is_immutable("/data/a.parquet")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("s3://b/p/", "s3a://b/p"),
        ("S3N://b", "s3a://b"),
        ("s3a://b/", "s3a://b"),
        ("s3a://b/a//b", "s3a://b/a//b"),
        ("/data/x/", "file:///data/x"),
        ("file:///data", "file:///data"),
        ("hdfs://nn:8020/x", "hdfs://nn:8020/x"),
    ],
)
def test_one_spelling_per_store_uri(given: str, expected: str) -> None:
    assert canonical_uri(given) == expected


def test_a_uri_needs_a_scheme_and_a_file_uri_an_absolute_path() -> None:
    with pytest.raises(InvalidSetting, match="no scheme"):
        canonical_uri("bucket/prefix")
    with pytest.raises(InvalidPath):
        canonical_uri("file:///a/../b")
    with pytest.raises(InvalidSetting, match=r"'host' stands where a host does.*three slashes"):
        canonical_uri("file://host/data")


def test_options_and_their_defaults() -> None:
    said = parse_options("/m", {}, freshness_ms=7, list_freshness_ms=8)
    assert (said.freshness_ms, said.list_freshness_ms) == (7, 8)
    assert (said.read_only, said.immutable, said.store) == (False, (), {})
    options = {
        "freshness": "1m", "list_freshness": "0", "read_only": "yes",
        "immutable": "*.a, b/**", "commit_files": "done/*, c", "endpoint": "http://x",
    }  # fmt: skip
    said = parse_options("/m", options, freshness_ms=7, list_freshness_ms=8)
    assert (said.freshness_ms, said.list_freshness_ms, said.read_only) == (60_000, 0, True)
    assert said.immutable == ("*.a", "b/**")
    assert said.commit_files == ("done/*", "c")
    assert said.store == {"endpoint": "http://x"}


@pytest.mark.parametrize(
    ("name", "value"), [("freshness", "soon"), ("list_freshness", "-1"), ("read_only", "maybe")]
)
def test_bad_options_are_named(name: str, value: str) -> None:
    with pytest.raises(InvalidSetting, match=f"option {name} of mount /m"):
        parse_options("/m", {name: value}, freshness_ms=0, list_freshness_ms=0)


@pytest.mark.parametrize("name", ["freshness", "list_freshness", "ttl"])
def test_a_new_mount_s_durations_have_their_unit(name: str) -> None:
    for good in ("0", "30s", "1.5h", ""):
        check_units("/m", {name: good})
    for bad in ("30", " 5 ", "1.5"):
        with pytest.raises(InvalidSetting, match=rf"option {name} of mount /m.*{bad.strip()}s or"):
            check_units("/m", {name: bad})


def test_no_secret_is_shown() -> None:
    options = {"access_key": "AKIA", "secret_key": "env:KEY", "endpoint": "http://x"}
    m = mount("/m", options=options, direct_conf=direct_conf("s3a://bucket", "bucket", options))
    assert m.shown_options() == {
        "access_key": "***", "secret_key": "env:KEY", "endpoint": "http://x",
    }  # fmt: skip
    shown = repr(m) + json.dumps(describe(m)) + m.to_wire().SerializeToString().decode("latin-1")
    assert "AKIA" not in shown
    assert "env:KEY" not in shown


def test_what_goes_to_an_unknown_implementation_is_hidden() -> None:
    options = {"driver": "gcsfs", "fsspec.token": "hunter2", "fsspec.project": "env:PROJECT"}
    assert mount("/m", options=options).shown_options() == {
        "driver": "gcsfs", "fsspec.token": "***", "fsspec.project": "env:PROJECT",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "environ", "expected"),
    [
        ({}, {}, {}),
        (
            {"endpoint": "http://127.0.0.1:9000", "region": "eu-1"},
            {"AWS_ENDPOINT_URL": "http://other"},
            {
                "endpoint": "http://127.0.0.1:9000", "connection.ssl.enabled": "false",
                "endpoint.region": "eu-1", "path.style.access": "true",
            },
        ),
        (
            {"path_style": "false"},
            {"AWS_ENDPOINT_URL": "https://x"},
            {
                "endpoint": "https://x", "connection.ssl.enabled": "true",
                "path.style.access": "false",
            },
        ),
        (
            {"anonymous": "true", "secret_key": "s"},
            {},
            {
                "aws.credentials.provider": "org.apache.hadoop.fs.s3a"
                ".AnonymousAWSCredentialsProvider"
            },
        ),
    ],
)  # fmt: skip
def test_direct_conf(
    options: dict[str, str], environ: dict[str, str], expected: dict[str, str]
) -> None:
    conf = direct_conf("s3a://b", "b", options, environ)
    assert conf == {f"fs.s3a.bucket.b.{k}": v for k, v in expected.items()}
    assert direct_conf("file:///x", "", options, environ) == {}


def test_nothing_mounted_and_near_names() -> None:
    with pytest.raises(MountNotFound, match="nothing is mounted at all"):
        MountTable().resolve("/a")
    with pytest.raises(MountNotFound, match=r"/flights.*millpond mount add /flihgts"):
        MountTable([mount("/flights")]).resolve("/flihgts")


def test_a_path_has_one_mount() -> None:
    table = MountTable([mount("/a")])
    check_new(table, "/a/b", "s3a://bucket")
    with pytest.raises(MountConflict, match="mounted already"):
        check_new(table, "/a", "s3a://bucket")
    with pytest.raises(MountConflict, match="to s3a://bucket"):
        check_new(table, "/a", "s3a://other")


@pytest.mark.parametrize(
    ("text", "names", "allowed"),
    [
        ("etl", {"etl"}, True),
        ("etl, 1005 @analysts", {"7", "@analysts"}, True),
        ("1005", {"1005", "anna"}, True),
        ("etl", {"@etl"}, False),
        ("etl", set(), False),
        ("*", set(), True),
    ],
)
def test_writers(text: str, names: set[str], allowed: bool) -> None:
    assert Writers.parse(text).allow(names) is allowed
    assert not Writers().allow(names)


@pytest.mark.parametrize("text", ["", " , ", "a b/c", "**", "@", "é", "etl:0"])
def test_writers_that_name_nobody(text: str) -> None:
    with pytest.raises(InvalidSetting, match="option writers of mount /m"):
        parse_options("/m", {"writers": text}, freshness_ms=0, list_freshness_ms=0)
