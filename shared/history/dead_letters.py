"""Owns what is set aside as the topics tell it: one dead letter per consumer and place, and how it ended."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from shared.events.base import Event
from shared.events.ops import DismissalRequested, EventQuarantined, QuarantineLifted, ReplayRequested
from shared.events.topics import BY_NAME
from shared.history.recorded import Recorded

TELLING = (EventQuarantined, QuarantineLifted, ReplayRequested, DismissalRequested)
"""What dead letters are told by."""

Place = tuple[str, str, int, int]
Asked = ReplayRequested | DismissalRequested


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
    """Whether somebody has to act: it did not end, and nobody has asked since it was last set aside."""
    requested_by: str | None
    """Who asked last for its replay or its dismissal."""
    ended: Literal["replayed", "dismissed"] | None = None
    because: str | None = None
    """Why it was dismissed."""

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
            "ended": self.ended, "because": self.because,
        }  # fmt: skip


def dead_letters(events: Iterable[Recorded]) -> list[DeadLetter]:
    """The dead letters that these events tell of, the oldest first.

    One that fails again is said again. That it ended is said by its service, for good; commands are soon forgotten.
    """
    said: dict[Place, list[Recorded]] = {}
    lifted: dict[Place, Recorded] = {}
    asked: list[Recorded] = []
    for recorded in sorted(events, key=lambda each: each.recorded_at):
        fact = recorded.event
        if isinstance(fact, EventQuarantined):
            said.setdefault(_place(fact), []).append(recorded)
        elif isinstance(fact, QuarantineLifted):
            lifted[_place(fact)] = recorded
        elif isinstance(fact, Asked):
            asked.append(recorded)
    return [_letter(each, lifted.get(place), asked) for place, each in said.items()]


def dismissed_places(events: Iterable[Recorded]) -> set[tuple[str, int, int]]:
    """Where records lie that a person has looked at and let go."""
    letters = dead_letters(events)
    return {(e.origin_topic, e.origin_partition, e.origin_offset) for e in letters if e.ended == "dismissed"}


def _letter(said: list[Recorded], lifted: Recorded | None, asked: list[Recorded]) -> DeadLetter:
    last = said[-1]
    fact = last.event
    assert isinstance(fact, EventQuarantined)  # noqa: S101 - said holds nothing else
    named = [each for each in asked if _names(each.event, fact)]
    end = lifted.event if lifted is not None and _follows(lifted, last) else None
    assert end is None or isinstance(end, QuarantineLifted)  # noqa: S101 - lifted holds nothing else
    answered = end is not None or any(each.recorded_at > last.recorded_at for each in named)
    by = end.requested_by if end is not None else getattr(named[-1].event, "requested_by", None) if named else None
    return DeadLetter(
        said[0].event_id, fact.service, fact.consumer, fact.origin_topic, fact.origin_partition, fact.origin_offset,
        fact.origin_key, fact.event_id, fact.reason,
        sum(each.event.attempts for each in said if isinstance(each.event, EventQuarantined)),
        said[0].time, last.time, not answered, by, end.how if end else None, end.because if end else None,
    )  # fmt: skip


def _follows(later: Recorded, earlier: Recorded) -> bool:
    """Of one key, on one topic: the order of its partition."""
    if (later.topic, later.partition) == (earlier.topic, earlier.partition):
        return later.offset > earlier.offset
    return later.recorded_at > earlier.recorded_at


def _place(fact: EventQuarantined | QuarantineLifted) -> Place:
    return fact.consumer, fact.origin_topic, fact.origin_partition, fact.origin_offset


def _names(asked: Event, letter: EventQuarantined) -> bool:
    if isinstance(asked, DismissalRequested):
        place = (asked.consumer, asked.origin_topic, asked.origin_partition, asked.origin_offset)
        return place == _place(letter)
    if not isinstance(asked, ReplayRequested) or asked.consumer != letter.consumer:
        return False
    if asked.event_id is not None:
        return asked.event_id == letter.event_id
    return asked.origin_key == letter.origin_key
