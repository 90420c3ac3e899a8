"""fsspec writes ``cache://``: against a real sidecar and a real S3 server."""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING

import pytest

from millpond.errors import Conflict, SidecarUnavailable
from millpond.model.sizes import MIB
from tests.fixtures.python_client import site

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fixtures.python_client import PythonSite

__all__ = ["site"]
CONTENT = random.Random(7).randbytes(20 * MIB + 4_321)


def test_what_fsspec_writes(site: PythonSite, tmp_path: Path) -> None:
    fs = site.fs()
    with fs.open("/m/d/big", "wb") as file:
        for at in range(0, len(CONTENT), 999_999):
            file.write(CONTENT[at : at + 999_999])
        assert not fs.exists("/m/d/big")
    before = site.store_calls()
    warm = site.fs()
    assert warm.cat_file("/m/d/big") == CONTENT
    after = site.store_calls()
    assert (after.get, after.head) == (before.get, before.head)
    assert warm.counters["hit_bytes"] == len(CONTENT)

    fs.pipe("/m/d/small", b"small")
    with fs.open("/m/d/text", "w") as text:
        text.write("line\n")
    (tmp_path / "local").write_bytes(b"put")
    fs.put(str(tmp_path / "local"), "/m/d/put")
    fs.touch("/m/d/empty")
    assert fs.cat("/m/d/*") == {
        "/m/d/big": CONTENT, "/m/d/small": b"small", "/m/d/text": b"line\n",
        "/m/d/put": b"put", "/m/d/empty": b"",
    }  # fmt: skip

    fs.mv("/m/d/small", "/m/d/moved")
    assert fs.cat_file("/m/d/moved") == b"small"
    assert not fs.exists("/m/d/small")
    fs.cp("/m/d/big", "/m/d/copy")
    assert fs.cat_file("/m/d/copy") == CONTENT
    fs.mkdir("/m/e")
    assert fs.isdir("/m/e")
    with pytest.raises(FileExistsError):
        fs.mkdir("/m/e")
    with pytest.raises(OSError, match="is not empty"):
        fs.rmdir("/m/d")
    fs.rm("/m/d/put")
    assert not fs.exists("/m/d/put")
    fs.rm("/m/d", recursive=True)
    assert not fs.exists("/m/d")


def test_what_is_not_written(site: PythonSite) -> None:
    fs = site.fs()
    fs.pipe("/m/f", b"1")
    with pytest.raises(FileExistsError):
        fs.open("/m/f", "xb")
    with pytest.raises(IsADirectoryError):
        fs.open("/m", "wb")
    with pytest.raises(NotADirectoryError):
        fs.open("/m/f/below", "wb")
    with pytest.raises(io.UnsupportedOperation):
        fs.open("/m/f", "ab")
    with pytest.raises(FileNotFoundError):
        fs.rm("/m/absent")

    def fail() -> None:
        with fs.open("/m/half", "wb") as file:
            file.write(CONTENT)
            raise ValueError("a fault of the program")

    with pytest.raises(ValueError, match="a fault"):
        fail()
    assert not fs.exists("/m/half")
    late = fs.open("/m/race", "xb")
    site.fs().pipe("/m/race", b"first")
    late.write(b"second")
    with pytest.raises(Conflict):
        late.close()
    assert fs.cat_file("/m/race") == b"first"


@pytest.mark.parametrize("write_type", ["through", "async"])
def test_a_transaction(site: PythonSite, write_type: str) -> None:
    """Its files appear at its end, each by a commit of its own, and none where it is given up."""
    fs = site.fs()
    with fs.transaction:
        for name in ("a", "b"):
            with fs.open(f"/m/t/{name}", "wb", write_type=write_type) as file:
                file.write(name.encode())
        assert not fs.exists("/m/t/a")
    assert site.fs().cat("/m/t/*") == {"/m/t/a": b"a", "/m/t/b": b"b"}

    def give_up() -> None:
        with fs.transaction, fs.open("/m/t/c", "wb", write_type=write_type) as file:
            file.write(b"c")
            raise ValueError("a fault of the program")

    with pytest.raises(ValueError, match="a fault"):
        give_up()
    site.sidecar.control.persist_wait("/m")
    assert sorted(site.fs().cat("/m/t/*")) == ["/m/t/a", "/m/t/b"]


def test_without_a_sidecar(site: PythonSite) -> None:
    """What is begun without one goes to the store; what has lost one is not written."""
    fs = site.fs()
    lost = fs.open("/m/lost", "wb")
    lost.write(CONTENT)
    site.sidecar.process.kill()
    site.sidecar.process.wait()
    lost.write(b"more")
    with pytest.raises(SidecarUnavailable):
        lost.close()
    with fs.open("/m/direct", "wb") as file:
        file.write(CONTENT)
    assert fs.cat_file("/m/direct") == CONTENT
    assert fs.counters["fallback_sidecar_absent"] > 0
    fs.mv("/m/direct", "/m/moved")
    fs.makedirs("/m/d/e")
    assert sorted(fs.ls("/m", detail=False)) == ["/m/d", "/m/moved"]
    fs.rm("/m/moved")
    assert not fs.exists("/m/moved")
