"""Owns what intake learns from the other services: facts are kept as they come, and laureates follow from them.

A fact is a row; what the rows amount to is `domain/status.py`'s. So no order of arrival matters, and a fact about an
application that is not known here is kept all the same.
"""

from collections.abc import Sequence

from services.intake.domain.status import REVIEWED, Fact, Kind, laureate_amount_eur
from services.intake.store import applications, facts
from shared.db import Transaction
from shared.events.base import ApplicationEvent
from shared.events.funding import (
    ApplicationNotSelected,
    ApplicationWaitlisted,
    ConventionSigned,
    GrantAwarded,
    GrantReleased,
    OutcomeAnnounced,
    ProjectCompleted,
    ProjectStarted,
    RoundAnnounced,
)
from shared.events.notify import ApplicantNotified
from shared.events.review import ApplicationAdmitted, ApplicationInadmissible, Scored, ScoreVoided
from shared.messaging.records import Delivery

KINDS: dict[type[ApplicationEvent], Kind] = {
    ApplicationAdmitted: Kind.ADMITTED,
    ApplicationInadmissible: Kind.INADMISSIBLE,
    Scored: Kind.SCORED,
    ScoreVoided: Kind.SCORE_VOIDED,
    GrantAwarded: Kind.AWARDED,
    ApplicationWaitlisted: Kind.WAITLISTED,
    ApplicationNotSelected: Kind.NOT_SELECTED,
    ConventionSigned: Kind.CONVENTION_SIGNED,
    ProjectStarted: Kind.STARTED,
    ProjectCompleted: Kind.COMPLETED,
    GrantReleased: Kind.RELEASED,
    OutcomeAnnounced: Kind.ANNOUNCED,
    ApplicantNotified: Kind.NOTIFIED,
}
"""The events that tell something about one application, and what."""
MOVES_LAUREATES = frozenset({Kind.AWARDED, Kind.ANNOUNCED, Kind.RELEASED})
DECIDES_NOTHING = REVIEWED | {Kind.NOTIFIED}
"""What neither an applicant's act nor the list of laureates depends on: it needs no lock of the application."""
_NAMES = ("sealed", "grant_id", "amount_eur", "answer_by", "reason", "template")
DETAILS = {event_type: [name for name in _NAMES if name in event_type.model_fields] for event_type in KINDS}
"""What an event says beside."""


def fact_of(delivery: Delivery[ApplicationEvent]) -> Fact:
    """What an event says, as a fact."""
    event = delivery.event
    details = {name: getattr(event, name) for name in DETAILS[type(event)]}
    return Fact(KINDS[type(event)], delivery.sequence, event.occurred_at, **details)


async def keep_facts(tx: Transaction, deliveries: Sequence[Delivery[ApplicationEvent]]) -> None:
    """Keep what events say about applications."""
    learnt = [(delivery.event.application_id, fact_of(delivery)) for delivery in deliveries]
    decisive = [application_id for application_id, fact in learnt if fact.kind not in DECIDES_NOTHING]
    if decisive:
        await applications.lock_applications(tx, decisive)
    await facts.insert_facts(tx, learnt)
    moved = {application_id for application_id, fact in learnt if fact.kind in MOVES_LAUREATES}
    if moved:
        await refresh_laureates(tx, sorted(moved))


async def refresh_laureates(tx: Transaction, application_ids: Sequence[str]) -> None:
    """Make the public list follow from the facts of these applications, whose rows are locked.

    One of which all is sealed never was on it: a seal is taken off, never put on again.
    """
    unsealed = await facts.unsealed_among(tx, application_ids)
    if unsealed:
        held = await facts.facts_of(tx, unsealed)
        await facts.put_laureates(tx, {each: laureate_amount_eur(held[each]) for each in unsealed})


async def keep_announcements(tx: Transaction, deliveries: Sequence[Delivery[RoundAnnounced]]) -> None:
    """Keep when rounds were announced. It unseals nothing: each application has a word of its own for that."""
    announced = {delivery.event.round_id: delivery.event.announced_at for delivery in reversed(deliveries)}
    await facts.announce_rounds(tx, announced)
