"""The cache directory itself: modes, the lock, node.properties, token, formats of the future."""

import os
import stat
import subprocess
import sys

import pytest

from millpond.errors import CacheDirUnusable, InvalidRequest, InvalidSetting, UnknownFormat
from millpond.model.paths import block_name, meta_name, path_hash
from millpond.model.records import Meta
from millpond.store import node
from tests.fixtures.tiny_reader import block_path

FILE_ID = bytes(range(16))
PAGE = bytes(65536)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_modes_and_group_do_not_depend_on_the_umask(tmp_path, open_store, umask):
    directory = tmp_path / "c"
    old = os.umask(umask)
    try:
        store = open_store(directory)
        store.start_lease(1, 1)
        with_block = store.writer(FILE_ID, 0, 10)
        with_block.put(0, b"x" * 10)
        with_block.close()
        store.put_meta(Meta("s/b/k", FILE_ID, "v", 10, 0, 0, store.boot_id))
        store.publish_mounts(b"")
    finally:
        os.umask(old)
    files = {p for p in directory.rglob("*") if p.is_file()}
    assert {p.name for p in files} >= {"lease", "token", "epochs", "mounts", "node.properties", "0"}
    private = {directory / "control.token", directory / "writer.secret"}
    assert {mode(p) for p in files - {directory / "lock"} - private} == {0o640}
    assert {mode(p) for p in private} == {0o600}
    assert not mode(directory / "lock") & 0o007
    assert {mode(p) for p in directory.rglob("*") if p.is_dir()} == {0o2750}
    assert mode(directory) & 0o777 == 0o750


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to give a directory to another group")
def test_everything_takes_the_group_of_the_directory(tmp_path, open_store):
    directory = tmp_path / "c"
    directory.mkdir(0o750)
    os.chown(directory, -1, 12345)
    store = open_store(directory)
    store.writer(FILE_ID, 0, 10).close()
    store.put_meta(Meta("s/b/k", FILE_ID, "v", 10, 0, 0, store.boot_id))
    below = [p for room in ("blocks", "meta", "staging") for p in (directory / room).rglob("*")]
    assert len(below) == 5
    assert {p.stat().st_gid for p in below} == {12345}


@pytest.mark.parametrize("bits", [0o755, 0o751, 0o752])
def test_a_directory_open_to_the_world_is_refused(tmp_path, open_store, bits):
    directory = tmp_path / "c"
    directory.mkdir()
    directory.chmod(bits)
    with pytest.raises(CacheDirUnusable, match=r"open to every user.*chmod o-rwx"):
        open_store(directory)


def test_a_file_is_no_cache_directory(tmp_path, open_store):
    (tmp_path / "c").write_text("")
    with pytest.raises(CacheDirUnusable):
        open_store(tmp_path / "c")


def test_a_directory_that_cannot_be_made_is_refused(tmp_path, open_store):
    (tmp_path / "f").write_text("")
    with pytest.raises(CacheDirUnusable, match="MILLPOND_DIR"):
        open_store(tmp_path / "f" / "c")


def test_a_second_sidecar_is_refused_and_told_the_first_ones_pid(store, open_store):
    script = (
        "import sys; from pathlib import Path; from millpond.store import BlockStore\n"
        "try: BlockStore.open(Path(sys.argv[1]))\n"
        "except Exception as e: print(type(e).__name__, e)"
    )
    told = subprocess.run(
        [sys.executable, "-c", script, store.directory], capture_output=True, text=True, check=True
    ).stdout
    assert told.startswith("CacheDirUnusable")
    assert f"its pid is {os.getpid()}" in told
    store.close()
    open_store()


def test_who_the_node_is_survives_a_restart(store, open_store):
    store.publish_node(**{"tcp.port": "1234", "socket": "/x=y"})
    first = (store.node_id, store.token)
    store.close()
    again = open_store(capacity_bytes=None, aliases=["h1", "h1.example"])
    assert (again.node_id, again.token) == first
    assert (again.instance, again.epochs_id) != (store.instance, store.epochs_id)
    values = node.load(again.directory / "node.properties")
    assert values["node.aliases"] == "h1,h1.example"
    assert (values["tcp.port"], values["socket"], values["format"]) == ("1234", "/x=y", "1")
    assert again.stats().capacity_bytes == 1 << 28, "the capacity is remembered"
    assert len(again.token) == 64


def test_the_first_capacity_is_a_share_of_what_is_free(open_store):
    store = open_store(capacity_bytes=None)
    free = os.statvfs(store.directory)
    share = store.stats().capacity_bytes / (free.f_bavail * free.f_frsize)
    assert 0.75 < share < 0.85


def test_garbled_files_are_replaced_and_kept_aside(store, open_store):
    store.close()
    (store.directory / "node.properties").write_bytes(b"\xff\xfe garbage")
    (store.directory / "token").write_text("short")
    again = open_store()
    assert again.node_id != store.node_id
    assert len(again.token) == 64
    assert [p.read_bytes() for p in (store.directory / "aside").iterdir()] == [b"\xff\xfe garbage"]


def test_a_directory_of_a_newer_release_is_left_alone(store, open_store):
    store.close()
    path = store.directory / "node.properties"
    path.write_text(path.read_text().replace("format=1", "format=2"))
    before = path.read_bytes()
    with pytest.raises(UnknownFormat, match=r"format 2.*newer release"):
        open_store()
    assert path.read_bytes() == before


def test_a_property_with_a_line_break_is_refused(store):
    with pytest.raises(InvalidRequest):
        store.publish_node(socket="a\nformat=9")


@pytest.mark.parametrize("options", [{"low": 0.99}, {"policy": "mru"}, {"low": 0.0}])
def test_senseless_settings_are_refused_and_the_lock_given_back(open_store, options):
    with pytest.raises(InvalidSetting):
        open_store(**options)
    open_store()


def test_a_block_and_a_meta_of_a_newer_release_are_set_aside(store):
    writer = store.writer(FILE_ID, 0, len(PAGE))
    writer.put(0, PAGE)
    writer.close()
    store.put_meta(Meta("s/b/k", FILE_ID, "v", 10, 0, 0, store.boot_id))
    meta = store.directory / meta_name(path_hash("s/b/k"))
    for path in (block_path(store.directory, FILE_ID, 0), meta):
        with path.open("r+b") as file:
            file.seek(8)
            file.write(b"\x02")
    assert store.page_map(FILE_ID, 0) == 0
    assert store.get_meta("s/b/k") is None
    assert len(list((store.directory / "aside").iterdir())) == 2
    assert not meta.exists()
    writer = store.writer(FILE_ID, 0, len(PAGE))
    assert writer.put(0, PAGE) == 1
    writer.close()
    with (store.directory / block_name(FILE_ID, 0)).open("r+b") as file:
        file.seek(8)
        file.write(b"\x02")
    store.writer(FILE_ID, 0, len(PAGE)).close()
    assert len(list((store.directory / "aside").iterdir())) == 3
    assert store.stats().corrupt_pages == 0


def test_staging_is_emptied_at_start(store, open_store):
    store.close()
    (store.directory / "staging" / "left").mkdir()
    (store.directory / "staging" / "left" / "over").write_text("x")
    assert list((open_store().directory / "staging").iterdir()) == []
