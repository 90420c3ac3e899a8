"""Writes the tables of ``build/bench`` into docs/benchmarks.md."""

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


def sections(folder: Path) -> str:
    """A heading, the machine and the table of each measurement found."""
    out = []
    for path in sorted(folder.glob("*.json")):
        table = path.with_suffix(".md")
        machine = json.loads(path.read_text()).get("machine", {})
        if not table.exists() or machine.get("quick"):
            continue
        about = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in machine.items())
        out.append(f"## Figures: {path.stem}\n{about}.\n\n{table.read_text()}")
    return "\n".join(out)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args(sys.argv[1:] if argv is None else argv)
    found = sections(BUILD)
    if not found:
        print(f"no figures in {BUILD}: run make bench first", file=sys.stderr)
        return 1
    head, mark, _ = PAGE.read_text().partition(MARK)
    PAGE.write_text(f"{head}{mark or MARK}\n{found}")
    print(f"written: {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
