"""``make bench BENCH=name``: finds a measurement by name and runs it.

A measurement is a module of this folder that defines ``main(argv)``; its name is the module's.
"""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent


def measurements() -> dict[str, str]:
    """Name → first line of the docstring, read without importing anything."""
    found = {}
    for path in sorted(HERE.glob("*.py")):
        tree = ast.parse(path.read_text())
        has_main = any(isinstance(n, ast.FunctionDef) and n.name == "main" for n in tree.body)
        if has_main and path.stem != Path(__file__).stem:
            found[path.stem] = (ast.get_docstring(tree) or "").partition("\n")[0]
    return found


def main(argv: Sequence[str]) -> int:
    known = measurements()
    listing = "\n".join(f"  {name:24}{text}" for name, text in known.items())
    usage = f"python -m tests.bench.run NAME [OPTIONS]; NAME --help tells its options\n{listing}"
    if not argv or argv[0] in ("--list", "--help", "-h"):
        print(usage)
        return 0 if argv else 2
    if argv[0] not in known:
        print(f"no measurement {argv[0]!r}; there are:\n{listing}", file=sys.stderr)
        return 2
    told: int = importlib.import_module(f"tests.bench.{argv[0]}").main(argv[1:])
    return told


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
