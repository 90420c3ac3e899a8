"""Writes the tables of ``build/bench`` into docs/benchmarks.md; the others there stay."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from tests.bench.jvm import BUILD, ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PAGE = ROOT / "docs" / "benchmarks.md"
MARK = "<!-- figures -->"
_HEADING = "## Figures: "


def sections(folder: Path) -> dict[str, str]:
    """Heading, machine and table of each measurement found, by its name."""
    out = {}
    for path in sorted(folder.glob("*.json")):
        table = path.with_suffix(".md")
        machine = json.loads(path.read_text()).get("machine", {})
        if not table.exists() or machine.get("quick"):
            continue
        about = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in machine.items())
        out[path.stem] = f"{_HEADING}{path.stem}\n{about}.\n\n{table.read_text().strip()}\n"
    return out


def published(page: str) -> dict[str, str]:
    """The sections that stand on the page."""
    _, *standing = page.partition(MARK)[2].split(_HEADING)
    return {s.partition("\n")[0]: f"{_HEADING}{s.strip()}\n" for s in standing}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args(sys.argv[1:] if argv is None else argv)
    found = sections(BUILD)
    if not found:
        print(f"no figures in {BUILD}: run make bench first", file=sys.stderr)
        return 1
    page = PAGE.read_text()
    every = published(page) | found
    tables = "\n".join(every[name] for name in sorted(every))
    PAGE.write_text(f"{page.partition(MARK)[0]}{MARK}\n{tables}")
    print(f"written: {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
