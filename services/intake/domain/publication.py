"""Owns which changes a new version of a call may bring; it publishes nothing.

Before a round has opened everything may change. From then on: texts, the envelope, later dates and further rounds
(`docs/design.md` §5, The call file). Documents are the call file as plain JSON values.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

Document = Mapping[str, Any]

FREE = frozenset({"version", "envelope_eur"})
LANGUAGES = frozenset({"fr", "en"})
ROUND_DATES = ("opens_at", "closes_at", "announce_at", "list_ends_at")


@dataclass(frozen=True, slots=True)
class Refused:
    """A change that a call with an open or closed round may not take: its dotted field and why."""

    field: str
    why: str


def has_opened(document: Document, now: datetime) -> bool:
    """Whether a round of the call has opened."""
    return any(_instant(each["opens_at"]) <= now for each in document["rounds"])


def refused_changes(held: Document, wanted: Document, now: datetime) -> list[Refused]:
    """Every change that may not be made at `now`; empty if the new version may be published."""
    if not has_opened(held, now):
        return []
    return [
        *_rounds(held["rounds"], wanted["rounds"], now),
        *_project(held, wanted, now),
        *(
            refused
            for name in sorted({*held, *wanted} - FREE - {"rounds", "project"})
            for refused in _fixed(name, held.get(name), wanted.get(name))
        ),
    ]


def _fixed(field: str, held: Any, wanted: Any) -> Iterator[Refused]:
    """Differences below a field, except in its texts."""
    if isinstance(held, Mapping) and isinstance(wanted, Mapping):
        if set(held) == set(wanted) == LANGUAGES:
            return
        for name in sorted({*held, *wanted}, key=str):
            yield from _fixed(f"{field}.{name}", held.get(name), wanted.get(name))
    elif isinstance(held, list) and isinstance(wanted, list) and len(held) == len(wanted):
        for position, (one, other) in enumerate(zip(held, wanted, strict=True)):
            yield from _fixed(f"{field}.{position}", one, other)
    elif held != wanted:
        yield Refused(field, "may not change once a round has opened")


def _rounds(held: list[Document], wanted: list[Document], now: datetime) -> Iterator[Refused]:
    offered = {each["id"]: each for each in wanted}
    position = {each["id"]: number for number, each in enumerate(wanted)}
    for each in held:
        if each["id"] not in offered:
            yield Refused("rounds", f"{each['id']} may not be removed once a round has opened")
            continue
        for name in ROUND_DATES:
            was, becomes = each.get(name), offered[each["id"]].get(name)
            field = f"rounds.{position[each['id']]}.{name}"
            yield from _later(field, _optional_instant(was), _optional_instant(becomes), now)


def _project(held: Document, wanted: Document, now: datetime) -> Iterator[Refused]:
    zone = ZoneInfo(held["time_zone"])
    was, becomes = (_end_of_day(each["project"]["ends_by"], zone) for each in (held, wanted))
    yield from _later("project.ends_by", was, becomes, now)
    rest = [{name: value for name, value in each["project"].items() if name != "ends_by"} for each in (held, wanted)]
    yield from _fixed("project", *rest)


def _later(field: str, was: datetime | None, becomes: datetime | None, now: datetime) -> Iterator[Refused]:
    if was == becomes:
        return
    if was is None or becomes is None or was <= now:
        yield Refused(field, "may not change once a round has opened")
    elif becomes < was:
        yield Refused(field, "may only move later")


def _instant(value: str) -> datetime:
    return datetime.fromisoformat(value)


def _optional_instant(value: str | None) -> datetime | None:
    return None if value is None else _instant(value)


def _end_of_day(day: str, zone: ZoneInfo) -> datetime:
    return datetime.combine(date.fromisoformat(day), time.max, zone).astimezone(UTC)
