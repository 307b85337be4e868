"""What operators ask of ops: traces, dead letters, invariants; who may ask."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shared.events.ops import DismissalRequested, EventQuarantined, ReplayRequested
from shared.history import Recorded
from shared.ids import new_id
from tests.builders_history import Story, whole_story
from tests.builders_ops import OFFICER, OPERATOR, Ops, running_ops
from tests.databases import Databases

LETTER = "0190d5c0-0000-7000-8000-0000000000aa"


@pytest.fixture
async def ops(databases: Databases) -> AsyncIterator[Ops]:
    async with running_ops(await databases("ops")) as running:
        yield running


@pytest.fixture
async def story(ops: Ops) -> Story:
    """A whole call, in the index."""
    told = whole_story()
    await ops.take(told.past.records)
    return told


def quarantined(story: Story, key: str, *, consumer: str = "funding.review.scores", offset: int = 3) -> Recorded:
    topic = consumer.partition(".")[2]
    return story.past.record(
        EventQuarantined(
            occurred_at=story.past.now, service=consumer.partition(".")[0], consumer=consumer, origin_topic=topic,
            origin_partition=0, origin_offset=offset, origin_key=key, event_id=new_id(), reason="Malformed: odd",
            attempts=3,
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    "path", ["events", "applications/x/trace", "lag", "dead-letters", f"dead-letters/{LETTER}", "invariants"]
)
async def test_only_operators_may_look(ops: Ops, path: str) -> None:
    assert (await ops.client.get(f"/api/v1/{path}")).status_code == 401
    answer = await ops.client.get(f"/api/v1/{path}", headers=OFFICER)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_an_application_is_told_over_every_topic_by_id_or_reference(ops: Ops, story: Story) -> None:
    by_id = await ops.get(f"/api/v1/applications/{story.laureates[0]}/trace")
    by_reference = await ops.get("/api/v1/applications/inno-2021-0001/trace")
    assert by_id["steps"] == by_reference["steps"]
    assert by_id["status"] == "awarded"
    assert [step["type"].split(".")[1] for step in by_id["steps"]] == [
        "ApplicationSubmitted", "ApplicantNotified", "RoundClosed", "ApplicationAdmitted", "Scored", "GrantAwarded",
        "RoundDecided", "RoundAnnounced", "OutcomeAnnounced", "ApplicantNotified",
    ]  # fmt: skip
    assert by_id["gaps"][0]["sentence"].startswith("no answer from")


async def test_a_trace_points_at_what_is_missing_and_at_what_was_set_aside(ops: Ops) -> None:
    told = whole_story()
    held_back = [r for r in told.past.records if getattr(r.event, "template", "") == "waitlisted"]
    dead = quarantined(told, told.waitlisted, consumer="notify.funding.grants")
    await ops.take([r for r in told.past.records if r not in held_back])
    found = await ops.get(f"/api/v1/applications/{told.waitlisted}/trace")
    assert [gap["code"] for gap in found["gaps"]] == ["outcome_letter", "quarantined"]
    assert dead.event_id in {step["event_id"] for step in found["steps"]}


async def test_an_unknown_application_has_no_trace(ops: Ops, story: Story) -> None:
    answer = await ops.client.get("/api/v1/applications/INNO-2021-9999/trace", headers=OPERATOR)
    assert (answer.status_code, answer.json()["code"]) == (404, "application_unknown")


async def test_invariants_hold_of_a_whole_call(ops: Ops, story: Story) -> None:
    found = await ops.get("/api/v1/invariants")
    assert all(found["invariants"].values())
    assert found["calls"] == {story.past.call.id: {"invariants": found["invariants"], "broken": [], "awaited": []}}


async def test_a_broken_invariant_says_whom_to_look_at(ops: Ops) -> None:
    told = whole_story(envelope_eur=45_000)
    await ops.take(told.past.records)
    found = await ops.get("/api/v1/invariants", call_id=told.past.call.id)
    assert not found["invariants"]["ledger_never_overdrawn"]
    (broken,) = found["calls"][told.past.call.id]["broken"]
    assert broken["sentence"].endswith("5000 € over the envelope")
    assert (await ops.client.get("/api/v1/invariants?call_id=other", headers=OPERATOR)).status_code == 404


async def test_what_is_missing_for_a_moment_is_awaited_and_not_broken(ops: Ops) -> None:
    told = whole_story()
    now = datetime.now(UTC)
    fresh = [replace(record, recorded_at=now) for record in told.past.records]
    missing = [r for r in fresh if getattr(r.event, "template", "") != "waitlisted"]
    await ops.take(missing)
    found = (await ops.get("/api/v1/invariants"))["calls"][told.past.call.id]
    assert found["broken"] == []
    assert [each["invariant"] for each in found["awaited"]] == ["one_letter_per_outcome"]


async def test_dead_letters_are_listed_open_first_and_grouped_by_reason(ops: Ops, story: Story) -> None:
    first = quarantined(story, story.waitlisted)
    second = quarantined(story, story.not_selected, offset=4)
    await ops.take([first, second])
    listed = await ops.get("/api/v1/dead-letters")
    assert [(each["id"], each["open"]) for each in listed["items"]] == [(first.event_id, True), (second.event_id, True)]
    assert listed["items"][0]["place"] == "review.scores[0]@3"
    assert (listed["total"], listed["next"]) == (2, None)
    (group,) = (await ops.get("/api/v1/dead-letters", group="reason"))["groups"]
    assert (group["reason"], group["count"]) == ("Malformed: odd", 2)
    assert not (await ops.get("/api/v1/invariants"))["invariants"]["nothing_dead_lettered"]


async def test_dead_letters_come_fifty_a_page(ops: Ops, story: Story) -> None:
    await ops.take([quarantined(story, new_id(), offset=number) for number in range(60)], times=1)
    first = await ops.get("/api/v1/dead-letters")
    second = await ops.get(first["next"])
    assert (len(first["items"]), len(second["items"]), second["next"]) == (50, 10, None)


async def test_a_replay_is_asked_for_once_in_the_name_of_the_operator(ops: Ops, story: Story) -> None:
    letter = quarantined(story, story.waitlisted)
    await ops.take([letter])
    path = f"/api/v1/dead-letters/{letter.event_id}/replay"
    answer = await ops.client.post(path, headers=OPERATOR)
    assert (answer.status_code, answer.json()) == (202, {"id": letter.event_id, "state": "requested"})
    (row,) = await ops.rows("SELECT topic, key, convert_from(payload, 'UTF8') AS payload FROM outbox")
    assert (row["topic"], row["key"]) == ("ops.commands", "funding")
    assert f'"origin_key":"{story.waitlisted}"' in row["payload"]
    assert '"requested_by":"operator-1"' in row["payload"]

    asked = story.past.record(ReplayRequested.model_validate_json(row["payload"]))
    await ops.take([asked])
    again = await ops.client.post(path, headers=OPERATOR)
    assert (again.status_code, again.json()) == (answer.status_code, answer.json())
    assert len(await ops.rows("SELECT id FROM outbox")) == 1
    (listed,) = (await ops.get("/api/v1/dead-letters", state="replayed"))["items"]
    assert listed["requested_by"] == "operator-1"


async def test_a_record_without_a_key_has_nothing_to_replay_and_is_dismissed(ops: Ops, story: Story) -> None:
    letter = quarantined(story, "")
    await ops.take([letter])
    path = f"/api/v1/dead-letters/{letter.event_id}"
    answer = await ops.client.post(f"{path}/replay", headers=OPERATOR)
    assert (answer.status_code, answer.json()["code"]) == (409, "state_conflict")
    assert await ops.rows("SELECT id FROM outbox") == []

    because = {"reason": " a test by hand "}
    answer = await ops.client.post(f"{path}/dismiss", json=because, headers=OPERATOR)
    assert (answer.status_code, answer.json()) == (202, {"id": letter.event_id, "state": "requested"})
    (row,) = await ops.rows("SELECT type, convert_from(payload, 'UTF8') AS payload FROM outbox")
    asked = DismissalRequested.model_validate_json(row["payload"])
    assert (asked.service, asked.consumer, asked.origin_topic) == ("funding", "funding.review.scores", "review.scores")
    assert (asked.origin_offset, asked.because, asked.requested_by) == (3, "a test by hand", "operator-1")
    await ops.take([story.past.record(asked)])
    assert (await ops.get("/api/v1/invariants"))["invariants"]["nothing_dead_lettered"]
    again = await ops.client.post(f"{path}/dismiss", json=because, headers=OPERATOR)
    assert again.json() == answer.json()
    assert len(await ops.rows("SELECT id FROM outbox")) == 1


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "a character 0: \x00", "x" * 501])
async def test_a_dismissal_says_why_on_one_line(ops: Ops, story: Story, reason: str) -> None:
    letter = quarantined(story, "")
    await ops.take([letter])
    path = f"/api/v1/dead-letters/{letter.event_id}/dismiss"
    assert (await ops.client.post(path, json={"reason": reason}, headers=OPERATOR)).status_code == 422
    assert await ops.rows("SELECT id FROM outbox") == []


async def test_what_is_no_text_is_refused_and_the_rule_is_told(ops: Ops, story: Story) -> None:
    in_query = await ops.client.get("/api/v1/invariants?call_id=a%00", headers=OPERATOR)
    in_path = await ops.client.get("/api/v1/applications/a%00/trace", headers=OPERATOR)
    for refused, field in ((in_query, "call_id"), (in_path, "")):
        [error] = refused.json()["errors"]
        assert (refused.status_code, error["field"], "U+0000" in error["message"]) == (422, field, True)


async def test_a_cookie_looks_and_never_acts(ops: Ops, story: Story) -> None:
    letter = quarantined(story, story.waitlisted)
    await ops.take([letter])
    ops.client.cookies.set("releve_operator", "operator")
    assert (await ops.client.get("/api/v1/dead-letters")).status_code == 200
    for act in ("replay", "dismiss"):
        path = f"/api/v1/dead-letters/{letter.event_id}/{act}"
        assert (await ops.client.post(path, json={"reason": "x"})).status_code == 401
    assert await ops.rows("SELECT id FROM outbox") == []


async def test_personal_bytes_are_withheld(ops: Ops, story: Story) -> None:
    letter = quarantined(story, new_id(), consumer="notify.intake.contacts")
    await ops.take([letter])
    found = await ops.get(f"/api/v1/dead-letters/{letter.event_id}")
    assert (found["record"], found["withheld"]) == (None, "personal data")


async def test_an_unknown_dead_letter_is_not_found(ops: Ops, story: Story) -> None:
    path = f"/api/v1/dead-letters/{new_id()}"
    for call in (ops.client.get(path, headers=OPERATOR), ops.client.post(f"{path}/replay", headers=OPERATOR),
                 ops.client.post(f"{path}/dismiss", json={"reason": "x"}, headers=OPERATOR)):  # fmt: skip
        answer = await call
        assert (answer.status_code, answer.json()["code"]) == (404, "dead_letter_unknown")


async def test_without_kafka_the_index_answers_and_lag_is_unavailable(ops: Ops, story: Story) -> None:
    answer = await ops.client.get("/api/v1/lag", headers=OPERATOR)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert (await ops.get(f"/api/v1/applications/{story.waitlisted}/trace"))["status"] == "waitlisted"
