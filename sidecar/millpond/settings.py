"""Every setting of the sidecar, declared once: name, type, unit, default, bounds, description.

A value comes from the first of: a flag, the environment (``MILLPOND_<NAME>``), one TOML file, the
default; and knows where it came from (``Settings.origins``). ``docs/settings.md`` is written from
this declaration by ``python -m millpond.settings``.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import tomllib
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millpond.errors import InvalidSetting
from millpond.units import format_duration_ms, format_size, parse_duration_ms, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CONFIG_ENV = "MILLPOND_CONFIG"
SYSTEM_CONFIG = Path("/etc/millpond/millpond.toml")
SYSTEM_CACHE_DIR = Path("/var/lib/millpond")


def default_cache_dir() -> Path:
    """/var/lib/millpond where it exists or root runs the sidecar, else ~/.cache/millpond."""
    if SYSTEM_CACHE_DIR.is_dir() or os.geteuid() == 0:
        return SYSTEM_CACHE_DIR
    return Path.home() / ".cache/millpond"


@dataclass(frozen=True, slots=True)
class Kind:
    """How a setting's text becomes a value, what is allowed, and how it is shown."""

    parse: Callable[[str], Any]
    allowed: str
    check: Callable[[Any], bool] = lambda _: True
    show: Callable[[Any], str] = str
    unit: str = ""


def _between(low: float, high: float) -> Callable[[Any], bool]:
    return lambda v: low <= v <= high


def _size(low: int, high: int, *, auto: bool = False) -> Kind:
    def parse(text: str) -> int | None:
        return None if auto and text.strip().lower() == "auto" else parse_size(text)

    within = _between(low, high)
    return Kind(
        parse,
        f"{format_size(low)} to {format_size(high)}" + (", or auto" if auto else ""),
        lambda v: (auto and v is None) or (isinstance(v, int) and within(v)),
        lambda v: "auto" if v is None else format_size(v),
        "bytes",
    )


def _duration(low_ms: int, high_ms: int) -> Kind:
    return Kind(
        parse_duration_ms,
        f"{format_duration_ms(low_ms)} to {format_duration_ms(high_ms)}",
        _between(low_ms, high_ms),
        format_duration_ms,
        "ms",
    )


def _count(low: int, high: int) -> Kind:
    return Kind(int, f"{low} to {high}", _between(low, high))


def _ratio(low: float, high: float) -> Kind:
    return Kind(float, f"{low} to {high}", _between(low, high))


def _one_of(*values: str) -> Kind:
    return Kind(str.lower, ", ".join(values), lambda v: v in values)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_address_or_empty(host: str) -> bool:
    try:
        return host == "" or bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def _names(text: str) -> tuple[str, ...]:
    return tuple(n for n in (part.strip() for part in text.split(",")) if n)


_LOOPBACK = Kind(str, "a loopback address, such as 127.0.0.1 or ::1", _is_loopback)
_ADDRESS = Kind(str, "an IP address of this host, or nothing", _is_address_or_empty)
_PATH = Kind(
    lambda text: Path(text).expanduser(), "an absolute path", lambda p: Path(p).is_absolute()
)
_PATHS = Kind(
    lambda text: tuple(Path(n).expanduser() for n in _names(text)),
    "absolute paths, separated by commas",
    lambda v: all(p.is_absolute() for p in v),
    lambda v: ",".join(map(str, v)),
)
_ALIASES = Kind(
    _names,
    "host names or addresses, separated by commas; never localhost",
    lambda v: "localhost" not in v and not any(c.isspace() for n in v for c in n),
    ",".join,
)


def _setting(kind: Kind, default: Any, description: str, *env: str, running: bool = False) -> Any:
    """``running``: `millpond set` changes it; ``server.running`` has to know how."""
    metadata = {"kind": kind, "description": description, "env": env, "running": running}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one sidecar. Raises InvalidSetting when a value is out of range."""

    cache_dir: Path = _setting(  # noqa: RUF009
        _PATH, default_cache_dir,
        "Where cached data lives: a directory of the sidecar's own on a local disk. Default: "
        "/var/lib/millpond where it exists or root runs the sidecar, else ~/.cache/millpond.",
        "MILLPOND_DIR",
    )  # fmt: skip
    cache_dirs: tuple[Path, ...] = _setting(
        _PATHS, (),
        "Directories of the sidecar's own on further disks, for blocks alone. One that fails is "
        "dropped until the next start.",
    )  # fmt: skip
    cache_capacity_bytes: int | None = _setting(
        _size(64 << 20, 1 << 50, auto=True), None,
        "Disk space the cache may use, on all its disks. auto: what it used before; at first start "
        "80 % of what is free.",
        running=True,
    )  # fmt: skip
    cache_policy: str = _setting(
        _one_of("s3fifo", "lru"), "s3fifo", "Which blocks go first when space is needed."
    )
    evict_high: float = _setting(
        _ratio(0.1, 1.0),
        0.95,
        "Share of the capacity at which eviction begins.",
        running=True,
    )
    evict_low: float = _setting(
        _ratio(0.05, 0.99),
        0.90,
        "Share of the capacity at which eviction ends; below evict_high.",
        running=True,
    )
    pin_share: float = _setting(
        _ratio(0.0, 0.9), 0.5, "Share of the capacity that pinned files may fill.", running=True
    )
    pending_share: float = _setting(
        _ratio(0.0, 0.9), 0.5,
        "Share of the capacity that files may fill which their stores do not have yet. Writers are "
        "slowed down before, and refused then.",
    )  # fmt: skip
    scrub_rate_bytes: int = _setting(
        _size(0, 1 << 40), 4 << 20,
        "Cached bytes a second that are read from the disk and compared with their checksums, one "
        "pass a day at most. 0: none.",
        running=True,
    )  # fmt: skip
    node_aliases: tuple[str, ...] = _setting(
        _ALIASES, (),
        "Names under which engines know this node, for locality: exactly what they register "
        "(host name, FQDN, IP, pod IP). Empty: the host's own names.",
    )  # fmt: skip
    tcp_host: str = _setting(
        _LOOPBACK, "127.0.0.1",
        "Where the local protocol listens for clients without Unix sockets (Java 11).",
    )  # fmt: skip
    tcp_port: int = _setting(
        _count(0, 65535), 0, "Its port; 0: any free one, told in node.properties."
    )
    http_host: str = _setting(
        _LOOPBACK, "127.0.0.1", "Where the dashboard, /metrics and /health are served."
    )
    http_port: int = _setting(
        _count(0, 65535), 8899, "Their port; 0: any free one, told in node.properties."
    )
    remote_host: str = _setting(
        _ADDRESS, "",
        "Where readers on other machines are served, who show the token; it travels in plain HTTP. "
        "Empty: nowhere but on http_port.",
    )  # fmt: skip
    remote_port: int = _setting(
        _count(0, 65535), 8898, "Its port; 0: any free one, told in node.properties."
    )
    fill_connections: int = _setting(
        _count(1, 512),
        32,
        "Ranges fetched from stores at the same time, in all.",
        running=True,
    )
    fill_connections_per_file: int = _setting(
        _count(1, 128),
        16,
        "Ranges fetched at the same time for one file.",
        running=True,
    )
    fill_range_bytes: int = _setting(
        _size(64 << 10, 256 << 20),
        8 << 20,
        "Bytes of one ranged GET of a long fill.",
        running=True,
    )
    fill_memory_bytes: int = _setting(
        _size(4 << 20, 64 << 30),
        256 << 20,
        "Memory for bytes on their way from stores to disk.",
        running=True,
    )
    max_requests: int = _setting(
        _count(1, 1_000_000),
        4096,
        "Requests in hand, in all; beyond it: Overloaded.",
        running=True,
    )
    max_requests_per_connection: int = _setting(
        _count(1, 100_000),
        256,
        "Requests in hand from one connection; beyond it: Overloaded.",
        running=True,
    )
    batch_idle_ms: int = _setting(
        _duration(100, 86_400_000), 600_000,
        "After how long without a call an open batch is dropped, with its files.",
    )  # fmt: skip
    staging_idle_ms: int = _setting(
        _duration(1000, 30 * 86_400_000), 86_400_000,
        "After how long without a call a staging area is dropped, with its files.",
    )  # fmt: skip
    freshness_ms: int = _setting(
        _duration(0, 86_400_000), 30_000,
        "How old the knowledge behind an open may be, on mounts that do not say.",
        running=True,
    )  # fmt: skip
    list_freshness_ms: int = _setting(
        _duration(0, 86_400_000), 0,
        "How old a listing may be, on mounts that do not say. 0: each is validated by a LIST that "
        "began after it was asked for.",
        running=True,
    )  # fmt: skip
    log_level: str = _setting(
        _one_of("debug", "info", "warning", "error"),
        "info",
        "What is logged.",
        running=True,
    )
    log_format: str = _setting(
        _one_of("text", "json"), "text", "Lines for people, or one JSON object a line."
    )
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    config_file: Path | None = field(default=None, compare=False, repr=False)
    """The TOML file that was read, or would have been if it existed."""

    def __post_init__(self) -> None:
        for name, declared in DECLARED.items():
            value = getattr(self, name)
            try:
                allowed = declared.kind.check(value)
            except TypeError:
                allowed = False
            if not allowed:
                raise _out_of_range(declared, value, self.origin(name))
        if self.evict_low >= self.evict_high:
            raise InvalidSetting(
                f"evict_low ({self.origin('evict_low')}) is {self.evict_low}",
                cause=f"it must lie below evict_high, {self.evict_high}",
                remedy="Lower evict_low or raise evict_high",
            )

    def origin(self, name: str) -> str:
        """Where the value came from: ``default``, a variable, a file and its key, a flag."""
        return self.origins.get(name, "default")


@dataclass(frozen=True, slots=True)
class Declared:
    """What is said about one setting."""

    name: str
    kind: Kind
    description: str
    env: tuple[str, ...]
    default: Any
    """The value, or None where it depends on the machine (the description says how)."""
    running: bool
    """Whether it may change while the sidecar runs."""


def _declared(f: Field[Any]) -> Declared:
    meta = f.metadata
    default = None if f.default is MISSING else f.default
    env = (f"MILLPOND_{f.name.upper()}", *meta["env"])
    return Declared(f.name, meta["kind"], meta["description"], env, default, meta["running"])


DECLARED: dict[str, Declared] = {f.name: _declared(f) for f in fields(Settings) if f.metadata}


def load(
    flags: Mapping[str, object] | None = None,
    *,
    named: Mapping[str, str] | None = None,
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings of this process. Raises InvalidSetting naming setting, origin and remedy.

    ``flags`` holds what was given on the command line, None values meaning "not given";
    ``named`` what ``--set name=value`` said.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}

    def take(name: str, raw: object, origin: str) -> None:
        if name not in DECLARED:
            raise _unknown(name, origin)
        values[name] = _convert(DECLARED[name], raw, origin)
        origins[name] = origin

    file = config_file(config, environ)
    if file is not None:
        for name, raw in _read_toml(file).items():
            take(name, raw, f"{file}: {name}")
    for declared in DECLARED.values():
        given = [(env, environ[env]) for env in declared.env if environ.get(env)]
        if len({text for _, text in given}) > 1:
            raise InvalidSetting(
                f"{' and '.join(env for env, _ in given)} differ",
                cause=f"both set {declared.name}",
                remedy="Unset one of them",
            )
        for env, text in given:
            take(declared.name, text, env)
    for name, raw in (flags or {}).items():
        if raw is not None:
            take(name, raw, f"--{name.replace('_', '-')}")
    for name, text in (named or {}).items():
        take(name, text, f"--set {name}")
    file = file or _candidates(environ)[-1 if os.geteuid() == 0 else 0]
    return Settings(**values, origins=origins, config_file=file.absolute())


def config_file(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The one TOML file that counts: the flag's, MILLPOND_CONFIG's, the user's, the system's."""
    named, origin = config, "--config"
    if named is None and environ.get(CONFIG_ENV):
        named, origin = Path(environ[CONFIG_ENV]), CONFIG_ENV
    if named is not None:
        try:
            if named.is_file():
                return named
            wrong = "it is a directory" if named.is_dir() else "there is no such file"
        except OSError as e:
            wrong = e.strerror or str(e)
        raise InvalidSetting(
            f"{origin} names {named}",
            cause=wrong,
            remedy="Name a TOML file with settings that this user may read",
        )
    return next((p for p in _candidates(environ) if p.is_file()), None)


def _candidates(environ: Mapping[str, str]) -> tuple[Path, Path]:
    """The TOML files that count where none is named: the user's, the system's."""
    home = Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return home / "millpond/millpond.toml", SYSTEM_CONFIG


def unknown_environment(environ: Mapping[str, str]) -> list[str]:
    """Variables that look like settings and are none: a typing error, or another tool's."""
    known = {CONFIG_ENV, *(env for d in DECLARED.values() for env in d.env)}
    close = difflib.get_close_matches
    return [n for n in environ if n.startswith("MILLPOND_") and n not in known and close(n, known)]


def _read_toml(file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise InvalidSetting(
            f"{file} is not valid TOML", cause=str(e), remedy='Write lines such as key = "value"'
        ) from None
    except OSError as e:
        raise InvalidSetting(f"{file} can't be read", cause=e.strerror or str(e)) from None


def parse(name: str, text: str, origin: str) -> Any:
    """The value that ``text`` means. Raises InvalidSetting."""
    if name not in DECLARED:
        raise _unknown(name, origin)
    return _convert(DECLARED[name], text, origin)


def _convert(declared: Declared, raw: object, origin: str) -> Any:
    if isinstance(raw, list):
        raw = ",".join(str(item) for item in raw)
    if isinstance(raw, bool) or not isinstance(raw, str | int | float | Path):
        raise _out_of_range(declared, raw, origin)
    try:
        value = declared.kind.parse(str(raw))
    except ValueError:
        raise _out_of_range(declared, raw, origin) from None
    if value is not None and not declared.kind.check(value):
        raise _out_of_range(declared, raw, origin)
    return value


def _out_of_range(declared: Declared, raw: object, origin: str) -> InvalidSetting:
    return InvalidSetting(
        f"{declared.name} ({origin}) is {raw!r}",
        cause=f"allowed: {declared.kind.allowed}",
        remedy="Correct or remove it",
    )


def _unknown(name: str, origin: str) -> InvalidSetting:
    near = difflib.get_close_matches(name, DECLARED, n=1)
    return InvalidSetting(
        f"unknown setting {name!r} ({origin})",
        remedy=f"Did you mean {near[0]}?" if near else "`millpond settings` lists all",
    )


def document() -> str:
    """docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "A value comes from the first of: a flag of `millpond serve`, the environment, a TOML file",
        f"(`--config`, `{CONFIG_ENV}`, `~/.config/millpond/millpond.toml`,",
        f"`{SYSTEM_CONFIG}`: the first that exists), the default.",
        "`millpond settings` shows each value and its origin.",
        "Sizes are written `512MiB`, durations `30s`; a bare number is in the unit of the name.",
        "`millpond set` changes those marked *set* in a running sidecar; others take a restart.",
        "This page is generated: `python -m millpond.settings > docs/settings.md`.",
        "",
        "| setting | default | allowed | environment | | meaning |",
        "|---|---|---|---|---|---|",
    ]
    for d in DECLARED.values():
        machine = d.default is None and d.name == "cache_dir"
        default = "see meaning" if machine else f"`{d.kind.show(d.default)}`".replace("``", "empty")
        env = ", ".join(f"`{e}`" for e in d.env)
        change = "set" if d.running else ""
        lines.append(
            f"| `{d.name}` | {default} | {d.kind.allowed} | {env} | {change} | {d.description} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(document(), end="")
