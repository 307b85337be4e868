"""Each invariant holds of a whole story, and each fails of the history that breaks it."""

from datetime import timedelta

import pytest

from shared.events import funding, intake
from shared.events.notify import NotificationFailed
from shared.events.ops import EventQuarantined, QuarantineLifted, ReplayRequested
from shared.history import INVARIANTS, History, findings, invariants, recorded_of
from shared.ids import new_id
from tests.builders_history import DECIDED_AT, ROUND, Past, changed, raw_of, whole_story, without


def broken(history: History) -> set[str]:
    return {name for name, holds in invariants(history).items() if not holds}


def index_of(past: Past, event_type: type, at: int = 0) -> int:
    return [n for n, record in enumerate(past.records) if isinstance(record.event, event_type)][at]


def test_every_invariant_holds_of_a_whole_story() -> None:
    history = whole_story().past.history
    assert findings(history) == []
    assert invariants(history) == dict.fromkeys(INVARIANTS, True)


def test_every_invariant_holds_of_nothing() -> None:
    assert all(invariants(History.of([])).values())


def test_every_invariant_holds_at_each_moment_of_a_story_but_for_what_is_still_awaited() -> None:
    records = whole_story().past.records
    for length in range(len(records)):
        history = History.of(records[:length])
        assert [found for found in findings(history) if found.awaited_since is None] == []


def test_a_gap_in_a_sequence_is_found() -> None:
    story = whole_story()
    story.past.record(
        intake.ApplicationWithdrawn(**story.past.common, application_id=story.waitlisted, reason="x"), sequence=3
    )
    assert "sequences_complete" in broken(story.past.history)


def test_a_sequence_number_used_twice_is_found() -> None:
    story = whole_story()
    story.past.record(
        intake.ApplicationWithdrawn(**story.past.common, application_id=story.waitlisted, reason="x"), sequence=1
    )
    assert "sequences_complete" in broken(story.past.history)


def test_a_key_whose_events_lie_in_the_wrong_order_is_found() -> None:
    story = whole_story()
    mine = [r for r in story.past.records if r.topic == "review.scores" and r.key == story.laureates[0]]
    first, second = mine
    others = [r for r in story.past.records if r not in mine]
    swapped = [recorded_of(raw_of(first, offset=second.offset)), recorded_of(raw_of(second, offset=first.offset))]
    assert broken(History.of([*others, *swapped])) == {"sequences_complete"}


def test_an_application_that_the_closing_did_not_count_is_found() -> None:
    past = whole_story().past
    closed = past.records[index_of(past, intake.RoundClosed)]
    assert broken(changed(past, closed, submitted=5)) == {"rounds_count_their_applications"}


def test_a_closing_over_other_applications_is_found() -> None:
    past = whole_story().past
    closed = past.records[index_of(past, intake.RoundClosed)]
    assert broken(changed(past, closed, applications_sha256="a" * 64)) == {"rounds_count_their_applications"}


def test_an_application_that_nobody_submitted_is_found() -> None:
    story = whole_story()
    history = without(story.past, index_of(story.past, intake.ApplicationSubmitted, 2))
    assert {"applications_accounted_for", "rounds_count_their_applications"} <= broken(history)


def test_a_member_that_the_decision_forgot_is_found() -> None:
    past = whole_story().past
    forgotten = without(past, index_of(past, funding.ApplicationNotSelected))
    found = [each for each in findings(forgotten) if each.invariant == "applications_accounted_for"]
    assert len(found) == 2
    assert "1 ApplicationNotSelected, 0 are recorded" in found[0].sentence
    assert "is scored though its round" in found[1].sentence


def test_an_envelope_overdrawn_at_one_instant_is_found_though_it_is_balanced_in_the_end() -> None:
    story = whole_story(envelope_eur=45_000)
    story.past.release(story.laureates[0])
    found = [each for each in findings(story.past.history) if each.invariant == "ledger_never_overdrawn"]
    assert [each.sentence.endswith("5000 € over the envelope") for each in found] == [True]


@pytest.mark.parametrize("entry", [2, 4])
def test_a_ledger_entry_that_is_double_or_missing_is_found(entry: int) -> None:
    past = whole_story().past
    award = past.records[index_of(past, funding.GrantAwarded, 1)]
    assert broken(changed(past, award, ledger_entry=entry)) == {"ledger_never_overdrawn"}


def test_a_release_of_more_than_was_held_is_found() -> None:
    story = whole_story()
    story.past.release(story.laureates[1], amount_eur=25_000)
    assert broken(story.past.history) == {"ledger_never_overdrawn"}


def test_money_released_twice_is_found() -> None:
    story = whole_story()
    story.past.release(story.laureates[0])
    story.past.release(story.laureates[0])
    assert broken(story.past.history) == {"ledger_never_overdrawn", "one_outcome_each"}


def test_two_outcomes_of_one_application_are_found() -> None:
    story = whole_story()
    story.past.reject(story.laureates[0])
    assert broken(story.past.history) == {"one_outcome_each"}


def test_an_award_from_the_waiting_list_is_no_second_outcome() -> None:
    story = whole_story()
    story.past.release(story.laureates[0])
    story.past.award(story.waitlisted, sealed=False)
    story.past.letter(story.waitlisted, "awarded")
    assert broken(story.past.history) == set()


def test_an_announcement_before_its_time_is_found() -> None:
    story = whole_story()
    early = story.past.history
    moved = [r for r in story.past.records if not isinstance(r.event, funding.RoundAnnounced)]
    past = Past(story.past.call, now=ROUND.announce_at - timedelta(minutes=1), records=moved)
    past.record(funding.RoundAnnounced(**past.common, announced_at=past.now))
    assert broken(early) == set()
    assert broken(past.history) == {"nothing_told_early"}


def test_an_outcome_told_while_the_round_is_sealed_is_found() -> None:
    past = whole_story().past
    assert broken(without(past, index_of(past, funding.RoundAnnounced))) == {"nothing_told_early"}


def test_an_unsealed_award_before_the_announcement_is_found() -> None:
    story = whole_story()
    past = story.past
    award = past.records[index_of(past, funding.GrantAwarded)]
    assert broken(changed(past, award, sealed=False)) == {"nothing_told_early", "one_letter_per_outcome"}


def test_a_letter_before_the_announcement_is_found() -> None:
    story = whole_story()
    story.past.now = DECIDED_AT
    story.past.letter(story.not_selected, "not_selected")
    assert broken(story.past.history) == {"nothing_told_early", "one_letter_per_outcome"}


def test_inadmissibility_may_be_told_at_once_where_the_call_says_so() -> None:
    for told, expected in (("at_once", set()), ("announcement", {"nothing_told_early"})):
        story = whole_story(inadmissible_told=told)
        announced = [
            r for r in story.past.records
            if not isinstance(r.event, funding.RoundAnnounced)
            and not (isinstance(r.event, funding.OutcomeAnnounced) and r.event.outcome != "inadmissible")
            and getattr(r.event, "template", "") not in {"awarded", "waitlisted", "not_selected"}
        ]  # fmt: skip
        assert broken(History.of(announced)) == expected


def test_an_outcome_without_a_letter_is_found_and_may_still_come() -> None:
    past = whole_story().past
    letter = next(n for n, r in enumerate(past.records) if getattr(r.event, "template", "") == "waitlisted")
    history = without(past, letter)
    assert broken(history) == {"one_letter_per_outcome"}
    assert [found.awaited_since is not None for found in findings(history)] == [True]


def test_a_letter_that_failed_for_good_is_accounted_for() -> None:
    story = whole_story()
    index = next(n for n, r in enumerate(story.past.records) if getattr(r.event, "template", "") == "waitlisted")
    sent = story.past.records.pop(index).event
    story.past.record(NotificationFailed(**sent.model_dump(), reason="refused"))
    assert broken(story.past.history) == set()


def test_a_second_letter_is_found_and_the_same_letter_sent_twice_is_not() -> None:
    story = whole_story()
    letter = next(r.event for r in story.past.records if getattr(r.event, "template", "") == "awarded")
    story.past.record(letter)
    assert broken(story.past.history) == set()
    story.past.letter(letter.application_id, "awarded")
    assert broken(story.past.history) == {"one_letter_per_outcome"}


def test_a_missing_and_a_second_receipt_are_found() -> None:
    story = whole_story()
    receipt = next(n for n, r in enumerate(story.past.records) if getattr(r.event, "template", "") == "receipt")
    assert "one_receipt_each" in broken(without(story.past, receipt))
    story.past.letter(story.withdrawn, "receipt")
    assert broken(story.past.history) == {"one_receipt_each"}


def quarantined(past: Past, key: str, offset: int = 3, topic: str = "review.scores") -> None:
    past.record(
        EventQuarantined(
            occurred_at=past.now, service="funding", consumer=f"funding.{topic}", origin_topic=topic,
            origin_partition=0, origin_offset=offset, origin_key=key, event_id=new_id(), reason="Malformed", attempts=3,
        )
    )  # fmt: skip


def test_a_dead_letter_is_open_until_its_key_is_replayed_and_again_when_it_fails_again() -> None:
    story = whole_story()
    past, key = story.past, story.waitlisted
    quarantined(past, key)
    assert broken(past.history) == {"nothing_dead_lettered"}
    past.record(
        ReplayRequested(occurred_at=past.now, service="funding", consumer="funding.review.scores", origin_key=key,
                        requested_by="operator")
    )  # fmt: skip
    assert broken(past.history) == set()
    quarantined(past, key)
    assert broken(past.history) == {"nothing_dead_lettered"}


def test_a_record_that_nobody_can_read_is_found_until_somebody_looked_and_let_it_go() -> None:
    past = whole_story().past
    poison = recorded_of(raw_of(past.records[0], value=b"\xff", offset=900))
    assert broken(History.of([*past.records, poison])) == {"records_readable"}
    quarantined(past, "", poison.offset, poison.topic)
    assert broken(History.of([*past.records, poison])) == {"nothing_dead_lettered", "records_readable"}
    past.record(
        QuarantineLifted(
            occurred_at=past.now, service="funding", consumer=f"funding.{poison.topic}", origin_topic=poison.topic,
            origin_partition=poison.partition, origin_offset=poison.offset, origin_key="", how="dismissed",
            because="a test by hand", requested_by="operator",
        )
    )  # fmt: skip
    assert broken(History.of([*past.records, poison])) == set()
