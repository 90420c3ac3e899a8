"""The command line: ``millpond``."""

from millpond.cli.app import main

__all__ = ["main"]
