"""The dashboard: one server-rendered page about this sidecar, with charts of its last day.

Anybody on this node may see it, so it shows sums, names of mounts and who is connected, as
``/metrics`` does: no store URI, no path of a file, no secret.
"""

from millpond.server.dashboard.pages import Dashboard

__all__ = ["Dashboard"]
