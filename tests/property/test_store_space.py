"""Space, index and policy together against a dict: accounts, limits, pins and evictions.

``held`` is what a writer or reader has in hand for moments, ``pinned`` what the user wants kept.
"""

from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from millpond.errors import NoSpace
from millpond.store.eviction import POLICIES, policy_named
from millpond.store.segment import is_block_key
from millpond.store.space import Space, block_key, meta_key

RUN = settings(
    max_examples=60, stateful_step_count=50, deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # says how busy the machine is, nothing else
)  # fmt: skip
CAPACITY = 4000
PINS_BYTES = 1600
BLOCK_SIZE = 4096
DISK_BLOCKS = 1000  # of BLOCK_SIZE: a disk much larger than the cache, until others fill it

numbers = st.integers(0, 25)
sizes = st.integers(1, 700)


def content_key(number):
    ident = (number * 0x9E3779B97F4A7C15 % (1 << 64)).to_bytes(8, "little") * 2
    return meta_key(ident * 2) if number % 5 == 0 else block_key(ident, number)


class SpaceMachine(RuleBasedStateMachine):
    policy_name = ""

    def __init__(self):
        super().__init__()
        self.others = 0  # blocks of the disk that others took
        self.files = {}  # (segment name, key) → bytes: the disk
        self.held = set()
        self.pinned = set()  # idents
        self.busy_at_unlink = set()
        policy = policy_named(self.policy_name)
        self.space = Space(policy, CAPACITY, 0.95, 0.90, self._statvfs)
        self.space.blocked = self.held.__contains__
        self.space.set_pins(set(), PINS_BYTES)
        self.space.delete = self._delete
        self.evicted = []

    def _statvfs(self):
        free = DISK_BLOCKS * BLOCK_SIZE - sum(self.files.values()) - self.others
        return SimpleNamespace(
            f_blocks=DISK_BLOCKS, f_frsize=BLOCK_SIZE, f_bavail=max(0, free) / BLOCK_SIZE,
            f_files=0, f_favail=0,
        )  # fmt: skip

    def _delete(self, victim):
        assert victim.key not in self.held
        if victim.segment is self.space.content:
            assert not self.kept(victim.key), "a pinned block was evicted"
        else:
            assert victim.key[:16] not in self.pinned
        if victim.key in self.busy_at_unlink:
            return False
        self.space.drop(victim.segment, victim.key)
        self.evicted.append((victim, self.files.pop((victim.segment.name, victim.key))))
        return True

    def kept(self, key):
        """Whether it is pinned, and within what pins may hold."""
        found = self.space.content.find(key)
        return key[:16] in self.pinned and found is not None and found[0].name == "pinned"

    def stay(self):
        """Keys that can't go now."""
        names = {k for s, k in self.files if s != "content" and k[:16] in self.pinned}
        kept = {k for s, k in self.files if s == "content" and self.kept(k)}
        return self.held | self.busy_at_unlink | kept | names

    @rule(number=numbers, size=sizes)
    def write(self, number, size):
        """As a writer does: reserve, write, account, release."""
        segment, key = self.space.content, content_key(number)
        held = self.files.get((segment.name, key), 0)
        try:
            self.space.reserve(size)
        except NoSpace:
            assert not {k for s, k in self.files if s == "content"} - self.stay()
            assert sum(self.files.values()) + size > self.space.limit_bytes
            return
        held = self.files.get((segment.name, key), 0)
        self.files[segment.name, key] = held + size
        self.space.put(segment, key, held + size)
        self.space.release(size)
        assert self.space.used_bytes <= CAPACITY

    @rule(number=numbers, size=st.integers(0, 90))
    def name(self, number, size):
        segment = self.space.names if number % 2 else self.space.stamps
        key = number.to_bytes(32, "big")
        self.files[segment.name, key] = size
        self.space.put(segment, key, size)

    @rule(number=numbers, size=sizes)
    def resize(self, number, size):
        key = content_key(number)
        self.space.resize(self.space.content, key, size)
        if ("content", key) in self.files:
            self.files["content", key] = size

    @rule(number=numbers)
    def drop(self, number):
        size = self.files.pop(("content", content_key(number)), 0)
        assert self.space.drop(self.space.content, content_key(number)) == size

    @rule(number=numbers, reads=st.integers(1, 4))
    def touch(self, number, reads):
        self.space.touch(self.space.content, content_key(number), reads)

    @rule(held=st.sets(numbers, max_size=6), busy=st.sets(numbers, max_size=3))
    def hold(self, held, busy):
        self.held.clear()
        self.held.update(map(content_key, held))
        self.busy_at_unlink = set(map(content_key, busy))

    @rule(number=numbers, name=numbers)
    def pin(self, number, name):
        key, digest = content_key(number), name.to_bytes(32, "big")
        self.pinned |= {key[:16], digest[:16]}
        self.space.pin([key[:16], digest[:16]], [key])

    @rule(number=numbers)
    def unpin(self, number):
        key = content_key(number)
        self.pinned.discard(key[:16])
        self.space.unpin([key[:16]], [key], "")

    @rule(numbers=st.sets(numbers, max_size=9))
    def start_anew(self, numbers):
        """As a start does: the index may hold pins of long ago."""
        self.pinned = {content_key(n)[:16] for n in numbers}
        self.space.set_pins(set(self.pinned), PINS_BYTES)

    @rule(size=st.integers(1, 1500))
    def free(self, size):
        before = dict(self.files)
        freed = self.space.free(size)
        assert freed == sum(before.values()) - sum(self.files.values())
        assert freed >= size or all(key in self.stay() for _, key in self.files)

    @rule(taken=st.sampled_from([0, 1000, DISK_BLOCKS * BLOCK_SIZE]))
    def others_fill_the_disk(self, taken):
        self.others = taken
        self.space.look()
        assert self.space.limit_bytes <= CAPACITY
        if taken > CAPACITY:
            assert self.space.limit_bytes <= sum(self.files.values())

    @rule()
    def keep_house(self):
        self.space.tidy()
        if self.space.used_bytes > self.space.high * self.space.limit_bytes:
            assert all(key in self.stay() for _, key in self.files)

    @invariant()
    def the_index_says_what_is_on_disk(self):
        all_found = {}
        for segment in self.space.segments:
            index = segment.index
            found = {index.key(s): index.sizes[s] for s in index.slots()}
            assert segment.total_bytes == sum(found.values())
            assert segment.blocks == sum(map(is_block_key, found))
            kind = self.space.kind_of(segment).name
            assert not all_found.keys() & {(kind, k) for k in found}, "in two parts"
            all_found |= {(kind, k): size for k, size in found.items()}
        assert all_found == self.files

    @invariant()
    def pins_are_where_they_belong(self):
        pinned = self.space.content.pinned
        keys = {pinned.index.key(s) for s in pinned.index.slots()}
        assert {k[:16] for k in keys} <= self.pinned
        assert pinned.total_bytes <= PINS_BYTES

    @invariant()
    def evictions_are_counted(self):
        assert self.space.evicted_bytes == sum(size for _, size in self.evicted)
        assert self.space.evicted_blocks == sum(
            is_block_key(victim.key) for victim, _ in self.evicted
        )


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_space_agrees_with_a_dict(name):
    machine = type(f"Space_{name}", (SpaceMachine,), {"policy_name": name})
    run_state_machine_as_test(machine, settings=RUN)
