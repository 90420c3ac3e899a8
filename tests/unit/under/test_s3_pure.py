"""S3's pure parts: options, error classes, listing pages."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from millpond.errors import (
    FileChanged,
    InvalidPath,
    InvalidSetting,
    MillpondError,
    NotSupported,
    PathNotFound,
    PermissionDenied,
    StoreAnswerInvalid,
    StoreUnavailable,
)
from millpond.under import s3_errors, s3_list, s3_options
from millpond.under.retry import RetryPolicy
from millpond.under.s3 import S3Store, next_read_bytes

if TYPE_CHECKING:
    from pathlib import Path

STATIC = {"access_key": "AKID", "secret_key": "hunter2-secret", "region": "us-east-1"}


def test_aws_is_the_default_endpoint() -> None:
    options = s3_options.parse(STATIC | {"region": "eu-west-1"}, {})
    assert options.endpoint == "https://s3.eu-west-1.amazonaws.com"
    assert not options.path_style


@pytest.mark.parametrize(
    "given", ["http://Store:80", "http://store/", "HTTP://store", "http://store:80/"]
)
def test_one_spelling_of_an_endpoint(given: str) -> None:
    options = s3_options.parse(STATIC | {"endpoint": given}, {})
    assert options.endpoint == "http://store"
    assert options.path_style


@pytest.mark.parametrize(
    "given", ["store:9000", "ftp://store", "http://", "http://u:hunter2@store", "http://s/path",
              "http://s:99999", "http://s?x"],
)  # fmt: skip
def test_wrong_endpoints(given: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        s3_options.parse(STATIC | {"endpoint": given}, {})
    assert "hunter2" not in str(caught.value)


def test_unknown_options_name_the_known() -> None:
    with pytest.raises(InvalidSetting, match=r"endpont.*Known: access_key, .*endpoint"):
        s3_options.parse({"endpont": "http://store"}, {})


@pytest.mark.parametrize(
    "given",
    [{"access_key": "a"}, {"secret_key": "s"}, STATIC | {"anonymous": "true"},
     {"anonymous": "perhaps"}, {"path_style": "2"}],
)  # fmt: skip
def test_contradictions(given: dict[str, str]) -> None:
    with pytest.raises(InvalidSetting):
        s3_options.parse({"region": "r"} | given, {})


def test_secrets_by_reference(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from-file\n")
    options = s3_options.parse(
        {"access_key": "env:AK", "secret_key": f"file:{tmp_path}/secret", "region": "r"},
        {"AK": "from-env"},
    )
    assert (options.access_key, options.secret_key) == ("from-env", "from-file")


@pytest.mark.parametrize("reference", ["env:ABSENT", "file:/nonexistent/secret"])
def test_references_to_nothing(reference: str) -> None:
    with pytest.raises(InvalidSetting, match="secret_key"):
        s3_options.parse(STATIC | {"secret_key": reference}, {})


def test_no_secret_in_any_text() -> None:
    options = s3_options.parse(STATIC | {"session_token": "hunter2-token"}, {})
    assert "hunter2" not in repr(options) + str(options) + options.store_id
    assert "AKID" not in repr(options)


def test_identity_survives_key_rotation_and_spelling() -> None:
    one = s3_options.parse(STATIC | {"endpoint": "http://store:80"}, {})
    two = s3_options.parse({"anonymous": "true", "endpoint": "http://STORE/", "region": "x"}, {})
    other = s3_options.parse(STATIC | {"endpoint": "http://store:81"}, {})
    assert one.store_id == two.store_id != other.store_id


def test_chain_reads_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "credentials").write_text(
        "[team]\naws_access_key_id = P\naws_secret_access_key = S\n"
    )
    (tmp_path / "config").write_text("[profile team]\nregion = eu-north-1\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    options = s3_options.parse({"profile": "team"}, {})
    found = s3_options.credentials(options)
    assert found is not None
    assert (options.region, found.access_key) == ("eu-north-1", "P")
    with pytest.raises(InvalidSetting):
        s3_options.parse({"profile": "nobody"}, {})
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "E")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "S")
    found = s3_options.credentials(s3_options.parse({"region": "r"}, {}))
    assert found is not None
    assert found.access_key == "E"
    nobody = s3_options.parse({"anonymous": "true", "region": "r"}, {})
    assert s3_options.credentials(nobody) is None


def test_no_credentials_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(PermissionDenied, match="access_key"):
        s3_options.credentials(s3_options.parse({"region": "r"}, {}))


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (404, "NoSuchKey", PathNotFound), (404, "", PathNotFound),
        (404, "NoSuchBucket", PathNotFound), (403, "AccessDenied", PermissionDenied),
        (401, "", PermissionDenied), (400, "ExpiredToken", PermissionDenied),
        (403, "RequestTimeTooSkewed", PermissionDenied), (412, "", FileChanged),
        (416, "InvalidRange", FileChanged), (503, "SlowDown", StoreUnavailable),
        (500, "", StoreUnavailable), (429, "", StoreUnavailable),
        (400, "RequestTimeout", StoreUnavailable), (301, "PermanentRedirect", InvalidSetting),
        (400, "KeyTooLongError", InvalidPath), (400, "XMinioInvalidObjectName", InvalidPath),
        (418, "", StoreAnswerInvalid), (501, "NotImplemented", NotSupported),
    ],
)  # fmt: skip
def test_error_classes(status: int, code: str, expected: type[MillpondError]) -> None:
    error = s3_errors.refusal(status, code, "", bucket="b", key="k\nx")
    assert type(error) is expected
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("code", "expected"), [("NoSuchKey", StoreUnavailable), ("NoSuchBucket", PathNotFound)]
)
def test_a_store_that_can_not_make_an_object_says_nothing_of_another(
    code: str, expected: type[MillpondError]
) -> None:
    assert type(s3_errors.refusal(404, code, "", bucket="b", key="k", makes=True)) is expected


@pytest.mark.parametrize("path_style", ["true", "false"])
def test_a_store_that_is_not_there_is_named(path_style: str) -> None:
    with socket.socket() as taken:  # bound, never listening: connecting is refused
        taken.bind(("127.0.0.1", 0))
        host = f"localhost:{taken.getsockname()[1]}"
        options = {
            "endpoint": f"http://{host}", "access_key": "AKIAPLAIN", "secret_key": "sEcReT",
            "path_style": path_style, "region": "r",
        }  # fmt: skip
        store = S3Store("bucket", options, retry=RetryPolicy(attempts=1))
        with pytest.raises(StoreUnavailable) as caught:
            store.stat("k")
        store.close()
    at = f"http://{host}" if path_style == "true" else f"http://bucket.{host}"
    assert caught.value.problem == f"the store at {at} can't be reached or hung up"
    assert caught.value.remedy
    assert "AKIAPLAIN" not in str(caught.value)
    assert "sEcReT" not in str(caught.value)


def test_another_region_is_named() -> None:
    code, region = s3_errors.error_code(
        b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>"
    )
    error = s3_errors.refusal(400, code, region, bucket="b", key="k")
    assert isinstance(error, InvalidSetting)
    assert "eu-west-1" in str(error)
    assert s3_errors.error_code(b"<html") == ("", "")


PAGE = """<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
<EncodingType>url</EncodingType><IsTruncated>{truncated}</IsTruncated>{token}
<Contents><Key>a+b%2Bc%01</Key><Size>3</Size><ETag>&quot;e&quot;</ETag>
<LastModified>2026-01-02T03:04:05.678Z</LastModified></Contents>
<CommonPrefixes><Prefix>d%2F</Prefix></CommonPrefixes></ListBucketResult>"""


def test_a_page() -> None:
    token = "<NextContinuationToken>t</NextContinuationToken>"
    page = s3_list.parse(PAGE.format(truncated="true", token=token).encode())
    (found,) = page.objects
    assert (found.key, found.length, found.version) == ("a b+c\x01", 3, "e:3")
    assert found.mtime_ms % 1000 == 0
    assert (page.prefixes, page.next_token) == (["d/"], "t")


@pytest.mark.parametrize(
    "document",
    [b"", b"<html/>", b"<ListBucketResult><Contents/></ListBucketResult>",
     PAGE.format(truncated="true", token="").encode(), PAGE.encode()[:200]],
)  # fmt: skip
def test_malformed_pages(document: bytes) -> None:
    with pytest.raises(StoreAnswerInvalid):
        s3_list.parse(document)


@pytest.mark.parametrize(
    ("etag", "version", "weak"),
    [('"e"', "e:1", False), (None, ":1", True), ('W/"e"', "e:1", True), ('"e-2"', "e-2:1", False)],
)
def test_versions(etag: str | None, version: str, weak: bool) -> None:
    found = s3_list.object_stat("k", 1, 0, etag)
    assert (found.version, found.weak) == (version, weak)


@pytest.mark.parametrize(
    ("last", "took_s", "then"),
    [
        (64 << 10, 0.0, 256 << 10),
        (64 << 10, 0.001, 256 << 10),
        (1 << 20, 0.0, 1 << 20),
        (1 << 20, 0.04, 512 << 10),
        (1 << 20, 3.0, 64 << 10),
        (100, 0.0, 64 << 10),
    ],
)
def test_reads_grow_with_the_stores_speed(last: int, took_s: float, then: int) -> None:
    assert next_read_bytes(last, took_s) == then
