"""The gateway comes up, keeps its objects, and goes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from millpond.errors import PermissionDenied
from millpond.testing.s3_gateway import S3Gateway
from millpond.under.registry import open_store

if TYPE_CHECKING:
    from pathlib import Path


def test_objects_outlast_the_process(tmp_path: Path) -> None:
    with S3Gateway(tmp_path) as gateway:
        bucket = gateway.make_bucket("kept")
        gateway.make_bucket("kept")
        gateway.put_object(bucket, "k", b"12345")
        pid = gateway.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with S3Gateway(tmp_path) as gateway:
        store, _ = open_store(f"s3://{bucket}", gateway.mount_options())
        assert store.stat("k").length == 5
        store.close()


def test_signatures_are_checked(s3_gateway: S3Gateway) -> None:
    bucket = s3_gateway.new_bucket()
    wrong = s3_gateway.mount_options() | {"secret_key": "wrong-secret"}
    store, _ = open_store(f"s3://{bucket}", wrong)
    with pytest.raises(PermissionDenied) as caught:
        store.list("")
    assert "wrong-secret" not in str(caught.value) + repr(store)
    store.close()
