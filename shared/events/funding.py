"""Owns what funding says: money moved, outcomes decided, outcomes told."""

from datetime import date
from typing import ClassVar, Literal

from pydantic import Field

from shared.events.base import ApplicationEvent, CallEvent, Euros, Id, PositiveEuros, Sha256, Slug
from shared.events.dates import Instant

Outcome = Literal["awarded", "waitlisted", "not_selected", "inadmissible"]
NotSelectedReason = Literal["below_pass_mark", "list_ended", "budget_exhausted"]
WaitlistedReason = Literal["envelope_short", "envelope_frozen"]
ReleaseReason = Literal["declined", "withdrawn", "lapsed", "revoked"]


class FundingEvent(CallEvent, abstract=True):
    """An event on `funding.grants`."""

    topic: ClassVar[str] = "funding.grants"


class GrantEvent(ApplicationEvent, abstract=True):
    """An event about one application's outcome or grant. Sealed: decided, but not yet announced."""

    topic: ClassVar[str] = "funding.grants"

    sealed: bool = False


class GrantAwarded(GrantEvent):
    """Money was reserved. `answer_by` is the last instant of the applicant's answer; `ledger_entry` moved the money."""

    grant_id: Id
    amount_eur: PositiveEuros
    requested_eur: PositiveEuros
    rank: int = Field(ge=1)
    answer_by: Instant
    ledger_entry: int = Field(ge=1)


class ApplicationWaitlisted(GrantEvent):
    """The claim did not fit; it waits for money that comes back."""

    rank: int = Field(ge=1)
    reason: WaitlistedReason


class ApplicationNotSelected(GrantEvent):
    """No grant: below the pass mark, or the waiting list ended."""

    rank: int | None = None
    reason: NotSelectedReason


class ConventionSigned(GrantEvent):
    """The convention was signed: reserved money is committed."""

    grant_id: Id
    amount_eur: PositiveEuros
    signed_on: date
    ledger_entry: int = Field(ge=1)


class ProjectStarted(GrantEvent):
    """The project started."""

    grant_id: Id
    started_on: date


class ProjectCompleted(GrantEvent):
    """The project ended as agreed."""

    grant_id: Id
    completed_on: date


class GrantReleased(GrantEvent):
    """Held money went back to the envelope by a counter-entry, and why."""

    grant_id: Id
    amount_eur: PositiveEuros
    reason: ReleaseReason
    ledger_entry: int = Field(ge=1)


class OutcomeAnnounced(ApplicationEvent):
    """Everybody of the round may now be told; this application's outcome is no longer sealed."""

    topic: ClassVar[str] = "funding.grants"

    outcome: Outcome


class RoundDecided(FundingEvent):
    """A round was decided. Hashes are SHA-256 of the RFC 8785 JSON of what went in and what came out."""

    key_field: ClassVar[str] = "round_id"

    round_id: Slug
    awarded: int = Field(ge=0)
    waitlisted: int = Field(ge=0)
    not_selected: int = Field(ge=0)
    awarded_eur: Euros
    remaining_eur: Euros
    inputs_sha256: Sha256
    outcome_sha256: Sha256


class RoundAnnounced(FundingEvent):
    """The round's outcomes are public from this instant."""

    key_field: ClassVar[str] = "round_id"

    round_id: Slug
    announced_at: Instant


class EnvelopeSet(FundingEvent):
    """The call's money in effect after `ledger_entry` (1 at the first publication)."""

    key_field: ClassVar[str] = "call_id"

    envelope_eur: Euros
    ledger_entry: int = Field(ge=1)
