"""Owns what a broken invariant looks like: which, about whom, in one sentence for people; it judges nothing."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation. `awaited_since` is set where something is only missing: it may still be on its way."""

    invariant: str
    subject: str
    sentence: str
    awaited_since: datetime | None = None
    """When the broker recorded what asks for the missing thing; None if no waiting can mend it."""
