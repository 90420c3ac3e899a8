"""Millpond for Presto: the catalogs that read ``cache://``, the jar in its plug-ins."""

from __future__ import annotations

from millpond_presto.catalogs import Catalog, catalog
from millpond_presto.jar import install

__all__ = ["Catalog", "catalog", "install"]
