"""Owns what is set aside as the topics tell it: one dead letter per consumer and place, open until it is replayed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.events.ops import EventQuarantined, ReplayRequested
from shared.events.topics import BY_NAME
from shared.history.recorded import Recorded


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that a consumer could not handle. `id` is the event that said so first; times are UTC."""

    id: str
    service: str
    consumer: str
    origin_topic: str
    origin_partition: int
    origin_offset: int
    origin_key: str
    """As text, other bytes escaped; empty if the record had none, which no replay can name."""
    event_id: str | None
    reason: str
    attempts: int
    first_at: datetime
    last_at: datetime
    """Business time of the first and the last time that it was set aside."""
    open: bool
    requested_by: str | None
    """Who asked for its last replay."""

    @property
    def place(self) -> str:
        """Where the record lies: `review.scores[3]@1207`."""
        return f"{self.origin_topic}[{self.origin_partition}]@{self.origin_offset}"

    @property
    def personal(self) -> bool:
        """Whether its bytes lie on a topic that operations may not read, or on none that is declared."""
        return self.origin_topic not in BY_NAME or BY_NAME[self.origin_topic].personal

    def document(self) -> dict[str, Any]:
        """The same as plain values for JSON."""
        return {
            "id": self.id, "place": self.place, "service": self.service, "consumer": self.consumer,
            "origin_topic": self.origin_topic, "origin_partition": self.origin_partition,
            "origin_offset": self.origin_offset, "origin_key": self.origin_key, "event_id": self.event_id,
            "reason": self.reason, "attempts": self.attempts, "first_at": self.first_at.isoformat(),
            "last_at": self.last_at.isoformat(), "open": self.open, "requested_by": self.requested_by,
        }  # fmt: skip


def dead_letters(events: Iterable[Recorded]) -> list[DeadLetter]:
    """The dead letters that these events tell of, the oldest first.

    A replay that fails says EventQuarantined again: the letter is open as long as no later request names it.
    """
    said: dict[tuple[str, str, int, int], list[Recorded]] = {}
    asked: list[tuple[Recorded, ReplayRequested]] = []
    for recorded in sorted(events, key=lambda each: each.recorded_at):
        fact = recorded.event
        if isinstance(fact, EventQuarantined):
            place = (fact.consumer, fact.origin_topic, fact.origin_partition, fact.origin_offset)
            said.setdefault(place, []).append(recorded)
        elif isinstance(fact, ReplayRequested):
            asked.append((recorded, fact))
    return [_letter(each, asked) for each in said.values()]


def _letter(said: list[Recorded], asked: list[tuple[Recorded, ReplayRequested]]) -> DeadLetter:
    last = said[-1]
    fact = last.event
    assert isinstance(fact, EventQuarantined)  # noqa: S101 - said holds nothing else
    requests = [(recorded, each) for recorded, each in asked if _names(each, fact)]
    answered = any(recorded.recorded_at > last.recorded_at for recorded, _ in requests)
    return DeadLetter(
        said[0].event_id, fact.service, fact.consumer, fact.origin_topic, fact.origin_partition, fact.origin_offset,
        fact.origin_key, fact.event_id, fact.reason,
        sum(each.event.attempts for each in said if isinstance(each.event, EventQuarantined)),
        said[0].time, last.time, not answered, requests[-1][1].requested_by if requests else None,
    )  # fmt: skip


def _names(asked: ReplayRequested, letter: EventQuarantined) -> bool:
    if asked.consumer != letter.consumer:
        return False
    if asked.event_id is not None:
        return asked.event_id == letter.event_id
    return asked.origin_key == letter.origin_key
