"""Which driver serves which scheme. A new store is one file and one line here."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from millpond.errors import InvalidPath, StoreNotSupported

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from millpond.under.base import UnderStore

    Opener = Callable[[str, str, Mapping[str, str]], tuple[UnderStore, str]]


@dataclass(frozen=True, slots=True)
class Driver:
    """``target`` is ``module:function``, imported at first use; the function takes authority, path
    and options, and returns the store and the key of the path."""

    target: str
    install: str
    """What to do when the import fails."""


_S3 = Driver("millpond.under.s3:open_uri", "pip install millpond")

# Sorted; s3, s3a and s3n name the same objects.
DRIVERS: dict[str, Driver] = {
    "file": Driver("millpond.under.file:open_uri", "pip install millpond"),
    "hdfs": Driver("millpond.under.hdfs:open_uri", "pip install 'millpond[hdfs]'"),
    "s3": _S3,
    "s3a": _S3,
    "s3n": _S3,
}


def open_store(uri: str, options: Mapping[str, str]) -> tuple[UnderStore, str]:
    """The store that ``uri`` names, and the key of the URI's path without a trailing slash.

    Sends no request, though the chain of credentials may. The path is taken raw: ``%41`` is three
    characters. Raises StoreNotSupported, InvalidPath, InvalidSetting, PermissionDenied.
    """
    scheme, colon, rest = uri.partition("://")
    scheme = scheme.lower()
    if not colon or not scheme:
        raise InvalidPath(
            "this is no store URI",
            remedy=f"Write scheme://…; supported: {', '.join(DRIVERS)}",
        )
    driver = DRIVERS.get(scheme)
    if driver is None:
        raise StoreNotSupported(
            f"no driver for the scheme {scheme}", remedy=f"Supported: {', '.join(DRIVERS)}"
        )
    authority, slash, path = rest.partition("/")
    if "\0" in uri:
        raise InvalidPath(f"{uri!r} has a NUL")
    if "@" in authority:
        raise InvalidPath(
            "a store URI holds no credentials", remedy="Give them as options of the mount"
        )
    module, _, name = driver.target.partition(":")
    try:
        opener = cast("Opener", getattr(importlib.import_module(module), name))
    except ImportError as e:
        raise StoreNotSupported(
            f"the driver for {scheme} can't be loaded", cause=str(e), remedy=driver.install
        ) from e
    return opener(authority, slash + path, options)
