"""S3 against a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from millpond.testing.http_store_contract import HttpStoreContract
from millpond.testing.store_model import StoreModel
from tests.fixtures.s3_site import S3Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from millpond.testing.s3_gateway import S3Gateway

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
