"""Owns the way from rows of the index back to events, for the pure functions of `shared/history`; it stores nothing."""

from collections.abc import Iterable

from pydantic import ValidationError

from services.ops import store
from shared.db import Row, Transaction
from shared.events import EVENT_TYPES
from shared.events.funding import RoundAnnounced, RoundDecided
from shared.events.intake import ApplicationSubmitted, RoundClosed
from shared.history import History, Recorded, Unreadable
from shared.history.dead_letters import TELLING, DeadLetter, dead_letters

CALL_TOPIC = "intake.calls"


def recorded_of_row(row: Row) -> Recorded | Unreadable:
    """What a row of the index was when it was a record."""
    if row["problem"] is not None:
        return _unreadable(row, row["problem"])
    try:
        event = EVENT_TYPES[row["type"]].model_validate_json(row["payload"])
    except (KeyError, ValidationError):
        return _unreadable(row, "this program can no longer read it")
    return Recorded(
        row["topic"], row["partition"], row["offset"], row["key"], row["event_id"], row["type"], row["sequence"],
        row["causation_id"], row["time"], row["recorded_at"], event,
    )  # fmt: skip


def _unreadable(row: Row, reason: str) -> Unreadable:
    place = (row["topic"], row["partition"], row["offset"])
    return Unreadable(*place, row["key"], row["event_id"] or None, reason, row["recorded_at"])


def history_of(rows: Iterable[Row]) -> History:
    """The history that some rows tell."""
    return History.of(recorded_of_row(row) for row in rows)


async def application_named(tx: Transaction, named: str) -> str | None:
    """The id that a reference or an id stands for; None if no row has it as its key."""
    wanted = named.strip()
    found = await store.by_reference(tx, wanted)
    if found is not None:
        return found
    return wanted.lower() if await store.of_keys(tx, [wanted.lower()]) else None


async def rows_of_application(tx: Transaction, application_id: str) -> list[Row]:
    """Everything about an application: its key on every topic, dead letters included, its round, and its call."""
    own = list(await store.of_keys(tx, [application_id]))
    submitted = next((row for row in own if row["type"] == ApplicationSubmitted.type_name()), None)
    if submitted is None or submitted["problem"] is not None:
        return own
    event = ApplicationSubmitted.model_validate_json(submitted["payload"])
    around = await store.of_keys(tx, [event.round_id, event.call_id])
    of_round = {kind.type_name() for kind in (RoundClosed, RoundDecided, RoundAnnounced)}
    return own + [row for row in around if row["type"] in of_round or row["topic"] == CALL_TOPIC]


async def rows_of_call(tx: Transaction, call_id: str) -> list[Row]:
    """Everything that names a call, and what names none but concerns each: dead letters, commands, broken records."""
    return [*await store.of_call(tx, call_id), *await _of_types(tx), *await store.broken(tx)]


async def all_dead_letters(tx: Transaction) -> list[DeadLetter]:
    """Every dead letter, the oldest first."""
    return dead_letters(history_of(await _of_types(tx)).events)


async def _of_types(tx: Transaction) -> list[Row]:
    return list(await store.of_types(tx, [kind.type_name() for kind in TELLING]))
