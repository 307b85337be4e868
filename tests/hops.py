"""Owns what goes in and what must come out of each service's hop: events as records, and the rows that they leave."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import asyncpg

from shared.events.base import ApplicationEvent, Event
from shared.events.call import Call
from shared.events.funding import GrantAwarded
from shared.events.intake import ApplicationSubmitted, CallPublished, RoundClosed
from shared.events.review import Scored
from shared.ids import new_id
from shared.messaging.records import event_headers
from tests.dossiers import dossier
from tests.open_call import open_call

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
WHEN = datetime(2026, 9, 1, 12, tzinfo=UTC)
ROUNDS = 10
"""Rounds of each run's call: its applications are spread over them evenly."""
Records = Sequence["Record"]


@dataclass(frozen=True, slots=True)
class Record:
    """One event, ready to be produced. `headers` as Kafka holds them."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    event_id: str
    of_application: bool = True
    """Whether it leaves rows of an application, and not only of its round."""


@dataclass(frozen=True, slots=True)
class Hop:
    """A service's part: the topics it hears, what it makes of so many applications, and how its effects are counted.

    `effects` counts the rows of the effect in its database; `emits` is the topic of one event for each application.
    """

    service: str
    topics: tuple[str, ...]
    make: Callable[[Call, int], Records]
    effects: str
    emits: str | None = None
    known_before: bool = False
    """Whether its applications are in its database before."""


def record_of(event: Event, sequence: int = 1) -> Record:
    """An event as its emitter's relay sends it."""
    event_id, emitter = new_id(), event.topic_name.partition(".")[0]
    headers = event_headers(
        event_id, event.type_name(), emitter, event.key, WHEN.isoformat(), sequence, new_id(), TRACE
    )  # fmt: skip
    value, of_application = event.model_dump_json().encode(), isinstance(event, ApplicationEvent)
    return Record(event.topic_name, event.key.encode(), value, headers, event_id, of_application)


def call_of_run(run: str) -> Call:
    """A call of one run's own: ten rounds, and no check that asks for an officer."""
    only = {"kind_allowed", "theme_present", "amount_in_bounds", "dates_in_calendar", "declared_not_in_use"}
    checks = [each.model_dump() for each in open_call().admissibility if each.machine in only]
    rounds = [
        {
            "id": f"{run}-r{number}", "opens_at": f"20{number + 10}-01-01T00:00:00Z",
            "closes_at": f"20{number + 11}-01-01T00:00:00Z", "announce_at": "2999-06-01T00:00:00Z",
        }
        for number in range(ROUNDS)
    ]  # fmt: skip
    prefix = run.replace("-", "").upper()
    return open_call(id=run, reference_prefix=prefix, rounds=rounds, admissibility=checks)


def published(call: Call) -> Record:
    """A call as intake tells it."""
    return record_of(CallPublished(occurred_at=WHEN, call_id=call.id, call_version=call.version, call=call))


def _about(call: Call, number: int, application_id: str) -> dict[str, object]:
    """What each event of an application says."""
    return {
        "occurred_at": WHEN, "call_id": call.id, "call_version": call.version, "application_id": application_id,
        "round_id": call.rounds[number % ROUNDS].id,
    }  # fmt: skip


def _submitted(call: Call, number: int, application_id: str) -> ApplicationSubmitted:
    body = dossier(number)
    # Of an organisation of its own, whatever its last digit says: no consumer looks at it.
    told = {"organisation": body["organisation"] | {"siret": f"{number:014d}"}, "project": body["project"]}
    return ApplicationSubmitted.model_validate(
        _about(call, number, application_id)
        | told
        | {"reference": f"{call.reference_prefix}-{number:05d}", "applicant_id": new_id(), "submitted_at": WHEN}
    )


def _scored(call: Call, number: int, application_id: str, revision: int = 1) -> Scored:
    means = {criterion.id: Decimal("3.5") for criterion in call.rubric.criteria}
    return Scored.model_validate(
        _about(call, number, application_id)
        | {"revision": revision, "score": Decimal("70.00"), "basis": "agreed", "criteria": means, "evaluations": 2}
        | {"spread": Decimal("4.20"), "recommended_eur": 20000, "formula_version": 1}
    )


def _awarded(call: Call, number: int, application_id: str) -> GrantAwarded:
    return GrantAwarded.model_validate(
        _about(call, number, application_id)
        | {"sealed": True, "grant_id": new_id(), "amount_eur": 20000, "requested_eur": 25000, "rank": number + 1}
        | {"answer_by": WHEN, "ledger_entry": number + 2}
    )


def submissions(call: Call, count: int) -> Records:
    """Applications of about three kilobytes."""
    return [record_of(_submitted(call, number, new_id())) for number in range(count)]


def submissions_and_closings(call: Call, count: int) -> Records:
    """The same, and the closing of each of their rounds."""
    events = [_submitted(call, number, new_id()) for number in range(count)]
    closings = []
    for each in call.rounds:
        ids = sorted(event.application_id for event in events if event.round_id == each.id)
        closings.append(
            RoundClosed(
                occurred_at=WHEN, call_id=call.id, call_version=1, round_id=each.id, closed_at=WHEN, submitted=len(ids),
                applications_sha256=hashlib.sha256("\n".join(ids).encode()).hexdigest(),
            )
        )  # fmt: skip
    return [record_of(each) for each in (*events, *closings)]


def scores_and_awards(call: Call, count: int) -> Records:
    """Two facts of each of half as many applications, on two topics."""
    ids = [new_id() for _ in range(count // 2)]
    return _on_two_topics(
        (_scored(call, number, each) for number, each in enumerate(ids)),
        (_awarded(call, number, each) for number, each in enumerate(ids)),
    )


def submissions_and_scores(call: Call, count: int) -> Records:
    """Half as many applications, and the score of each."""
    ids = [new_id() for _ in range(count // 2)]
    return _on_two_topics(
        (_submitted(call, number, each) for number, each in enumerate(ids)),
        (_scored(call, number, each) for number, each in enumerate(ids)),
    )


def revisions(call: Call, application_ids: Sequence[str], count: int) -> Records:
    """So many scores of each application, one after the other: the first of each, then the second of each."""
    return [
        record_of(_scored(call, number, each, revision), revision)
        for revision in range(1, count + 1)
        for number, each in enumerate(application_ids)
    ]


def _on_two_topics(first: Iterable[Event], second: Iterable[Event]) -> Records:
    return [record_of(each) for pair in zip(first, second, strict=True) for each in pair]


KNOW = """
WITH someone AS (
    INSERT INTO applicant (applicant_id, email, email_key, name, language)
    SELECT id, id || '@ecole.example.org', id || '@ecole.example.org', 'Camille Durand', 'fr' FROM uuidv7() AS id
    RETURNING applicant_id
)
INSERT INTO application (application_id, call_id, call_version, round_id, applicant_id, number, reference,
                         organisation, project, submitted_at)
SELECT id, $2, 1, $2 || '-r0', applicant_id, position, $2 || '-' || position, '{}', '{}', now()
FROM someone, unnest($1::uuid[]) WITH ORDINALITY AS a (id, position)
"""


async def know(connection: asyncpg.Connection, call: Call, records: Records) -> None:
    """Put applications in intake's database, as if they had been submitted there."""
    ids = sorted({UUID(each.key.decode()) for each in records})
    await connection.execute(KNOW, ids, call.id)


HOPS = (
    Hop(
        "intake", ("review.scores", "funding.grants"), scores_and_awards, "SELECT count(*) FROM fact",
        known_before=True,
    ),
    Hop(
        "review", ("intake.applications",), submissions_and_closings,
        "SELECT count(*) FROM application WHERE state = 'admitted'", emits="review.scores",
    ),
    Hop(
        "funding", ("intake.applications", "review.scores"), submissions_and_scores,
        "SELECT 2 * count(*) FROM application WHERE submitted_at IS NOT NULL AND score IS NOT NULL",
    ),
    Hop("notify", ("intake.applications",), submissions, "SELECT count(*) FROM delivery"),
)  # fmt: skip
