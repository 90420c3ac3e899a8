"""Which location stands for which, by the mount table. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millpond.errors import MountNotFound
from millpond.namespace.mounts import canonical_uri

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Self

_CACHE = re.compile(r"cache:(?://[^/]*)?(/.*)?", re.DOTALL)
S3 = ("s3a", "s3", "s3n")


@dataclass(frozen=True)
class Locations:
    """Rewrites locations one way.

    ``mounts``: store URI by path. ``to_cache``: towards ``cache://``. ``s3``: how URIs of S3 begin.
    """

    mounts: Mapping[str, str]
    to_cache: bool = False
    s3: str = "s3a"

    @classmethod
    def of(cls, mounts: Iterable[tuple[str, str]], *, to_cache: bool, s3: str) -> Self:
        return cls({path: canonical_uri(uri) for path, uri in mounts}, to_cache, s3)

    def change(self, location: str) -> str:
        """What is to stand there instead; the same for what is not to be changed.

        Raises MountNotFound for a ``cache://`` location that no mount covers.
        """
        return self._cached(location) if self.to_cache else self._stored(location)

    def path(self, location: str) -> str | None:
        """The path of the namespace that leads there; None where none does."""
        found = _CACHE.fullmatch(location)
        if found is not None:
            return found[1] or "/"
        cached = _CACHE.fullmatch(self._cached(location))
        return cached[1] if cached is not None else None

    def _stored(self, location: str) -> str:
        found = _CACHE.fullmatch(location)
        if found is None:
            return location
        path = found[1] or "/"
        mount = _above(path, self.mounts)
        if mount is None:
            raise MountNotFound(
                f"{location} is in no store",
                cause=f"no mount covers {path}",
                remedy="Run this where its mount is, or add it: `millpond mount add`",
            )
        uri = self.mounts[mount].rstrip("/")
        scheme, _, rest = uri.partition(":")
        return f"{self.s3 if scheme in S3 else scheme}:{rest}{_below(path, mount)}"

    def _cached(self, location: str) -> str:
        scheme, colon, rest = location.partition(":")
        if not colon or scheme not in (*S3, "hdfs", "file"):
            return location
        if not rest.startswith("//"):
            rest = f"//{rest}"  # file:/data is what Hadoop prints
        uri = f"{'s3a' if scheme in S3 else scheme}:{rest}"
        best = max(
            (p for p, at in self.mounts.items() if _is_below(uri, at.rstrip("/"))),
            key=lambda p: len(self.mounts[p]),
            default=None,
        )
        if best is None:
            return location
        below = uri[len(self.mounts[best].rstrip("/")) :]
        return f"cache://{('' if best == '/' else best) + below or '/'}"


def _is_below(text: str, start: str) -> bool:
    return text == start or text.startswith(f"{start}/")


def _above(path: str, mounts: Iterable[str]) -> str | None:
    """The innermost mount that covers a path."""
    covering = [m for m in mounts if m == "/" or _is_below(path, m)]
    return max(covering, key=len, default=None)


def _below(path: str, mount: str) -> str:
    return path if mount == "/" else path[len(mount) :]
