"""Settings: each default, each key, each source, and what is said about a bad value."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond import settings
from millpond.errors import InvalidSetting
from millpond.settings import DECLARED, Settings, load
from millpond.units import format_duration_ms, format_size, parse_duration_ms, parse_size

REPO = Path(__file__).parents[2]

# Written out a second time on purpose: a changed default must be a decision.
DEFAULTS = {
    "cache_capacity_bytes": None,
    "cache_policy": "s3fifo",
    "evict_high": 0.95,
    "evict_low": 0.90,
    "cache_dirs": (),
    "pin_share": 0.5,
    "pending_share": 0.5,
    "scrub_rate_bytes": 4 << 20,
    "node_aliases": (),
    "tcp_host": "127.0.0.1",
    "tcp_port": 0,
    "http_host": "127.0.0.1",
    "http_port": 8899,
    "remote_host": "",
    "remote_port": 8898,
    "fill_connections": 32,
    "fill_connections_per_file": 16,
    "fill_range_bytes": 8 << 20,
    "fill_memory_bytes": 256 << 20,
    "max_requests": 4096,
    "max_requests_per_connection": 256,
    "freshness_ms": 30_000,
    "list_freshness_ms": 0,
    "batch_idle_ms": 600_000,
    "staging_idle_ms": 86_400_000,
    "log_level": "info",
    "log_format": "text",
}
# (text, value) of each key, in its own unit where it has one.
EXAMPLES: dict[str, tuple[str, object]] = {
    "cache_dir": ("/data/mp", Path("/data/mp")),
    "cache_capacity_bytes": ("10GiB", 10 << 30),
    "cache_policy": ("LRU", "lru"),
    "evict_high": ("0.99", 0.99),
    "evict_low": ("0.5", 0.5),
    "cache_dirs": ("/d1,/d2", (Path("/d1"), Path("/d2"))),
    "pin_share": ("0.2", 0.2),
    "pending_share": ("0.3", 0.3),
    "scrub_rate_bytes": ("1MiB", 1 << 20),
    "node_aliases": ("a, b.example,10.0.0.1", ("a", "b.example", "10.0.0.1")),
    "tcp_host": ("::1", "::1"),
    "tcp_port": ("7000", 7000),
    "http_host": ("127.0.0.9", "127.0.0.9"),
    "http_port": ("0", 0),
    "remote_host": ("10.0.0.7", "10.0.0.7"),
    "remote_port": ("0", 0),
    "fill_connections": ("4", 4),
    "fill_connections_per_file": ("2", 2),
    "fill_range_bytes": ("4MiB", 4 << 20),
    "fill_memory_bytes": ("1g", 1 << 30),
    "max_requests": ("10", 10),
    "max_requests_per_connection": ("3", 3),
    "freshness_ms": ("2m", 120_000),
    "list_freshness_ms": ("1500", 1500),
    "batch_idle_ms": ("15m", 900_000),
    "staging_idle_ms": ("2h", 7_200_000),
    "log_level": ("DEBUG", "debug"),
    "log_format": ("json", "json"),
}
BAD = {
    "cache_dir": "relative/dir",
    "cache_capacity_bytes": "1MiB",
    "cache_policy": "mru",
    "evict_high": "1.5",
    "evict_low": "-1",
    "cache_dirs": "d1",
    "pin_share": "0.95",
    "pending_share": "0.91",
    "scrub_rate_bytes": "fast",
    "node_aliases": "localhost",
    "tcp_host": "0.0.0.0",
    "tcp_port": "65536",
    "http_host": "example.org",
    "http_port": "http",
    "remote_host": "example.org",
    "remote_port": "70000",
    "fill_connections": "0",
    "fill_connections_per_file": "many",
    "fill_range_bytes": "8 miles",
    "fill_memory_bytes": "1",
    "max_requests": "0",
    "max_requests_per_connection": "1.5",
    "freshness_ms": "2 days ago",
    "list_freshness_ms": "3000d",
    "batch_idle_ms": "0",
    "staging_idle_ms": "0",
    "log_level": "loud",
    "log_format": "xml",
}


@pytest.fixture(autouse=True)
def no_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings, "SYSTEM_CONFIG", tmp_path / "none.toml")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")


def test_every_setting_has_an_example_a_default_and_a_bad_value() -> None:
    assert set(EXAMPLES) == set(DECLARED) == set(BAD) == {*DEFAULTS, "cache_dir"}


def test_defaults() -> None:
    loaded = load(environ={})
    assert {n: getattr(loaded, n) for n in DEFAULTS} == DEFAULTS
    assert {loaded.origin(n) for n in DECLARED} == {"default"}


@pytest.mark.parametrize("uid", [0, 1000])
@pytest.mark.parametrize("exists", [True, False])
def test_default_cache_dir(
    uid: int, exists: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    system = tmp_path / "var" if exists else tmp_path / "absent"
    (tmp_path / "var").mkdir()
    monkeypatch.setattr(settings, "SYSTEM_CACHE_DIR", system)
    monkeypatch.setattr("os.geteuid", lambda: uid)
    expected = system if exists or uid == 0 else tmp_path / "home/.cache/millpond"
    assert load(environ={}).cache_dir == expected


@pytest.mark.parametrize("name", DECLARED)
def test_each_key_from_each_source(name: str, tmp_path: Path) -> None:
    text, value = EXAMPLES[name]
    for env in DECLARED[name].env:
        loaded = load(environ={env: text})
        assert (getattr(loaded, name), loaded.origin(name)) == (value, env)
    loaded = load({name: text}, environ={})
    assert (getattr(loaded, name), loaded.origin(name)) == (value, "--" + name.replace("_", "-"))
    file = tmp_path / "m.toml"
    file.write_text(f'{name} = "{text}"\n')
    loaded = load(config=file, environ={})
    assert (getattr(loaded, name), loaded.origin(name)) == (value, f"{file}: {name}")


@pytest.mark.parametrize("name", DECLARED)
def test_a_bad_value_names_setting_origin_and_what_is_allowed(name: str) -> None:
    env = DECLARED[name].env[0]
    with pytest.raises(InvalidSetting) as e:
        load(environ={env: BAD[name]})
    assert name in str(e.value)
    assert env in str(e.value)
    assert DECLARED[name].kind.allowed in str(e.value)


def test_flag_before_environment_before_file_before_default(tmp_path: Path) -> None:
    file = tmp_path / "m.toml"
    file.write_text("http_port = 1\ntcp_port = 1\nmax_requests = 1\n")
    environ = {"MILLPOND_CONFIG": str(file), "MILLPOND_HTTP_PORT": "2", "MILLPOND_TCP_PORT": "2"}
    loaded = load({"http_port": 3, "tcp_port": None}, environ=environ)
    assert (loaded.http_port, loaded.tcp_port, loaded.max_requests) == (3, 2, 1)
    assert loaded.fill_connections == 32


def test_which_file_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system, user = tmp_path / "etc.toml", tmp_path / "home/.config/millpond/millpond.toml"
    monkeypatch.setattr(settings, "SYSTEM_CONFIG", system)
    system.write_text("http_port = 1")
    assert load(environ={}).http_port == 1
    user.parent.mkdir(parents=True)
    user.write_text("http_port = 2")
    assert load(environ={}).http_port == 2
    named = tmp_path / "named.toml"
    named.write_text("http_port = 3")
    assert load(environ={"MILLPOND_CONFIG": str(named)}).http_port == 3
    flag = tmp_path / "flag.toml"
    flag.write_text("http_port = 4")
    assert load(config=flag, environ={"MILLPOND_CONFIG": str(named)}).http_port == 4


def test_toml_values_of_their_own_types(tmp_path: Path) -> None:
    file = tmp_path / "m.toml"
    file.write_text('node_aliases = ["a", "b"]\nevict_low = 0.25\nfreshness_ms = 5\n')
    loaded = load(config=file, environ={})
    assert (loaded.node_aliases, loaded.evict_low, loaded.freshness_ms) == (("a", "b"), 0.25, 5)


@pytest.mark.parametrize(
    "text", ["http_port = true", "[http_port]\na = 1", "http_port = 1979-05-27"]
)
def test_toml_values_of_wrong_types(text: str, tmp_path: Path) -> None:
    file = tmp_path / "m.toml"
    file.write_text(text)
    with pytest.raises(InvalidSetting, match="http_port"):
        load(config=file, environ={})


def test_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    file = tmp_path / "m.toml"
    file.write_text("freshnes_ms = 5")
    with pytest.raises(InvalidSetting, match=r"freshnes_ms.*Did you mean freshness_ms\?"):
        load(config=file, environ={})
    with pytest.raises(InvalidSetting, match="millpond settings"):
        load({"zzz": 1}, environ={})


def test_absent_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match=r"--config.*no such file"):
        load(config=tmp_path / "absent.toml", environ={})
    with pytest.raises(InvalidSetting, match=r"MILLPOND_CONFIG.*no such file"):
        load(environ={"MILLPOND_CONFIG": str(tmp_path / "absent.toml")})
    with pytest.raises(InvalidSetting, match=r"--config names .*: it is a directory\. Name a TOML"):
        load(config=tmp_path, environ={})
    broken = tmp_path / "broken.toml"
    broken.write_text("a b")
    with pytest.raises(InvalidSetting, match="not valid TOML"):
        load(config=broken, environ={})


def test_two_names_of_one_setting_may_not_contradict() -> None:
    both = {"MILLPOND_DIR": "/a", "MILLPOND_CACHE_DIR": "/a"}
    assert load(environ=both).cache_dir == Path("/a")
    with pytest.raises(InvalidSetting, match=r"MILLPOND_CACHE_DIR and MILLPOND_DIR differ"):
        load(environ={**both, "MILLPOND_DIR": "/b"})


def test_watermarks_in_order() -> None:
    with pytest.raises(InvalidSetting, match="below evict_high"):
        Settings(evict_low=0.95)


def test_misspelt_variables_are_found() -> None:
    found = settings.unknown_environment(
        {"MILLPOND_HTTP_PROT": "1", "MILLPOND_DIR": "", "HOME": ""}
    )
    assert found == ["MILLPOND_HTTP_PROT"]


def test_document_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert (REPO / "docs/settings.md").read_text() == settings.document()


@given(st.integers(0, 1 << 50))
def test_durations_are_shown_exactly(ms: int) -> None:
    assert parse_duration_ms(format_duration_ms(ms)) == ms


@given(st.integers(0, 1 << 52))
def test_sizes_are_shown_within_a_twentieth(size: int) -> None:
    assert parse_size(format_size(size)) == pytest.approx(size, rel=0.05)
