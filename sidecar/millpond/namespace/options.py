"""What the options of a mount say to the namespace and the cache; the rest are the store's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from millpond.errors import InvalidSetting
from millpond.model.admission import Admission, parse_rules
from millpond.units import parse_duration_ms
from millpond.wire import millpond_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    T = TypeVar("T")

OPTIONS = ("freshness", "list_freshness", "immutable", "read_only", "admission")
TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class CacheControl:
    """How the files of a mount are cached."""

    admission: Admission = field(default_factory=Admission)

    def to_wire(self) -> wire.CacheControl:
        return wire.CacheControl(admission=self.admission.texts())

    @staticmethod
    def from_wire(said: wire.CacheControl) -> CacheControl:
        return CacheControl(parse_rules("; ".join(said.admission), "the sidecar's answer"))

    def describe(self) -> dict[str, object]:
        """For people and for ``--json``."""
        return {"admission": self.admission.texts()}


@dataclass(frozen=True, slots=True)
class MountOptions:
    """What a mount's options say; ``store`` holds those for the store."""

    read_only: bool
    freshness_ms: int
    list_freshness_ms: int
    immutable: tuple[str, ...]
    control: CacheControl
    store: dict[str, str]


def parse_options(
    path: str, options: Mapping[str, str], *, freshness_ms: int, list_freshness_ms: int
) -> MountOptions:
    """Raises InvalidSetting naming mount, option and what is allowed."""

    def said(name: str, parse: Callable[[str], T], default: T) -> T:
        if name not in options:
            return default
        try:
            return parse(options[name])
        except ValueError as e:
            raise _bad_option(path, name, options[name], str(e)) from None

    text = options.get("read_only", "false").lower()
    if text not in TRUTH:
        raise _bad_option(path, "read_only", text, "true or false")
    globs = tuple(g for g in (p.strip() for p in options.get("immutable", "").split(",")) if g)
    rules = parse_rules(options.get("admission", ""), f"option admission of mount {path}")
    return MountOptions(
        TRUTH[text],
        said("freshness", parse_duration_ms, freshness_ms),
        said("list_freshness", parse_duration_ms, list_freshness_ms),
        globs,
        CacheControl(rules),
        {k: v for k, v in options.items() if k not in OPTIONS},
    )


def _bad_option(path: str, name: str, value: str, allowed: str) -> InvalidSetting:
    return InvalidSetting(
        f"option {name} of mount {path} is {value!r}",
        cause=f"allowed: {allowed}",
        remedy="Correct or leave out the option",
    )
