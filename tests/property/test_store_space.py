"""Space, index and policy together against a dict: accounts, limits, pins and evictions."""

from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from millpond.errors import NoSpace
from millpond.store.eviction import POLICIES, policy_named
from millpond.store.space import Space, block_key, is_block, meta_key

RUN = settings(
    max_examples=60, stateful_step_count=50, deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # says how busy the machine is, nothing else
)  # fmt: skip
CAPACITY = 4000
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
        self.pinned = set()
        self.busy_at_unlink = set()
        policy = policy_named(self.policy_name)
        self.space = Space(policy, CAPACITY, 0.95, 0.90, self._statvfs)
        self.space.blocked = self.pinned.__contains__
        self.space.delete = self._delete
        self.evicted = []

    def _statvfs(self):
        free = DISK_BLOCKS * BLOCK_SIZE - sum(self.files.values()) - self.others
        return SimpleNamespace(
            f_blocks=DISK_BLOCKS, f_frsize=BLOCK_SIZE, f_bavail=max(0, free) / BLOCK_SIZE,
            f_files=0, f_favail=0,
        )  # fmt: skip

    def _delete(self, victim):
        assert victim.key not in self.pinned
        if victim.key in self.busy_at_unlink:
            return False
        self.space.drop(victim.segment, victim.key)
        self.evicted.append((victim, self.files.pop((victim.segment.name, victim.key))))
        return True

    @rule(number=numbers, size=sizes)
    def write(self, number, size):
        """As a writer does: reserve, write, account, release."""
        segment, key = self.space.content, content_key(number)
        held = self.files.get((segment.name, key), 0)
        try:
            self.space.reserve(size)
        except NoSpace:
            free_to_go = {k for s, k in self.files if s == "content"} - self.pinned
            assert not free_to_go - self.busy_at_unlink
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

    @rule(pins=st.sets(numbers, max_size=6), busy=st.sets(numbers, max_size=3))
    def pin(self, pins, busy):
        self.pinned.clear()
        self.pinned.update(map(content_key, pins))
        self.busy_at_unlink = set(map(content_key, busy))

    @rule(size=st.integers(1, 1500))
    def free(self, size):
        before = dict(self.files)
        freed = self.space.free(size)
        assert freed == sum(before.values()) - sum(self.files.values())
        stay = self.pinned | self.busy_at_unlink
        assert freed >= size or all(key in stay for _, key in self.files)

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
            stay = self.pinned | self.busy_at_unlink
            assert all(key in stay for _, key in self.files)

    @invariant()
    def the_index_says_what_is_on_disk(self):
        for segment in self.space.segments:
            index = segment.index
            found = {index.key(s): index.sizes[s] for s in index.slots()}
            assert found == {
                k: size for (name, k), size in self.files.items() if name == segment.name
            }
            assert segment.total_bytes == sum(found.values())
            assert segment.blocks == sum(is_block(segment, key) for key in found)

    @invariant()
    def evictions_are_counted(self):
        assert self.space.evicted_bytes == sum(size for _, size in self.evicted)
        assert self.space.evicted_blocks == sum(is_block(*victim) for victim, _ in self.evicted)


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_space_agrees_with_a_dict(name):
    machine = type(f"Space_{name}", (SpaceMachine,), {"policy_name": name})
    run_state_machine_as_test(machine, settings=RUN)
