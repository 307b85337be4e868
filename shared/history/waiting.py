"""Owns what an application waits for next, from whom and since when, by what is recorded; it hastens nobody."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.events.base import Event
from shared.events.call import Call, Round
from shared.events.funding import ConventionSigned, OutcomeAnnounced, RoundAnnounced, RoundDecided
from shared.events.intake import ApplicationSubmitted, ApplicationWithdrawn, GrantAccepted, GrantDeclined, RoundClosed
from shared.events.review import ApplicationAdmitted, Scored, ScoreVoided
from shared.history.dead_letters import DeadLetter
from shared.history.fold import Application
from shared.history.recorded import Recorded
from shared.history.tellings import OUTCOME_TEMPLATES, RECEIPT, tellings

LAPSES_AFTER = timedelta(days=1)
"""An unanswered offer lapses a day after `answer_by` (`docs/design.md` §7, Follow)."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Something expected that is not recorded. `since` is business time; `person`: somebody must act, no machine."""

    code: str
    waits_for: str
    """A service, or `applicant`."""
    since: datetime
    waited: timedelta
    person: bool
    detail: str = ""

    @property
    def spoken(self) -> str:
        """How long it has been waited for: `2 h`."""
        return spoken(self.waited)

    @property
    def sentence(self) -> str:
        """For people: `no answer from review for 2 h: the score`."""
        return f"no answer from {self.waits_for} for {self.spoken}: {SENTENCES[self.code]}{self.detail}"


SENTENCES = {
    "receipt": "the receipt letter",
    "closing": "the closing of the round",
    "admissibility": "the admissibility checks",
    "score": "the score",
    "decision": "the decision of the round",
    "outcome": "the outcome, though the round is decided",
    "announcement": "the announcement of the round, which is due",
    "telling": "the outcome's announcement, though the round is announced",
    "outcome_letter": "the letter of the outcome",
    "answer": "the answer to the offer",
    "lapse": "the release of an offer that was not answered in time",
    "convention": "the signed convention",
    "start": "the start of the project",
    "release": "the money's way back to the envelope",
    "quarantined": "a record that was set aside",
    "sequence": "events missing in between",
}
"""What is missing, by code; pages translate by the code."""


@dataclass(frozen=True)
class Case:
    """What is known of one application, its round and its call, at `now`."""

    application: Application
    call: Call | None
    of_round: tuple[Recorded, ...]
    dead: tuple[DeadLetter, ...]
    now: datetime

    def own(self, *types: type[Event]) -> Recorded | None:
        """The last own event of these types."""
        return next((r for r in reversed(self.application.events) if isinstance(r.event, types)), None)

    def round(self, event_type: type[Event]) -> Recorded | None:
        """The round's event of a type."""
        return next((r for r in self.of_round if isinstance(r.event, event_type)), None)

    @property
    def calendar(self) -> Round | None:
        """The round in the call file, None if it cannot be known."""
        submitted = self.application.submitted
        if self.call is None or submitted is None:
            return None
        return next((each for each in self.call.rounds if each.id == submitted.round_id), None)

    def gap(self, code: str, waits_for: str, since: datetime, *, person: bool = False, detail: str = "") -> Gap:
        """A gap as it stands now."""
        return Gap(code, waits_for, since, max(self.now - since, timedelta()), person, detail)


def gaps(case: Case) -> Iterator[Gap]:
    """Everything that is expected and not recorded, the oldest cause first."""
    found = [*_missing_events(case), *_set_aside(case), *_letters(case), *_instruction(case), *_money(case)]
    yield from sorted(found, key=lambda gap: (gap.since, gap.code))


def _missing_events(case: Case) -> Iterator[Gap]:
    last: dict[str, int] = {}
    for recorded in case.application.events:
        expected = last.get(recorded.topic, 0) + 1
        if recorded.sequence > expected:
            detail = f" ({recorded.topic}: {expected} to {recorded.sequence - 1})"
            yield case.gap("sequence", recorded.emitter, recorded.time, detail=detail)
        last[recorded.topic] = recorded.sequence


def _set_aside(case: Case) -> Iterator[Gap]:
    for letter in case.dead:
        said = f" ({letter.consumer}: {letter.reason})"
        yield case.gap("quarantined", letter.service, letter.last_at, person=True, detail=said)


def _letters(case: Case) -> Iterator[Gap]:
    submitted = case.own(ApplicationSubmitted)
    templates = [letter.template for letter in case.application.letters]
    if submitted is not None and RECEIPT not in templates:
        yield case.gap("receipt", "notify", submitted.time)
    if case.application.status == "withdrawn":
        return
    written = [template for template in templates if template in OUTCOME_TEMPLATES]
    for telling in tellings(case.application):
        if telling.outcome in written:
            written.remove(telling.outcome)
        else:
            yield case.gap("outcome_letter", "notify", telling.recorded.time, detail=f" ({telling.outcome})")


def _instruction(case: Case) -> Iterator[Gap]:
    """From submission to the announced outcome."""
    status = case.application.status
    closed, decided = case.round(RoundClosed), case.round(RoundDecided)
    scored = case.own(Scored)
    calendar = case.calendar
    if closed is None:
        if calendar is not None and case.call is not None and status in {"submitted", "admitted", "scored"}:
            due = calendar.closes_at + timedelta(seconds=case.call.grace_s)
            if case.now > due:
                yield case.gap("closing", "intake", due)
    elif status == "submitted":
        yield case.gap("admissibility", "review", closed.time, person=True)
    elif status == "admitted":
        since = case.own(ApplicationAdmitted, ScoreVoided)
        yield case.gap("score", "review", max(closed.time, since.time if since else closed.time), person=True)
    elif status == "scored" and decided is not None:
        yield case.gap("outcome", "funding", decided.time)
    elif status == "scored" and scored is not None:
        yield case.gap("decision", "funding", max(closed.time, scored.time), person=True)
    yield from _announcement(case, calendar, decided)


def _announcement(case: Case, calendar: Round | None, decided: Recorded | None) -> Iterator[Gap]:
    status, announced = case.application.status, case.round(RoundAnnounced)
    if status not in {"awarded", "waitlisted", "not_selected", "inadmissible"} or case.own(OutcomeAnnounced):
        return
    if announced is not None and not tellings(case.application):
        yield case.gap("telling", "funding", announced.time)
    elif announced is None and decided is not None and calendar is not None:
        due = max(calendar.announce_at, decided.time)
        if case.now > due:
            yield case.gap("announcement", "funding", due)


def _money(case: Case) -> Iterator[Gap]:
    """From the offer to the start of the project, and back to the envelope."""
    application, grant = case.application, case.application.grant
    if grant is None or grant.released is not None:
        return
    gone = case.own(ApplicationWithdrawn, GrantDeclined)
    accepted, signed = case.own(GrantAccepted), case.own(ConventionSigned)
    told = tellings(application)
    if application.status in {"withdrawn", "declined"} and gone is not None:
        yield case.gap("release", "funding", gone.time)
    elif application.status == "awarded" and told and case.now > grant.answer_by + LAPSES_AFTER:
        yield case.gap("lapse", "funding", grant.answer_by + LAPSES_AFTER)
    elif application.status == "awarded" and told:
        yield case.gap("answer", "applicant", told[-1].recorded.time, person=True)
    elif application.status == "accepted" and accepted is not None:
        yield case.gap("convention", "funding", accepted.time, person=True)
    elif application.status == "committed" and signed is not None:
        yield case.gap("start", "funding", signed.time, person=True)


def spoken(duration: timedelta) -> str:
    """A duration in its largest useful unit: `35 s`, `12 min`, `2 h`, `9 d`."""
    seconds = int(duration.total_seconds())
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= (2 * size if unit == "d" else size):
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
