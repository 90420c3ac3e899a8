"""Who reads: one row a process, however many come, whatever they call themselves."""

from __future__ import annotations

from millpond.server.core.visitors import KEPT_S, MAX_NAME, MAX_VISITORS, OTHERS, Visitors


def test_connections_of_one_process_are_one_visitor() -> None:
    visitors = Visitors()
    first = visitors.greeted("jvm 1", 1000, 42, 1.0)
    assert visitors.greeted("jvm 1", 1000, 42, 2.0) is first
    assert visitors.greeted("jvm 1", 1000, 43, 2.0) is not first
    first.reported({"hit_bytes": 5, "direct_bytes": 7, "opens": 1})
    [listed] = visitors.recent(3.0)
    assert (listed, listed.connections) == (first, 2)
    assert (listed.hit_bytes, listed.direct_bytes) == (5, 7)


def test_who_read_is_listed_for_an_hour_and_who_only_asked_is_not() -> None:
    visitors = Visitors()
    reader, asker = visitors.greeted("r", 1, 1, 0.0), visitors.greeted("a", 1, 2, 0.0)
    reader.miss_bytes = 1
    for visitor in (reader, asker):
        visitors.left(visitor, 10.0)
    assert visitors.recent(KEPT_S) == [reader]
    assert visitors.recent(KEPT_S + 11) == []


def test_the_last_seen_comes_first() -> None:
    visitors = Visitors()
    old, new = (visitors.greeted(name, 1, 1, at) for name, at in (("old", 1.0), ("new", 2.0)))
    old.hit_bytes = new.hit_bytes = 1
    assert visitors.recent(3.0) == [new, old]


def test_visitors_beyond_the_bound_are_summed() -> None:
    visitors = Visitors()
    for pid in range(10 * MAX_VISITORS):
        visitors.greeted("jvm", 1, pid, 0.0).hit_bytes += 1
    listed = visitors.recent(1.0)
    assert len(listed) == MAX_VISITORS
    assert sum(v.hit_bytes for v in listed) == 10 * MAX_VISITORS
    [others] = [v for v in listed if v.client == OTHERS]
    assert others.connections == 9 * MAX_VISITORS + 1


def test_those_who_left_make_room() -> None:
    visitors = Visitors()
    for pid in range(5 * MAX_VISITORS):
        visitor = visitors.greeted("jvm", 1, pid, float(pid))
        visitor.hit_bytes = 1
        visitors.left(visitor, float(pid))
    listed = visitors.recent(5.0 * MAX_VISITORS)
    assert [v.pid for v in listed[:2]] == [5 * MAX_VISITORS - 1, 5 * MAX_VISITORS - 2]
    assert len(listed) <= MAX_VISITORS


def test_names_are_cut_and_cleaned() -> None:
    visitors = Visitors()
    assert visitors.greeted("a\x1b[31m\n\u202eb", 1, 1, 0.0).client == "a?[31m??b"
    assert len(visitors.greeted("x" * 5000, 1, 1, 0.0).client) == MAX_NAME
    assert visitors.greeted("", 1, 1, 0.0).client == "unnamed"
