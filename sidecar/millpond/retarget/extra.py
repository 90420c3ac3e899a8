"""Packages of the optional extra ``millpond[retarget]``."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from millpond.errors import NotSupported


def needed(name: str) -> Any:
    """The package. Raises NotSupported, which names the extra, where it is not installed."""
    try:
        return import_module(name)
    except ImportError as e:
        raise NotSupported(
            f"retarget needs the Python package {name.partition('.')[0]}",
            cause=str(e),
            remedy="pip install 'millpond[retarget]'",
        ) from None
