"""Owns how instants and days are said, on the wire and by people; it knows no rule about them."""

import re
from datetime import UTC, date, datetime
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, Field

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FIRST, _LAST = datetime(1900, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


def instant_as_written(value: object) -> object:
    """An instant, or the text of one as RFC 3339 has it. Raises ValueError."""
    # Pydantic would take seconds since 1970 too, also as text.
    if isinstance(value, datetime) or (isinstance(value, str) and _DAY.match(value)):
        return value
    raise ValueError("must be an instant such as 2021-09-30T23:59:00+02:00")


def _day_as_written(value: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str) and _DAY.fullmatch(value):
        return date.fromisoformat(value)
    raise ValueError("must be a date such as 2021-09-30")


Instant = Annotated[AwareDatetime, Field(ge=_FIRST, le=_LAST)]
"""An instant on the wire, so far from the ends of `datetime` that every zone can tell it and PostgreSQL keep it."""
WrittenInstant = Annotated[Instant, BeforeValidator(instant_as_written)]
"""An instant that a person or another program wrote: RFC 3339, never a number."""
WrittenDay = Annotated[date, BeforeValidator(_day_as_written)]
"""A day that a person or another program wrote: YYYY-MM-DD, never a number."""
