"""Telling systemd how the service is (sd_notify): one datagram, when it asked for that."""

from __future__ import annotations

import contextlib
import os
import socket


def notify(state: str) -> None:
    """Send ``READY=1``, ``STOPPING=1``, ``STATUS=…`` where NOTIFY_SOCKET says; else do nothing."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    if address[0] == "@":  # in the abstract namespace
        address = "\0" + address[1:]
    # Whether systemd listens must not decide whether we serve.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(state.encode(), address)
