"""Owns what intake says: calls, applications, applicants' answers, closed rounds, and the personal topics."""

from datetime import date
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from shared.events.base import ApplicationEvent, CallEvent, Event, Fact, Id, Name, PositiveEuros, Sha256, Siret, Slug
from shared.events.call import Call
from shared.events.dates import Instant

Language = Literal["fr", "en"]
Line = Annotated[str, StringConstraints(min_length=1, max_length=300)]


class Partner(Fact):
    """The partner organisation of an application."""

    name: Line
    siret: Siret


class Organisation(Fact):
    """The organisation that applies: a fact of the application, never a right of its own (`docs/design.md` §2)."""

    name: Line
    siret: Siret
    kind: Name
    region: Line
    partner: Partner | None = None


class Project(Fact):
    """What is asked for. `requested_eur` in whole euros; both dates included."""

    title: Line
    summary: str
    themes: tuple[Name, ...]
    publics: tuple[Name, ...] = ()
    requested_eur: PositiveEuros
    starts_on: date
    ends_on: date
    answers: dict[str, str] = Field(default_factory=dict)


class Attachment(Fact):
    """A deposited file; `size` in bytes."""

    name: Line
    size: int = Field(ge=0)
    media_type: str
    sha256: Sha256
    object_key: str


class CallPublished(CallEvent):
    """A version of a call was published: the whole call file."""

    topic: ClassVar[str] = "intake.calls"
    key_field: ClassVar[str] = "call_id"

    call: Call


class ApplicationSubmitted(ApplicationEvent):
    """An application was submitted. No name or address of a person is in it."""

    topic: ClassVar[str] = "intake.applications"

    round_id: Slug
    reference: Line
    applicant_id: Id
    organisation: Organisation
    project: Project
    attachments: tuple[Attachment, ...] = ()
    submitted_at: Instant


class ApplicationWithdrawn(ApplicationEvent):
    """The applicant withdrew the application; it wins everywhere except over `completed`."""

    topic: ClassVar[str] = "intake.applications"

    reason: str


class GrantAccepted(ApplicationEvent):
    """The applicant accepted the offer; it counts only while funding holds `awarded`."""

    topic: ClassVar[str] = "intake.applications"

    grant_id: Id


class GrantDeclined(ApplicationEvent):
    """The applicant declined the offer."""

    topic: ClassVar[str] = "intake.applications"

    grant_id: Id


class RoundClosed(CallEvent):
    """A round took its last application. The hash is over the sorted application ids, joined by newlines."""

    topic: ClassVar[str] = "intake.applications"
    key_field: ClassVar[str] = "round_id"

    round_id: Slug
    closed_at: Instant
    submitted: int = Field(ge=0)
    applications_sha256: Sha256


class ContactUpdated(Event):
    """An applicant's name, address and language. Personal: only intake and notify may read it."""

    topic: ClassVar[str] = "intake.contacts"
    key_field: ClassVar[str] = "applicant_id"

    applicant_id: Id
    name: Line
    email: Annotated[str, StringConstraints(max_length=254)]
    language: Language


class SignInRequested(Event):
    """A one-use sign-in link was asked for. Secret: only notify may read it."""

    topic: ClassVar[str] = "intake.sign-ins"
    key_field: ClassVar[str] = "applicant_id"

    applicant_id: Id
    link: str
    expires_at: Instant
