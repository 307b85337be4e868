"""Owns when a round may be decided: all that closed is here, and every member is settled; it counts nothing itself."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class RoundCount:
    """What is known of a round. `open_members` are received, neither withdrawn nor inadmissible nor scored.

    `members_match` is None until as many were received as closed, and their ids were compared.
    """

    received: int
    open_members: int
    closed_count: int | None
    members_match: bool | None
    call_version: int | None
    closed_call_version: int | None


def waits_for(count: RoundCount) -> list[str]:
    """What a round lacks before it is ready, most basic first; empty when it is (`docs/design.md` §7, Close)."""
    lacks: list[str] = []
    if count.call_version is None or (count.closed_call_version or 0) > count.call_version:
        lacks.append("call")
    if count.closed_count is None:
        return [*lacks, "closing"]
    if count.received != count.closed_count:
        lacks.append("applications")
    elif count.members_match is False:
        lacks.append("matching_applications")
    if count.open_members:
        lacks.append("scores")
    return lacks


def is_ready(count: RoundCount) -> bool:
    """Whether the round may be decided."""
    return bool(count.members_match) and not waits_for(count)


@dataclass(frozen=True, slots=True)
class RoundOrder:
    """A round's place in its call."""

    round_id: str
    closes_at: datetime
    decided: bool


def undecided_before(round_id: str, rounds: list[RoundOrder]) -> str | None:
    """The earliest round of the call that must be decided before this one, or None."""
    own = next(each for each in rounds if each.round_id == round_id)
    earlier = [each for each in rounds if each.closes_at < own.closes_at and not each.decided]
    return min(earlier, key=lambda each: each.closes_at).round_id if earlier else None
