"""What applicants see and may do after the deposit, while facts arrive late, twice and out of order."""

from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from shared.events import funding, review
from shared.events.intake import ApplicationWithdrawn, GrantAccepted, GrantDeclined
from shared.ids import new_id
from tests.builders_intake import ANNOUNCED, ANSWER_BY, CLOSES, GRANT, R1, Applicant, IntakeBench, life
from tests.databases import Databases


@pytest.fixture
async def intake(databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> IntakeBench:
    bench = await IntakeBench.start(databases, tmp_path, monkeypatch)
    await bench.opened()
    return bench


def said_no(answer: Any) -> bool:
    return bool(answer.status_code == 409 and answer.json()["code"] == "state_conflict")


async def test_a_status_needs_the_applications_own_token(intake: IntakeBench) -> None:
    applicant, other = await intake.deposited(), await intake.deposited()
    url = f"/api/v1/applications/{applicant.id}"
    nobody = f"/api/v1/applications/{new_id()}"

    async def ask(address: str, token: str | None) -> int:
        headers = {"Authorization": f"Bearer {token}".encode("latin-1")} if token else {}
        return (await intake.http.get(address, headers=headers)).status_code

    assert await ask(url, applicant.receipt["access_token"]) == 200
    for address in (url, nobody, "/api/v1/applications/x%00"):
        assert await ask(address, None) == 401
        for wrong in (other.receipt["access_token"], "x", "1.x", "9999999999.x", "é"):
            assert await ask(address, wrong) == 403
    forged_for_nobody = intake.desk.access.token(nobody.rpartition("/")[2], 1)
    assert await ask(nobody, forged_for_nobody) == 404
    assert await ask(url, intake.desk.access.token(applicant.id, 2)) == 403


async def test_the_status_is_submitted_then_in_review_until_the_announcement(intake: IntakeBench) -> None:
    applicant = await intake.deposited()
    seen = await applicant.sees()
    assert (seen["status"], seen["offer"], seen["may_withdraw"]) == ("submitted", None, True)
    assert [each["what"] for each in seen["timeline"]] == ["submitted"]
    intake.at(CLOSES + timedelta(hours=1))
    await intake.close_due()
    assert await applicant.status() == "in_review"
    await applicant.is_awarded(announced=False)
    assert await applicant.status() == "in_review"
    await intake.learn(life(applicant.id)[3])
    intake.at(ANNOUNCED + timedelta(hours=1))
    seen = await applicant.sees()
    assert seen["status"] == "awarded"
    assert seen["offer"] == {
        "grant_id": GRANT, "amount_eur": 30000, "answer_by": "2021-10-24T21:59:59Z", "open": True,
    }  # fmt: skip


ORDERS = list(permutations(range(1, 5)))


@pytest.mark.parametrize("order", ORDERS[::5], ids=str)
async def test_facts_in_any_order_and_twice_give_the_same(intake: IntakeBench, order: tuple[int, ...]) -> None:
    applicant = await intake.deposited()
    records = [intake.record(event) for event in life(applicant.id)]
    await intake.take(*(records[position] for position in order))
    assert await applicant.status() == "awarded"
    assert (await intake.laureates())["total"] == {"laureates": 1, "amount_eur": 30000}
    await intake.take(*(records[position] for position in (7, 0, 6, 5)))
    assert await applicant.status() == "completed"
    assert (await intake.laureates())["total"] == {"laureates": 1, "amount_eur": 30000}


async def test_facts_about_an_application_unknown_here_are_kept(intake: IntakeBench) -> None:
    await intake.learn(*life(new_id()))
    assert await intake.count("fact") == 8
    assert (await intake.laureates())["items"] == []


async def test_sealed_applications_are_the_same_at_every_door(intake: IntakeBench) -> None:
    awarded, refused, scored = [await intake.deposited() for _ in range(3)]
    intake.at(CLOSES + timedelta(hours=1))
    await intake.close_due()
    await awarded.is_awarded(announced=False)
    checks = {"checks": {"theme": False}, "reason": "theme"}
    await intake.learn(
        refused.about(review.ApplicationInadmissible, CLOSES + timedelta(days=10), **checks), *life(scored.id)[:2]
    )
    own = ("application_id", "reference")
    views = [{k: v for k, v in (await each.sees()).items() if k not in own} for each in (awarded, refused, scored)]
    assert views[0] == views[1] == views[2]
    answers = [await each.does(what) for each in (awarded, refused, scored) for what in ("accept", "decline")]
    assert all(said_no(answer) for answer in answers)
    assert len({answer.text for answer in answers}) == 1
    assert (await intake.laureates())["total"] == {"laureates": 0, "amount_eur": 0}
    assert await intake.said(GrantAccepted) == []
    withdrawals = [await each.does("withdraw") for each in (awarded, refused, scored)]
    assert [answer.status_code for answer in withdrawals] == [202, 202, 202]


async def test_an_offer_is_accepted_once_and_the_first_answer_is_repeated(intake: IntakeBench) -> None:
    applicant = await intake.deposited()
    await applicant.is_awarded()
    intake.at(ANNOUNCED + timedelta(days=2))
    first = await applicant.does("accept")
    assert (first.status_code, first.json()["status"]) == (202, "accepted")
    intake.at(ANSWER_BY + timedelta(days=90))
    again = await applicant.does("accept")
    assert (again.status_code, again.json()) == (202, first.json())
    [event] = await intake.said(GrantAccepted)
    assert (event.grant_id, event.round_id) == (GRANT, R1)
    assert said_no(await applicant.does("decline"))


async def test_an_answer_after_its_last_instant_is_refused(intake: IntakeBench) -> None:
    applicant = await intake.deposited()
    await applicant.is_awarded()
    intake.at(ANSWER_BY + timedelta(seconds=1))
    assert said_no(await applicant.does("accept"))
    assert said_no(await applicant.does("decline"))
    assert (await applicant.sees())["offer"]["open"] is False
    assert await intake.count("fact WHERE kind IN ('accepted', 'declined')") == 0


async def test_a_declined_grant_leaves_the_public_list_at_once(intake: IntakeBench) -> None:
    applicant, other = await intake.deposited(), await intake.deposited()
    await applicant.is_awarded()
    await other.is_awarded()
    intake.at(ANNOUNCED + timedelta(days=2))
    assert (await intake.laureates())["total"] == {"laureates": 2, "amount_eur": 60000}
    first = await applicant.does("decline")
    listed = await intake.laureates()
    assert listed["total"] == {"laureates": 1, "amount_eur": 30000}
    assert [each["reference"] for each in listed["items"]] == [other.receipt["reference"]]
    release = applicant.about(
        funding.GrantReleased, ANNOUNCED + timedelta(days=2), grant_id=GRANT, amount_eur=30000, reason="declined",
        ledger_entry=9,
    )  # fmt: skip
    await intake.learn(release)
    assert await applicant.status() == "declined"
    assert (await applicant.does("decline")).json() == first.json()
    assert (await intake.laureates())["total"] == {"laureates": 1, "amount_eur": 30000}
    assert len(await intake.said(GrantDeclined)) == 1


async def test_a_withdrawal_is_taken_once_with_its_first_reason(intake: IntakeBench) -> None:
    applicant = await intake.deposited()
    first = await applicant.does("withdraw", {"reason": "Plus de moyens."})
    intake.at(CLOSES)
    again = await applicant.does("withdraw", {"reason": "Autre chose."})
    assert (again.status_code, again.json()) == (202, first.json())
    assert [each.reason for each in await intake.said(ApplicationWithdrawn)] == ["Plus de moyens."]
    seen = await applicant.sees()
    assert (seen["status"], seen["may_withdraw"]) == ("withdrawn", False)


@pytest.mark.parametrize("body", [{}, {"reason": "  "}, {"reason": 7}, {"reason": "a\0"}, [1]])
async def test_a_withdrawal_needs_a_reason(intake: IntakeBench, body: Any) -> None:
    applicant = await intake.deposited()
    answer = await applicant.does("withdraw", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert await applicant.status() == "submitted"


async def test_a_withdrawal_after_the_convention_is_refused(intake: IntakeBench) -> None:
    applicant = await intake.deposited()
    await intake.learn(*life(applicant.id)[:6])
    assert said_no(await applicant.does("withdraw"))
    assert await intake.said(ApplicationWithdrawn) == []


async def test_laureates_are_told_by_pages_in_the_order_of_their_references(intake: IntakeBench) -> None:
    winners: list[Applicant] = []
    for _ in range(51):
        winners.append(await intake.deposited())
        await intake.take(*[intake.record(event) for event in life(winners[-1].id)[2:4]])
    page = await intake.laureates()
    assert page["total"] == {"laureates": 51, "amount_eur": 51 * 30000}
    following = (await intake.http.get(f"/api/v1/calls/{page['call_id']}/laureates?after={page['next']}")).json()
    told = [each["reference"] for each in page["items"] + following["items"]]
    assert told == [each.receipt["reference"] for each in winners]
    assert following["next"] is None


async def test_a_round_announcement_alone_unseals_nothing(intake: IntakeBench) -> None:
    applicant = await intake.deposited()
    await applicant.is_awarded(announced=False)
    announced = funding.RoundAnnounced(
        occurred_at=ANNOUNCED, call_id="innovation-2021", call_version=1, round_id=R1, announced_at=ANNOUNCED
    )
    await intake.learn(announced)
    assert await applicant.status() == "in_review"
    assert (await intake.laureates())["items"] == []
