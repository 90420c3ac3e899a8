"""Which driver serves which scheme. A new store is one file and one line here.

A scheme without a driver here is fsspec's, and so is any whose mount says ``driver=fsspec`` or
``driver=<protocol or package>``, such as ``driver=s3fs``.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

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

_FSSPEC = Driver("millpond.under.fsspec_store:opener", "pip install 'millpond[fsspec]'")
# Schemes of fsspec that are another way to what has a driver here.
_OTHER_NAMES = {"local": "file:///path", "asynclocal": "file:///path"}

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
    named = options.get("driver")
    if "hdfs3" in (scheme, named):
        raise _hdfs3()
    if scheme in _OTHER_NAMES:
        raise StoreNotSupported(
            f"no driver for the scheme {scheme}", remedy=f"Write {_OTHER_NAMES[scheme]}"
        )
    driver = DRIVERS.get(scheme, _FSSPEC) if named is None else _FSSPEC
    authority, slash, path = rest.partition("/")
    if "\0" in uri:
        raise InvalidPath(f"{uri!r} has a NUL")
    if "@" in authority:
        raise InvalidPath(
            "a store URI holds no credentials", remedy="Give them as options of the mount"
        )
    found = _load(driver, scheme)
    if driver is _FSSPEC:
        found = found(scheme, named)
        options = {k: v for k, v in options.items() if k != "driver"}
    return cast("Opener", found)(authority, slash + path, options)


def _load(driver: Driver, scheme: str) -> Any:
    module, _, name = driver.target.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError as e:
        raise StoreNotSupported(
            f"the driver for {scheme} can't be loaded",
            cause=str(e),
            remedy=f"{driver.install}. Built in: {', '.join(DRIVERS)}",
        ) from e


def _hdfs3() -> StoreNotSupported:
    return StoreNotSupported(
        "hdfs3 can't be a driver",
        cause="it can't be imported by Python 3.10 or later, and its libhdfs3 is not to be had",
        remedy="Mount hdfs://…, read by hdfs-native: pip install 'millpond[hdfs]'",
    )
