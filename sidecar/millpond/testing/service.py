"""A service that a ``with`` block starts and stops."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class Service(ABC):
    """What runs between ``start`` and ``stop``. ``stop`` is idempotent."""

    @abstractmethod
    def start(self) -> Self:
        """Return once it answers."""

    @abstractmethod
    def stop(self) -> None:
        """Return once it is gone."""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
