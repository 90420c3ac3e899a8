"""``python -m millpond_tpcds``: the same commands as ``millpond tpcds``."""

from __future__ import annotations

from millpond_tpcds.commands import main

if __name__ == "__main__":
    main()
