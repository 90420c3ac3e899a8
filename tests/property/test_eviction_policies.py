"""Every policy keeps its side of the contract; each agrees with a slow and obvious twin."""

from array import array
from collections import OrderedDict

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from millpond.errors import InvalidSetting
from millpond.store.eviction import POLICIES, policy_named
from millpond.store.index import key_hash

RUN = settings(
    max_examples=60, stateful_step_count=50, deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # says how busy the machine is, nothing else
)  # fmt: skip
CAPACITY = 100


class LruTwin:
    """Order of eviction in one dict: the first goes first."""

    def __init__(self):
        self.order = OrderedDict()

    def insert(self, key, size):
        self.order[key] = size

    def touch(self, key, reads):
        self.order.move_to_end(key)

    def resize(self, key, size):
        self.order[key] = size

    def remove(self, key):
        del self.order[key]

    def victim(self, blocked):
        for key in self.order:
            if key not in blocked:
                del self.order[key]
                return key
        return None


class S3FifoTwin:
    """S3-FIFO in lists, oldest first, as the paper's figure draws it."""

    def __init__(self):
        self.small, self.main, self.ghost = [], [], []
        self.sizes, self.reads, self.evicted = {}, {}, False

    def _bytes(self, queue):
        return sum(self.sizes[k] for k in queue)

    def insert(self, key, size):
        self.sizes[key], self.reads[key] = size, 0
        remembered = [g for g in self.ghost if g[0] == key]
        warming = not self.evicted and self._bytes(self.small) >= CAPACITY // 10
        self.ghost = [g for g in self.ghost if g[0] != key]
        (self.main if remembered or warming else self.small).append(key)

    def touch(self, key, reads):
        self.reads[key] = min(3, self.reads[key] + reads)

    def resize(self, key, size):
        self.sizes[key] = size

    def remove(self, key):
        (self.small if key in self.small else self.main).remove(key)

    def victim(self, blocked):
        self.evicted = True
        passed_small = passed_main = 0
        while True:
            small, main = passed_small < len(self.small), passed_main < len(self.main)
            if main and (self._bytes(self.main) > CAPACITY - CAPACITY // 10 or not small):
                key = self.main.pop(0)
                if key in blocked:
                    self.main.append(key)
                    passed_main += 1
                elif self.reads[key]:
                    self.reads[key] -= 1
                    self.main.append(key)
                    passed_main = 0
                else:
                    return key
            elif small:
                key = self.small.pop(0)
                if self.reads[key] >= 2:
                    self.reads[key] = 0
                    self.main.append(key)
                elif key in blocked:
                    self.small.append(key)
                    passed_small += 1
                else:
                    self._remember(key)
                    return key
            else:
                return None

    def _remember(self, key):
        size = self.sizes[key]
        if size <= CAPACITY * 9 // 10 and all(g[0] != key for g in self.ghost):
            while sum(g[1] for g in self.ghost) + size > CAPACITY * 9 // 10:
                self.ghost.pop(0)
            self.ghost.append((key, size))


TWINS = {"lru": LruTwin, "s3fifo": S3FifoTwin}


def _copy(state):
    numbers, arrays = state
    return dict(numbers), {name: values[:] for name, values in arrays.items()}


class PolicyMachine(RuleBasedStateMachine):
    """Keys live in slots; a freed slot is used again, as the index does."""

    policy_name = ""

    def __init__(self):
        super().__init__()
        self.sizes = array("I")
        self.policy = policy_named(self.policy_name)(self.sizes, CAPACITY)
        self.twin = TWINS[self.policy_name]()
        self.slots = {}
        self.free = []

    def _fingerprint(self, slot):
        return key_hash(next(k for k, s in self.slots.items() if s == slot))

    @rule(n=st.integers(0, 40), size=st.integers(1, 20))
    def insert(self, n, size):
        key = n.to_bytes(20, "big")
        if key in self.slots:
            return
        if self.free:
            slot = self.free.pop()
            self.sizes[slot] = size
        else:
            slot = len(self.sizes)
            self.sizes.append(size)
        self.slots[key] = slot
        self.policy.insert(slot, key_hash(key))
        self.twin.insert(key, size)

    def _some(self, data):
        return data.draw(st.sampled_from(sorted(self.slots)))

    @rule(data=st.data(), reads=st.integers(1, 5))
    def touch(self, data, reads):
        if self.slots:
            key = self._some(data)
            self.policy.touch(self.slots[key], reads)
            self.twin.touch(key, reads)

    @rule(data=st.data(), size=st.integers(1, 20))
    def resize(self, data, size):
        if self.slots:
            key = self._some(data)
            slot = self.slots[key]
            delta = size - self.sizes[slot]
            self.sizes[slot] = size
            self.policy.resized(slot, delta)
            self.twin.resize(key, size)

    @rule(data=st.data())
    def remove(self, data):
        if self.slots:
            key = self._some(data)
            self.policy.remove(self.slots[key])
            self.free.append(self.slots.pop(key))
            self.twin.remove(key)

    @rule(data=st.data())
    def evict(self, data):
        blocked = data.draw(st.sets(st.sampled_from(sorted(self.slots)))) if self.slots else set()
        spared = {self.slots[key] for key in blocked}
        slot = self.policy.victim(spared.__contains__, self._fingerprint)
        key = self.twin.victim(blocked)
        if key is None:
            assert slot == -1
            assert blocked == set(self.slots)
        else:
            assert slot == self.slots[key]
            self.free.append(self.slots.pop(key))

    @rule()
    def live_on_from_a_dump(self):
        state = _copy(self.policy.dump())
        self.policy = policy_named(self.policy_name)(self.sizes, CAPACITY)
        self.policy.load(state)

    @invariant()
    def state_is_packed(self):
        _, arrays = self.policy.dump()
        assert all(isinstance(a, array) for a in arrays.values())

    def teardown(self):
        """What is left comes out once each, in the twin's order."""
        for _ in range(len(self.slots)):
            slot = self.policy.victim(lambda _: False, self._fingerprint)
            assert self.slots.pop(self.twin.victim(set())) == slot
        assert self.policy.victim(lambda _: False, self._fingerprint) == -1


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_a_policy_agrees_with_its_twin(name):
    machine = type(f"Machine_{name}", (PolicyMachine,), {"policy_name": name})
    run_state_machine_as_test(machine, settings=RUN)


def test_an_unknown_policy_is_refused_by_naming_the_known():
    with pytest.raises(InvalidSetting, match="lru, s3fifo"):
        policy_named("clairvoyant")
