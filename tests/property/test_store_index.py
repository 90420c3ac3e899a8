"""The packed index, its hash table and the ghost queue against plain dicts."""

from collections import OrderedDict

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millpond.store.eviction.ghost import Ghost
from millpond.store.index import Index, key_hash

# Few first bytes: chains of equal and neighbouring hashes, wrapping around the table's end.
block_keys = st.builds(
    lambda a, b, n: bytes([a]) + bytes(7) + bytes([b]) + bytes(7) + n.to_bytes(4, "little"),
    st.sampled_from([0, 1, 14, 15]), st.integers(0, 3), st.integers(0, 6),
)  # fmt: skip
steps = st.lists(
    st.tuples(st.sampled_from(["put", "put", "drop", "find"]), block_keys, st.integers(0, 1 << 25)),
    max_size=300,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_an_index_is_a_dict(actions):
    index, model = Index(20), {}
    for action, key, size in actions:
        slot = index.find(key)
        assert (slot >= 0) == (key in model)
        if action == "put" and slot < 0:
            index.add(key, size)
            model[key] = size
        elif action == "put":
            assert index.resize(slot, size) == size - model[key]
            model[key] = size
        elif action == "drop" and slot >= 0:
            index.remove(slot)
            del model[key]
        assert len(index) == len(model)
        assert index.total_bytes == sum(model.values())
    assert {index.key(s): index.sizes[s] for s in index.slots()} == model
    assert {key: index.sizes[index.find(key)] for key in model} == model
    assert index.table.count * 4 <= len(index.table.cells) * 3


@given(st.sets(st.binary(min_size=32, max_size=32), max_size=60))
def test_a_digest_is_found_by_its_first_half(digests):
    index = Index(32)
    for digest in digests:
        index.add(digest, 1)
    halves = {digest[:16] for digest in digests}
    for digest in digests:
        assert index.key(index.find_prefix(digest[:16]))[:16] in halves
        assert index.key(index.find(digest)) == digest
    assert index.find_prefix(b"\x7f" * 16) == -1 or b"\x7f" * 16 in halves


def test_blocks_of_one_file_do_not_pile_up():
    index, file_id = Index(20), bytes(range(16))
    for block in range(3000):
        index.add(file_id + block.to_bytes(4, "little"), 1)
    chains = [
        sum(1 for _ in index.table.probe(key_hash(file_id + n.to_bytes(4, "little"))))
        for n in range(3000)
    ]
    assert max(chains) < 40


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 30), st.integers(0, 40)), max_size=400),
    st.integers(0, 100),
    st.integers(1, 90),
)
def test_a_ghost_queue_is_an_ordered_dict(actions, limit_bytes, limit_count):
    ghost, model = Ghost(), OrderedDict()
    for add, number, size in actions:
        mark = number * 0x1_0000_0001
        if not add:
            assert ghost.take(mark) == (model.pop(mark, None) is not None)
        elif mark not in model and size <= limit_bytes:
            ghost.add(mark, size, limit_bytes, limit_count)
            while model and (sum(model.values()) + size > limit_bytes or len(model) >= limit_count):
                model.popitem(last=False)
            model[mark] = size
        else:
            ghost.add(mark, size, limit_bytes, limit_count)
        assert (len(ghost), ghost.bytes) == (len(model), sum(model.values()))
    copy = Ghost()
    numbers, arrays = ghost.dump()
    copy.load(dict(numbers), {name: values[:] for name, values in arrays.items()})
    assert [copy.take(n * 0x1_0000_0001) for n in range(31)] == [
        n * 0x1_0000_0001 in model for n in range(31)
    ]
