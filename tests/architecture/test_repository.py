"""The habits of this repository, as far as a machine can tell."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("sidecar", "spark_plugin", "presto_plugin", "jars", "tpcds")
IGNORED = {".git", ".venv", "build", "dist", "target", "__pycache__"}
GENERATED = re.compile(r"_pb2\.pyi?$")
MAX_LINES = 500
CODE = {".py", ".pyi", ".java", ".sh", ".proto", ".xml", ".toml"}
# Written in pieces, so that this file does not find itself.
UNFINISHED = ["TO" + "DO", "FIX" + "ME", "XX" + "X"]
MACHINES = ["/wo" + "rk/", "/ro" + "ot/"]
HOSTS = ["py" + "pi.org", "pythonhosted" + ".org", "repo1?.maven" + ".org", "deb.debian" + ".org"]


@cache
def tracked() -> list[Path]:
    """Every file of the project: what git tracks, or, in an unpacked archive, what lies here."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode == 0:
        files = [ROOT / os.fsdecode(name) for name in listed.stdout.split(b"\0") if name]
    else:
        files = [p for p in ROOT.rglob("*") if not IGNORED & set(p.relative_to(ROOT).parts)]
    return [p for p in files if p.is_file()]


@cache
def texts() -> dict[str, str]:
    """Path and content of every text file that people write."""
    found = {}
    for path in tracked():
        name = str(path.relative_to(ROOT))
        data = path.read_bytes()
        if b"\0" not in data and not GENERATED.search(name):
            found[name] = data.decode()
    return found


def packages() -> list[str]:
    return sorted(
        ".".join(init.parent.relative_to(ROOT / room).parts)
        for room in ROOMS
        for init in (ROOT / room).rglob("__init__.py")
        if not IGNORED & set(init.parts)
    )


def test_files_stay_short() -> None:
    lengths = {
        name: text.count("\n") for name, text in texts().items() if Path(name).suffix in CODE
    }
    assert lengths, "no code was found"
    assert {name: n for name, n in lengths.items() if n > MAX_LINES} == {}
    assert texts()["ARCHITECTURE.md"].count("\n") <= 200


@pytest.mark.parametrize("words", [UNFINISHED, MACHINES, HOSTS], ids=["notes", "paths", "hosts"])
def test_text_speaks_of_the_project_alone(words: list[str]) -> None:
    pattern = re.compile(rf"(?<![\w.]){'|'.join(f'(?:{w})' for w in words)}")
    found = [
        f"{name}:{number}: {line.strip()}"
        for name, text in texts().items()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


def test_import_contracts_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", packages())
def test_a_package_exports_what_it_says(name: str) -> None:
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", [])
    assert [n for n in exported if not hasattr(module, n)] == []
    assert sorted(set(exported)) == sorted(exported)
    tree = ast.parse(Path(str(module.__file__)).read_text())
    if any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in tree.body):
        return  # it uses what it imports
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("millpond")
        for alias in node.names
    }
    assert imported <= set(exported), "imported for others, but not in __all__"


def test_generated_frames_are_what_the_proto_says(tmp_path: Path) -> None:
    wire = ROOT / "sidecar/millpond/wire"
    protos = sorted(p.name for p in wire.glob("*.proto"))
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{wire}", *protos]
    command += [f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    subprocess.run(command, check=True, capture_output=True)
    for made in tmp_path.iterdir():
        assert (wire / made.name).read_text() == made.read_text(), made.name


def test_the_settings_page_is_current() -> None:
    from millpond.settings import document

    assert (ROOT / "docs/settings.md").read_text() == document()


def test_every_test_an_invariant_names_exists() -> None:
    table = texts()["ARCHITECTURE.md"].partition("## Invariants")[2]
    named = set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", table))
    assert named, "the table of invariants names no test"
    missing = {
        f"{file}::{test}"
        for file, test in named
        if file not in texts() or (test and f"def {test}(" not in texts()[file])
    }
    java = set(re.findall(r"`(\w+Test)`", table))
    classes = {Path(name).stem for name in texts() if name.endswith("Test.java")}
    assert missing | (java - classes) == set()


def test_links_between_pages_lead_somewhere() -> None:
    broken = [
        f"{name}: {target}"
        for name, text in texts().items()
        if name.endswith(".md")
        for target in re.findall(r"\]\(([^)#\s]+)", text)
        if "://" not in target and not (ROOT / name).parent.joinpath(target).exists()
    ]
    assert broken == []


@pytest.mark.parametrize("target", ["demo", "test", "test-full", "check", "jars", "bench", "clean"])
def test_make_needs_nothing_of_the_environment(target: str, tmp_path: Path) -> None:
    clean = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        ["make", "-n", target], cwd=ROOT, env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_readme_names_the_test_command() -> None:
    assert "make test" in texts()["README.md"]
