"""Who may write: what the kernel and writer secrets say of a peer, against a mount's writers."""

from __future__ import annotations

import grp
import os
from typing import TYPE_CHECKING

from millpond.errors import NotAWriter
from millpond.store.node import user_name

if TYPE_CHECKING:
    from millpond.namespace.mounts import Mount
    from millpond.server.core.session import Peer


class Rights:
    """The writers of this sidecar's mounts. Looks users up: not for the control loop."""

    def __init__(self, uid: int | None = None) -> None:
        self._uid = os.geteuid() if uid is None else uid
        self._name = user_name(self._uid)

    def check(self, mount: Mount, peer: Peer) -> None:
        """Raises NotAWriter. Root and the sidecar's own user may always write."""
        if peer.uid in (0, self._uid) or (peer.name is not None and peer.name == self._name):
            return
        names = _names(peer)
        if mount.writers.allow(names):
            return
        named = ", ".join(mount.writers.names)
        who = peer.name or (f"user {peer.uid}" if peer.uid is not None else "a client over TCP")
        raise NotAWriter(
            f"{who} may not change files in {mount.path}",
            cause=f"its writers are {self._name}" + (f", {named}" if named else " alone"),
            remedy="Mount it with -o writers=NAME,…; a client without a Unix socket shows a secret "
            "too (fs.cache.secret.file, `millpond writer-secret NAME`)",
        )


def _names(peer: Peer) -> set[str]:
    """What a list of writers may call a peer."""
    names = {peer.name} if peer.name is not None else set()
    if peer.uid is not None:
        names |= {str(peer.uid), user_name(peer.uid)}
    for gid in peer.gids:
        names.add(f"@{gid}")
        try:
            names.add(f"@{grp.getgrgid(gid).gr_name}")
        except KeyError:
            continue
    return names
