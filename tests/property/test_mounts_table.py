"""The mount table against the obvious way of looking a path up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from millpond.errors import MountNotFound
from millpond.namespace.mounts import Mount, MountTable

names = st.sampled_from(["a", "b", "aa", "a b", "100%", "é"])
paths = st.lists(names, max_size=4).map(lambda parts: "/" + "/".join(parts))
prefixes = st.sampled_from(["", "p", "p/q"])
tables = st.dictionaries(paths, prefixes, max_size=6).map(
    lambda d: [Mount(p, f"s3a://b/{x}", "0" * 16, "b", x) for p, x in d.items()]
)


def covers(mount: str, path: str) -> bool:
    return mount == "/" or path == mount or path.startswith(mount + "/")


@given(tables, paths)
def test_the_longest_covering_mount_wins(mounts: list[Mount], path: str) -> None:
    covering = [m for m in mounts if covers(m.path, path)]
    table = MountTable(mounts)
    try:
        resolved = table.resolve(path)
    except MountNotFound:
        assert not covering
        return
    assert resolved.mount == max(covering, key=lambda m: len(m.path.rstrip("/")))
    below = path[len(resolved.mount.path.rstrip("/")) :].strip("/")
    expected = "/".join(p for p in (resolved.mount.prefix, below) if p)
    assert resolved.key == expected
    assert resolved.mount.path_of(resolved.key) == path
    assert path in table.paths_of("0" * 16, "b", resolved.key)


@given(tables, paths)
def test_directories_above_mounts_exist(mounts: list[Mount], path: str) -> None:
    table = MountTable(mounts)
    inside = path.rstrip("/") + "/"
    below = {m.path[len(inside) :].split("/")[0] for m in mounts if m.path.startswith(inside)} - {
        ""
    }
    assert table.mount_points(path) == below
    uncovered = not any(covers(m.path, path) for m in mounts)
    assert table.is_synthetic(path) == (uncovered and (bool(below) or path == "/"))


@given(tables, paths)
def test_nested_are_the_outermost_below(mounts: list[Mount], path: str) -> None:
    strictly = [m for m in mounts if covers(path, m.path) and m.path != path]
    outermost = [
        m for m in strictly if not any(o is not m and covers(o.path, m.path) for o in strictly)
    ]
    assert MountTable(mounts).nested(path) == sorted(outermost, key=lambda m: m.path)


@given(tables)
def test_what_is_published_is_what_is_mounted(mounts: list[Mount]) -> None:
    wire = MountTable(mounts).to_wire()
    assert [(m.path, m.prefix) for m in wire.mounts] == sorted((m.path, m.prefix) for m in mounts)
