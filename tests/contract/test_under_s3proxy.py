"""S3 against S3Proxy, which honours conditions for whoever comes at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from millpond.errors import PathNotFound
from millpond.testing.store_model import StoreModel
from millpond.testing.write_contract import WriteContract
from tests.fixtures.s3_site import S3Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from millpond.testing.s3proxy import S3Proxy
    from millpond.testing.under_contract import StoreSite
    from millpond.under.base import UnderStore

ODD_KEYS = ("100%", "%2F", "a b", "a+b", "é", "…/…", "q?x", "h#h", "日本")

TIMEOUT_S = 30.0  # on a busy machine it takes 5 MB in seconds


@pytest.fixture(scope="module")
def model(conditional_s3: S3Proxy) -> Iterator[StoreModel]:
    with StoreModel(conditional_s3.endpoint) as model:
        yield model


@pytest.fixture(scope="module")
def bucket(conditional_s3: S3Proxy) -> str:
    return conditional_s3.new_bucket()


class TestS3Proxy(WriteContract):
    exclusive = True

    @pytest.fixture
    def site(self, conditional_s3: S3Proxy, bucket: str, model: StoreModel) -> Iterator[S3Site]:
        site = S3Site(conditional_s3, bucket, model, ODD_KEYS, timeout_s=TIMEOUT_S)
        yield site
        site.close()

    @pytest.fixture
    def store(self, site: StoreSite) -> UnderStore:
        return site.open()

    def test_it_is_known_to_honour_conditions(self, site: StoreSite, store: UnderStore) -> None:
        assert store.conditional is None
        assert store.try_conditions(site.prefix)
        assert store.conditional is True
        with pytest.raises(PathNotFound):
            self.listed(store, site.prefix)
