"""Which answers of a store may be used, kept and published. Pure: no I/O, no clock.

Every answer carries the time its request *began* (monotonic ns): it was true at some moment after
that, so it may be used by who asks within the bound of it. That is the stamp of a meta file, and
alone it is honest. Two things need more care, and ``Directory`` sees to both:

1. **A directory stamp speaks for meta it has not looked at.** One LIST at T renews all meta of a
   directory whose own stamp is ≥ ``covers_from``. So after that LIST no such meta may say anything
   but what the LIST said. We know what such meta may say: what the last listing said, or what was
   published since (``_known``). A LIST that differs from that *voids* the meta, then stamps.
   Where nothing is known (first LIST, or forgotten), ``covers_from`` is the time from which on
   publishes are recorded, so that older meta stands by its own stamp only.
2. **An answer may be overtaken.** A request in flight while its path is invalidated (by a write, a
   fill that met another version, or a LIST that showed another version) may bring what was true
   before. Its own caller may use it (it asked before); published or kept it is not:
   ``may_publish``. Nor may a later caller share it: ``not_before``.

The caller holds the directory's lock around decision and deed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from millpond.namespace.listings import Listing
    from millpond.under.base import ObjectStat

NEVER = -(1 << 62)
FOREVER_NS = 1 << 62


def fresh(now_ns: int, validated_ns: int, bound_ns: int) -> bool:
    """Whether what was validated then may be used now. Bound 0: never."""
    return 0 <= now_ns - validated_ns <= bound_ns and bound_ns > 0


class _Known(NamedTuple):
    """What meta of a name may say where the listing does not tell: None is "there is none"."""

    version: str | None
    at_ns: int


class Directory:
    """What is known of one directory of a store."""

    __slots__ = (
        "_absent",
        "_appeared",
        "_known",
        "changed_ns",
        "complete",
        "completed_ns",
        "covers_from_ns",
        "listing",
        "pins",
        "validated_ns",
        "voided_ns",
    )

    def __init__(self, covers_from_ns: int, voided_ns: int = NEVER) -> None:
        self.covers_from_ns = covers_from_ns
        self.validated_ns = NEVER
        """When the last LIST began."""
        self.completed_ns = NEVER
        """When its consequences had been drawn."""
        self.listing: Listing | None = None
        self.complete = False
        """Whether ``listing`` may answer a listing (a flat LIST shows no directories)."""
        self.pins = 0
        """LISTs in flight: who records publishes for them must not be forgotten."""
        self.voided_ns = voided_ns
        """When all of it was invalidated: no answer to a request begun up to then is kept."""
        self.changed_ns = NEVER
        """When anything at or below it was: no LIST begun up to then answers who asks later."""
        self._known: dict[str, _Known] = {}
        self._absent: dict[str, int] = {}
        """Names at and below which the store had nothing, asked at that time."""
        self._appeared: dict[str, int] = {}
        """Names at or below which something was met or changed, seen at that time."""

    @property
    def size_bytes(self) -> int:
        names = len(self._known) + len(self._absent) + len(self._appeared)
        return 400 + 250 * names + (self.listing.size_bytes if self.listing else 0)

    def not_before(self, name: str) -> int:
        """Answers to requests begun up to this time are not for who asks from now on."""
        known = self._known.get(name)
        appeared_ns = self._appeared.get(name, NEVER)
        return max(self.completed_ns, self.voided_ns, appeared_ns, known.at_ns if known else NEVER)

    def find(self, name: str) -> ObjectStat | None:
        """What the last listing says of ``name``, if nothing was learnt since."""
        if self.listing is None or name in self._known:
            return None
        return self.listing.find(name)

    def absent_ns(self, name: str) -> int:
        """When a request about ``name`` last found nothing at or below it; NEVER: not known.

        What a listing merely does not show is asked for: who puts something into the store and then
        names it for the first time finds it.
        """
        at_ns = self._absent.get(name, NEVER)
        return at_ns if at_ns > self._appeared.get(name, NEVER) else NEVER

    def absent(self, name: str, began_ns: int, now_ns: int) -> None:
        """A request that began then found nothing; meta of ``name`` has been removed."""
        if began_ns > self.not_before(name):
            self._absent[name] = began_ns
        self._known[name] = _Known(None, now_ns)

    def appeared(self, name: str, now_ns: int, *, certain: bool) -> None:
        """Something is below ``name``, or was changed there: its absence must be asked for again.

        What is merely met, and not ``certain`` to have changed, matters only to an absence known.
        """
        if certain or self.absent_ns(name) != NEVER:
            self._appeared[name] = now_ns

    def may_publish(self, name: str, version: str, began_ns: int) -> bool:
        """Whether an answer to a request that began then may become meta."""
        if began_ns <= self.voided_ns:
            return False
        known = self._known.get(name)
        if known is not None and began_ns <= known.at_ns:
            return False
        if began_ns <= self.completed_ns:
            listed = self.listing.find(name) if self.listing is not None else None
            return listed is not None and not listed.weak and listed.version == version
        return True

    def published(self, name: str, version: str, began_ns: int) -> None:
        """Meta of ``name`` now says ``version``."""
        self._absent.pop(name, None)
        listed = self.listing.find(name) if self.listing is not None else None
        if listed is not None and not listed.weak and listed.version == version:
            self._known.pop(name, None)
        else:
            self._known[name] = _Known(version, began_ns)

    def voided(self, name: str, now_ns: int) -> None:
        """Meta of ``name`` was removed, and what the listing says of it holds no longer."""
        self._absent.pop(name, None)
        self._known[name] = _Known(None, now_ns)

    def names(self) -> list[str]:
        """Names whose meta may say something."""
        return [name for name, _ in self._said()]

    def invalidated(self, now_ns: int) -> None:
        """All that was known may be wrong; meta of ``names()`` has been removed."""
        self.forget_listing()
        for memory in (self._known, self._absent, self._appeared):
            memory.clear()
        self.voided_ns = self.changed_ns = now_ns

    def contradicted(self, new: Listing) -> list[str]:
        """Names whose meta may say anything else than ``new`` does: to be voided."""
        if not self._known and self.listing is not None and self.listing.same_versions(new):
            return []
        now_listed = dict(new.versions())
        return [n for n, version in self._said() if now_listed.get(n) != version]

    def listed(self, new: Listing, began_ns: int, now_ns: int, *, complete: bool) -> None:
        """A LIST that began then is the new truth; ``contradicted(new)`` has been voided."""
        overtaken = {
            name: _Known(None, now_ns)
            for name, known in self._known.items()
            if known.at_ns >= began_ns and not _says(new, name, known.version)
        }
        self._absent = {
            name: at_ns
            for name, at_ns in self._absent.items()
            if at_ns > began_ns and new.find(name) is None
        }
        self._appeared = {n: at_ns for n, at_ns in self._appeared.items() if at_ns >= began_ns}
        self.listing, self._known, self.complete = new, overtaken, complete
        self.validated_ns, self.completed_ns = began_ns, now_ns

    def forget_listing(self) -> None:
        """The directory is gone, or the memory is needed."""
        self.listing, self.complete, self.validated_ns = None, False, NEVER

    def _said(self) -> Iterator[tuple[str, str]]:
        for name, known in self._known.items():
            if known.version is not None:
                yield name, known.version
        if self.listing is not None:
            for name, version in self.listing.versions():
                if name not in self._known:
                    yield name, version


def _says(listing: Listing, name: str, version: str | None) -> bool:
    """Whether the listing names this very version of ``name``."""
    found = listing.find(name)
    return version is not None and found is not None and found.version == version
