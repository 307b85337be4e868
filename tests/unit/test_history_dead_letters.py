"""What was set aside, as the topics tell it."""

from shared.events.ops import DismissalRequested, EventQuarantined, QuarantineLifted, ReplayRequested
from shared.history.dead_letters import dead_letters, dismissed_places
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


def dismissal(past: Past, offset: int = 3) -> None:
    past.record(
        DismissalRequested(
            occurred_at=past.now, service="funding", consumer="funding.review.scores", origin_topic="review.scores",
            origin_partition=0, origin_offset=offset, because="a test by hand", requested_by="operator",
        )
    )  # fmt: skip


def lifted(past: Past, how: str, key: str = "k", offset: int = 3) -> None:
    past.record(
        QuarantineLifted.model_validate({
            "occurred_at": past.now, "service": "funding", "consumer": "funding.review.scores",
            "origin_topic": "review.scores", "origin_partition": 0, "origin_offset": offset, "origin_key": key,
            "how": how, "because": "a test by hand" if how == "dismissed" else None, "requested_by": "operator",
        })
    )  # fmt: skip


def test_that_a_record_is_set_aside_no_more_is_said_by_its_service_when_commands_are_long_forgotten() -> None:
    past, event_id = Past(), new_id()
    quarantined(past, event_id)
    lifted(past, "replayed")
    (letter,) = dead_letters(past.records)
    assert (letter.open, letter.ended, letter.requested_by) == (False, "replayed", "operator")
    quarantined(past, event_id)
    (letter,) = dead_letters(past.records)
    assert (letter.open, letter.ended) == (True, None)


def test_a_dismissal_is_of_one_record_also_of_one_without_a_key() -> None:
    past = Past()
    quarantined(past, new_id(), key="")
    quarantined(past, new_id(), key="", offset=4)
    dismissal(past)
    assert [each.open for each in dead_letters(past.records)] == [False, True]
    lifted(past, "dismissed", key="")
    assert [(each.open, each.ended) for each in dead_letters(past.records)] == [(False, "dismissed"), (True, None)]
    assert dismissed_places(past.records) == {("review.scores", 0, 3)}
    assert dead_letters(past.records)[0].document()["because"] == "a test by hand"


def test_what_lies_on_personal_or_undeclared_topics_is_not_for_operations_to_read() -> None:
    past = Past()
    for number, topic in enumerate(("review.scores", "intake.contacts", "intake.sign-ins", "somebody.else")):
        quarantined(past, new_id(), offset=number, topic=topic)
    assert [each.personal for each in dead_letters(past.records)] == [False, True, True, True]
    assert dead_letters(past.records)[0].document()["place"] == "review.scores[0]@0"
