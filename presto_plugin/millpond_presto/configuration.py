"""Presto's configuration files as mappings: Java properties, and Hadoop's XML."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def read_properties(path: Path) -> dict[str, str]:
    """The properties of a file; none where there is no file. Raises OSError."""
    if not path.exists():
        return {}
    values = {}
    for line in path.read_text(errors="replace").replace("\\\n", "").splitlines():
        text = line.strip()
        if text and text[0] not in "#!":
            key, _, value = text.partition("=" if "=" in text else ":")
            values[key.strip()] = value.strip().replace("\\\\", "\\")
    return values


def read_resources(path: str | Path) -> dict[str, str]:
    """The properties of a Hadoop XML file. Raises OSError, ValueError for what is no such file."""
    try:
        root = ET.parse(path).getroot()
    except ET.ParseError as e:
        raise ValueError(str(e)) from None
    found = ((p.findtext("name"), p.findtext("value")) for p in root.iter("property"))
    return {name.strip(): (value or "").strip() for name, value in found if name}
