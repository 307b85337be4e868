"""Many act on one round at once, in two processes of the service: nothing is missed, and what may shares a commit."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shared.db import Database
from tests.builders_review import (
    R1,
    R2,
    Dossier,
    Review,
    a_call,
    a_round,
    closed,
    dossiers,
    evaluation,
    published,
)
from tests.counting import COMMITS, statements

CHECKED = {"checks": {"public": True}}


@asynccontextmanager
async def another_process(review: Review, clock: Path) -> AsyncIterator[Review]:
    db = Database(review.db.dsn, "review")
    try:
        yield Review(db, clock)
    finally:
        await db.close()


async def closed_round(review: Review, members: Sequence[Dossier], *subjects: str) -> None:
    """Every member is there and none is checked."""
    await review.receive(published(a_call()))
    await review.list_reviewers(*subjects)
    await review.receive(*(each.submitted() for each in members), closed(members))


async def all_declared(review: Review, members: Sequence[Dossier]) -> None:
    for each in members:
        for who in ("ana", "ben"):
            await review.declare(who, each)


@pytest.mark.parametrize("members", [dossiers(2), dossiers(3), dossiers(40)], ids=len)
async def test_officers_who_check_a_whole_round_at_once_plan_it_once_and_wholly(
    review: Review, tmp_path: Path, members: list[Dossier]
) -> None:
    await closed_round(review, members, "ana", "ben", "cleo", "dan")
    async with another_process(review, tmp_path / "clock") as other:
        await asyncio.gather(
            *((review, other)[number % 2].admit(each) for number, each in enumerate(members)),
            *(other.done("officer-2", "POST", f"/applications/{each.id}/admissibility", CHECKED) for each in members),
        )
    plan = await review.plan()
    assert {len(set(plan[each.id])) for each in members} == {2}
    loads = Counter(subject for subjects in plan.values() for subject in subjects)
    assert max(loads.values()) - min(loads.values()) <= 1
    assert len(await review.events("ApplicationAdmitted")) == len(members)


async def test_an_officer_who_checks_while_others_are_at_work_does_not_wait_for_them(review: Review) -> None:
    members = dossiers(3)
    await closed_round(review, members, "ana", "ben")
    async with review.db.transaction() as tx:  # somebody holds the first, and has the round in share
        await tx.execute("SELECT FROM round FOR SHARE")
        await tx.execute(f"SELECT FROM application WHERE application_id = '{members[0].id}' FOR UPDATE")
        async with asyncio.timeout(10):
            await review.admit(members[1])
    assert await review.plan() == {}
    await review.admit(members[0], members[2])
    assert len(await review.plan()) == 3


async def test_reviewers_who_submit_at_once_share_commits(review: Review) -> None:
    members = dossiers(6)
    await review.planned(a_call(), members, "ana", "ben")
    await all_declared(review, members)
    marked = [("PUT", "evaluation", evaluation(4)), ("POST", "evaluation/submit", None)]
    for method, path, body in marked:
        asked = [(who, method, f"/applications/{each.id}/{path}", body) for each in members for who in ("ana", "ben")]
        with statements(review.db) as sent:
            await asyncio.gather(*(review.done(*each) for each in asked))
        assert sum(each.startswith(COMMITS) for each in sent) <= len(asked) // 3
    assert sorted(each.application_id for each in await review.events("Scored")) == sorted(m.id for m in members)


async def test_one_who_needs_the_round_alone_or_is_refused_holds_up_nobody_of_the_group(review: Review) -> None:
    members = dossiers(6)
    await review.planned(a_call(), members, "ana", "ben", "cleo")
    plan = await review.plan()
    asked = [(plan[each.id][0], each) for each in members]
    kinds = ["none", "hard", "none", "hard", "none", "none"]
    answers = await asyncio.gather(
        *(review.declare(who, each, kind) for (who, each), kind in zip(asked, kinds, strict=True)),
        review.ask("nobody", "POST", f"/applications/{members[0].id}/conflict", {"kind": "none", "reason": ""}),
    )
    assert [each["kind"] for each in answers[:-1]] == kinds
    assert answers[-1].status_code == 403
    for (who, each), kind in zip(asked, kinds, strict=True):
        now = (await review.plan())[each.id]
        assert len(set(now)) == 2
        assert (who in now) == (kind == "none")


async def test_a_round_that_is_held_holds_up_no_other(review: Review) -> None:
    here, there = Dossier(1), Dossier(2, round_id=R2)
    await review.receive(published(a_call(rounds=[a_round(R1), a_round(R2, 1)])))
    await review.list_reviewers("ana", "ben")
    await review.receive(here.submitted(), there.submitted(), closed([here]), closed([there], R2))
    await review.admit(here, there)
    async with review.db.transaction() as tx:
        await tx.execute("SELECT FROM round WHERE round_id = :id FOR UPDATE", id=R2)
        waits = asyncio.create_task(review.declare("ana", there))
        async with asyncio.timeout(10):
            await review.declare("ana", here)
            await review.declare("ben", here)
        assert not waits.done()
    assert (await waits)["kind"] == "none"


async def test_opinions_that_turn_out_apart_in_a_group_ask_a_further_reviewer_each(review: Review) -> None:
    members = dossiers(4)
    await review.planned(a_call(), members, "ana", "ben", "cleo")
    plan = await review.plan()
    for each in members:
        for who, mark in zip(plan[each.id], (1, 5), strict=True):
            await review.declare(who, each)
            await review.done(who, "PUT", f"/applications/{each.id}/evaluation", evaluation(mark))
    await asyncio.gather(
        *(
            review.done(who, "POST", f"/applications/{each.id}/evaluation/submit")
            for each in members
            for who in plan[each.id]
        )
    )
    assert {len(set(subjects)) for subjects in (await review.plan()).values()} == {3}
    assert await review.events("Scored") == []


async def test_a_reviewers_commands_cost_few_statements(review: Review) -> None:
    (dossier,) = dossiers(1)
    await review.planned(a_call(), [dossier], "ana", "ben")
    path = f"/applications/{dossier.id}"
    # The first command on an application in a process looks up its round; the second submission completes the score.
    for who, of_declaring, of_submitting in (("ana", 6, 5), ("ben", 4, 8)):
        for method, address, body, cost in (
            ("POST", f"{path}/conflict", {"kind": "none", "reason": ""}, of_declaring),
            ("PUT", f"{path}/evaluation", evaluation(4), 4),
            ("POST", f"{path}/evaluation/submit", None, of_submitting),
        ):
            with statements(review.db) as sent:
                await review.done(who, method, address, body)
            assert len(sent) == cost, sent
