"""The Python client: the fsspec file system of ``cache://``, reading blocks straight from disk."""

from millpond.client.filesystem import CacheFileSystem

__all__ = ["CacheFileSystem"]
