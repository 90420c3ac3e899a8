"""Why each block of a file is here or is not."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from millpond.errors import IsADirectory
from millpond.model.paths import path_hash
from millpond.model.sizes import (
    INLINE_FILE_BYTES,
    block_count,
    block_valid_bytes,
    page_count,
)
from millpond.store.history import Loss
from millpond.store.space import meta_key
from millpond.wire import millpond_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from millpond.namespace import Namespace
    from millpond.store import BlockStore

BYPASSES = 4096
"""Files of which a direct read is remembered, the longest ago forgotten first."""
_LOST = {
    Loss.EVICTED: wire.EVICTED,
    Loss.DROPPED: wire.DROPPED,
    Loss.BAD: wire.BAD,
    Loss.EXPIRED: wire.EXPIRED,
}


class Bypass(NamedTuple):
    """A Fill that was sent to the store; ``rule`` is the mount's, if one was the reason."""

    reason: str
    rule: str
    at_ms: int


class Bypasses:
    """The last one of each file. Belongs to the control loop, but for ``last``."""

    def __init__(self) -> None:
        self._by_path: OrderedDict[str, Bypass] = OrderedDict()

    def note(self, path: str, reason: str, rule: str = "") -> None:
        self._by_path[path] = Bypass(reason, rule, time.time_ns() // 1_000_000)
        self._by_path.move_to_end(path)
        if len(self._by_path) > BYPASSES:
            self._by_path.popitem(last=False)

    def last(self, path: str) -> Bypass | None:
        """Any thread."""
        return self._by_path.get(path)


class _State(NamedTuple):
    state: wire.BlockState
    pages: int = 0
    at_ms: int = 0
    detail: str = ""


class Explainer:
    """Answers ExplainRequest. Blocks; any thread."""

    def __init__(self, store: BlockStore, namespace: Namespace, bypasses: Bypasses) -> None:
        self._store = store
        self._namespace = namespace
        self._bypasses = bypasses

    def explain(self, path: str) -> wire.ExplainReply:
        """Raises IsADirectory, and what a Stat raises."""
        info = self._namespace.stat(path)
        if info.directory:
            raise IsADirectory(
                f"{info.path} is a directory", remedy="Name a file; `millpond load -n` takes a tree"
            )
        mount = self._namespace.table.find(info.path)
        history = self._store.history
        return wire.ExplainReply(
            info=info,
            mount=mount.path if mount is not None else "",
            runs=_runs(self._states(info)),
            history_since_ms=history.since_ms,
            history_events=len(history),
            history_bound=history.bound,
        )

    def _states(self, info: wire.FileInfo) -> Iterator[_State]:
        blocks = block_count(info.length)
        if not info.file_id:
            why = "it changed just now, or its store gives no version that can be relied on"
            yield from [_State(wire.NOT_CACHEABLE, detail=why)] * blocks
            return
        absent = self._absent(info)
        if info.length <= INLINE_FILE_BYTES:
            yield from self._small(info, absent)
            return
        here = set(self._store.blocks_of(info.file_id))
        lost = self._store.history.find(info.file_id)
        for block in range(blocks):
            pages = page_count(block_valid_bytes(info.length, block))
            present = 0
            if block in here:
                present = self._store.page_map(info.file_id, block).bit_count()
            if present:
                state = wire.HERE if present == pages else wire.PARTLY_HERE
                yield _State(state, present)
            elif event := lost.get(block):
                yield _State(_LOST[event.what], at_ms=event.at_ms)
            else:
                yield absent

    def _small(self, info: wire.FileInfo, absent: _State) -> Iterator[_State]:
        """A file whose bytes lie in its meta: one block, if it has bytes at all."""
        if not info.length:
            return
        meta = self._store.get_meta(info.store_path)
        if meta is not None and meta.file_id == info.file_id and meta.content is not None:
            yield _State(wire.HERE, 1)
            return
        key = meta_key(path_hash(info.store_path))
        events = self._store.history.find(key[:16]).values()
        event = max(events, key=lambda e: e.at_ms, default=None)
        yield absent if event is None else _State(_LOST[event.what], at_ms=event.at_ms)

    def _absent(self, info: wire.FileInfo) -> _State:
        """Why a block is absent that was not here before."""
        mount = self._namespace.table.find(info.path)
        rules = mount.control.admission if mount is not None else None
        if mount is not None and rules is not None:
            rule = rules.bypassed_by(mount.below(info.path), info.length, "")
            if rule is not None:
                return _State(wire.NOT_ADMITTED, detail=rule.text)
        bypass = self._bypasses.last(info.path)
        if bypass is not None and bypass.rule:
            return _State(wire.NOT_ADMITTED, at_ms=bypass.at_ms, detail=bypass.rule)
        if bypass is not None:
            return _State(wire.BYPASSED, at_ms=bypass.at_ms, detail=bypass.reason)
        changed_ms = self._namespace.last_change_ms(info.store_path)
        if changed_ms is not None:
            return _State(wire.VERSION_CHANGED, at_ms=changed_ms)
        return _State(wire.NEVER_READ)


def _runs(states: Iterable[_State]) -> Iterator[wire.BlockRun]:
    """Consecutive equal states as one; the pages of whole blocks are not told apart."""
    run: wire.BlockRun | None = None
    last: _State | None = None
    for block, state in enumerate(states):
        if state.state == wire.HERE:
            state = state._replace(pages=0)
        if run is not None and state == last:
            run.count += 1
            continue
        if run is not None:
            yield run
        run = wire.BlockRun(
            first=block, count=1, state=state.state, pages=state.pages, at_ms=state.at_ms,
            detail=state.detail,
        )  # fmt: skip
        last = state
    if run is not None:
        yield run
