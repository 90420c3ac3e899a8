"""The bounded memory of losses, against a plain list."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from millpond.store.history import BOUND, History, Loss
from millpond.store.space import block_key

IDENTS = [bytes([i]) * 16 for i in range(3)] + [b"\1" * 15 + b"\2"]


@given(
    st.integers(1, 9),
    st.lists(st.tuples(st.sampled_from(IDENTS), st.integers(0, 4), st.sampled_from(Loss))),
)
def test_the_last_losses_are_found_and_no_others(
    bound: int, losses: list[tuple[bytes, int, Loss]]
) -> None:
    history = History(bound)
    began_ms = history.since_ms
    for ident, block, what in losses:
        history.add(block_key(ident, block), what)
    kept = losses[-bound:]
    assert len(history) == len(kept)
    for ident in IDENTS:
        expected = {block: what for i, block, what in kept if i == ident}
        found = history.find(ident)
        assert {block: event.what for block, event in found.items()} == expected
        assert all(event.at_ms >= began_ms for event in found.values())
    assert history.since_ms >= began_ms


def test_an_identity_inside_another_record_is_not_met() -> None:
    """Records lie one after another: their bytes may look like a key across a border."""
    history = History(8)
    history.add(b"\0" * 20, Loss.EVICTED)
    history.add(b"\0" * 20, Loss.EVICTED)
    assert history.find(b"\0" * 16).keys() == {0}
    assert history.find(b"\0" * 8 + b"\1" * 8) == {}


@given(st.lists(st.tuples(st.sampled_from(IDENTS), st.integers(0, 4), st.sampled_from(Loss))))
def test_the_last_loss_of_a_block_is_known_at_once(losses: list[tuple[bytes, int, Loss]]) -> None:
    history, expected = History(2), {}
    for ident, block, what in losses:
        history.add(block_key(ident, block), what)
        expected[block_key(ident, block)] = what
    assert history.last(b"?" * 20) is None
    for key, what in expected.items():
        assert history.last(key) in (what, None), "another's place may have taken its own"
    if losses:
        ident, block, what = losses[-1]
        assert history.last(block_key(ident, block)) == what


def test_few_of_many_losses_are_forgotten_and_none_is_made_up() -> None:
    history = History()
    keys = [i.to_bytes(20, "little") for i in range(BOUND)]
    for i, key in enumerate(keys):
        history.add(key, Loss(i % len(Loss)))
    known = [history.last(key) for key in keys]
    assert {k for i, k in enumerate(known) if k is not None and k != Loss(i % len(Loss))} == set()
    assert sum(k is None for k in known) < 0.3 * BOUND
    others = (history.last((i + BOUND).to_bytes(20, "little")) for i in range(BOUND))
    assert sum(k is not None for k in others) <= 1
