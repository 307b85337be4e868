"""A round from its first fact to its announcement: what is received, decided, reserved and said."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.builders_funding import (
    ANNOUNCES,
    CALL,
    DECIDES,
    R1,
    R2,
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


@pytest.fixture
async def funding(databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Funding:
    return await a_funding(databases, tmp_path, monkeypatch)


async def test_a_published_call_opens_its_ledger_with_entry_one(funding: Funding) -> None:
    await funding.receive(published(a_call()))
    (event,) = await funding.events("EnvelopeSet")
    assert (event.envelope_eur, event.ledger_entry, event.call_id) == (100_000, 1, CALL)
    assert await funding.balance() == (100_000, 0, 0)


async def test_an_older_version_of_a_call_changes_nothing(funding: Funding) -> None:
    await funding.receive(published(a_call(version=2, envelope_eur=120_000)), published(a_call(version=1)))
    assert await funding.balance() == (120_000, 0, 0)


async def test_a_raised_envelope_is_another_entry(funding: Funding) -> None:
    await funding.receive(published(a_call()), published(a_call(version=2, envelope_eur=150_000)))
    assert [(e.envelope_eur, e.ledger_entry) for e in await funding.events("EnvelopeSet")] == [
        (100_000, 1), (150_000, 2),
    ]  # fmt: skip


async def test_a_reduction_takes_what_is_available_and_flags_the_rest(funding: Funding) -> None:
    await funding.decided(a_call(), dossiers(3), ["90", "80", "70"])
    await funding.receive(published(a_call(version=2, envelope_eur=60_000)))
    assert await funding.balance() == (0, 90_000, 0)
    assert (await funding.events("EnvelopeSet"))[-1].envelope_eur == 90_000
    async with funding.staff() as client:
        budget = (await client.get(f"/calls/{CALL}/budget")).json()
    assert budget["unmet_reduction_eur"] == 30_000
    assert [flag["kind"] for flag in budget["flags"]] == ["envelope_reduction_short"]


async def test_the_best_are_awarded_until_the_money_is_short_and_the_weak_are_not_selected(funding: Funding) -> None:
    members = dossiers(5)
    await funding.decided(a_call(), members, ["61", "95", "59.99", "80", "70"])
    assert await funding.outcomes(members) == ["waitlisted", "awarded", "not_selected", "awarded", "awarded"]
    assert await funding.balance() == (10_000, 90_000, 0)
    awarded = await funding.events("GrantAwarded")
    assert [(e.rank, e.amount_eur, e.requested_eur, e.ledger_entry) for e in awarded] == [
        (1, 30_000, 30_000, 2), (2, 30_000, 30_000, 3), (3, 30_000, 30_000, 4),
    ]  # fmt: skip
    (waiting,) = await funding.events("ApplicationWaitlisted")
    (refused,) = await funding.events("ApplicationNotSelected")
    assert (waiting.rank, waiting.reason, waiting.application_id) == (4, "envelope_short", members[0].id)
    assert (refused.rank, refused.reason, refused.application_id) == (5, "below_pass_mark", members[2].id)
    assert all(e.sealed for e in [*awarded, waiting, refused])
    (decided,) = await funding.events("RoundDecided")
    assert (decided.awarded, decided.waitlisted, decided.not_selected) == (3, 1, 1)
    assert (decided.awarded_eur, decided.remaining_eur) == (90_000, 10_000)
    assert recomputed(await funding.events()) == await funding.balance()


async def test_an_offer_may_be_answered_until_the_end_of_its_last_local_day(funding: Funding) -> None:
    await funding.decided(a_call(), dossiers(1), ["90"])
    (event,) = await funding.events("GrantAwarded")
    # Announced on 1 March, 30 days later it is summer time in Paris.
    assert event.answer_by == datetime(2030, 3, 31, 21, 59, 59, tzinfo=UTC)


async def test_the_recommended_amount_is_claimed_within_its_bounds(funding: Funding) -> None:
    members = dossiers(3)
    await funding.receive(published(a_call()), *(m.submitted() for m in members), closed(members))
    await funding.receive(*(
        m.scored("80", recommended_eur=amount) for m, amount in zip(members, (25_000, 5_000, 39_000), strict=True)
    ))  # fmt: skip
    await funding.decide()
    assert [e.amount_eur for e in await funding.events("GrantAwarded")] == [25_000, 10_000, 30_000]


async def test_a_round_waits_for_its_closing_its_members_and_their_scores(funding: Funding) -> None:
    first, second = members = dossiers(2)

    async def waits_for() -> list[str]:
        async with funding.staff() as client:
            found: list[str] = (await client.get(f"/rounds/{R1}/ranking")).json()["waits_for"]
            return found

    await funding.receive(first.submitted(), first.scored("80"))
    assert await waits_for() == ["call", "closing"]
    await funding.receive(published(a_call()))
    assert await waits_for() == ["closing"]
    await funding.receive(closed(members))
    assert await waits_for() == ["applications"]
    await funding.receive(second.submitted())
    assert await waits_for() == ["scores"]
    await funding.receive(second.scored("70"))
    assert await waits_for() == []
    await funding.receive(second.voided())
    assert await waits_for() == ["scores"]
    await funding.receive(second.withdrawn())
    assert await waits_for() == []
    assert await funding.value("SELECT count(*) FROM proposal") == 2


async def test_a_round_whose_members_are_others_than_intake_counted_is_not_ready(funding: Funding) -> None:
    first, second = dossiers(2)
    await funding.receive(published(a_call()), first.submitted(), closed([second]), first.scored("80"))
    async with funding.staff() as client:
        assert (await client.get(f"/rounds/{R1}/ranking")).json()["waits_for"] == ["matching_applications"]


async def test_a_round_that_closed_under_a_later_version_waits_for_it(funding: Funding) -> None:
    members = dossiers(1)
    await funding.receive(published(a_call()), members[0].submitted(), members[0].scored("80"))
    await funding.receive(closed(members, call_version=2))
    assert await funding.value("SELECT ready FROM round") is False
    await funding.receive(published(a_call(version=2, envelope_eur=110_000)))
    assert await funding.value("SELECT ready FROM round") is True


async def test_a_round_that_a_newer_version_left_out_is_not_waited_for(funding: Funding) -> None:
    members = dossiers(2)
    await funding.receive(published(a_call(rounds=[a_round("left-out", -1), a_round(R1)])))
    await funding.decided(a_call(version=2), members, ["90", "80"])
    assert await funding.outcomes(members) == ["awarded", "awarded"]


async def test_what_is_known_of_a_round_of_a_version_to_come_outlives_an_older_one(funding: Funding) -> None:
    first, second = members = dossiers(2, round_id=R2)
    await funding.receive(first.submitted(), second.submitted(), closed(members, R2, call_version=2))
    await funding.receive(published(a_call()), published(a_call(version=2, rounds=[a_round(R2)])))
    await funding.receive(first.scored("90"), second.scored("80"))
    assert await funding.value("SELECT ready FROM round WHERE round_id = :round_id", round_id=R2) is True


async def test_inadmissible_and_withdrawn_members_need_no_score_and_have_no_line(funding: Funding) -> None:
    scored, refused, withdrawn = members = dossiers(3)
    await funding.receive(published(a_call()), *(m.submitted() for m in members), closed(members))
    await funding.receive(refused.inadmissible(), withdrawn.withdrawn(), scored.scored("75"))
    await funding.decide()
    assert await funding.outcomes(members) == ["awarded", "none", "none"]


async def test_an_announcement_tells_each_member_once_and_no_withdrawn_one(funding: Funding) -> None:
    good, weak, refused, withdrawn, late = members = dossiers(5)
    await funding.receive(published(a_call()), *(m.submitted() for m in members), closed(members))
    await funding.receive(refused.inadmissible(), good.scored("90"), weak.scored("20"), late.scored("80"))
    await funding.receive(withdrawn.withdrawn())
    funding.at(DECIDES)
    await funding.decide()
    await funding.receive(late.withdrawn())
    assert await funding.next_timer() == ANNOUNCES
    assert await funding.fire() == 0
    funding.at(ANNOUNCES)
    assert await funding.fire() == 1
    (announced,) = await funding.events("RoundAnnounced")
    assert (announced.round_id, announced.announced_at) == (R1, ANNOUNCES)
    told = {e.application_id: e.outcome for e in await funding.events("OutcomeAnnounced")}
    assert told == {good.id: "awarded", weak.id: "not_selected", refused.id: "inadmissible"}
    assert await funding.fire() == 0


async def test_a_late_decision_is_announced_at_once(funding: Funding) -> None:
    members = dossiers(1)
    await funding.receive(published(a_call()), members[0].submitted(), closed(members), members[0].scored("80"))
    later = ANNOUNCES + timedelta(days=2)
    funding.at(later)
    assert await funding.fire() == 0
    await funding.decide()
    assert await funding.next_timer() == later
    await funding.fire()
    assert (await funding.events("RoundAnnounced"))[0].announced_at == later


@pytest.mark.parametrize("call_first", [True, False])
async def test_inadmissibility_is_told_at_once_where_the_call_says_so(funding: Funding, call_first: bool) -> None:
    refused, withdrawn = members = dossiers(2)
    call = published(a_call(inadmissible_told="at_once"))
    facts = [*(m.submitted() for m in members), withdrawn.withdrawn(), withdrawn.inadmissible(), refused.inadmissible()]
    await funding.receive(*([call, *facts] if call_first else [*facts, call]))
    assert [(e.application_id, e.outcome) for e in await funding.events("OutcomeAnnounced")] == [
        (refused.id, "inadmissible")
    ]
    await funding.receive(closed(members))
    await funding.decide()
    funding.at(ANNOUNCES)
    await funding.fire()
    assert len(await funding.events("OutcomeAnnounced")) == 1


async def test_an_automatic_decision_confirms_itself_in_the_order_of_closing(funding: Funding) -> None:
    call = a_call(decision="automatic", second_person=True, rounds=[a_round(R1), a_round(R2, 1)])
    first, second = dossiers(1), dossiers(1, round_id=R2)
    await funding.receive(published(call), first[0].submitted(), second[0].submitted())
    await funding.receive(closed(second, R2), second[0].scored("90"))
    assert await funding.events("RoundDecided") == []
    await funding.receive(closed(first), first[0].scored("80"))
    assert [e.round_id for e in await funding.events("RoundDecided")] == [R1, R2]
    assert [e.ledger_entry for e in await funding.events("GrantAwarded")] == [2, 3]


async def test_a_score_that_comes_after_the_decision_only_flags(funding: Funding) -> None:
    members = dossiers(2)
    await funding.decided(a_call(), members, ["90", "80"])
    await funding.receive(members[0].scored("10", revision=2), members[1].voided())
    assert await funding.outcomes(members) == ["awarded", "awarded"]
    async with funding.staff() as client:
        lines = (await client.get(f"/rounds/{R1}/ranking")).json()["lines"]
    assert [line["flags"] for line in lines] == [
        ["scored_after_decision: revision 2: 10"], ["voided_after_decision: revision 1"],
    ]  # fmt: skip
    assert [line["score"] for line in lines] == ["90.00", "80.00"]


async def test_an_empty_round_is_ready_when_it_closes(funding: Funding) -> None:
    await funding.receive(published(a_call()), closed([]))
    assert (await funding.decide()).json()["status"] == "decided"
    assert (await funding.events("RoundDecided"))[0].awarded == 0
