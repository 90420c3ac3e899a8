"""S3 against a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from millpond.errors import Conflict
from millpond.testing.http_store_contract import HttpStoreContract
from millpond.testing.store_model import Fault, StoreModel
from millpond.under.base import ABSENT, BytesSource
from tests.fixtures.s3_site import S3Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from millpond.testing.s3_gateway import S3Gateway
    from millpond.under.base import UnderStore

ODD_KEYS = (
    "100%", "%41", "a b", " lead", "a+b", "ünï/é", "q?x=1&y", "h#h", "a:b", "st*r", '"q"', "a~b",
    "back\\slash", "{x}", "c\tx", "date=2026-01-01/p=%2F/f", "日本", "…", "a=b;c", "'", "(x)", "$",
)  # fmt: skip


@pytest.fixture(scope="module")
def model(s3_gateway: S3Gateway) -> Iterator[StoreModel]:
    with StoreModel(s3_gateway.endpoint) as model:
        yield model


@pytest.fixture(scope="module")
def bucket(s3_gateway: S3Gateway) -> str:
    return s3_gateway.new_bucket()


class TestS3Gateway(HttpStoreContract):
    @pytest.fixture
    def site(self, s3_gateway: S3Gateway, bucket: str, model: StoreModel) -> Iterator[S3Site]:
        site = S3Site(s3_gateway, bucket, model, ODD_KEYS)
        yield site
        site.close()

    @pytest.mark.parametrize("expect", [None, ABSENT])
    def test_a_directory_that_goes_beneath_the_gateway_is_no_conflict(
        self, site: S3Site, store: UnderStore, expect: str | None
    ) -> None:
        site.model.set(fault=Fault("status", on="PUT", times=2, status=404, code="NoSuchKey"))
        made = store.put(site.key("new"), BytesSource(b"data"), expect=expect)
        assert store.stat(site.key("new")).version == made
        assert store.counters.retries == 2

    def test_what_was_to_be_replaced_and_is_gone_is_a_conflict(
        self, site: S3Site, store: UnderStore
    ) -> None:
        site.put("old", b"data")
        version = store.stat(site.key("old")).version
        site.model.set(fault=Fault("status", on="PUT", status=404, code="NoSuchKey"))
        with pytest.raises(Conflict):
            store.put(site.key("old"), BytesSource(b"new"), expect=version)
        assert store.stat(site.key("old")).version == version
