"""Mounts, freshness, listings: what a path is, and until when that is known."""

from millpond.namespace.mounts import Mount, MountTable, Resolved
from millpond.namespace.namespace import LocatedFile, Namespace

__all__ = ["LocatedFile", "Mount", "MountTable", "Namespace", "Resolved"]
