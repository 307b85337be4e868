"""The plan of a chaos run: the same for the same seed, every kind of fault in it, and none beyond its time."""

from itertools import pairwise

from tests.chaos.plan import KINDS, PLACES_OF, plan


def test_the_same_seed_plans_the_same_faults() -> None:
    assert plan(7, 300) == plan(7, 300)
    assert plan(7, 300) != plan(8, 300)


def test_every_kind_of_fault_comes_before_any_comes_again() -> None:
    kinds = {fault.kind for fault in plan(1, 3000)}
    assert kinds == {"kill", "terminate", "freeze", "crash", "replica", "cut", "repeat", "refuse", "poison", "future"}
    for seed in range(50):
        first = plan(seed, 600)[: len(KINDS)]
        assert {fault.kind for fault in first} == kinds
        assert {fault.target for fault in first} >= {"kafka", "postgres", "mail"}


def test_no_fault_outlasts_its_time_and_none_overlaps() -> None:
    for seed in range(50):
        faults = plan(seed, 120)
        assert faults[-1].at_s + faults[-1].for_s < 120
        assert all(a.at_s + a.for_s < b.at_s for a, b in pairwise(faults))


def test_a_crash_is_ordered_only_where_its_service_can_come() -> None:
    crashes = [fault for seed in range(50) for fault in plan(seed, 300) if fault.kind == "crash"]
    assert all(fault.place in PLACES_OF[fault.target] for fault in crashes)
    assert {fault.place for fault in crashes} == {place for places in PLACES_OF.values() for place in places}
