"""What the dashboard says, as text, tables and charts; nothing here knows of HTTP or HTML. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from millpond import __version__
from millpond.metrics import FALLBACKS, FILL_RESULTS, MISS_REASONS, hit_ratio
from millpond.server.dashboard import charts
from millpond.server.dashboard.charts import Chart, Series
from millpond.units import format_percent, format_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from millpond.namespace.mounts import Mount
    from millpond.server.core.history import Bin, History, Totals
    from millpond.server.core.visitors import Visitor
    from millpond.store.stats import StoreStats

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time up to now, in bins that divide it."""

    name: str
    words: str
    width_s: float
    count: int

    @property
    def length_s(self) -> float:
        return self.width_s * self.count


WINDOWS = {
    w.name: w
    for w in (
        Window("15m", "15 minutes", 10, 90),
        Window("1h", "hour", 40, 90),
        Window("6h", "6 hours", 240, 90),
        Window("24h", "24 hours", 900, 96),
    )
}
DEFAULT_WINDOW = "1h"


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a page is made of, taken at one moment on the control loop."""

    state: str
    name: str
    at: str
    uptime_s: float
    now_s: float
    totals: Totals
    stats: StoreStats
    mounts: Sequence[Mount]
    store_requests: Mapping[Labels, float]
    store_bytes: Mapping[Labels, float]
    left_out: Mapping[Labels, float]
    fills: Mapping[Labels, float]
    misses: Mapping[Labels, float]
    bypassed: Mapping[Labels, float]
    told: Mapping[str, int]
    visitors: Sequence[Visitor]
    users: Mapping[int, str]
    in_hand: int
    fetching: int
    flying_bytes: float


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure. ``share`` (0 to 1) is drawn as a bar; ``bad`` makes it stand out."""

    name: str
    value: str
    note: str
    share: float | None = None
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """``bars`` gives rows a share to draw, ``hints`` a line below; ``empty`` stands for no rows."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    empty: str
    note: str = ""
    bars: list[float] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Page:
    state: str
    name: str
    at: str
    version: str
    uptime: str
    window: Window
    windows: list[Window]
    tiles: list[Tile]
    charts: list[Chart]
    tables: list[Table]


def build(facts: Facts, history: History, window: Window) -> Page:
    """The page of one window."""
    bins = history.bins(facts.now_s, facts.totals, window.width_s, window.count)
    grown = history.since(facts.now_s - window.length_s, facts.totals)
    return Page(
        state=facts.state,
        name=facts.name,
        at=facts.at,
        version=__version__,
        uptime=show_duration(facts.uptime_s),
        window=window,
        windows=list(WINDOWS.values()),
        tiles=_tiles(facts, grown),
        charts=_charts(facts, bins, grown),
        tables=[
            _mounts(facts),
            _clients(facts),
            _misses(facts),
            _fallbacks(facts),
            _fills(facts),
            _disks(facts),
            *_bypassed(facts),
        ],
    )


def _tiles(facts: Facts, grown: Totals) -> list[Tile]:
    ever, stats = facts.totals, facts.stats
    used = stats.used_bytes / stats.capacity_bytes if stats.capacity_bytes else 0.0
    since = "since start"
    return [
        Tile("Hits by bytes", format_percent(by_bytes(grown)),
             f"{format_percent(by_bytes(ever))} {since}", by_bytes(grown)),
        Tile("Hits by reads", format_percent(by_reads(grown)),
             f"{format_percent(by_reads(ever))} {since}", by_reads(grown)),
        Tile("Saved", format_size(grown.hit_bytes), f"{format_size(ever.hit_bytes)} {since}"),
        Tile("Store requests", charts.show_count(grown.store_requests),
             f"{charts.show_count(ever.store_requests)} {since}"),
        Tile("Read from stores", format_size(grown.store_bytes),
             f"{format_size(ever.store_bytes)} {since}"),
        Tile("Disk used", f"{format_size(stats.used_bytes)}",
             f"of {format_size(stats.capacity_bytes)}", used),
    ]  # fmt: skip


def by_bytes(t: Totals) -> float | None:
    return hit_ratio(t.hit_bytes, t.miss_bytes + t.direct_bytes)


def by_reads(t: Totals) -> float | None:
    return hit_ratio(t.hit_reads, t.miss_reads + t.direct_reads)


def _charts(facts: Facts, bins: list[Bin], grown: Totals) -> list[Chart]:
    now = facts.now_s
    times = [show_ago(now - (b.start_s + b.end_s) / 2) for b in bins]
    top = charts.nice_bytes(max(facts.stats.used_bytes, facts.stats.capacity_bytes))

    def ratios(of: str) -> list[float | None]:
        ratio = by_bytes if of == "bytes" else by_reads
        return [ratio(b.grown) if b.grown else None for b in bins]

    def rates(name: str) -> list[float | None]:
        return [
            None if b.grown is None
            # The newest bin has not ended: what it has so far came in a shorter time.
            else getattr(b.grown, name) / max(1.0, min(b.end_s, now) - b.start_s)
            for b in bins
        ]  # fmt: skip

    size, count = format_size, charts.show_count
    return [
        charts.lines(
            "Hit ratio",
            [
                Series("by bytes", "a", ratios("bytes"), format_percent(by_bytes(grown))),
                Series("by reads", "b", ratios("reads"), format_percent(by_reads(grown))),
            ],
            lambda v: f"{100 * v:.0f} %", 1.0, times,
        ),
        charts.columns(
            "Read by engines",
            [
                Series("from this node", "a", rates("hit_bytes"), size(grown.hit_bytes)),
                Series("fetched for them", "b", rates("miss_bytes"), size(grown.miss_bytes)),
                Series("directly", "c", rates("direct_bytes"), size(grown.direct_bytes)),
            ],
            charts.show_rate, charts.nice_bytes, times,
        ),
        charts.columns(
            "Store requests, a second",
            [Series("HEAD, LIST, GET", "a", rates("store_requests"), count(grown.store_requests))],
            count, charts.nice_count, times,
        ),
        charts.columns(
            "Read from stores",
            [Series("by the sidecar", "a", rates("store_bytes"), size(grown.store_bytes))],
            charts.show_rate, charts.nice_bytes, times,
        ),
        charts.columns(
            "Fallbacks, a second",
            [Series("reads sent to the store", "c", rates("fallbacks"), count(grown.fallbacks))],
            count, charts.nice_count, times,
        ),
        charts.lines(
            "Disk used",
            [Series("of the cache", "a", [b.last.used_bytes if b.last else None for b in bins],
                    size(facts.stats.used_bytes))],
            size, top, times,
        ),
    ]  # fmt: skip


def _mounts(facts: Facts) -> Table:
    columns = ["mount", "HEAD", "LIST", "GET", "retries", "read", "listings valid", "opens valid"]
    rows = []
    for mount in sorted(facts.mounts, key=lambda m: m.path):
        asked = [
            f"{facts.store_requests.get((mount.path, kind), 0):,.0f}"
            for kind in ("head", "list", "get", "retries")
        ]
        read = format_size(facts.store_bytes.get((mount.path,), 0))
        bounds = [show_duration(ms / 1000) for ms in (mount.list_freshness_ms, mount.freshness_ms)]
        rows.append([mount.path, *asked, read, *bounds])
    odd = sum(facts.left_out.values())
    note = "`millpond mount ls` says which stores these are."
    if odd:
        note += f" {odd:,.0f} names that are not UTF-8 are not shown in listings."
    return Table("Mounts", columns, rows, "Nothing is mounted: `millpond mount add PATH URI`", note)


def _clients(facts: Facts) -> Table:
    columns = ["process", "user", "pid", "seen", "from this node", "fetched", "directly", "warm-up"]
    rows = []
    for v in facts.visitors:
        user = "over TCP" if v.uid is None else facts.users.get(v.uid, str(v.uid))
        seen = "connected" if v.connections else show_ago(facts.now_s - v.seen_s)
        sizes = (v.hit_bytes, v.miss_bytes, v.direct_bytes, v.warm_up_bytes)
        pid = "" if v.pid is None else str(v.pid)
        rows.append([v.client, user, pid, seen, *map(format_size, sizes)])
    now = (
        f"Now: {facts.in_hand:,} requests in hand, {facts.fetching:,} ranges being fetched, "
        f"{format_size(facts.flying_bytes)} on their way."
    )
    return Table("Who reads", columns, rows, "Nobody has read within the last hour", now)


def _fallbacks(facts: Facts) -> Table:
    reasons = {
        k.removeprefix("fallback_"): v
        for k, v in facts.told.items()
        if k.startswith("fallback_") and v
    }
    return _counts(
        "Read directly because", "reason", reasons, FALLBACKS, "No read went past the cache"
    )


def _misses(facts: Facts) -> Table:
    reasons = {labels[0]: int(v) for labels, v in facts.misses.items()}
    return _counts(
        "Misses, by reason", "reason", reasons, MISS_REASONS, "Nothing was missed so far"
    )


def _fills(facts: Facts) -> Table:
    answers = {labels[0]: int(v) for labels, v in facts.fills.items()}
    return _counts("Fills, by answer", "answer", answers, FILL_RESULTS, "Nothing was asked for")


def _bypassed(facts: Facts) -> list[Table]:
    """Only where rules sent reads past the cache."""
    counts = {f"{mount} by {rule}": int(v) for (mount, rule), v in facts.bypassed.items()}
    return [_counts("Not admitted", "mount and rule", counts, {}, "")] if counts else []


def _counts(
    title: str, name: str, counts: Mapping[str, int], words: Mapping[str, str], empty: str
) -> Table:
    """A table of counts, the largest first, with a bar for each and what it means."""
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    most = max(counts.values(), default=0) or 1
    return Table(
        title, [name, "times"], [[k, f"{v:,}"] for k, v in ordered], empty,
        bars=[v / most for _, v in ordered], hints=[words.get(k, "") for k, _ in ordered],
    )  # fmt: skip


def _disks(facts: Facts) -> Table:
    s = facts.stats
    inodes = f"{s.free_disk_inodes:,}" if s.free_disk_inodes else "not counted"
    rows = [
        ["used", f"{format_size(s.used_bytes)} of {format_size(s.capacity_bytes)}"],
        ["free on the disk", format_size(s.free_disk_bytes)],
        ["free inodes", inodes],
        ["blocks, files known", f"{s.blocks:,}, {s.metas:,}"],
        ["pinned", format_size(s.pinned_bytes)],
        ["evicted", f"{format_size(s.evicted_bytes)} in {s.evicted_blocks:,} blocks"],
        ["policy", s.policy],
        ["rotten pages found", f"{s.corrupt_pages:,}"],
    ]
    note = "Pages were rotten: check the disk (`smartctl`, `dmesg`)." if s.corrupt_pages else ""
    if s.limit_bytes < s.capacity_bytes:
        note = f"{note} Others fill the disk: {format_size(s.limit_bytes)} may be used now.".strip()
    return Table("Disk", ["", ""], rows, "", note)


def show_duration(seconds: float) -> str:
    """``40 s``, ``12 min``, ``5 h``, ``3 d``: the larger unit, rounded down."""
    for unit, size, until in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < until:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds // 86_400)} d"


def show_ago(seconds: float) -> str:
    return "now" if seconds < 5 else f"{show_duration(seconds)} ago"
