"""What the plain way of a hop reads and keeps: events as Pydantic models, the services' tables as SQLModel objects."""

import uuid
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel
from sqlalchemy import BigInteger, Column, DateTime, Identity, LargeBinary, Numeric
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel


class Event(BaseModel):
    occurred_at: datetime


class CallEvent(Event):
    call_id: str
    call_version: int
    round_id: str


class ApplicationEvent(CallEvent):
    application_id: uuid.UUID


class Organisation(BaseModel):
    name: str
    siret: str
    kind: str
    region: str
    partner: dict[str, str] | None = None


class Project(BaseModel):
    title: str
    summary: str
    themes: list[str]
    publics: list[str]
    requested_eur: int
    starts_on: date
    ends_on: date
    answers: dict[str, str]


class ApplicationSubmitted(ApplicationEvent):
    reference: str
    applicant_id: uuid.UUID
    organisation: Organisation
    project: Project
    attachments: list[dict[str, Any]] = []
    submitted_at: datetime


class RoundClosed(CallEvent):
    closed_at: datetime
    submitted: int
    applications_sha256: str


class Scored(ApplicationEvent):
    revision: int
    score: Decimal
    criteria: dict[str, Decimal]
    recommended_eur: int | None


class GrantAwarded(ApplicationEvent):
    sealed: bool
    grant_id: uuid.UUID
    amount_eur: int
    answer_by: datetime


class Inbox(SQLModel, table=True):
    consumer: str = Field(primary_key=True)
    event_id: uuid.UUID = Field(primary_key=True)


class SequenceCounter(SQLModel, table=True):
    __tablename__ = "sequence_counter"
    topic: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    value: int = Field(sa_type=BigInteger)


class Outbox(SQLModel, table=True):
    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    topic: str
    key: str
    event_id: uuid.UUID
    type: str
    sequence: int = Field(sa_type=BigInteger)
    time: datetime = Field(sa_type=DateTime(timezone=True))
    causation_id: str
    traceparent: str
    payload: bytes = Field(sa_type=LargeBinary)


class Intake(SQLModel, registry=registry()):
    """The tables of one service: others have some of the same names."""


class IntakeApplication(Intake, table=True):
    __tablename__ = "application"
    application_id: uuid.UUID = Field(primary_key=True)
    call_id: str


class IntakeFact(Intake, table=True):
    __tablename__ = "fact"
    application_id: uuid.UUID = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    sequence: int = Field(primary_key=True, sa_type=BigInteger)
    occurred_at: datetime = Field(sa_type=DateTime(timezone=True))
    sealed: bool
    grant_id: uuid.UUID | None = None
    amount_eur: int | None = Field(default=None, sa_type=BigInteger)
    answer_by: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))


class Review(SQLModel, registry=registry()):
    """The tables of one service."""


class ReviewRound(Review, table=True):
    __tablename__ = "round"
    round_id: str = Field(primary_key=True)
    received: int
    closed_at: datetime | None = Field(sa_type=DateTime(timezone=True))
    closed_count: int | None
    closed_sha256: str | None
    matched: bool


class ReviewApplication(Review, table=True):
    __tablename__ = "application"
    application_id: uuid.UUID = Field(primary_key=True)
    call_id: str
    round_id: str
    reference: str
    siret: str
    requested_eur: int = Field(sa_type=BigInteger)
    submitted_at: datetime = Field(sa_type=DateTime(timezone=True))
    dossier: dict[str, Any] = Field(sa_type=JSONB)
    state: str = "to_check"
    admitted: bool | None = None
    checks: dict[str, bool] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    admissibility_reason: str | None = None
    decided_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))


class Funding(SQLModel, registry=registry()):
    """The tables of one service."""


class FundingRound(Funding, table=True):
    __tablename__ = "round"
    round_id: str = Field(primary_key=True)
    received: int
    open_members: int
    inputs_version: int = Field(sa_type=BigInteger)


class FundingApplication(Funding, table=True):
    __tablename__ = "application"
    application_id: uuid.UUID = Field(primary_key=True)
    call_id: str
    round_id: str
    reference: str | None = None
    title: str | None = None
    organisation: str | None = None
    requested_eur: int | None = Field(default=None, sa_type=BigInteger)
    submitted_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    review_sequence: int = Field(default=0, sa_type=BigInteger)
    score: Decimal | None = Field(default=None, sa_column=Column(Numeric(5, 2)))
    means: dict[str, str] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    recommended_eur: int | None = Field(default=None, sa_type=BigInteger)


class Notify(SQLModel, registry=registry()):
    """The tables of one service."""


class NotifyApplication(Notify, table=True):
    __tablename__ = "application"
    application_id: uuid.UUID = Field(primary_key=True)
    applicant_id: uuid.UUID
    reference: str
    title: str
    organisation: str
    requested_eur: int = Field(sa_type=BigInteger)
    submitted_at: datetime = Field(sa_type=DateTime(timezone=True))
    deposited_sha256: str


class NotifyDelivery(Notify, table=True):
    __tablename__ = "delivery"
    delivery_id: uuid.UUID = Field(primary_key=True)
    event_id: uuid.UUID
    template: str
    message_id: str
    traceparent: str
    application_id: uuid.UUID
    call_id: str
    call_version: int
    round_id: str
    caused_at: datetime = Field(sa_type=DateTime(timezone=True))
    words: dict[str, Any] = Field(sa_type=JSONB)
