"""The TOML file that `millpond set --save` edits."""

from __future__ import annotations

import os
import tomllib
from typing import TYPE_CHECKING

import pytest

from millpond.cli.change import edited, save_setting
from millpond.errors import InvalidSetting

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 'freshness_ms = "7s"\n'),
        ("# mine\nlog_level = 'info'", "freshness_ms = \"7s\"\n# mine\nlog_level = 'info'"),
        ("a = 1\n  freshness_ms= 30 # s\nb = 2\n", 'a = 1\nfreshness_ms = "7s"\nb = 2\n'),
        ("# freshness_ms = 1\n", 'freshness_ms = "7s"\n# freshness_ms = 1\n'),
        ("[table]\nfreshness_ms = 1\n", 'freshness_ms = "7s"\n[table]\nfreshness_ms = 1\n'),
        ("list_freshness_ms = 1\n", 'freshness_ms = "7s"\nlist_freshness_ms = 1\n'),
    ],
)
def test_one_line_changes(text: str, expected: str) -> None:
    assert edited(text, "freshness_ms", "7s") == expected


@pytest.mark.parametrize("value", ["0.9", "12", "7s", 'a "quote" \\ é', "1.5.2", "-1"])
def test_what_is_written_is_what_was_said(value: str) -> None:
    said = tomllib.loads(edited("x = 1\n", "name", value))["name"]
    assert str(said) == value


@pytest.mark.parametrize(
    "text", ["name = '''\n1'''\n", 'other = """\nname = 1\n"""\nname = 2\n', '"name" = 1\n', "a = "]
)
def test_what_can_not_be_edited_is_refused(text: str) -> None:
    with pytest.raises(InvalidSetting):
        edited(text, "name", "2")


def test_a_new_file_and_its_folder_are_made(tmp_path: Path) -> None:
    file = tmp_path / "millpond/millpond.toml"
    save_setting(file, "evict_low", "0.5")
    assert file.read_text() == "evict_low = 0.5\n"
    assert os.listdir(file.parent) == ["millpond.toml"]


def test_a_file_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("")
    with pytest.raises(InvalidSetting, match=r"folder/my\.toml was not written"):
        save_setting(tmp_path / "folder/my.toml", "evict_low", "0.5")
