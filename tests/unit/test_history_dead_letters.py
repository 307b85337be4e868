"""What was set aside, as the topics tell it."""

from shared.events.ops import EventQuarantined, ReplayRequested
from shared.history.dead_letters import dead_letters
from shared.history.recorded import Recorded
from shared.ids import new_id
from tests.builders_history import Past


def quarantined(past: Past, event_id: str, key: str = "k", offset: int = 3, topic: str = "review.scores") -> Recorded:
    return past.record(
        EventQuarantined(
            occurred_at=past.now, service="funding", consumer=f"funding.{topic}", origin_topic=topic,
            origin_partition=0, origin_offset=offset, origin_key=key, event_id=event_id, reason="odd", attempts=3,
        )
    )  # fmt: skip


def asked(past: Past, consumer: str = "funding.review.scores", **named: str) -> None:
    past.record(
        ReplayRequested(occurred_at=past.now, service="funding", consumer=consumer, requested_by="operator", **named)
    )


def test_a_record_that_fails_again_stays_one_dead_letter_under_its_first_id() -> None:
    past, event_id = Past(), new_id()
    first = quarantined(past, event_id)
    asked(past, origin_key="k")
    assert [each.open for each in dead_letters(past.records)] == [False]
    quarantined(past, event_id)
    (letter,) = dead_letters(past.records)
    assert (letter.id, letter.attempts, letter.open, letter.requested_by) == (first.event_id, 6, True, "operator")


def test_a_replay_is_of_one_consumer_and_one_key_or_event() -> None:
    past, event_id = Past(), new_id()
    quarantined(past, event_id)
    quarantined(past, new_id(), key="other", offset=4)
    asked(past, consumer="funding.intake.calls", origin_key="k")
    asked(past, origin_key="nobody")
    assert [each.open for each in dead_letters(past.records)] == [True, True]
    asked(past, event_id=event_id)
    assert [each.open for each in dead_letters(past.records)] == [False, True]


def test_what_lies_on_personal_or_undeclared_topics_is_not_for_operations_to_read() -> None:
    past = Past()
    for number, topic in enumerate(("review.scores", "intake.contacts", "intake.sign-ins", "somebody.else")):
        quarantined(past, new_id(), offset=number, topic=topic)
    assert [each.personal for each in dead_letters(past.records)] == [False, True, True, True]
    assert dead_letters(past.records)[0].document()["place"] == "review.scores[0]@0"
