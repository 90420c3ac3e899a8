"""The client of the local protocol, under the name that the command line and tests know."""

from millpond.wire.local_client import LocalClient

__all__ = ["LocalClient"]
