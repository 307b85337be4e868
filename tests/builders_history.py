"""Pasts for tests: events recorded with the right envelope, and one small call from publication to letters."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from ruamel.yaml import YAML

from shared.events import Event, funding, intake, notify, review
from shared.events.call import Call
from shared.history import History, Recorded
from shared.ids import new_id
from shared.messaging.records import RawRecord, event_headers

DATA = Path(__file__).resolve().parents[1] / "data"
OUTCOME_EVENTS = {"awarded": funding.GrantAwarded, "waitlisted": funding.ApplicationWaitlisted,
                  "not_selected": funding.ApplicationNotSelected}  # fmt: skip


def call_of(folder: str = "innovation-2021", **changes: Any) -> Call:
    """The call of a data folder, some of its fields changed."""
    document = YAML(typ="safe").load(DATA / folder / "call.yaml")
    return Call.model_validate({**document, **changes})


CALL = call_of()
ROUND = CALL.rounds[0]
SUBMITTED_AT = ROUND.opens_at + timedelta(days=10)
CLOSED_AT = ROUND.closes_at + timedelta(seconds=CALL.grace_s + 60)
DECIDED_AT = CLOSED_AT + timedelta(days=30)


@dataclass
class Past:
    """Records events as the topics would hold them: offsets and sequences count up."""

    call: Call = CALL
    now: datetime = SUBMITTED_AT
    records: list[Recorded] = field(default_factory=list)
    applications: dict[str, intake.ApplicationSubmitted] = field(default_factory=dict)
    grants: dict[str, funding.GrantAwarded] = field(default_factory=dict)
    entry: int = 0

    @property
    def history(self) -> History:
        return History.of(self.records)

    @property
    def common(self) -> dict[str, Any]:
        return {
            "occurred_at": self.now, "call_id": self.call.id, "call_version": self.call.version,
            "round_id": self.call.rounds[0].id,
        }  # fmt: skip

    def record(self, event: Event, *, sequence: int | None = None, cause: str = "") -> Recorded:
        topic, key = event.topic_name, event.key
        last = max((r.sequence for r in self.records if (r.topic, r.key) == (topic, key)), default=0)
        offset = sum(r.topic == topic for r in self.records)
        at = datetime(2026, 11, 23, tzinfo=UTC) + timedelta(milliseconds=10 * len(self.records))
        recorded = Recorded(
            topic, 0, offset, key, new_id(), event.type_name(), sequence or last + 1, cause or f"request:{new_id()}",
            self.now, at, event,
        )  # fmt: skip
        self.records.append(recorded)
        return recorded

    def next_entry(self) -> int:
        self.entry += 1
        return self.entry

    def publish(self) -> None:
        self.record(intake.CallPublished(**self.common, call=self.call))
        self.set_envelope(self.call.envelope_eur)

    def set_envelope(self, envelope_eur: int) -> None:
        self.record(funding.EnvelopeSet(**self.common, envelope_eur=envelope_eur, ledger_entry=self.next_entry()))

    def submit(self, reference: str = "INNO-2021-0001", requested_eur: int = 30_000) -> str:
        application_id = new_id()
        event = intake.ApplicationSubmitted(
            **self.common, application_id=application_id, reference=reference, applicant_id=new_id(),
            submitted_at=self.now,
            organisation=intake.Organisation(
                name=f"École {reference}", siret="00002021400011", kind="training_organisation", region="Bretagne"
            ),
            project=intake.Project(
                title=f"Projet {reference}", summary="…", themes=(self.call.themes[0].id,),
                requested_eur=requested_eur, starts_on=date(2021, 12, 1), ends_on=date(2022, 11, 30),
            ),
        )  # fmt: skip
        self.applications[application_id] = event
        cause = self.record(event)
        self.letter(application_id, "receipt", cause=cause.event_id)
        return application_id

    def about(self, event_type: type[Event], application_id: str, **fields: Any) -> Recorded:
        return self.record(event_type(**self.common, application_id=application_id, **fields))

    def letter(self, application_id: str, template: str, cause: str = "", **fields: Any) -> Recorded:
        values = {"delivery_id": new_id(), "template": template, "language": "fr",
                  "message_id": f"<{new_id()}@releve>", "attempts": 1} | fields  # fmt: skip
        event = notify.ApplicantNotified(**self.common, application_id=application_id, **values)
        return self.record(event, cause=cause)

    def close(self, **changes: Any) -> Recorded:
        self.now = CLOSED_AT
        ids = sorted(self.applications)
        digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()
        fields = {"closed_at": self.now, "submitted": len(ids), "applications_sha256": digest} | changes
        return self.record(intake.RoundClosed(**self.common, **fields))

    def admit(self, application_id: str) -> Recorded:
        return self.about(review.ApplicationAdmitted, application_id, checks={"complete": True})

    def refuse(self, application_id: str) -> Recorded:
        return self.about(
            review.ApplicationInadmissible, application_id, checks={"complete": False}, reason="incomplete"
        )

    def score(self, application_id: str, score: str = "72.50", revision: int = 1) -> Recorded:
        return self.about(
            review.Scored, application_id, revision=revision, score=score, basis="agreed", criteria={}, evaluations=2,
            spread="4.00", formula_version=1,
        )  # fmt: skip

    def award(self, application_id: str, amount_eur: int = 30_000, *, sealed: bool = True) -> Recorded:
        event = funding.GrantAwarded(
            **self.common, application_id=application_id, grant_id=new_id(), amount_eur=amount_eur,
            requested_eur=self.applications[application_id].project.requested_eur, rank=1,
            answer_by=ROUND.announce_at + timedelta(days=30), ledger_entry=self.next_entry(), sealed=sealed,
        )  # fmt: skip
        self.grants[application_id] = event
        return self.record(event)

    def waitlist(self, application_id: str, *, sealed: bool = True) -> Recorded:
        return self.about(funding.ApplicationWaitlisted, application_id, rank=2, reason="envelope_short", sealed=sealed)

    def reject(self, application_id: str, *, sealed: bool = True) -> Recorded:
        return self.about(funding.ApplicationNotSelected, application_id, reason="below_pass_mark", sealed=sealed)

    def release(self, application_id: str, reason: str = "declined", **changes: Any) -> Recorded:
        grant = self.grants[application_id]
        fields = {"grant_id": grant.grant_id, "amount_eur": grant.amount_eur, "reason": reason,
                  "ledger_entry": self.next_entry()} | changes  # fmt: skip
        return self.about(funding.GrantReleased, application_id, **fields)

    def sign(self, application_id: str) -> Recorded:
        grant = self.grants[application_id]
        return self.about(
            funding.ConventionSigned, application_id, grant_id=grant.grant_id, amount_eur=grant.amount_eur,
            signed_on=self.now.date(), ledger_entry=self.next_entry(),
        )  # fmt: skip

    def decided(self, awarded: int = 0, waitlisted: int = 0, not_selected: int = 0) -> Recorded:
        return self.record(
            funding.RoundDecided(
                **self.common, awarded=awarded, waitlisted=waitlisted, not_selected=not_selected, awarded_eur=0,
                remaining_eur=0, inputs_sha256="0" * 64, outcome_sha256="0" * 64,
            )
        )  # fmt: skip

    def announce(self, outcomes: dict[str, str]) -> None:
        """Announce the round: `outcomes` by application id; a letter for each."""
        self.now = ROUND.announce_at
        cause = self.record(funding.RoundAnnounced(**self.common, announced_at=self.now))
        for application_id, outcome in outcomes.items():
            self.tell(application_id, outcome, cause=cause.event_id)

    def tell(self, application_id: str, outcome: str, cause: str = "") -> None:
        event = funding.OutcomeAnnounced(**self.common, application_id=application_id, outcome=outcome)
        told = self.record(event, cause=cause)
        self.letter(application_id, outcome, cause=told.event_id)


@dataclass
class Story:
    """A whole call: two laureates, one waitlisted, one refused, one inadmissible, one withdrawn; all told."""

    past: Past
    laureates: tuple[str, str]
    waitlisted: str
    not_selected: str
    inadmissible: str
    withdrawn: str


def whole_story(**call: Any) -> Story:
    """A history in which every invariant holds."""
    past = Past(call_of(**call))
    past.publish()
    ids = [past.submit(f"INNO-2021-{number:04}") for number in range(1, 7)]
    a, b, waitlisted, refused, inadmissible, withdrawn = ids
    past.about(intake.ApplicationWithdrawn, withdrawn, reason="no partner")
    past.close()
    past.refuse(inadmissible)
    for scored in (a, b, waitlisted, refused):
        past.admit(scored)
        past.score(scored)
    past.now = DECIDED_AT
    past.award(a)
    past.award(b, 20_000)
    past.waitlist(waitlisted)
    past.reject(refused)
    past.decided(2, 1, 1)
    past.announce({a: "awarded", b: "awarded", waitlisted: "waitlisted", refused: "not_selected",
                   inadmissible: "inadmissible"})  # fmt: skip
    return Story(past, (a, b), waitlisted, refused, inadmissible, withdrawn)


def own_story(**call: Any) -> Story:
    """A whole story of a call that no other test has: for servers that tests share."""
    number = new_id().replace("-", "")[-12:]
    rounds = [each.model_dump(mode="json") | {"id": f"r{place}-{number}"} for place, each in enumerate(CALL.rounds)]
    return whole_story(id=f"call-{number}", rounds=rounds, **call)


async def publish(bootstrap: str, records: Iterable[Recorded | RawRecord]) -> None:
    """Put records on their topics as the relay would; the broker gives them offsets of its own."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
    await producer.start()
    try:
        for each in records:
            raw = each if isinstance(each, RawRecord) else raw_of(each)
            await producer.send(raw.topic, raw.value, key=raw.key, headers=list(raw.headers))
        await producer.flush()
    finally:
        await producer.stop()


def without(past: Past, index: int) -> History:
    """The history as if one record had never been published."""
    return History.of([record for number, record in enumerate(past.records) if number != index])


def changed(past: Past, recorded: Recorded, **fields: Any) -> History:
    """The history with one event's fields changed."""
    other = replace(recorded, event=recorded.event.model_copy(update=fields))
    return History.of([other if record is recorded else record for record in past.records])


def raw_of(recorded: Recorded, **changes: Any) -> RawRecord:
    """The record as Kafka would hold it."""
    headers = event_headers(
        recorded.event_id, recorded.type, recorded.emitter, recorded.key, recorded.time.isoformat(),
        recorded.sequence, recorded.causation_id, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )  # fmt: skip
    fields = {
        "topic": recorded.topic, "partition": recorded.partition, "offset": recorded.offset,
        "key": recorded.key.encode(), "value": recorded.event.model_dump_json().encode(), "headers": tuple(headers),
        "timestamp_ms": int(recorded.recorded_at.timestamp() * 1000),
    } | changes  # fmt: skip
    return RawRecord(**fields)
