"""Owns the check that each service's own state is what the topics that it reads amount to, and applicants see the same.

The fold is `shared/history/fold.py`'s, which shares no code with the services' own rules (`docs/design.md` §7, States).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from cli.verify.evidence import Evidence
from services.intake.domain.status import Kind
from shared.events.intake import RoundClosed
from shared.events.review import ApplicationAdmitted, ApplicationInadmissible, Scored, ScoreVoided
from shared.events.topics import TOPICS
from shared.history import Finding, History, fold
from shared.history.fold import Application

REVIEW_STATES = {
    "to_check": "submitted", "admitted": "admitted", "in_evaluation": "admitted", "to_assign": "admitted",
    "to_arbitrate": "admitted", "scored": "scored", "inadmissible": "inadmissible", "withdrawn": "withdrawn",
}  # fmt: skip
FACTS = {
    "ApplicationAdmitted": Kind.ADMITTED, "ApplicationInadmissible": Kind.INADMISSIBLE, "Scored": Kind.SCORED,
    "ScoreVoided": Kind.SCORE_VOIDED, "GrantAwarded": Kind.AWARDED, "ApplicationWaitlisted": Kind.WAITLISTED,
    "ApplicationNotSelected": Kind.NOT_SELECTED, "ConventionSigned": Kind.CONVENTION_SIGNED,
    "ProjectStarted": Kind.STARTED, "ProjectCompleted": Kind.COMPLETED, "GrantReleased": Kind.RELEASED,
    "OutcomeAnnounced": Kind.ANNOUNCED, "ApplicantNotified": Kind.NOTIFIED, "GrantAccepted": Kind.ACCEPTED,
    "GrantDeclined": Kind.DECLINED, "ApplicationWithdrawn": Kind.WITHDRAWN,
}  # fmt: skip
"""What intake calls the facts that it keeps, by event."""
OWN_ACTS = frozenset({Kind.ACCEPTED, Kind.DECLINED, Kind.WITHDRAWN})


def intake_state_follows(evidence: Evidence) -> Iterator[Finding]:
    """Intake holds every application with its reference, and exactly the facts that the topics tell about it."""
    if "intake" not in evidence.tables:
        return
    name, tables = "intake_state_follows", evidence.tables["intake"]
    references = {row["id"]: row["reference"] for row in tables["application"]}
    held: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for row in tables["fact"]:
        held[row["id"]].add((row["kind"], row["sequence"]))
    for application in fold(known_to("intake", evidence.history)).values():
        told = application.submitted.reference if application.submitted else None
        if references.get(application.application_id) != told:
            said = f"is {references.get(application.application_id)} here and {told} on the topic"
            yield Finding(name, application.application_id, said)
        expected = {
            (str(kind), 0 if kind in OWN_ACTS else recorded.sequence)
            for recorded in application.events
            if (kind := FACTS.get(recorded.name)) is not None
        }
        if expected != held[application.application_id]:
            said = f"facts that differ: {sorted(expected ^ held[application.application_id])}"
            yield Finding(name, application.application_id, said)


def review_state_follows(evidence: Evidence) -> Iterator[Finding]:
    """Review holds each application in the state of what it read and said."""
    if "review" in evidence.tables:
        held = {row["id"]: REVIEW_STATES[row["state"]] for row in evidence.tables["review"]["application"]}
        yield from _same("review_state_follows", held, _expected("review", evidence.history))


def funding_state_follows(evidence: Evidence) -> Iterator[Finding]:
    """Funding holds each application in the state of what it read and said."""
    if "funding" in evidence.tables:
        held = {row["id"]: _funding_state(row) for row in evidence.tables["funding"]["application"]}
        expected = _expected("funding", evidence.history)
        # Admission is no fact of funding's.
        as_funding = {key: "submitted" if state == "admitted" else state for key, state in expected.items()}
        yield from _same("funding_state_follows", held, as_funding)


def _funding_state(row: Mapping[str, Any]) -> str:
    if row["award"] == "completed":
        return "completed"
    if row["withdrawn"]:
        return "withdrawn"
    if row["award"] or row["outcome"]:
        return str(row["award"] or row["outcome"])
    if row["inadmissible"]:
        return "inadmissible"
    return "scored" if row["scored"] else "submitted"


def notify_state_follows(evidence: Evidence) -> Iterator[Finding]:
    """Each letter that ended here is told on the topic as it ended, and no other is."""
    if "notify" not in evidence.tables:
        return
    name = "notify_state_follows"
    told = {letter.message_id: letter.sent for each in fold(evidence.history).values() for letter in each.letters}
    held = {
        row["message_id"]: row["state"] == "sent"
        for row in evidence.tables["notify"]["delivery"]
        if row["id"] is not None and row["state"] in ("sent", "refused_for_good", "erased")
    }
    for message_id in sorted(told.keys() | held.keys()):
        if told.get(message_id) != held.get(message_id):
            said = f"sent: {held.get(message_id)} here, {told.get(message_id)} on the topic"
            yield Finding(name, message_id, said)


def applicants_see_what_holds(evidence: Evidence) -> Iterator[Finding]:
    """Each applicant sees the highest fact that may be told, and nothing sealed."""
    closed = {fact.round_id for _, fact in evidence.history.all(RoundClosed)}
    applications = fold(known_to("intake", evidence.history))
    for application_id, shown in evidence.seen.items():
        application = applications.get(application_id)
        due = None if application is None else visible(application, closed)
        if shown != due:
            yield Finding("applicants_see_what_holds", application_id, f"is shown {shown}, {due} is what holds")


def visible(application: Application, closed_rounds: set[str]) -> str:
    """What the applicant may see: the outcome once it is told, the withdrawal always, in review before."""
    if application.told is not None or application.status in {"withdrawn", "completed"}:
        return application.status
    reviewed = any(
        isinstance(recorded.event, ApplicationAdmitted | ApplicationInadmissible | Scored | ScoreVoided)
        for recorded in application.events
    )
    in_closed = application.submitted is not None and application.submitted.round_id in closed_rounds
    return "in_review" if reviewed or in_closed else "submitted"


def known_to(service: str, history: History) -> History:
    """The part of a history that a service reads or says itself."""
    topics = {topic.name for topic in TOPICS if service in topic.readers or topic.emitter == service}
    return History(tuple(recorded for recorded in history.events if recorded.topic in topics))


def _expected(service: str, history: History) -> dict[str, str]:
    """The state of every submitted application in what a service knows."""
    folded = fold(known_to(service, history))
    return {each.application_id: each.status for each in folded.values() if each.submitted is not None}


def _same(name: str, held: Mapping[str, str], expected: Mapping[str, str]) -> Iterator[Finding]:
    for application_id in sorted(held.keys() | expected.keys()):
        if held.get(application_id) != expected.get(application_id):
            said = f"is {held.get(application_id)} here, {expected.get(application_id)} by the topics"
            yield Finding(name, application_id, said)
