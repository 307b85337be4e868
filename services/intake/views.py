"""Owns what intake tells of calls, laureates and applications, for JSON and pages alike; sealed facts never get in."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from services.intake.domain.answers import may_withdraw, offer_stands
from services.intake.domain.status import LAUREATES, Fact, grant, shown_state, told
from services.intake.domain.timeline import timeline
from services.intake.store.calls import PAGE
from shared.db import Row
from shared.events.deposit import digest_of
from shared.events.intake import Organisation, Project


class RoundView(BaseModel):
    """One cut-off and where it stands."""

    id: str
    opens_at: datetime
    closes_at: datetime
    announce_at: datetime
    state: Literal["upcoming", "open", "closed", "announced"]


class CallSummary(BaseModel):
    """A call in the list of calls."""

    id: str
    version: int
    title: dict[str, str]
    time_zone: str
    envelope_eur: int
    grant: dict[str, int]
    rounds: list[RoundView]


class CallsPage(BaseModel):
    """A page of calls; `next` is the `after` of the following one."""

    items: list[CallSummary]
    next: str | None = None


class Total(BaseModel):
    """All laureates of a call, not only those of one page. Whole euros."""

    laureates: int
    amount_eur: int


class LaureateView(BaseModel):
    """One laureate: an awarded application whose outcome was announced. Whole euros."""

    reference: str
    round_id: str
    organisation: str
    partner: str | None
    region: str
    title: str
    amount_eur: int


class LaureatesPage(BaseModel):
    """A page of laureates in the order of their references; `next` is the `after` of the following one."""

    call_id: str
    total: Total
    items: list[LaureateView]
    next: str | None = None


class EntryView(BaseModel):
    """One line of the timeline: a state, or `letter_sent` with the letter's template."""

    what: str
    at: datetime
    template: str | None = None


class OfferView(BaseModel):
    """The grant that was told. `open` while the applicant may accept or decline it. Whole euros."""

    grant_id: str
    amount_eur: int
    answer_by: datetime
    open: bool


class ApplicationView(BaseModel):
    """An application as its applicant sees it. `deposited_sha256` is the digest that the receipt carries too."""

    application_id: str
    reference: str
    call_id: str
    round_id: str
    organisation: str
    title: str
    requested_eur: int
    status: str
    submitted_at: datetime
    deposited_sha256: str
    may_withdraw: bool
    offer: OfferView | None
    timeline: list[EntryView]


def call_summary(document: dict[str, Any], rounds: Sequence[Row], now: datetime) -> CallSummary:
    """A call with the state of its rounds at `now`."""
    kept = {name: document[name] for name in ("id", "version", "title", "time_zone", "envelope_eur", "grant")}
    mine = [round_view(row, now) for row in rounds if row["call_id"] == document["id"]]
    return CallSummary(**kept, rounds=mine)


def round_view(row: Row, now: datetime) -> RoundView:
    """Where a round stands at `now`, its grace included."""
    state: Literal["upcoming", "open", "closed", "announced"] = "open"
    if row["announced_at"] is not None and row["closed_at"] is not None:
        state = "announced"
    elif row["closed_at"] is not None or row["takes_until"] < now:
        state = "closed"
    elif now < row["opens_at"]:
        state = "upcoming"
    dates = {name: row[name] for name in ("opens_at", "closes_at", "announce_at")}
    return RoundView(id=row["round_id"], state=state, **dates)


def calls_page(rows: Sequence[Row], rounds: Sequence[Row], now: datetime) -> CallsPage:
    """A page from its rows and one more."""
    items = [call_summary(row["document"], rounds, now) for row in rows[:PAGE]]
    return CallsPage(items=items, next=items[-1].id if len(rows) > PAGE else None)


def laureates_page(call_id: str, call: Row, rows: Sequence[Row]) -> LaureatesPage:
    """A page from its rows and one more."""
    items = [LaureateView(**{name: row[name] for name in LaureateView.model_fields}) for row in rows[:PAGE]]
    total = Total(laureates=call["laureates"], amount_eur=call["amount_eur"])
    following = str(rows[PAGE - 1]["number"]) if len(rows) > PAGE else None
    return LaureatesPage(call_id=call_id, total=total, items=items, next=following)


def application_view(row: Row, facts: Sequence[Fact], now: datetime) -> ApplicationView:
    """What the applicant may know at `now`."""
    told_at = timeline(row["submitted_at"], row["closed_at"], facts)
    organisation = Organisation.model_validate(row["organisation"])
    project = Project.model_validate(row["project"])
    return ApplicationView(
        **{name: row[name] for name in ("application_id", "reference", "call_id", "round_id", "submitted_at")},
        organisation=organisation.name,
        title=project.title,
        requested_eur=project.requested_eur,
        deposited_sha256=digest_of(organisation, project),
        status=shown_state(facts, round_closed=row["closed_at"] is not None),
        may_withdraw=may_withdraw(facts),
        offer=_offer(facts, now),
        timeline=[EntryView(what=each.what, at=each.at, template=each.template) for each in told_at],
    )


def own_application(row: Row, facts: Sequence[Fact]) -> dict[str, Any]:
    """A line of a person's list: what the row says, and the status that may be shown."""
    return dict(row) | {"status": shown_state(facts, round_closed=row["closed_at"] is not None)}


def _offer(facts: Sequence[Fact], now: datetime) -> OfferView | None:
    award = grant(told(facts))
    if award is None or award.grant_id is None or award.amount_eur is None or award.answer_by is None:
        return None
    shown = shown_state(facts, round_closed=True)
    if shown not in LAUREATES:
        return None
    return OfferView(
        grant_id=award.grant_id, amount_eur=award.amount_eur, answer_by=award.answer_by, open=offer_stands(facts, now)
    )
