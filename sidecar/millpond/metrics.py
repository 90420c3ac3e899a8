"""Every metric of the sidecar, declared once: name, type, labels, help; rendered for Prometheus.

Label values come from Millpond itself (verbs, errors, results) or from the mount table. Names that
clients send are held to a bounded set, so that no peer can make the sidecar remember much.
``docs/metrics.md`` is written from this declaration by ``python -m millpond.metrics``.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Kind = Literal["counter", "gauge", "histogram"]
LATENCY_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
MAX_CLIENT_COUNTERS = 128
OTHER = "other"
_CLIENT_COUNTER = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class Metric:
    """The declaration of one metric."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


DECLARED: dict[str, Metric] = {}


def _declare(name: str, kind: Kind, text: str, *labels: str) -> Metric:
    metric = Metric(f"millpond_{name}", kind, text, labels)
    DECLARED[metric.name] = metric
    return metric


REQUESTS = _declare("requests_total", "counter", "Requests of the local protocol, by verb.", "verb")
CONTROL_REQUESTS = _declare(
    "control_requests_total", "counter", "Calls of the control service, by method.", "method"
)
STATS_FROM_MEMORY = _declare(
    "stats_from_memory_total", "counter", "Stat requests answered by the control loop alone."
)
ERRORS = _declare(
    "errors_total", "counter", "Requests answered with an error, by its name.", "error"
)
REQUEST_SECONDS = _declare(
    "request_seconds", "histogram", "Time to the last reply, of requests that left the loop.",
    "verb",
)  # fmt: skip
CONNECTIONS = _declare("connections", "gauge", "Open connections, by transport.", "transport")
IN_HAND = _declare("requests_in_hand", "gauge", "Requests not answered yet.")
ACCEPT_ERRORS = _declare(
    "accept_errors_total", "counter", "Connections that could not be taken (descriptors, memory)."
)
REFUSED = _declare(
    "connections_refused_total", "counter", "Connections closed for cause, by the error.", "error"
)
FILLS = _declare("fills_total", "counter", "Fill requests answered, by result.", "result")
BYPASSED = _declare(
    "bypassed_fills_total", "counter", "Fill requests not admitted, by mount and rule.", "mount",
    "rule",
)  # fmt: skip
MISS_BYTES = _declare(
    "miss_bytes_total", "counter", "Bytes that clients asked for and that were absent."
)
MISS_READS = _declare("miss_reads_total", "counter", "Fill requests that lacked a page.")
MISSES = _declare(
    "misses_total", "counter", "Fill requests that lacked a page, by why it was absent.", "reason"
)
WARM_UP_BYTES = _declare("warm_up_bytes_total", "counter", "Absent bytes asked for by warm-up.")
FETCHES = _declare("fetches_total", "counter", "Ranged reads of stores, by outcome.", "outcome")
FETCHED_BYTES = _declare("fetched_bytes_total", "counter", "Bytes that fetches brought.")
FIRST_PAGE_SECONDS = _declare(
    "fetch_first_page_seconds", "histogram", "From the start of a fetch to its first page."
)
FETCHES_ACTIVE = _declare("fetches_active", "gauge", "Ranged reads in flight.")
FLYING_BYTES = _declare("fetch_bytes_in_flight", "gauge", "Bytes asked of stores and not here yet.")
WRITES = _declare(
    "writes_total", "counter", "Files written through the sidecar, by outcome.", "outcome"
)
PERSISTED = _declare(
    "persisted_total", "counter", "Pending changes that were dealt with, by outcome.", "outcome"
)
PERSISTED_BYTES = _declare(
    "persisted_bytes_total", "counter", "Bytes of pending files that their stores have by now."
)
PENDING = _declare("pending", "gauge", "Changes committed here that no store has yet.")
PENDING_BYTES = _declare("pending_bytes", "gauge", "Bytes of their files; none of it is evicted.")
PENDING_HELD = _declare(
    "pending_held_writes_total", "counter",
    "Writes that waited (slowed) or failed (refused) since pending data fills its share.", "met",
)  # fmt: skip
PENDING_CONFLICTS = _declare(
    "pending_conflicts", "gauge", "Pending changes that wait for a person: `millpond persist ls`."
)
KEPT_BYTES = _declare("kept_bytes", "gauge", "Bytes of files that no store gets (type `cache`).")
WRITTEN_BYTES = _declare("written_bytes_total", "counter", "Bytes of the files that were written.")
BATCHES = _declare("batches_total", "counter", "Batches that ended, by outcome.", "outcome")
BAD_PAGES = _declare(
    "bad_pages_total", "counter", "Pages that clients reported, by what was found.", "found"
)
CLIENT = _declare(
    "client_total", "counter", "Sums of what clients report: hits, direct reads, fallbacks.", "name"
)
REMOTE_BYTES = _declare(
    "remote_bytes_total", "counter",
    "Bytes sent to readers elsewhere, by where they were: disk (block files), memory.", "from",
)  # fmt: skip
STORE_REQUESTS = _declare(
    "store_requests_total", "counter", "Requests sent to stores, retries included.", "mount",
    "kind",
)  # fmt: skip
STORE_BYTES = _declare("store_bytes_total", "counter", "Bytes that stores returned.", "mount")
STORE_LEFT_OUT = _declare(
    "store_names_left_out", "gauge", "Names that listings leave out, being no UTF-8.", "mount"
)
CAPACITY = _declare("cache_capacity_bytes", "gauge", "Disk space the cache may use.")
USED = _declare("cache_used_bytes", "gauge", "Disk space the cache uses.")
FREE_DISK = _declare("disk_free_bytes", "gauge", "Free space of the cache's file system.")
FREE_INODES = _declare("disk_free_inodes", "gauge", "Free inodes of the cache's file system.")
BLOCKS = _declare("cache_blocks", "gauge", "Block files.")
METAS = _declare("cache_metas", "gauge", "Meta files.")
EVICTED_BYTES = _declare("evicted_bytes_total", "counter", "Bytes freed by eviction.")
EVICTED_BLOCKS = _declare("evicted_blocks_total", "counter", "Blocks removed by eviction.")
EXPIRED_BYTES = _declare("expired_bytes_total", "counter", "Bytes freed since a TTL ran out.")
EXPIRED_BLOCKS = _declare("expired_blocks_total", "counter", "Blocks whose TTL ran out.")
MOUNT_BYTES = _declare(
    "mount_cached_bytes", "gauge", "Disk space of a mount with a quota, a reserve or a TTL.",
    "mount",
)  # fmt: skip
PINNED_BYTES = _declare("pinned_bytes", "gauge", "Bytes on disk that pins keep from eviction.")
CORRUPT_PAGES = _declare("corrupt_pages_total", "counter", "Pages that failed their checksum.")
DISKS_DROPPED = _declare("disks_dropped", "gauge", "Further cache disks that failed, not used.")
SCRUBBED_BYTES = _declare(
    "scrubbed_bytes_total", "counter", "Bytes that the scrubber compared with their checksums."
)
LOOP_LAG_SECONDS = _declare(
    "loop_lag_seconds", "histogram", "How late the control loop's timers run."
)
UPTIME = _declare("uptime_seconds", "gauge", "Time since start.")

FALLBACKS = {
    "no_cache_dir": "no sidecar ever ran on the reader's node",
    "sidecar_absent": "nobody listened on the socket",
    "sidecar_gone": "the connection broke during a call",
    "silence": "a call heard nothing for 0.4 s",
    "breaker_open": "the sidecar fell silent a moment before",
    "protocol_mismatch": "client and sidecar share no protocol",
    "unauthenticated": "the client's token is not the sidecar's",
    "overloaded": "the sidecar had too many requests in hand",
    "permission": "the sidecar's credentials don't open the file",
    "store_unavailable": "the store didn't answer the sidecar",
    "sidecar_error": "the sidecar answered another error",
    "told_direct": "the sidecar said so: not admitted, or no space",
    "not_cached": "the file is not cached: changed just now, or by option",
    "fill_rounds": "pages were evicted twice before they were read",
    "no_lease": "no lease, and the store has another version than the blocks",
    "not_mounted": "no mount covers the store's URI",
    "excluded": "the engine's settings keep the store's URI out of the cache",
    "other_version": "the query was planned on another version than the store has",
    "local_io": "the node's disk, or its limit of open files",
}
"""Why clients read from the store directly: counters ``fallback_<reason>``."""
MISS_REASONS = {
    "never_read": "nobody had read it, or longer ago than is remembered",
    "evicted": "space was needed",
    "version_changed": "the file was replaced since",
    "dropped": "removed by hand: evicted by command, or its file deleted",
    "expired": "nobody read it within its mount's TTL",
    "bad": "a page had failed its checksum",
}
"""Why what was asked for was absent: label ``reason`` of ``millpond_misses_total``."""
FILL_RESULTS = {
    "present": "fetched, then read from the block file",
    "inline": "fetched and sent along (1 MiB at most)",
    "direct_not_admitted": "sent to the store by a rule of the mount",
    "direct_full_disk": "sent to the store: no space on disk",
    "direct_too_busy": "sent to the store: too many fills in hand",
    "direct_uncacheable": "sent to the store: the file is not to be cached",
    "direct_stopping": "sent to the store: the sidecar was stopping",
}
"""How fills were answered: label ``result`` of ``millpond_fills_total``."""


def hit_ratio(hits: float, others: float) -> float | None:
    """The share of reads, or of their bytes, that asked no store; of nothing there is none."""
    return hits / (hits + others) if hits + others else None


class Histogram:
    """Counts of observations by upper bound, and their sum."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(LATENCY_BUCKETS_S) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(LATENCY_BUCKETS_S, value)] += 1
        self.total += value


class Metrics:
    """The values of one sidecar. Belongs to the control loop: not thread-safe."""

    def __init__(self) -> None:
        self._values: dict[str, dict[tuple[str, ...], float]] = {}
        self._histograms: dict[str, dict[tuple[str, ...], Histogram]] = {}

    def add(self, metric: Metric, amount: float = 1, *labels: str) -> None:
        values = self._values.setdefault(metric.name, {})
        values[labels] = values.get(labels, 0) + amount

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        self._values.setdefault(metric.name, {})[labels] = value

    def clear(self, metric: Metric) -> None:
        """Forget all label values, before those of today are set."""
        self._values.pop(metric.name, None)

    def observe(self, metric: Metric, seconds: float, *labels: str) -> None:
        series = self._histograms.setdefault(metric.name, {})
        histogram = series.get(labels)
        if histogram is None:
            histogram = series[labels] = Histogram()
        histogram.observe(seconds)

    def value(self, metric: Metric, *labels: str) -> float:
        return self._values.get(metric.name, {}).get(labels, 0)

    def add_client_counters(self, counters: Mapping[str, int]) -> None:
        """Add what a client reports; unknown names beyond the bound are summed as ``other``."""
        known = self._values.setdefault(CLIENT.name, {})
        for name, amount in counters.items():
            label = (name,)
            if label not in known and (
                not _CLIENT_COUNTER.match(name) or len(known) >= MAX_CLIENT_COUNTERS
            ):
                label = (OTHER,)
            known[label] = known.get(label, 0) + amount

    def values(self, metric: Metric) -> dict[tuple[str, ...], float]:
        """All values of a metric by its labels."""
        return dict(self._values.get(metric.name, {}))

    def client_counters(self) -> dict[str, int]:
        """What clients reported since start, by name."""
        return {k[0]: int(v) for k, v in self._values.get(CLIENT.name, {}).items()}

    def render(self) -> str:
        """All metrics in Prometheus' text format 0.0.4."""
        lines: list[str] = []
        for metric in DECLARED.values():
            lines.append(f"# HELP {metric.name} {_escape_help(metric.help)}")
            lines.append(f"# TYPE {metric.name} {metric.kind}")
            if metric.kind == "histogram":
                lines += self._render_histogram(metric)
                continue
            values = self._values.get(metric.name, {})
            if not values and not metric.labels:
                values = {(): 0}
            for labels, value in sorted(values.items()):
                lines.append(f"{metric.name}{_labels(metric.labels, labels)} {_number(value)}")
        return "\n".join(lines) + "\n"

    def _render_histogram(self, metric: Metric) -> Iterator[str]:
        for labels, histogram in sorted(self._histograms.get(metric.name, {}).items()):
            seen = 0
            names = (*metric.labels, "le")
            for bound, count in zip((*LATENCY_BUCKETS_S, None), histogram.counts, strict=True):
                seen += count
                upper = "+Inf" if bound is None else _number(bound)
                yield f"{metric.name}_bucket{_labels(names, (*labels, upper))} {seen}"
            yield f"{metric.name}_sum{_labels(metric.labels, labels)} {_number(histogram.total)}"
            yield f"{metric.name}_count{_labels(metric.labels, labels)} {seen}"


def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    if not names:
        return ""
    pairs = zip(names, values, strict=True)
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in pairs) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _escape_help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


def document() -> str:
    """``docs/metrics.md``."""
    rows = [
        f"| `{m.name}` | {m.kind} | {', '.join(m.labels) or '–'} | {m.help} |"  # noqa: RUF001
        for m in DECLARED.values()
    ]
    head = "# Metrics\n\nServed at `/metrics` of the sidecar's HTTP port.\n"
    table = "\n".join(["| name | type | labels | what |", "|---|---|---|---|", *rows])
    fallbacks = _named(
        "Fallbacks", "`millpond_client_total`, label `name`",
        {f"fallback_{k}": v for k, v in FALLBACKS.items()},
    )  # fmt: skip
    misses = _named("Misses", "`millpond_misses_total`, label `reason`", MISS_REASONS)
    results = _named("Fills", "`millpond_fills_total`, label `result`", FILL_RESULTS)
    return f"{head}\n{table}\n{fallbacks}{misses}{results}"


def _named(title: str, where: str, words: Mapping[str, str]) -> str:
    rows = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in words.items())
    return f"\n## {title}\n{where}.\n\n| value | what |\n|---|---|\n{rows}\n"


if __name__ == "__main__":
    print(document(), end="")
