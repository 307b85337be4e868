"""What the topics alone say about applications, money and a call."""

import random
from datetime import UTC

from shared.events import funding, intake, review
from shared.history import History, fold, recorded_of, summarise
from shared.history.ledger import balance_of
from shared.history.recorded import Recorded, Unreadable
from tests.builders_history import Past, Story, raw_of, whole_story


def status(past: Past, application_id: str) -> str:
    return fold(past.history)[application_id].status


def test_a_whole_story_ends_in_the_states_of_the_design() -> None:
    story = whole_story()
    expected = {
        story.laureates[0]: "awarded", story.laureates[1]: "awarded", story.waitlisted: "waitlisted",
        story.not_selected: "not_selected", story.inadmissible: "inadmissible", story.withdrawn: "withdrawn",
    }  # fmt: skip
    assert {key: each.status for key, each in fold(story.past.history).items()} == expected


def test_the_order_in_which_records_are_read_does_not_matter() -> None:
    story = whole_story()
    shuffled = list(story.past.records)
    random.Random(7).shuffle(shuffled)
    assert fold(History.of(shuffled)) == fold(story.past.history)


def test_an_event_published_twice_stands_once() -> None:
    story = whole_story()
    records = story.past.records
    again = [raw_of(record, offset=record.offset + 10_000) for record in records]
    history = History.of([*records, *map(recorded_of, again)])
    assert len(history.copies) == len(records)
    assert fold(history) == fold(story.past.history)


def test_a_grant_goes_through_its_states() -> None:
    story = whole_story()
    past, winner = story.past, story.laureates[0]
    grant = past.grants[winner].grant_id
    past.about(intake.GrantAccepted, winner, grant_id=grant)
    assert status(past, winner) == "accepted"
    past.sign(winner)
    assert status(past, winner) == "committed"
    past.about(funding.ProjectStarted, winner, grant_id=grant, started_on=past.now.date())
    assert status(past, winner) == "started"
    past.about(intake.ApplicationWithdrawn, winner, reason="too late")
    assert status(past, winner) == "withdrawn"
    past.about(funding.ProjectCompleted, winner, grant_id=grant, completed_on=past.now.date())
    assert status(past, winner) == "completed"


def test_an_answer_counts_only_for_the_grant_that_is_held() -> None:
    story = whole_story()
    past, winner = story.past, story.laureates[0]
    past.about(intake.GrantDeclined, winner, grant_id=past.grants[story.laureates[1]].grant_id)
    assert status(past, winner) == "awarded"
    past.about(intake.GrantDeclined, winner, grant_id=past.grants[winner].grant_id)
    assert status(past, winner) == "declined"


def test_an_offer_that_lapsed_before_the_answer_stays_lapsed() -> None:
    story = whole_story()
    past, winner = story.past, story.laureates[0]
    past.release(winner, "lapsed")
    past.about(intake.GrantDeclined, winner, grant_id=past.grants[winner].grant_id)
    assert status(past, winner) == "lapsed"


def test_a_voided_score_leaves_the_application_admitted() -> None:
    past = Past()
    past.publish()
    dossier = past.submit()
    past.admit(dossier)
    past.score(dossier)
    past.about(review.ScoreVoided, dossier, revision=1, reason="late conflict")
    assert status(past, dossier) == "admitted"
    assert fold(past.history)[dossier].scored is None
    past.score(dossier, "55.00", revision=2)
    assert status(past, dossier) == "scored"


def test_the_balance_follows_the_ledger() -> None:
    story = whole_story(envelope_eur=100_000)
    past = story.past
    past.sign(story.laureates[0])
    past.release(story.laureates[1], "declined")
    balance = balance_of(past.history, past.call.id)
    assert (balance.envelope_eur, balance.reserved_eur, balance.committed_eur) == (100_000, 0, 30_000)
    past.release(story.laureates[0], "revoked")
    assert balance_of(past.history, past.call.id).available_eur == 100_000


def test_a_summary_counts_what_a_replay_ends_with() -> None:
    story = whole_story()
    found = summarise(story.past.history, story.past.call.id).document()
    laureates = found.pop("laureate_list")
    assert found == {
        "submitted": 6, "inadmissible": 1, "withdrawn": 1, "scored": 4, "laureates": 2, "waitlisted": 1,
        "not_selected": 1, "awarded_eur": 50_000, "envelope_eur": 4_000_000, "remaining_eur": 3_950_000,
        "letters": {"awarded": 2, "inadmissible": 1, "not_selected": 1, "receipt": 6, "waitlisted": 1},
    }  # fmt: skip
    assert laureates[1] == {
        "reference": "INNO-2021-0002", "organisation": "École INNO-2021-0002", "title": "Projet INNO-2021-0002",
        "amount_eur": 20_000,
    }  # fmt: skip


def test_nobody_is_a_laureate_before_the_announcement_or_after_giving_back() -> None:
    story: Story = whole_story()
    sealed = History.of([r for r in story.past.records if not isinstance(r.event, funding.OutcomeAnnounced)])
    assert summarise(sealed, story.past.call.id).laureates == 0
    story.past.release(story.laureates[0], "declined")
    assert [line.reference for line in summarise(story.past.history, story.past.call.id).laureate_list] == [
        "INNO-2021-0002"
    ]


def test_another_call_is_not_counted() -> None:
    story = whole_story()
    assert summarise(story.past.history, "some-other-call").submitted == 0


def test_a_record_is_read_with_its_place_and_envelope() -> None:
    recorded = whole_story().past.records[0]
    found = recorded_of(raw_of(recorded))
    assert isinstance(found, Recorded)
    assert found == recorded
    assert found.time.tzinfo is UTC


def test_what_cannot_be_read_is_a_value_too() -> None:
    recorded = whole_story().past.records[2]
    for broken in (raw_of(recorded, value=b"\xff\xfe"), raw_of(recorded, value=b"{}"), raw_of(recorded, key=None),
                   raw_of(recorded, headers=()), raw_of(recorded, headers=(("ce_id", None),))):  # fmt: skip
        found = recorded_of(broken)
        assert isinstance(found, Unreadable)
        assert (found.topic, found.offset) == (recorded.topic, recorded.offset)
