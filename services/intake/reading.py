"""Owns how a submission's body becomes values: its shape, SIRETs and address; whether it may pass is the rules'.

Shape and rules are told in one answer: what cannot be read is told as such, and the rules judge all the rest.
"""

import re
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import from_json
from stdnum.fr import siret as stdnum_siret

from services.intake.domain.submission import Asked, Question, Rules, broken_rules, can_be_seen
from shared.events.call import Call
from shared.events.dates import WrittenDay
from shared.events.intake import Language, Organisation, Partner, Project
from shared.web.problems import FieldError, field_errors

CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
LINE_BREAK = re.compile(r"[\t\n\r\x85\u2028\u2029]")
BETWEEN_DIGITS = re.compile(r"[\s.]")
DIGITS = re.compile(r"[0-9]{14}")


def _printable(text: str) -> str:
    if CONTROL.search(text):
        raise ValueError("Control characters are not text.")
    return text


def _seen(text: str) -> str:
    if not can_be_seen(_printable(text)):
        raise ValueError("Nothing in this can be seen.")
    return text


def _one_line(text: str) -> str:
    if LINE_BREAK.search(text):
        raise ValueError("This is one line, without breaks.")
    return _seen(text)


Line = Annotated[
    str, StringConstraints(min_length=1, max_length=300, strip_whitespace=True), AfterValidator(_one_line)
]  # fmt: skip
Paragraph = Annotated[
    str, StringConstraints(min_length=1, max_length=5000, strip_whitespace=True), AfterValidator(_seen)
]  # fmt: skip
Answer = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_printable)]


class Part(BaseModel):
    """A part of the body. Strict: text is no number and a number no text."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, hide_input_in_errors=True)


class PartnerSaid(Part):
    """The partner organisation."""

    name: Line
    siret: Line


class OrganisationSaid(Part):
    """The organisation that applies."""

    name: Line
    siret: Line
    kind: Line
    region: Line
    partner: PartnerSaid | None = None


class ContactSaid(Part):
    """The person who applies and receives the letters."""

    name: Line
    email: Line
    language: Language = "fr"


class ProjectSaid(Part):
    """What is asked for. `requested_eur` in whole euros; both dates included."""

    title: Line
    summary: Paragraph
    themes: tuple[Line, ...] = Field(default=(), max_length=50)
    publics: tuple[Line, ...] = Field(default=(), max_length=50)
    requested_eur: int
    starts_on: WrittenDay
    ends_on: WrittenDay
    answers: dict[str, Answer] = Field(default_factory=dict)


class DeclarationsSaid(Part):
    """What the applicant declares."""

    not_in_labelled_use: bool = False


class Submission(Part):
    """The body of a submission (`docs/design.md` §5)."""

    organisation: OrganisationSaid
    contact: ContactSaid
    project: ProjectSaid
    declarations: DeclarationsSaid = DeclarationsSaid()


class BodyMalformed(Exception):
    """The body is not JSON, or not one that this program can hold: why, in a sentence for people."""

    def __init__(self, why: str = "The body is not JSON.") -> None:
        super().__init__(why)


@dataclass(frozen=True)
class Deposit:
    """An application that keeps every rule, in the words of the events. `email` as it is written to."""

    organisation: Organisation
    project: Project
    contact_name: str
    email: str
    language: Language


def read_json(body: bytes) -> Any:
    """The body's values. Raises BodyMalformed, also for NaN and Infinity, which JSON does not have."""
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError:
        raise BodyMalformed from None


def address_in(document: Any) -> str | None:
    """The contact's address as a key belongs to it, whatever else is wrong with the body; None if there is none."""
    contact = document.get("contact") if isinstance(document, dict) else None
    email = contact.get("email") if isinstance(contact, dict) else None
    return same_address(email) if isinstance(email, str) and email.strip() else None


def same_address(email: str) -> str:
    """An address as it is compared: one person writes it in any case."""
    return email.strip().casefold()


def read_submission(
    body: bytes, document: Any, rules: Rules, *, reserved_domains: bool
) -> Deposit | tuple[FieldError, ...]:
    """The application, or every wrong field at once. `document` is `read_json(body)`.

    `reserved_domains` lets addresses under `.test` pass, which no letter can reach.
    """
    try:
        said: Submission | None = Submission.model_validate_json(body)
        wrong: tuple[FieldError, ...] = ()
        locations: frozenset[tuple[Any, ...]] = frozenset()
    except ValidationError as misshapen:
        said, errors = None, misshapen.errors(include_url=False, include_input=False)
        wrong = field_errors(errors)
        locations = frozenset(error["loc"] for error in errors)
    readable = _Readable(document, locations)
    email = _email(readable.text("contact", "email"), reserved_domains=reserved_domains)
    broken = broken_rules(_asked(readable, email_valid=email != ""), rules)
    wrong += tuple(FieldError(each.field, each.code, each.message) for each in broken)
    if wrong or said is None or not email:
        return wrong
    return _deposit(said, email)


def rules_of(call: Call) -> Rules:
    """The call's rules for a submission."""
    return Rules(
        partner_required_by_kind={kind.id: kind.partner_required for kind in call.kinds},
        themes=frozenset(theme.id for theme in call.themes),
        publics=frozenset(public.id for public in call.publics),
        questions={each.id: Question(each.max_length, each.required) for each in call.questions},
        min_eur=call.grant.min_eur,
        max_eur=call.grant.max_eur,
        opens_on=min(each.opens_at for each in call.rounds).astimezone(call.zone).date(),
        ends_by=call.project.ends_by,
    )


def siret_of(text: str) -> str | None:
    """A SIRET as its fourteen digits, or None if it is none."""
    digits = _digits(text)
    return digits if DIGITS.fullmatch(digits) and stdnum_siret.is_valid(digits) else None


def _digits(siret: str) -> str:
    """A SIRET without what people write between its digits."""
    return BETWEEN_DIGITS.sub("", siret)


class _Readable:
    """The parts of a body whose shape is right: a value whose place or anything in it is wrong reads as None."""

    def __init__(self, document: Any, wrong: frozenset[tuple[Any, ...]]) -> None:
        self._document = document
        self._wrong = wrong

    def value(self, *path: str, absent: Any = None) -> Any:
        if self._wrong and any(each[: len(path)] == path[: len(each)] for each in self._wrong):
            return None
        found = self._document
        for name in path:
            if not isinstance(found, dict) or found.get(name) is None:
                return absent
            found = found[name]
        return found

    def text(self, *path: str) -> str | None:
        found = self.value(*path)
        return found.strip() if isinstance(found, str) else None

    def names(self, *path: str) -> tuple[str, ...] | None:
        found = self.value(*path, absent=())
        return None if found is None else tuple(name.strip() for name in found)

    def day(self, *path: str) -> date | None:
        found = self.text(*path)
        return None if found is None else date.fromisoformat(found)


def _asked(readable: _Readable, *, email_valid: bool) -> Asked:
    sirets = [readable.text("organisation", "siret"), readable.text("organisation", "partner", "siret")]
    valid = [None if text is None else siret_of(text) is not None for text in sirets]
    partner = readable.value("organisation", "partner", absent=False)
    return Asked(
        kind=readable.text("organisation", "kind"),
        siret_valid=valid[0],
        has_partner=None if partner is None else bool(partner),
        partner_siret_valid=valid[1],
        email_valid=email_valid,
        themes=readable.names("project", "themes"),
        publics=readable.names("project", "publics"),
        requested_eur=readable.value("project", "requested_eur"),
        starts_on=readable.day("project", "starts_on"),
        ends_on=readable.day("project", "ends_on"),
        answers=readable.value("project", "answers", absent={}),
        not_in_labelled_use=readable.value("declarations", "not_in_labelled_use", absent=False),
    )


def _email(text: str | None, *, reserved_domains: bool) -> str | None:
    """The address as it is written to; empty if it is none, None if there is nothing to judge."""
    if text is None:
        return None
    try:
        return validate_email(text, check_deliverability=False, test_environment=reserved_domains).normalized
    except EmailNotValidError:
        return ""


def _deposit(said: Submission, email: str) -> Deposit:
    organisation, project = said.organisation, said.project
    partner = organisation.partner
    return Deposit(
        organisation=Organisation(
            name=organisation.name,
            siret=_digits(organisation.siret),
            kind=organisation.kind,
            region=organisation.region,
            partner=Partner(name=partner.name, siret=_digits(partner.siret)) if partner else None,
        ),
        project=Project(
            title=project.title,
            summary=project.summary,
            themes=tuple(dict.fromkeys(project.themes)),
            publics=tuple(dict.fromkeys(project.publics)),
            requested_eur=project.requested_eur,
            starts_on=project.starts_on,
            ends_on=project.ends_on,
            answers=dict(project.answers),
        ),
        contact_name=said.contact.name,
        email=email,
        language=said.contact.language,
    )
