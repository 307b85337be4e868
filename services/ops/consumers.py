"""Owns how records come into the index: every topic that ops may read, broken records too; it decides nothing.

Unlike other services ops takes each record as it lies: an inbox of events would hide a second publication, and a
record that is set aside could not be seen. A record's place makes it stand once.
"""

from collections.abc import Sequence
from dataclasses import replace

import structlog

from services.ops import store
from services.ops.entry import Entry, entry_of
from services.ops.wake import Wake
from shared.db import Transaction
from shared.events.topics import TOPICS
from shared.messaging.consume import Consumer
from shared.messaging.failures import Verdict, judge, reason_of
from shared.messaging.records import RawRecord
from shared.messaging.subscriptions import Subscriptions

log = structlog.get_logger()


class EveryTopic(Subscriptions):
    """Subscribed to each topic that ops is a declared reader of, whatever its events are."""

    def __init__(self) -> None:
        super().__init__("ops")
        self.wake = Wake()

    @property
    def topics(self) -> list[str]:
        """Every topic but the personal ones."""
        return [topic.name for topic in TOPICS if "ops" in topic.readers and not topic.personal]

    @property
    def handled(self) -> list[str]:
        """The topics whose events have an effect here beside being indexed: the commands."""
        return super().topics


class IndexingConsumer(Consumer):
    """Puts every record of one topic into the index, then hands on what ops itself obeys."""

    async def _write(self, records: Sequence[RawRecord], *, singly: bool) -> None:
        async with self._db.transaction() as tx:
            entries = [entry_of(record) for record in records]
            await (_index_singly(tx, entries) if singly else store.index(tx, entries))
        subscriptions = self._subscriptions
        assert isinstance(subscriptions, EveryTopic)  # noqa: S101 - ops is made with no other
        subscriptions.wake.ring()
        if self.topic in subscriptions.handled:
            await super()._write(records, singly=singly)


async def _index_singly(tx: Transaction, entries: Sequence[Entry]) -> None:
    """Index what the database refused as a batch; one row that it refuses still stands by its place and the reason."""
    for entry in entries:
        try:
            async with tx.savepoint():
                await store.index(tx, [entry])
        except Exception as failure:
            if judge(failure) is not Verdict.ASIDE:
                raise
            problem = f"the index refused it: {reason_of(failure)}"
            place = f"{entry.topic}[{entry.partition}]@{entry.offset}"
            log.error("ops.entry_refused", place=place, reason=problem)  # noqa: TRY400 - the trace would quote it
            bare = replace(entry, key="", type="", event_id="", causation_id="", headers="", payload=None, time=None)
            await store.index(tx, [replace(bare, call_id=None, reference=None, problem=problem)])


subscribe = EveryTopic()
