"""From intake's facts to a plan: whatever comes first, the same applications go to the same reviewers, once."""

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest

from shared.events.base import Event
from tests.builders_review import (
    CALL,
    MACHINE_CHECKS,
    R1,
    R2,
    Dossier,
    Review,
    a_call,
    a_review,
    a_round,
    closed,
    dossiers,
    published,
)
from tests.databases import Databases


async def admitted(review: Review) -> list[str]:
    return [each.application_id for each in await review.events("ApplicationAdmitted")]


async def test_a_round_is_planned_once_when_its_last_member_is_decided(review: Review) -> None:
    members = dossiers(4)
    await review.receive(published(a_call()))
    await review.list_reviewers("ana", "ben", "cleo")
    await review.receive(*(each.submitted() for each in members), closed(members))
    await review.admit(*members[:3])
    assert await review.plan() == {}
    no = {"checks": {"public": False}, "reason": "Un autre public."}
    await review.done("officer", "POST", f"/applications/{members[3].id}/admissibility", no)
    plan = await review.plan()
    assert set(plan) == {each.id for each in members[:3]}
    assert all(len(set(subjects)) == 2 for subjects in plan.values())
    assert Counter(s for subjects in plan.values() for s in subjects) == {"ana": 2, "ben": 2, "cleo": 2}
    (refused,) = await review.events("ApplicationInadmissible")
    assert (refused.application_id, refused.reason, refused.call_version) == (members[3].id, "Un autre public.", 1)


async def test_a_withdrawal_before_admission_completes_the_plan_and_is_not_in_it(review: Review) -> None:
    members = dossiers(3)
    await review.receive(published(a_call()))
    await review.list_reviewers("ana", "ben")
    await review.receive(*(each.submitted() for each in members), closed(members))
    await review.admit(*members[:2])
    assert await review.plan() == {}
    await review.receive(members[2].withdrawn())
    assert set(await review.plan()) == {members[0].id, members[1].id}
    answer = await review.ask(
        "officer", "POST", f"/applications/{members[2].id}/admissibility", {"checks": {"public": True}}
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "state_conflict")


async def test_a_withdrawal_after_planning_frees_its_reviewers(review: Review) -> None:
    members = dossiers(2)
    await review.planned(a_call(), members, "ana", "ben")
    await review.receive(members[0].withdrawn())
    assert set(await review.plan()) == {members[1].id}
    loads = await review.rows("SELECT subject, places FROM reviewer_load ORDER BY subject")
    assert [row["places"] for row in loads] == [1, 1]
    page = await review.done("ana", "GET", "/assignments")
    assert [item["application_id"] for item in page["items"]] == [members[1].id]


async def test_a_round_whose_hash_differs_is_never_planned_and_says_so(review: Review) -> None:
    members = dossiers(2)
    await review.receive(published(a_call()))
    await review.list_reviewers("ana", "ben")
    await review.receive(*(each.submitted() for each in members), closed([members[0], Dossier(9)]))
    await review.admit(*members)
    assert await review.plan() == {}
    progress = await review.done("chair", "GET", f"/rounds/{R1}/progress")
    assert progress["waits_for"] == ["matching_applications", "plan"]


async def test_the_first_list_of_reviewers_plans_a_round_that_waited_for_it(review: Review) -> None:
    members = dossiers(2)
    await review.receive(published(a_call()), *(each.submitted() for each in members), closed(members))
    await review.admit(*members)
    progress = await review.done("officer", "GET", f"/rounds/{R1}/progress")
    assert progress["waits_for"] == ["reviewer_list", "plan"]
    await review.list_reviewers("ana", "ben")
    assert {tuple(sorted(subjects)) for subjects in (await review.plan()).values()} == {("ana", "ben")}


def interleaved(streams: list[list[Event]], shuffle: random.Random) -> list[Event]:
    """One order that keeps the order within each key, across which nothing is promised."""
    waiting = [list(stream) for stream in streams]
    order = []
    while any(waiting):
        order.append(shuffle.choice([stream for stream in waiting if stream]).pop(0))
    return order


@pytest.mark.parametrize("seed", range(5))
async def test_any_order_of_facts_reaches_the_same_plan_and_admissions(
    review: Review, databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    call = a_call(admissibility=MACHINE_CHECKS, rounds=[a_round(R1), a_round(R2, 1)])
    first, second = dossiers(5), [Dossier(200 + n, round_id=R2) for n in range(3)]
    twin = Dossier(90, siret=first[0].submitted().organisation.siret)  # the same organisation again
    replaced = Dossier(91, siret=first[1].submitted().organisation.siret)  # its first one is withdrawn
    later = Dossier(210, siret=first[2].submitted().organisation.siret, round_id=R2)
    one, two = [*first, twin, replaced], [*second, later]
    streams: list[list[Event]] = [[published(call)], [closed(one)], [closed(two, R2)]]
    streams += [[each.submitted()] for each in (*one, *two) if each is not first[1]]
    streams.append([first[1].submitted(), first[1].withdrawn()])
    reviewers = ("ana", "ben", "cleo", "dev")

    await review.receive(published(call))
    await review.list_reviewers(*reviewers)
    for stream in streams[1:]:
        await review.receive(*stream)
    # A first application that its withdrawal overtakes was admitted or not: either way it is withdrawn.
    expected = set(await admitted(review)) - {first[1].id}
    assert expected == {each.id for each in (*first, replaced, *second)} - {first[1].id}
    assert {await review.state_of(each) for each in (twin, later)} == {"to_check"}

    other = await a_review(databases, tmp_path, monkeypatch)
    for event in interleaved(streams, random.Random(seed)):
        await other.receive(event)
    await other.list_reviewers(*reviewers)
    assert await other.state_of(first[1]) == "withdrawn"
    assert set(await admitted(other)) - {first[1].id} == expected
    no = {"checks": {c["id"]: c["id"] != "applications_per_organisation" for c in MACHINE_CHECKS}, "reason": "Deux."}
    for each in (twin, later):
        for system in (review, other):
            await system.done("officer", "POST", f"/applications/{each.id}/admissibility", no)
    expected_plan = await review.plan()
    assert set(expected_plan) == expected
    assert await other.plan() == expected_plan


async def test_machine_checks_admit_only_when_the_closed_round_is_here_whole(review: Review) -> None:
    members = dossiers(2)
    await review.receive(published(a_call(admissibility=MACHINE_CHECKS)), closed(members), members[0].submitted())
    assert await admitted(review) == []
    await review.receive(members[1].submitted())
    assert await admitted(review) == [each.id for each in members]


async def test_a_round_that_a_newer_version_left_out_holds_up_no_other(review: Review) -> None:
    members = dossiers(2)
    both = a_call(admissibility=MACHINE_CHECKS, rounds=[a_round("left-out", -1), a_round(R1)])
    await review.receive(published(both), published(a_call(version=2, admissibility=MACHINE_CHECKS)))
    await review.receive(*(each.submitted() for each in members), closed(members))
    assert await admitted(review) == [each.id for each in members]


async def test_what_is_known_of_a_round_of_a_version_to_come_outlives_an_older_one(review: Review) -> None:
    members = dossiers(2, round_id=R2)
    newer = a_call(version=2, admissibility=MACHINE_CHECKS, rounds=[a_round(R2)])
    await review.receive(*(each.submitted() for each in members), closed(members, R2))
    await review.receive(published(a_call(admissibility=MACHINE_CHECKS)), published(newer))
    assert await admitted(review) == [each.id for each in members]


async def test_a_machines_no_waits_for_an_officer(review: Review) -> None:
    members = [*dossiers(1), Dossier(2, requested_eur=41_000)]
    await review.receive(published(a_call(admissibility=MACHINE_CHECKS)), *(m.submitted() for m in members))
    await review.receive(closed(members))
    assert await admitted(review) == [members[0].id]
    progress = await review.done("officer", "GET", f"/rounds/{R1}/progress?state=to_check")
    assert [item["application_id"] for item in progress["applications"]] == [members[1].id]
    shown = await review.done("officer", "GET", f"/applications/{members[1].id}")
    machine = {check["id"]: check["machine"] for check in shown["admissibility"]["checks"]}
    assert machine == {
        "kind_allowed": True, "theme_present": True, "amount_in_bounds": False, "applications_per_organisation": True,
    }  # fmt: skip
    assert shown["admissibility"]["outcome"] is None


async def test_a_rolling_call_plans_each_application_at_its_admission(review: Review) -> None:
    members = dossiers(3)
    await review.receive(published(a_call(allocation="rolling")))
    await review.list_reviewers("ana", "ben", "cleo")
    await review.receive(*(each.submitted() for each in members))
    await review.admit(members[1])
    assert set(await review.plan()) == {members[1].id}
    await review.admit(members[0], members[2])
    loads = Counter(s for subjects in (await review.plan()).values() for s in subjects)
    assert loads == {"ana": 2, "ben": 2, "cleo": 2}


async def test_two_officers_who_complete_a_round_at_once_plan_it_once(review: Review) -> None:
    members = dossiers(6)
    await review.receive(published(a_call()))
    await review.list_reviewers("ana", "ben", "cleo")
    await review.receive(*(each.submitted() for each in members), closed(members))
    await review.admit(*members[:4])
    await asyncio.gather(review.admit(members[4]), review.admit(members[5]), review.receive(members[0].withdrawn()))
    plan = await review.plan()
    assert set(plan) == {each.id for each in members[1:]}
    assert all(len(subjects) == 2 for subjects in plan.values())
    assert len(await review.events("ApplicationAdmitted")) == 6


async def test_a_call_and_its_applications_that_come_at_once_do_not_miss_each_other(review: Review) -> None:
    members = dossiers(20)
    call = a_call(admissibility=MACHINE_CHECKS)
    batches = [members[n::4] for n in range(4)]
    await asyncio.gather(
        review.receive(published(call)),
        *(review.receive(*(each.submitted() for each in batch)) for batch in batches),
        review.receive(closed(members)),
    )
    assert sorted(await admitted(review)) == sorted(each.id for each in members)


async def test_an_older_version_of_a_call_does_not_come_back(review: Review) -> None:
    await review.receive(published(a_call(version=2)), published(a_call(version=1)))
    assert await review.rows("SELECT call_id, version FROM call") == [{"call_id": CALL, "version": 2}]
