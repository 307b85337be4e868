"""Owns the days that applicants have: when an answer, a convention and a start are due, and when a grant lapses.

A day ends at 23:59:59 in the call's time zone; what is due on a day lapses at the end of the next one, never earlier.
"""

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

LAST_SECOND = time(23, 59, 59)


def end_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The last second of a local day, UTC."""
    return datetime.combine(day, LAST_SECOND, zone).astimezone(UTC)


def local_day(at: datetime, zone: ZoneInfo) -> date:
    """The day that an instant falls on in the call's time zone."""
    return at.astimezone(zone).date()


def answer_by(announce_at: datetime, occurred_at: datetime, within_days: int, zone: ZoneInfo) -> datetime:
    """End of the local day of max(`announce_at`, `occurred_at`) + `answer_within_days` (`docs/design.md` §7)."""
    return end_of_day(local_day(max(announce_at, occurred_at), zone) + timedelta(days=within_days), zone)


def sign_by(accepted_at: datetime, within_days: int, zone: ZoneInfo) -> datetime:
    """The last second at which the convention may be signed, counted from the local day of the acceptance."""
    return end_of_day(local_day(accepted_at, zone) + timedelta(days=within_days), zone)


def start_by(signed_on: date, within_months: int, zone: ZoneInfo) -> datetime:
    """The last second at which the project may start: so many calendar months after the signature's day."""
    months = signed_on.month - 1 + within_months
    year, month = signed_on.year + months // 12, months % 12 + 1
    day = min(signed_on.day, monthrange(year, month)[1])
    return end_of_day(date(year, month, day), zone)


def lapses_at(due: datetime, zone: ZoneInfo) -> datetime:
    """When something that was due is released: at the end of the following local day."""
    return end_of_day(local_day(due, zone) + timedelta(days=1), zone)


def list_ends_at(
    given: datetime | None, next_announce_at: datetime | None, project_ends_by: date, zone: ZoneInfo
) -> datetime:
    """When a round's waiting list ends: as the call says, else at the next announcement, else with the projects."""
    return given or next_announce_at or end_of_day(project_ends_by, zone)
