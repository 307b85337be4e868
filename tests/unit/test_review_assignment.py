"""Who evaluates what is a pure function: even, without conflicts, the same every time."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import combinations, product

from hypothesis import given, settings
from hypothesis import strategies as st

from services.review.domain.assignment import Reviewer, Task, may_take, pick, plan, sirens_of

START = datetime(2030, 1, 7, tzinfo=UTC)
SUBJECTS = ["ana", "ben", "cleo", "dev", "eva", "flo"]
SIRENS = ["000000001", "000000002", "000000003"]


def task(number: int, places: int = 2, **changes: object) -> Task:
    fields: dict[str, object] = {"sirens": frozenset(), **changes}
    return Task(f"application-{number:03d}", START + timedelta(hours=number), places=places, **fields)  # type: ignore[arg-type]


reviewers = st.lists(st.sampled_from(SUBJECTS), unique=True, max_size=6).flatmap(
    lambda subjects: st.tuples(
        *(
            st.builds(Reviewer, st.just(s), st.frozensets(st.sampled_from(SIRENS), max_size=2), st.just(frozenset()))
            for s in subjects
        )
    )
)
tasks = st.lists(
    st.tuples(
        st.integers(1, 3), st.frozensets(st.sampled_from(SIRENS), max_size=2),
        st.frozensets(st.sampled_from(SUBJECTS), max_size=2),
    ),
    max_size=12,
).map(lambda rows: [task(n, places, sirens=s, barred=b) for n, (places, s, b) in enumerate(rows)])  # fmt: skip
loads = st.dictionaries(st.sampled_from(SUBJECTS), st.integers(0, 5))


@given(tasks, reviewers, loads)
def test_nobody_gets_a_conflict_or_the_same_application_twice(
    wanted: list[Task], people: tuple[Reviewer, ...], before: dict[str, int]
) -> None:
    planned = plan(wanted, people, before)
    known = {each.subject: each for each in people}
    for each in wanted:
        taken = planned[each.application_id]
        assert len(set(taken)) == len(taken)
        assert all(may_take(known[subject], each) for subject in taken)
        assert len(taken) == min(each.places, sum(may_take(person, each) for person in people))


@given(tasks, reviewers, loads, st.randoms())
def test_the_plan_does_not_depend_on_the_order_in_which_things_are_read(
    wanted: list[Task], people: tuple[Reviewer, ...], before: dict[str, int], shuffle: object
) -> None:
    planned = plan(wanted, people, before)
    mixed_tasks, mixed_people = list(wanted), list(people)
    shuffle.shuffle(mixed_tasks)  # type: ignore[attr-defined]
    shuffle.shuffle(mixed_people)  # type: ignore[attr-defined]
    assert plan(mixed_tasks, mixed_people, before) == planned


@given(st.integers(0, 40), st.integers(2, 8), st.integers(1, 2))
def test_without_conflicts_loads_differ_by_at_most_one(count: int, people: int, places: int) -> None:
    crowd = [Reviewer(f"reviewer-{n}") for n in range(people)]
    planned = plan([task(n, places) for n in range(count)], crowd, {})
    load = Counter(subject for taken in planned.values() for subject in taken)
    assert sum(load.values()) == count * places
    assert max(load[each.subject] for each in crowd) - min(load[each.subject] for each in crowd) <= 1


small = st.lists(st.frozensets(st.sampled_from(SUBJECTS[:4]), max_size=3), min_size=1, max_size=5)


@settings(max_examples=60)
@given(small, st.integers(1, 2))
def test_no_other_assignment_is_more_even_under_conflicts(barred: list[frozenset[str]], places: int) -> None:
    people = [Reviewer(subject) for subject in SUBJECTS[:4]]
    wanted = [task(n, places, barred=each) for n, each in enumerate(barred)]
    load = Counter(subject for taken in plan(wanted, people, {}).values() for subject in taken)
    choices = []
    for each in wanted:
        free = [person.subject for person in people if may_take(person, each)]
        choices.append(list(combinations(free, min(places, len(free)))))
    best = min(
        sum(n * n for n in Counter(subject for taken in choice for subject in taken).values())
        for choice in product(*choices)
    )
    assert sum(n * n for n in load.values()) == best


def test_an_application_that_only_the_loaded_may_take_moves_their_others_to_somebody_else() -> None:
    wanted = [task(0, 1), task(1, 1), task(2, 1, barred=frozenset({"ben"})), task(3, 1, barred=frozenset({"ben"}))]
    planned = plan(wanted, [Reviewer("ana"), Reviewer("ben")], {})
    assert planned == {
        "application-000": ("ben",), "application-001": ("ben",), "application-002": ("ana",),
        "application-003": ("ana",),
    }  # fmt: skip


def test_own_organisation_and_the_partners_are_never_assigned() -> None:
    sirens = sirens_of("00000000100017", "00000000200018")
    people = [Reviewer("ana", frozenset({"000000001"})), Reviewer("ben", frozenset({"000000002"})), Reviewer("cleo")]
    assert plan([task(0, sirens=sirens)], people, {}) == {"application-000": ("cleo",)}


def test_among_equally_loaded_reviewers_the_plan_prefers_who_knows_the_themes() -> None:
    people = [Reviewer("ana"), Reviewer("ben", themes=frozenset({"support"}))]
    assert plan([task(0, 1, themes=frozenset({"support"}))], people, {}) == {"application-000": ("ben",)}


def test_a_later_pick_takes_the_least_loaded_then_the_first_subject() -> None:
    people = [Reviewer("ben"), Reviewer("ana"), Reviewer("cleo")]
    assert pick(task(0), people, {"ana": 2, "ben": 1, "cleo": 1}) == "ben"
    assert pick(task(0, barred=frozenset({"ben"})), people, {"ana": 2, "ben": 1, "cleo": 1}) == "cleo"
    assert pick(task(0, barred=frozenset({"ana", "ben", "cleo"})), people, {}) is None
