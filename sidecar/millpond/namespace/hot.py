"""Answers to ``Stat`` kept ready in memory, serialised; the control loop takes no lock here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millpond.namespace.freshness import Directory

_OVERHEAD_BYTES = 350


class Hot:
    """One ready answer. ``void`` is set when it must not be used any more, whoever holds it."""

    __slots__ = ("bound_ns", "directory", "packed", "validated_ns", "version", "void")

    def __init__(
        self,
        packed: bytes,
        version: str,
        validated_ns: int,
        bound_ns: int,
        directory: Directory | None,
    ) -> None:
        self.packed = packed
        self.version = version
        self.validated_ns = validated_ns
        self.bound_ns = bound_ns
        self.directory = directory
        """Whose LISTs renew this answer: that of a file whose meta is published, else None."""
        self.void = False

    def good(self, now_ns: int) -> bool:
        """Within the bound by its own stamp, or by its directory's."""
        directory = self.directory
        within = (now_ns - self.validated_ns <= self.bound_ns and self.bound_ns > 0) or (
            directory is not None
            and now_ns - directory.validated_ns <= self.bound_ns
            and self.validated_ns >= directory.covers_from_ns
        )
        # Last: a LIST voids what it found changed before it renews its directory.
        return within and not self.void


class HotAnswers:
    """By path, bounded by bytes: the less recent half is forgotten when both halves are full."""

    def __init__(self, capacity_bytes: int) -> None:
        self._half_bytes = capacity_bytes // 2
        self._young: dict[str, Hot] = {}
        self._old: dict[str, Hot] = {}
        self._young_bytes = 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, path: str) -> Hot | None:
        """[loop]"""
        hot = self._young.get(path)
        if hot is None:
            hot = self._old.get(path)
            if hot is not None and not hot.void:
                self.put(path, hot)  # safe against a drop meanwhile: void stays with the answer
        return hot

    def put(self, path: str, hot: Hot) -> None:
        self._young[path] = hot
        self._young_bytes += len(hot.packed) + len(path) + _OVERHEAD_BYTES
        if self._young_bytes > self._half_bytes:
            self._old, self._young, self._young_bytes = self._young, {}, 0

    def drop(self, path: str) -> None:
        for half in (self._young, self._old):
            hot = half.pop(path, None)
            if hot is not None:
                hot.void = True

    def drop_tree(self, path: str) -> None:
        """Drop ``path`` and all below it."""
        below = path if path == "/" else f"{path}/"
        for half in (self._young, self._old):
            for known in list(half):
                if known == path or known.startswith(below):
                    self.drop(known)

    def clear(self) -> None:
        for half in (self._young, self._old):
            for hot in list(half.values()):
                hot.void = True
            half.clear()
        self._young_bytes = 0
