"""Publishing a call, and closing its rounds while applications still come in."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.intake.app import closing
from services.intake.domain.closing import members_sha256
from services.intake.store import applications, rounds
from services.intake.store.applications import Claimed, Closed, Inserted, KeyOf, NewApplication
from shared.clock import business_now
from shared.db import Transaction
from shared.events.intake import ApplicationSubmitted, CallPublished, RoundClosed
from shared.ids import new_id
from shared.messaging.timers import next_timer
from tests.builders_intake import CALL, CAUSE, CLOSES, GRACE, OPEN, R1, IntakeBench, call_document, submission
from tests.databases import Databases
from tests.waiting import until

LONGEST = timedelta(seconds=30)


@pytest.fixture
async def intake(databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> IntakeBench:
    return await IntakeBench.start(databases, tmp_path, monkeypatch)


async def test_a_call_is_published_once_and_then_answered_the_same(intake: IntakeBench) -> None:
    first = await intake.publish()
    intake.at(OPEN)
    again = await intake.publish(call_document(envelope_eur=4000000.0))
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json() == first.json() == {
        "call_id": CALL, "version": 1, "published_at": "2021-06-01T09:00:00Z",
    }  # fmt: skip
    [event] = await intake.said(CallPublished)
    assert event.call == event.call.model_validate(call_document())


async def test_only_an_administrator_publishes(intake: IntakeBench) -> None:
    assert (await intake.publish(role="officer")).status_code == 403
    assert (await intake.publish(role="x")).status_code == 401
    assert (await intake.http.put(f"/api/v1/calls/{CALL}", json=call_document())).status_code == 401
    assert await intake.count("call") == 0


async def test_a_version_with_other_content_is_refused_by_name(intake: IntakeBench) -> None:
    await intake.publish()
    answer = await intake.publish(call_document(envelope_eur=1_000_000))
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["errors"][0]["field"]) == (409, "state_conflict", "version")


async def test_a_new_version_after_the_opening_keeps_the_rules(intake: IntakeBench) -> None:
    await intake.opened()
    refused = await intake.publish(call_document(version=2, shortfall="skip", grace_s=0))
    assert refused.status_code == 409
    assert {each["field"] for each in refused.json()["errors"]} == {"shortfall", "grace_s"}
    taken = await intake.publish(call_document(version=3, envelope_eur=5_000_000))
    assert taken.status_code == 200
    assert (await intake.http.get(f"/api/v1/calls/{CALL}")).json()["envelope_eur"] == 5_000_000
    assert (await intake.publish()).status_code == 200  # the first version's content, repeated
    late = await intake.publish(call_document(version=2))
    assert (late.status_code, late.json()["errors"][0]["field"]) == (409, "version")
    assert [each.call_version for each in await intake.said(CallPublished)] == [1, 3]


async def test_before_the_opening_rounds_may_come_and_go(intake: IntakeBench) -> None:
    await intake.publish()
    fewer = call_document(version=2, rounds=call_document()["rounds"][1:])
    assert (await intake.publish(fewer)).status_code == 200
    assert await intake.count("round") == 1


async def test_names_of_another_call_are_taken(intake: IntakeBench) -> None:
    await intake.publish()
    answer = await intake.publish(call_document(id="other"))
    assert answer.status_code == 409
    assert {each["field"] for each in answer.json()["errors"]} == {"rounds", "reference_prefix"}


async def test_every_mistake_of_a_call_is_told_by_field(intake: IntakeBench) -> None:
    wrong = call_document(version="one", grant={"min_eur": 50000, "max_eur": 40000}, tie_break=["x"], colour="red")
    answer = await intake.publish(wrong)
    assert answer.status_code == 422
    assert {each["field"] for each in answer.json()["errors"]} == {"version", "grant.min_eur", "tie_break.0", "colour"}
    headers = {"Authorization": "Bearer administrator"}
    elsewhere = await intake.http.put("/api/v1/calls/elsewhere", json=call_document(), headers=headers)
    assert (elsewhere.status_code, elsewhere.json()["errors"][0]["field"]) == (422, "id")
    malformed = await intake.http.put(f"/api/v1/calls/{CALL}", content=b"{", headers=headers)
    assert (malformed.status_code, malformed.json()["code"]) == (400, "body_malformed")
    zero = call_document()
    zero["title"]["fr"] = "a\0b"
    refused = await intake.publish(zero)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "title.fr")


async def test_what_no_service_could_work_with_is_refused_at_the_door(intake: IntakeBench) -> None:
    for field, value in {"envelope_eur": True, "version": 2**31, "time_zone": "localtime"}.items():
        refused = await intake.publish(call_document(**{field: value}))
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)
    late = call_document()
    late["rounds"][1]["announce_at"] = "9999-12-31T23:59:59-14:00"
    refused = await intake.publish(late)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "rounds.1.announce_at")
    assert await intake.count("call") == 0


async def test_two_first_publications_at_once_are_one(intake: IntakeBench) -> None:
    answers = await asyncio.gather(*(intake.publish() for _ in range(4)))
    assert {answer.text for answer in answers} == {answers[0].text}
    assert len(await intake.said(CallPublished)) == 1


async def test_calls_are_listed_by_pages(intake: IntakeBench) -> None:
    for number in range(51):
        document = call_document(id=f"call-{number:02}", reference_prefix=f"C-{number}")
        document["rounds"] = [each | {"id": f"call-{number:02}-r{i}"} for i, each in enumerate(document["rounds"])]
        assert (await intake.publish(document)).status_code == 200
    intake.at(OPEN)
    page = (await intake.http.get("/api/v1/calls")).json()
    rest = (await intake.http.get(f"/api/v1/calls?after={page['next']}")).json()
    assert [len(page["items"]), len(rest["items"]), rest["next"]] == [50, 1, None]
    assert [each["state"] for each in page["items"][0]["rounds"]] == ["open", "upcoming"]
    assert (await intake.http.get("/api/v1/calls/nowhere")).json()["code"] == "call_unknown"


async def test_a_round_closes_after_its_grace_and_the_longest_request(intake: IntakeBench) -> None:
    await intake.opened()
    members = [(await intake.deposited()).id for _ in range(3)]
    due = await next_timer(intake.db, intake.runtime.service.timers)
    assert due == CLOSES + GRACE + LONGEST
    intake.at(due - timedelta(microseconds=1))
    await intake.close_due()
    assert await intake.said(RoundClosed) == []
    intake.at(due)
    await intake.close_due()
    await intake.close_due()
    [closed] = await intake.said(RoundClosed)
    assert (closed.round_id, closed.submitted, closed.closed_at) == (R1, 3, due)
    assert closed.applications_sha256 == members_sha256(members)
    assert await next_timer(intake.db, intake.runtime.service.timers) > due


async def test_an_empty_round_closes_too(intake: IntakeBench) -> None:
    await intake.opened()
    intake.at(CLOSES + timedelta(hours=1))
    await intake.close_due()
    [closed] = await intake.said(RoundClosed)
    assert (closed.submitted, closed.applications_sha256) == (0, members_sha256([]))


async def test_a_submit_never_lands_after_the_count(intake: IntakeBench) -> None:
    await intake.opened()
    intake.at(CLOSES)

    async def submits(number: int) -> int:
        return (await intake.submit(submission(contact__email=f"p{number}@example.org"))).status_code

    async def closes() -> None:
        await asyncio.sleep(0)
        async with intake.db.transaction() as tx:
            await closing.run(tx, CLOSES + timedelta(hours=1), CAUSE)

    first = [submits(number) for number in range(12)]
    answers = await asyncio.gather(*first, closes(), *(submits(number) for number in range(12, 30)))
    [closed] = await intake.said(RoundClosed)
    taken = [answer for answer in answers if answer == 201]
    assert set(answers) <= {201, 403, None}
    assert closed.submitted == len(taken) == await intake.count("application")
    told = [each.application_id for each in await intake.said(ApplicationSubmitted)]
    assert closed.applications_sha256 == members_sha256(told)


async def test_the_closer_waits_for_a_submit_that_is_under_way(intake: IntakeBench) -> None:
    await intake.opened()
    async with intake.db.transaction() as submitting:
        [result] = await applications.insert_applications(submitting, [row("a@example.org", "k")])
        assert isinstance(result, Inserted)

        async def close() -> None:
            async with intake.db.transaction() as tx:
                await closing.run(tx, CLOSES + timedelta(hours=1), CAUSE)

        closer = asyncio.create_task(close())
        await somebody_waits_for_a_lock(intake)
        assert not closer.done()
    await closer
    assert [each.submitted for each in await intake.said(RoundClosed)] == [1]


WAITING = """
SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND datname = current_database()
"""


async def somebody_waits_for_a_lock(intake: IntakeBench) -> None:
    async def waits() -> bool:
        async with intake.db.transaction() as tx:
            return bool(await tx.fetch_value(WAITING))

    await until(waits)


def row(email: str, key: str, **changes: Any) -> NewApplication:
    values: dict[str, Any] = {
        "application_id": new_id(), "call_id": CALL, "call_version": 1, "round_id": R1, "applicant_id": new_id(),
        "email": email, "email_key": email, "name": "x", "language": "fr", "organisation": "{}", "project": "{}",
        "submitted_at": OPEN, "key": key, "address_hmac": email.encode().ljust(32), "body_hmac": b"b" * 32,
    }  # fmt: skip
    return NewApplication(**values | changes)


async def test_two_equal_keys_at_once_are_one_application(intake: IntakeBench) -> None:
    await intake.opened()
    answers = await asyncio.gather(*(intake.submit(key="k") for _ in range(6)))
    codes = [answer.status_code for answer in answers]
    assert set(codes) <= {201, 409}
    assert 201 in codes
    assert {answer.json()["reference"] for answer in answers if answer.status_code == 201} == {"INNO-2021-0001"}
    assert all(a.json()["code"] == "idempotency_in_flight" for a in answers if a.status_code == 409)
    assert await intake.count("application") == 1
    assert (await intake.submit(key="k")).status_code == 201


async def test_a_key_in_flight_is_told_and_a_crash_leaves_nothing(intake: IntakeBench) -> None:
    await intake.opened()
    new = row("a@example.org", "k")
    key = KeyOf(new.call_id, new.address_hmac, new.key)

    class Crash(Exception):
        pass

    with pytest.raises(Crash):
        async with intake.db.transaction() as first:
            assert await applications.claim_keys(first, [key]) == [Claimed(1, None, ours=True)]
            assert isinstance(await only(first, new), Inserted)
            async with intake.db.transaction() as second:
                assert await applications.claim_keys(second, [key]) == [Claimed(1, None, ours=False)]
            raise Crash
    assert await intake.count("application") == await intake.count("idempotency") == 0
    async with intake.db.transaction() as tx:
        assert await applications.claim_keys(tx, [key]) == [Claimed(1, None, ours=True)]
        inserted = await only(tx, new)
        assert isinstance(inserted, Inserted)
    async with intake.db.transaction() as tx:
        assert await applications.claim_keys(tx, [key]) == [Claimed(1, inserted.stored, ours=True)]


async def test_keys_are_looked_up_one_by_one_however_many_a_call_has(intake: IntakeBench) -> None:
    await intake.opened()
    rows = [row(f"p{number}@example.org", "k") for number in range(2000)]
    keys = [KeyOf(each.call_id, each.address_hmac, each.key) for each in rows[:20]]
    async with intake.db.transaction() as tx:
        await applications.insert_applications(tx, rows)
    arrays = {"calls": [key.call_id for key in keys], "addresses": [key.address_hmac for key in keys],
              "keys": [key.key for key in keys]}  # fmt: skip
    async with intake.db.transaction() as tx:
        lines = await tx.fetch_all(f"EXPLAIN (ANALYZE, BUFFERS) {applications.LOOK_UP}", **arrays)
    plan = "\n".join(line[0] for line in lines)
    assert "Index Cond: ((call_id = k.call_id) AND (address_hmac = k.address_hmac) AND (key = k.key))" in plan, plan
    assert "Seq Scan on application" not in plan, plan


async def only(tx: Transaction, new: NewApplication) -> Inserted | Closed:
    [result] = await applications.insert_applications(tx, [new])
    return result


async def test_many_submissions_are_written_as_one(intake: IntakeBench) -> None:
    await intake.opened()
    rows = [row(f"p{number % 3}@example.org", f"k{number}") for number in range(20)]
    async with intake.db.transaction() as tx:
        results = await applications.insert_applications(tx, rows)
    inserted = [each for each in results if isinstance(each, Inserted)]
    assert [each.stored.reference for each in inserted] == [f"INNO-2021-{n:04d}" for n in range(1, 21)]
    assert [each.stored.application_id for each in inserted] == [each.application_id for each in rows]
    assert sum(each.new_applicant for each in inserted) == await intake.count("applicant") == 3


async def test_a_closed_round_refuses_what_is_new_and_knows_what_it_has(intake: IntakeBench) -> None:
    await intake.opened()
    known = row("a@example.org", "k")
    async with intake.db.transaction() as tx:
        await applications.insert_applications(tx, [known])
    async with intake.db.transaction() as tx:
        await rounds.close_round(tx, R1, business_now(), 1, members_sha256([known.application_id]))
    async with intake.db.transaction() as tx:
        assert await applications.insert_applications(tx, [row("b@example.org", "k")]) == [Closed()]
        [claimed] = await applications.claim_keys(tx, [KeyOf(known.call_id, known.address_hmac, known.key)])
    assert claimed.stored is not None
    assert claimed.stored.application_id == known.application_id
