"""Quotas, reserves and TTLs against a dict: who pays, in which order, and when."""

from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from millpond.errors import NoSpace
from millpond.store.eviction import POLICIES, policy_named
from millpond.store.parts import NO_LIMITS, Limits, Turns, Use
from millpond.store.space import Space, block_key

RUN = settings(
    max_examples=60, stateful_step_count=50, deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # says how busy the machine is, nothing else
)  # fmt: skip
CAPACITY = 4000
LIMITS = {
    "/quota": Limits(quota_bytes=900),
    "/reserve": Limits(reserve_bytes=1500),
    "/both": Limits(quota_bytes=1200, reserve_bytes=600, ttl_s=100),
    "/ttl": Limits(ttl_s=50),
}
PARTS = ["", *LIMITS]

parts = st.sampled_from(PARTS)
numbers = st.integers(0, 14)
sizes = st.integers(1, 500)


class PartsMachine(RuleBasedStateMachine):
    policy_name = ""

    def __init__(self):
        super().__init__()
        self.files = {}  # key → [part, size, last read]
        self.now, self.limit, self.expiring = 1_000_000.0, 1 << 40, False
        self.space = Space(
            policy_named(self.policy_name), CAPACITY, 0.95, 0.90, self._statvfs, lambda: self.now
        )
        self.space.delete = self._delete
        self.space.set_limits(LIMITS)

    def _statvfs(self):
        return SimpleNamespace(
            f_blocks=1 << 30, f_frsize=1, f_bavail=self.limit, f_files=0, f_favail=0
        )

    def used(self, part=None):
        return sum(size for p, size, _ in self.files.values() if part in (None, p))

    def over(self, part):
        quota = LIMITS.get(part, NO_LIMITS).quota_bytes
        return bool(quota) and self.used(part) > quota

    def _delete(self, victim):
        part, _, read = self.files[victim.key]
        said = LIMITS.get(part, NO_LIMITS)
        if self.expiring and said.ttl_s and read < self.now - said.ttl_s:
            pass
        elif any(map(self.over, PARTS)):
            assert self.over(part), f"{part or 'common'} paid for a mount over its quota"
        elif self.used() <= self.space.limit_bytes:
            assert self.used(part) > said.reserve_bytes, f"{part} paid out of its reserve"
        self.space.drop(victim.segment, victim.key)
        del self.files[victim.key]
        return True

    @staticmethod
    def key(part, number):
        return block_key((PARTS.index(part) * 100 + number).to_bytes(8, "little") * 2, number)

    @rule(part=parts, number=numbers, size=sizes)
    def write(self, part, number, size):
        key = self.key(part, number)
        try:
            self.space.reserve(size)
        except NoSpace:
            assert not any(self.used(p) > LIMITS.get(p, NO_LIMITS).reserve_bytes for p in PARTS), (
                "somebody could have paid"
            )
            return
        total = size + self.files.get(key, ["", 0, 0])[1]
        self.files[key] = [part, total, int(self.now)]
        self.space.put(self.space.content, key, total, part)
        self.space.release(size)
        assert self.space.used_bytes <= CAPACITY

    @rule(part=parts, number=numbers)
    def read(self, part, number):
        key = self.key(part, number)
        self.space.touch(self.space.content, key, 1)
        self.space.settle()
        if key in self.files:
            self.files[key][2] = int(self.now)

    @rule(seconds=st.integers(1, 60))
    def wait(self, seconds):
        self.now += seconds

    @rule(size=st.integers(1, 1500))
    def free(self, size):
        before = self.used()
        assert self.space.free(size) == before - self.used()

    @rule()
    def keep_house(self):
        self.space._expire_at = 0.0
        self.expiring = True
        self.space.tidy()
        self.expiring = False
        assert not any(map(self.over, PARTS))
        for part, _, read in self.files.values():
            ttl_s = LIMITS.get(part, NO_LIMITS).ttl_s
            assert not ttl_s or read >= int(self.now) - ttl_s, "older than its TTL"

    @rule(part=parts, other=parts, number=numbers)
    def settle_in(self, part, other, number):
        """As when a mount gets a part of its own: what was cached before goes there."""
        key = self.key(part, number)
        self.space.settle_in(other, [key])
        if key in self.files:
            self.files[key][0] = other

    @rule()
    def remove_and_add_the_mounts(self):
        empty = [part for part in LIMITS if not self.used(part)]
        self.space.set_limits({})
        assert self.space.used_bytes == self.used()
        assert self.space.set_limits(LIMITS) == bool(empty)

    @invariant()
    def every_part_has_its_own(self):
        for name, part in self.space.content.parts.items():
            found = {part.index.key(s): part.index.sizes[s] for s in part.index.slots()}
            assert found == {k: size for k, (p, size, _) in self.files.items() if p == name}
            assert part.total_bytes == self.used(name)


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_parts_agree_with_a_dict(name):
    machine = type(f"Parts_{name}", (PartsMachine,), {"policy_name": name})
    run_state_machine_as_test(machine, settings=RUN)


def test_parts_pay_in_proportion_to_what_they_have():
    turns = Turns()
    uses = [
        Use("a", 600, NO_LIMITS),
        Use("b", 700, Limits(reserve_bytes=400)),
        Use("c", 100, Limits(100)),
    ]
    said = [turns.next(uses, shrink=False) for _ in range(1000)]
    assert [said.count(n) for n in "abc"] == [600, 300, 100]
    kept = [Use("a", 5, Limits(0, 5)), Use("b", 3, Limits(0, 9))]
    assert turns.next(kept, shrink=False) is None
    assert turns.next(kept, shrink=True) in ("a", "b")
