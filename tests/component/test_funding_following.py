"""What becomes of grants: answers, steps, releases, the waiting list that moves by itself, and what lapses."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.builders_funding import (
    ANNOUNCES,
    R1,
    R2,
    Dossier,
    Funding,
    a_call,
    a_funding,
    a_round,
    closed,
    dossiers,
    published,
    recomputed,
)
from tests.databases import Databases

SCORES = ["95", "90", "85", "80", "75"]
ANSWER_BY = datetime(2030, 3, 31, 21, 59, 59, tzinfo=UTC)


@pytest.fixture
async def funding(databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Funding:
    return await a_funding(databases, tmp_path, monkeypatch)


async def post(funding: Funding, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
    async with funding.staff() as client:
        answer = await client.post(path, json=body)
    return answer.status_code, answer.json()


async def test_a_declined_grant_goes_to_the_next_on_the_waiting_list(funding: Funding) -> None:
    members = dossiers(5)
    await funding.announced(a_call(), members, SCORES)
    before = len(await funding.events())
    await funding.receive(members[0].declined(await funding.grant_of(members[0])))
    assert await funding.outcomes(members) == ["declined", "awarded", "awarded", "awarded", "waitlisted"]
    released, promoted = (await funding.said())[before:]
    assert (released.name, released.event.reason, released.event.ledger_entry) == ("GrantReleased", "declined", 5)
    assert (promoted.name, promoted.event.application_id, promoted.event.ledger_entry) == (
        "GrantAwarded", members[3].id, 6,
    )  # fmt: skip
    assert (promoted.event.sealed, promoted.event.rank) == (False, 4)
    assert promoted.causation_id == released.causation_id
    assert recomputed(await funding.events()) == await funding.balance() == (10_000, 90_000, 0)


async def test_a_withdrawal_before_the_announcement_promotes_under_seal(funding: Funding) -> None:
    members = dossiers(4)
    await funding.decided(a_call(), members, SCORES[:4])
    await funding.receive(members[1].withdrawn())
    assert [e.sealed for e in await funding.events("GrantReleased", "GrantAwarded")] == [True] * 5
    funding.at(ANNOUNCES)
    await funding.fire()
    told = {e.application_id: e.outcome for e in await funding.events("OutcomeAnnounced")}
    assert told == {members[n].id: "awarded" for n in (0, 2, 3)}


async def test_who_withdrew_from_the_waiting_list_is_passed_over(funding: Funding) -> None:
    members = dossiers(5)
    await funding.announced(a_call(), members, SCORES)
    await funding.receive(members[3].withdrawn())
    await funding.receive(members[0].declined(await funding.grant_of(members[0])))
    assert await funding.outcomes(members) == ["declined", "awarded", "awarded", "waitlisted", "awarded"]


async def test_an_earlier_rounds_list_is_served_before_a_later_ones(funding: Funding) -> None:
    late = datetime(2030, 12, 1, tzinfo=UTC)
    call = a_call(rounds=[a_round(R1, list_ends_at=late), a_round(R2, 1)], envelope_eur=60_000)
    first, second = dossiers(3), dossiers(1, round_id=R2)
    await funding.decided(call, first, SCORES[:3])
    await funding.receive(second[0].submitted(), closed(second, R2), second[0].scored("99"))
    await funding.decide(R2)
    assert await funding.outcomes(first + second) == ["awarded", "awarded", "waitlisted", "waitlisted"]
    await funding.receive(first[0].withdrawn())
    assert await funding.outcomes(first + second) == ["withdrawn", "awarded", "awarded", "waitlisted"]
    await funding.receive(first[1].withdrawn())
    assert await funding.outcomes(second) == ["awarded"]


@pytest.mark.parametrize(
    ("shortfall", "then", "promoted_eur"),
    [("stop", ["waitlisted", "waitlisted"], 0), ("skip", ["waitlisted", "awarded"], 20_000),
     ("reduce", ["awarded", "waitlisted"], 20_000)],
)  # fmt: skip
async def test_a_release_follows_the_calls_policy(
    funding: Funding, shortfall: str, then: list[str], promoted_eur: int
) -> None:
    claims = [20_000, 40_000, 40_000, 20_000]
    members = [Dossier(number, claim) for number, claim in enumerate(claims, start=1)]
    await funding.decided(a_call(shortfall=shortfall, envelope_eur=60_000), members, SCORES[:4])
    assert await funding.outcomes(members) == ["awarded", "awarded", "waitlisted", "waitlisted"]
    await funding.receive(members[0].withdrawn())
    assert await funding.outcomes(members[2:]) == then
    assert sum(e.amount_eur for e in (await funding.events("GrantAwarded"))[2:]) == promoted_eur
    assert recomputed(await funding.events()) == await funding.balance()


async def test_a_raised_envelope_serves_the_waiting_list(funding: Funding) -> None:
    members = dossiers(4)
    await funding.decided(a_call(), members, SCORES[:4])
    await funding.receive(published(a_call(version=2, envelope_eur=120_000)))
    assert await funding.outcomes(members) == ["awarded"] * 4


async def test_a_frozen_envelope_keeps_what_comes_back(funding: Funding) -> None:
    members = dossiers(4)
    await funding.decided(a_call(), members, SCORES[:4])
    await funding.value("UPDATE call SET frozen = true RETURNING call_id")
    await funding.receive(members[0].withdrawn())
    assert await funding.outcomes(members) == ["withdrawn", "awarded", "awarded", "waitlisted"]
    assert await funding.balance() == (40_000, 60_000, 0)


async def test_who_waits_when_the_list_ends_is_not_selected(funding: Funding) -> None:
    ends = ANNOUNCES + timedelta(days=60)
    members = dossiers(5)
    await funding.announced(a_call(rounds=[a_round(R1, list_ends_at=ends)]), members, SCORES)
    for member in members[:3]:
        await funding.receive(member.accepted(await funding.grant_of(member), ANNOUNCES + timedelta(days=30)))
    assert await funding.next_timer() == ends
    funding.at(ends)
    await funding.fire()
    ended = await funding.events("ApplicationNotSelected")
    assert [(e.reason, e.rank, e.sealed) for e in ended] == [("list_ended", 4, False), ("list_ended", 5, False)]
    await funding.receive(members[0].withdrawn())
    assert await funding.outcomes(members[3:]) == ["not_selected", "not_selected"]


async def test_an_unanswered_offer_lapses_a_day_after_its_last_day(funding: Funding) -> None:
    members = dossiers(4)
    await funding.announced(a_call(), members, SCORES[:4])
    await funding.receive(members[0].accepted(await funding.grant_of(members[0])))
    lapse = ANSWER_BY + timedelta(days=1)
    assert await funding.next_timer() == lapse
    funding.at(lapse - timedelta(seconds=1))
    assert await funding.fire() == 0
    funding.at(lapse)
    await funding.fire()
    assert await funding.outcomes(members) == ["accepted", "lapsed", "lapsed", "awarded"]
    assert {e.reason for e in await funding.events("GrantReleased")} == {"lapsed"}
    assert recomputed(await funding.events()) == await funding.balance()


async def test_an_offer_that_could_not_be_told_in_time_does_not_lapse_untold(funding: Funding) -> None:
    members = dossiers(1)
    await funding.decided(a_call(), members, ["90"])
    assert await funding.next_timer() == ANNOUNCES
    funding.at(ANNOUNCES + timedelta(days=100))
    await funding.fire()
    assert [s.name for s in await funding.said()][-3:] == ["RoundAnnounced", "OutcomeAnnounced", "GrantReleased"]


async def test_an_unsigned_convention_and_an_unstarted_project_lapse(funding: Funding) -> None:
    _, unstarted = members = dossiers(2)
    await funding.announced(a_call(), members, SCORES[:2])
    for member in members:
        await funding.receive(member.accepted(await funding.grant_of(member)))
    funding.at(ANNOUNCES + timedelta(days=10))
    grant = await funding.grant_of(unstarted)
    assert (await post(funding, f"/grants/{grant}/convention", signed_on="2030-03-11"))[0] == 200
    assert await funding.balance() == (40_000, 30_000, 30_000)
    # Accepted on 2 March, 60 days for the convention: 1 May; signed on 11 March, 3 months for the start: 11 June.
    assert await funding.next_timer() == datetime(2030, 5, 2, 21, 59, 59, tzinfo=UTC)
    funding.at(datetime(2030, 5, 3, tzinfo=UTC))
    await funding.fire()
    assert await funding.outcomes(members) == ["lapsed", "committed"]
    assert await funding.next_timer() == datetime(2030, 6, 12, 21, 59, 59, tzinfo=UTC)
    funding.at(datetime(2030, 6, 13, tzinfo=UTC))
    await funding.fire()
    assert await funding.outcomes(members) == ["lapsed", "lapsed"]
    assert await funding.balance() == (100_000, 0, 0)
    assert recomputed(await funding.events()) == (100_000, 0, 0)


async def test_a_grant_goes_its_way_and_each_step_repeated_is_the_same(funding: Funding) -> None:
    (member,) = members = dossiers(1)
    await funding.announced(a_call(), members, ["90"])
    grant = await funding.grant_of(member)
    assert (await post(funding, f"/grants/{grant}/convention", signed_on="2030-03-01"))[0] == 409
    await funding.receive(member.accepted(grant))
    funding.at(ANNOUNCES + timedelta(days=100))
    steps = [
        ("convention", {"signed_on": "2030-05-01"}), ("start", {"started_on": "2030-05-02"}),
        ("complete", {"completed_on": "2030-06-01"}),
    ]  # fmt: skip
    answers = [await post(funding, f"/grants/{grant}/{step}", **body) for step, body in steps]
    said = await funding.said("ConventionSigned", "ProjectStarted", "ProjectCompleted")
    assert [s.name for s in said] == ["ConventionSigned", "ProjectStarted", "ProjectCompleted"]
    assert [(status, answer["status"]) for status, answer in answers] == [
        (200, "committed"), (200, "started"), (200, "completed"),
    ]  # fmt: skip
    assert [await post(funding, f"/grants/{grant}/{step}", **body) for step, body in steps] == answers
    status, problem = await post(funding, f"/grants/{grant}/convention", signed_on="2030-05-03")
    assert (status, problem["code"]) == (409, "state_conflict")
    await funding.receive(member.withdrawn())
    assert await funding.outcomes(members) == ["completed"]
    assert len(await funding.said("ConventionSigned", "ProjectStarted", "ProjectCompleted", "GrantReleased")) == 3
    assert recomputed(await funding.events()) == await funding.balance() == (70_000, 0, 30_000)


async def test_a_withdrawal_releases_committed_money_too(funding: Funding) -> None:
    (member,) = members = dossiers(1)
    await funding.announced(a_call(), members, ["90"])
    grant = await funding.grant_of(member)
    await funding.receive(member.accepted(grant))
    funding.at(ANNOUNCES + timedelta(days=2))
    await post(funding, f"/grants/{grant}/convention", signed_on="2030-03-02")
    await funding.receive(member.withdrawn())
    assert await funding.outcomes(members) == ["withdrawn"]
    assert recomputed(await funding.events()) == await funding.balance() == (100_000, 0, 0)


async def test_a_revoked_grant_serves_the_waiting_list(funding: Funding) -> None:
    members = dossiers(4)
    await funding.announced(a_call(), members, SCORES[:4])
    grant = await funding.grant_of(members[0])
    assert (await post(funding, f"/grants/{grant}/revoke", reason="nothing was done"))[0] == 409
    await funding.receive(members[0].accepted(grant))
    first = await post(funding, f"/grants/{grant}/revoke", reason="nothing was done")
    assert first[1]["status"] == "revoked"
    assert await post(funding, f"/grants/{grant}/revoke", reason="nothing was done") == first
    assert (await post(funding, f"/grants/{grant}/revoke", reason="another"))[0] == 409
    assert await funding.outcomes(members) == ["revoked", "awarded", "awarded", "awarded"]


async def test_an_answer_counts_only_while_the_grant_is_awarded(funding: Funding) -> None:
    lapsed, other = members = dossiers(2)
    await funding.announced(a_call(), members, SCORES[:2])
    grant, others = await funding.grant_of(lapsed), await funding.grant_of(other)
    await funding.receive(other.accepted(others))
    funding.at(ANSWER_BY + timedelta(days=1))
    await funding.fire()
    await funding.receive(lapsed.accepted(grant), other.declined(others), lapsed.declined(others))
    assert await funding.outcomes(members) == ["lapsed", "accepted"]
    flags = await funding.rows("SELECT detail FROM flag ORDER BY flag_id")
    assert [flag["detail"] for flag in flags] == [
        "accepted, but the grant is lapsed", "declined, but the grant is accepted",
        "declined, but funding holds no such grant",
    ]  # fmt: skip


async def test_a_round_with_nobody_waiting_sets_no_timer_for_its_list(funding: Funding) -> None:
    members = dossiers(1)
    await funding.announced(a_call(), members, ["10"])
    assert await funding.next_timer() is None


async def test_rolling_awards_each_application_as_it_is_scored(funding: Funding) -> None:
    call = a_call(allocation="rolling", envelope_eur=70_000)
    members = dossiers(5)
    await funding.receive(published(call), *(m.submitted() for m in members))
    assert await funding.next_timer() == call.rounds[0].opens_at
    await funding.fire()
    await funding.receive(*(m.scored(s) for m, s in zip(members, ["70", "50", "90", "99", "98"], strict=True)))
    assert await funding.outcomes(members) == ["awarded", "not_selected", "awarded", "waitlisted", "waitlisted"]
    assert [(e.rank, e.ledger_entry, e.sealed) for e in await funding.events("GrantAwarded")] == [
        (1, 2, False), (2, 3, False),
    ]  # fmt: skip
    await funding.receive(members[0].withdrawn(), members[3].scored("10", revision=2))
    assert await funding.outcomes(members) == ["withdrawn", "not_selected", "awarded", "awarded", "waitlisted"]
    assert await funding.value("SELECT kind FROM flag") == "scored_after_decision"
    async with funding.staff() as client:
        ranking = (await client.get(f"/rounds/{R1}/ranking")).json()
    assert (ranking["status"], [line["rank"] for line in ranking["lines"]]) == ("rolling", [1, 2, 3, 4])


async def test_rolling_completes_what_came_before_the_submission_or_the_call(funding: Funding) -> None:
    early, earlier = members = dossiers(2)
    await funding.receive(early.scored("80"), earlier.scored("70"), earlier.submitted())
    await funding.receive(published(a_call(allocation="rolling")))
    assert await funding.outcomes([earlier]) == ["awarded"]
    await funding.receive(early.submitted())
    assert await funding.outcomes(members) == ["awarded", "awarded"]
    assert [e.rank for e in await funding.events("GrantAwarded")] == [1, 2]
