"""One application's story: in causal order, with what it waits for."""

from dataclasses import replace
from datetime import timedelta

from shared.events import funding, intake
from shared.events.ops import EventQuarantined
from shared.history import History
from shared.history.trace import Trace, find, trace
from shared.history.waiting import spoken
from tests.builders_history import CALL, CLOSED_AT, DECIDED_AT, ROUND, Past, whole_story


def traced(past: Past, application_id: str, after: timedelta = timedelta()) -> Trace:
    found = trace(past.history, application_id, past.now + after)
    assert found is not None
    return found


def codes(past: Past, application_id: str, after: timedelta = timedelta(hours=2)) -> list[str]:
    return [gap.code for gap in traced(past, application_id, after).gaps]


def test_an_application_is_found_by_id_and_by_reference() -> None:
    story = whole_story()
    for named in (story.laureates[0], "INNO-2021-0001", " inno-2021-0001 "):
        assert find(story.past.history, named) == story.laureates[0]
    assert find(story.past.history, "INNO-2021-9999") is None


def test_a_story_is_told_over_every_topic_with_its_round_in_causal_order() -> None:
    story = whole_story()
    steps = traced(story.past, story.laureates[0]).steps
    assert [step.recorded.name for step in steps] == [
        "ApplicationSubmitted", "ApplicantNotified", "RoundClosed", "ApplicationAdmitted", "Scored", "GrantAwarded",
        "RoundDecided", "RoundAnnounced", "OutcomeAnnounced", "ApplicantNotified",
    ]  # fmt: skip
    by_id = {step.recorded.event_id: number for number, step in enumerate(steps)}
    assert all(by_id[step.caused_by] < number for number, step in enumerate(steps) if step.caused_by)
    assert steps[1].caused_by == steps[0].recorded.event_id
    assert steps[5].after == DECIDED_AT - CLOSED_AT


def test_a_cause_stands_before_its_effect_whatever_the_clocks_say() -> None:
    story = whole_story()
    past = story.past
    past.now = ROUND.opens_at
    told = next(r for r in past.records if isinstance(r.event, funding.OutcomeAnnounced))
    past.letter(told.key, "awarded", cause=told.event_id)
    steps = traced(past, told.key).steps
    places = {step.recorded.event_id: number for number, step in enumerate(steps)}
    assert places[told.event_id] < places[past.records[-1].event_id]


def test_a_rounds_decision_stands_before_what_it_decided_whichever_was_recorded_first() -> None:
    story = whole_story()
    records = story.past.records
    decision = next(r for r in records if isinstance(r.event, funding.RoundDecided))
    for application_id, outcome in (
        (story.waitlisted, "ApplicationWaitlisted"), (story.not_selected, "ApplicationNotSelected"),
    ):  # fmt: skip
        decided = next(r for r in records if r.key == application_id and r.name == outcome)
        for between in (timedelta(milliseconds=-3), timedelta(milliseconds=3)):
            together = replace(decided, causation_id=decision.causation_id, recorded_at=decision.recorded_at + between)
            history = History.of([together if r is decided else r for r in records])
            found = trace(history, application_id, story.past.now)
            assert found is not None
            names = [step.recorded.name for step in found.steps]
            assert names.index("RoundDecided") < names.index(outcome)


def test_nothing_is_missing_from_a_finished_story() -> None:
    story = whole_story()
    for application_id in (story.waitlisted, story.not_selected, story.inadmissible, story.withdrawn):
        assert codes(story.past, application_id) == []


def test_what_an_application_waits_for_is_named_with_who_and_since_when() -> None:
    past = Past()
    past.publish()
    dossier = past.submit()
    assert codes(past, dossier) == []
    past.now = CLOSED_AT + timedelta(hours=1)
    assert codes(past, dossier, timedelta()) == ["closing"]
    past.close()
    (gap,) = traced(past, dossier, timedelta(hours=2)).gaps
    assert gap.sentence == "no answer from review for 2 h: the admissibility checks"
    assert gap.person
    past.admit(dossier)
    assert codes(past, dossier) == ["score"]
    past.score(dossier)
    assert codes(past, dossier) == ["decision"]
    past.now = DECIDED_AT
    decided = past.decided(1)
    assert codes(past, dossier) == ["outcome"]
    past.award(dossier)
    assert codes(past, dossier) == []
    past.now = ROUND.announce_at
    (gap,) = traced(past, dossier, timedelta(minutes=30)).gaps
    assert (gap.code, gap.waits_for, gap.since, gap.person) == ("announcement", "funding", ROUND.announce_at, False)
    assert decided.time < gap.since


def test_an_announced_round_that_told_one_member_nothing_shows() -> None:
    story = whole_story()
    events = [
        r for r in story.past.records if r.key != story.waitlisted or not isinstance(r.event, funding.OutcomeAnnounced)
    ]
    found = trace(History.of(events), story.waitlisted, story.past.now)
    assert found is not None
    assert [gap.code for gap in found.gaps] == ["telling"]


def test_letters_that_did_not_leave_show() -> None:
    story = whole_story()
    without_letters = Past(records=[r for r in story.past.records if r.topic != "notify.deliveries"])
    without_letters.now = story.past.now
    assert codes(without_letters, story.waitlisted) == ["receipt", "outcome_letter"]
    assert codes(without_letters, story.withdrawn) == ["receipt"]


def test_an_offer_waits_for_the_applicant_then_for_the_release() -> None:
    story = whole_story()
    past, winner = story.past, story.laureates[0]
    assert codes(past, winner) == ["answer"]
    past.now = past.grants[winner].answer_by
    assert codes(past, winner, timedelta(days=2)) == ["lapse"]
    past.about(intake.GrantDeclined, winner, grant_id=past.grants[winner].grant_id)
    assert codes(past, winner) == ["release"]
    past.release(winner)
    assert codes(past, winner) == []


def test_an_accepted_grant_waits_for_its_convention_and_then_for_the_start() -> None:
    story = whole_story()
    past, winner = story.past, story.laureates[0]
    past.about(intake.GrantAccepted, winner, grant_id=past.grants[winner].grant_id)
    assert codes(past, winner) == ["convention"]
    past.sign(winner)
    assert codes(past, winner) == ["start"]


def test_a_hole_in_a_sequence_and_a_record_set_aside_show() -> None:
    story = whole_story()
    past, dossier = story.past, story.not_selected
    past.record(intake.ApplicationWithdrawn(**past.common, application_id=dossier, reason="x"), sequence=4)
    past.record(
        EventQuarantined(
            occurred_at=past.now, service="funding", consumer="funding.intake.applications", attempts=3,
            origin_topic="intake.applications", origin_partition=0, origin_offset=3, origin_key=dossier, reason="odd",
        )
    )  # fmt: skip
    gaps = traced(past, dossier, timedelta(minutes=5)).gaps
    assert [gap.code for gap in gaps] == ["quarantined", "sequence"]
    assert gaps[1].sentence.endswith("events missing in between (intake.applications: 2 to 3)")


def test_nobody_is_traced_by_a_name_that_no_event_knows() -> None:
    assert trace(whole_story().past.history, "00000000-0000-0000-0000-000000000000", CLOSED_AT) is None


def test_durations_are_spoken_in_one_unit() -> None:
    spoken_as = {timedelta(seconds=35): "35 s", timedelta(minutes=12): "12 min", timedelta(hours=2): "2 h",
                 timedelta(hours=47): "47 h", timedelta(days=9): "9 d"}  # fmt: skip
    assert {duration: spoken(duration) for duration in spoken_as} == spoken_as
    assert CALL.grace_s < 3600
