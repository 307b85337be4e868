"""Shared pieces of the messaging tests: a database with only the message tables and one table of effects."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shared.config import Settings
from shared.db import Database, Transaction
from shared.events import Event
from shared.events.intake import ApplicationWithdrawn, GrantAccepted
from shared.ids import new_id
from shared.messaging.consume import Consumer
from shared.messaging.records import Delivery, RawRecord, event_headers
from shared.messaging.subscriptions import Subscriptions

EFFECT_TABLE = "CREATE TABLE effect (position bigint GENERATED ALWAYS AS IDENTITY, key text, event_id uuid, note text)"
TOPIC = "intake.applications"


def settings(**overrides: object) -> Settings:
    return Settings(retry_first_s=0.01, retry_longest_s=0.05, session_timeout_s=6, graceful_s=5, **overrides)


def withdrawn(application_id: str, reason: str = "no room") -> ApplicationWithdrawn:
    return ApplicationWithdrawn(
        occurred_at=datetime(2021, 9, 1, tzinfo=UTC),
        call_id="innovation-2021",
        call_version=1,
        round_id="innovation-2021-r1",
        application_id=application_id,
        reason=reason,
    )


def accepted(application_id: str) -> GrantAccepted:
    fields = withdrawn(application_id).model_dump(exclude={"reason"})
    return GrantAccepted(**fields, grant_id=new_id())


@dataclass
class Tape:
    """Makes records as a topic would hold them: offsets and sequences count up."""

    topic: str = TOPIC
    offset: int = 0
    sequences: dict[str, int] = field(default_factory=dict)

    def record(self, event: Event, *, event_type: str | None = None, value: bytes | None = None) -> RawRecord:
        sequence = self.sequences[event.key] = self.sequences.get(event.key, 0) + 1
        headers = event_headers(
            new_id(), event_type or event.type_name(), "intake", event.key, "2021-09-01T00:00:00Z", sequence, "test:1",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )  # fmt: skip
        return self.raw(event.key.encode(), value or event.model_dump_json().encode(), tuple(headers))

    def raw(
        self, key: bytes | None, value: bytes | None, headers: tuple[tuple[str, bytes | None], ...] = ()
    ) -> RawRecord:
        self.offset += 1
        return RawRecord(self.topic, 0, self.offset, key, value, headers, 1_630_000_000_000)


@dataclass
class Recorder:
    """A service under test: it writes each event it handles into `effect`, and fails for the keys it is told to."""

    db: Database
    broken_keys: set[str] = field(default_factory=set)
    failures: list[Exception] = field(default_factory=list)
    calls: int = 0
    only_keys: frozenset[str] | None = None
    """The keys of this test, where a topic is shared with others."""
    echoes: bool = True
    """Whether it says each event again: not where a relay would put it on the topic that it came from."""

    def consumer(self) -> Consumer:
        subscribe = Subscriptions("funding")
        subscribe(ApplicationWithdrawn)(self.handle)
        subscribe(GrantAccepted)(self.handle)
        return Consumer(self.db, subscribe, TOPIC, settings())

    async def handle(self, deliveries: Sequence[Delivery[Event]], tx: Transaction, now: datetime) -> None:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        for delivery in deliveries:
            if self.only_keys is not None and delivery.key not in self.only_keys:
                continue
            await tx.execute(
                "INSERT INTO effect (key, event_id, note) VALUES (:key, CAST(:id AS uuid), :note)",
                key=delivery.key, id=delivery.event_id, note=getattr(delivery.event, "reason", "accepted"),
            )  # fmt: skip
            if delivery.key in self.broken_keys:
                raise ValueError("this key breaks a rule")
            if self.echoes:
                tx.outbox.record(delivery.event, delivery.cause)

    async def effects(self, key: str | None = None) -> list[str]:
        async with self.db.transaction() as tx:
            rows = await tx.fetch_all("SELECT key, note FROM effect ORDER BY position")
        return [row["note"] for row in rows if key in (None, row["key"])]

    async def count(self, table: str) -> int:
        async with self.db.transaction() as tx:
            return int(await tx.fetch_value(f"SELECT count(*) FROM {table}"))  # noqa: S608
