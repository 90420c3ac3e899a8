"""The servers of a measurement: S3 gateway, store model before it, one sidecar with its mounts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.bench.data import Files


@dataclass(frozen=True, slots=True)
class Model:
    """Distance and speed of the store: delay before each answer, bytes per second a connection."""

    first_byte_ms: float
    mb_per_s: float

    def describe(self) -> str:
        return f"{self.first_byte_ms:g} ms to first byte, {self.mb_per_s:g} MB/s a connection"


class Site:
    HIT = "/hit"
    COLD = "/cold"

    def __init__(self, directory: Path, files: Files, model: Model) -> None:
        raise NotImplementedError
