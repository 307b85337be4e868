"""Owns the shapes of funding's answers: values at the edge, never a rule."""

import json
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal, Self

from pydantic import BaseModel

from services.funding.domain.proposal import Line
from services.funding.handlers.asking import Ranking
from services.funding.handlers.deciding import Confirmed
from services.funding.store.awards import AwardRow
from services.funding.store.proposals import ProposalRow
from services.funding.store.reports import RankedRow


class FlagView(BaseModel):
    """Something about the call that an officer should look at."""

    kind: str
    detail: str
    occurred_at: datetime


class BudgetView(BaseModel):
    """The accounts of a call, whole euros; they add up to the envelope. `last_entry` is the ledger's last number."""

    call_id: str
    envelope_eur: int
    available_eur: int
    reserved_eur: int
    committed_eur: int
    last_entry: int
    frozen: bool
    unmet_reduction_eur: int
    flags: list[FlagView] = []


class EntryView(BaseModel):
    """One ledger entry: money went from the credited to the debited account."""

    number: int
    kind: str
    debit: str
    credit: str
    amount_eur: int
    application_id: str | None
    grant_id: str | None
    who: str
    why: str
    occurred_at: datetime
    recorded_at: datetime


class LedgerView(BaseModel):
    """A page of 50; `next` is the `after` of the following page, null on the last."""

    call_id: str
    entries: list[EntryView]
    next: int | None


class ProposalView(BaseModel):
    """A proposal and who confirmed it. `moves` were made by the chair; hashes are of the RFC 8785 JSON."""

    id: str
    round_id: str
    number: int
    made_at: datetime
    made_by: str
    call_version: int
    ledger_entry: int
    moves: list[dict[str, Any]]
    inputs_sha256: str
    outcome_sha256: str
    awarded: int
    waitlisted: int
    not_selected: int
    awarded_eur: int
    remaining_eur: int
    first_confirmed_by: str | None
    confirmed_by: str | None
    confirmed_at: datetime | None

    @classmethod
    def of(cls, row: ProposalRow) -> Self:
        """From the stored row."""
        names = cls.model_fields.keys() - {"id", "moves", "first_confirmed_by"}
        return cls(
            id=row.proposal_id, moves=json.loads(row.moves), first_confirmed_by=row.first_by,
            **{name: getattr(row, name) for name in names},
        )  # fmt: skip


class DecisionView(BaseModel):
    """What a confirmation came to."""

    status: Literal["decided", "awaiting_second"]
    round_id: str
    proposal: ProposalView

    @classmethod
    def of(cls, confirmed: Confirmed) -> Self:
        """From the handler's answer."""
        return cls(
            status=confirmed.status, round_id=confirmed.proposal.round_id, proposal=ProposalView.of(confirmed.proposal)
        )


class LineView(BaseModel):
    """One line of a ranking. `running_eur` adds up the claims down to here; `told_apart_by` explains a tie or a move.

    `outcome` is what the proposal says; `current_outcome`, `grant_state`, `withdrawn` and `flags` what came since.
    """

    rank: int
    application_id: str
    reference: str
    title: str
    organisation: str
    score: Decimal | None
    means: dict[str, Decimal]
    requested_eur: int
    recommended_eur: int | None
    claim_eur: int
    awarded_eur: int
    outcome: str
    reason: str | None
    running_eur: int | None
    told_apart_by: str | None
    withdrawn: bool
    current_outcome: str | None
    grant_state: str | None
    grant_id: str | None
    flags: list[str]

    @classmethod
    def of(cls, row: RankedRow) -> Self:
        """From the stored row."""
        names = cls.model_fields.keys() - {"means"}
        return cls(means=json.loads(row.means or "{}"), **{name: getattr(row, name) for name in names})


class OpenMember(BaseModel):
    """An application that the round waits for."""

    application_id: str
    reference: str


class RankingView(BaseModel):
    """A round's ranking, a page of 50 lines; before it is ready, what it waits for.

    `waits_for`: call, closing, applications, matching_applications, scores. `line_after_rank` is the last rank that
    money reaches. A proposal that is `stale` cannot be confirmed: ask for a new one.
    """

    round_id: str
    call_id: str
    status: Literal["waiting", "ready", "awaiting_second", "decided", "announced", "rolling"]
    waits_for: list[str]
    expected: int | None
    received: int
    open: int
    open_members: list[OpenMember]
    proposal: ProposalView | None
    stale: bool
    line_after_rank: int | None
    lines: list[LineView]
    next: int | None

    @classmethod
    def of(cls, ranking: Ranking, page: int) -> Self:
        """From the handler's answer."""
        held, made, lines = ranking.held, ranking.proposal, ranking.lines
        return cls(
            round_id=held.round_id,
            call_id=held.call_id,
            status=_status(ranking),
            waits_for=ranking.waits_for,
            expected=held.closed_count,
            received=held.received,
            open=held.open_members,
            open_members=[OpenMember(**each) for each in ranking.open_members],
            proposal=ProposalView.of(made) if made else None,
            stale=ranking.stale,
            line_after_rank=ranking.line_after_rank,
            lines=[LineView.of(line) for line in lines],
            next=lines[-1].rank if len(lines) == page else None,
        )


def _status(ranking: Ranking) -> Literal["waiting", "ready", "awaiting_second", "decided", "announced", "rolling"]:
    held, made = ranking.held, ranking.proposal
    if held.allocation == "rolling":
        return "rolling"
    if held.announced_at is not None:
        return "announced"
    if held.decided_at is not None:
        return "decided"
    if made is None or ranking.waits_for:
        return "waiting"
    return "awaiting_second" if made.first_by and not ranking.stale else "ready"


class WhatIfLine(BaseModel):
    """One line of what would be."""

    rank: int
    application_id: str
    reference: str
    title: str
    organisation: str
    score: Decimal
    outcome: str
    reason: str | None
    claim_eur: int
    awarded_eur: int
    running_eur: int
    told_apart_by: str | None

    @classmethod
    def of(cls, line: Line, named: dict[str, Any]) -> Self:
        """From the rule's answer and what people know the application by."""
        names = cls.model_fields.keys() - {"reference", "title", "organisation"}
        return cls(**{name: getattr(line, name) for name in names}, **named)


class WhatIfView(BaseModel):
    """What the round's decision would be with other values; nothing was written."""

    round_id: str
    status: Literal["what_if"] = "what_if"
    awarded: int
    waitlisted: int
    not_selected: int
    awarded_eur: int
    remaining_eur: int
    line_after_rank: int | None
    lines: list[WhatIfLine]
    next: int | None


class GrantView(BaseModel):
    """A grant. `lapses_at` is when it is released if nothing comes."""

    grant_id: str
    application_id: str
    call_id: str
    round_id: str
    rank: int
    amount_eur: int
    requested_eur: int
    state: str
    awarded_at: datetime
    answer_by: datetime
    accepted_at: datetime | None
    signed_on: date | None
    started_on: date | None
    completed_on: date | None
    released_at: datetime | None
    release_why: str | None
    lapses_at: datetime | None

    @classmethod
    def of(cls, row: AwardRow) -> Self:
        """From the stored row."""
        return cls(**{name: getattr(row, name) for name in cls.model_fields})


class GrantsView(BaseModel):
    """A page of 50 grants; `next` is the `after` of the following page, null on the last."""

    call_id: str
    grants: list[GrantView]
    next: str | None


class StepView(BaseModel):
    """A recorded step of a grant: the same answer whenever it is repeated. `ledger_entry` where money moved."""

    grant_id: str
    application_id: str
    status: Literal["committed", "started", "completed", "revoked"]
    amount_eur: int
    signed_on: date | None = None
    started_on: date | None = None
    completed_on: date | None = None
    reason: str | None = None
    ledger_entry: int | None = None


class DocumentsView(BaseModel):
    """What went into a proposal and what came out; the SHA-256 of each one's RFC 8785 JSON is beside it."""

    proposal: ProposalView
    inputs: dict[str, Any]
    outcome: dict[str, Any]
