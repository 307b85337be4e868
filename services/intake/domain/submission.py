"""Owns the rules of `docs/design.md` §7, Submit: every broken one at once, by field; it reads and stores nothing."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

AMOUNT_OUT_OF_BOUNDS = "amount_out_of_bounds"
DATES_OUTSIDE_CALENDAR = "dates_outside_calendar"
DECLARATION_MISSING = "declaration_missing"
EMAIL_INVALID = "email_invalid"
INVALID = "validation_failed"
KIND_NOT_ALLOWED = "kind_not_allowed"
PARTNER_MISSING = "partner_missing"
SIRET_INVALID = "siret_invalid"
TEXT_TOO_LONG = "text_too_long"
THEME_MISSING = "theme_missing"
THEME_UNKNOWN = "theme_unknown"

SEEN = "LNPS"
"""Unicode's letters, numbers, punctuation and symbols, by the first letter of their category."""
BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols to Unicode that nobody sees: the fillers of Hangul, and Braille without a dot."""
PLAINLY_SEEN = re.compile(r"[!-~À-ÖØ-öø-ÿ]")
"""What nearly every text begins with; all of it is SEEN and none of it BLANK."""

LONGEST_QUOTE = 64
"""Characters of a person's words that a message repeats."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question of the form. `max_length` counts characters."""

    max_length: int
    required: bool


@dataclass(frozen=True, slots=True)
class Rules:
    """What one call asks of an application. Money in whole euros; both dates included."""

    partner_required_by_kind: Mapping[str, bool]
    themes: frozenset[str]
    publics: frozenset[str]
    questions: Mapping[str, Question]
    min_eur: int
    max_eur: int
    opens_on: date
    ends_by: date


@dataclass(frozen=True, slots=True)
class Asked:
    """What an application says, as far as it could be read: None where the shape is wrong, which is told already.

    Whether a SIRET or an address is one is found out at the edge, which knows their formats.
    """

    kind: str | None
    siret_valid: bool | None
    has_partner: bool | None
    partner_siret_valid: bool | None
    email_valid: bool | None
    themes: tuple[str, ...] | None
    publics: tuple[str, ...] | None
    requested_eur: int | None
    starts_on: date | None
    ends_on: date | None
    answers: Mapping[str, str] | None
    not_in_labelled_use: bool | None


@dataclass(frozen=True, slots=True)
class Broken:
    """One broken rule: the dotted field of the request, the code of §5, and a sentence."""

    field: str
    code: str
    message: str


def can_be_seen(text: str) -> bool:
    """Whether a text has anything in it that a reader sees, not only spaces and characters of no width."""
    return PLAINLY_SEEN.match(text) is not None or any(
        unicodedata.category(each)[0] in SEEN and each not in BLANK for each in text
    )


def broken_rules(asked: Asked, rules: Rules) -> list[Broken]:
    """Every rule that the application breaks; empty if it may be deposited."""
    return [
        *_organisation(asked, rules),
        *_contact(asked),
        *_themes(asked, rules),
        *_amount(asked, rules),
        *_calendar(asked, rules),
        *_answers(asked, rules),
        *_declarations(asked),
    ]


def _organisation(asked: Asked, rules: Rules) -> Iterator[Broken]:
    if asked.siret_valid is False:
        yield Broken("organisation.siret", SIRET_INVALID, "This is not a valid SIRET.")
    if asked.partner_siret_valid is False:
        yield Broken("organisation.partner.siret", SIRET_INVALID, "This is not a valid SIRET.")
    if asked.kind is not None and asked.kind not in rules.partner_required_by_kind:
        yield Broken("organisation.kind", KIND_NOT_ALLOWED, "This call is not open to that kind of organisation.")
    elif asked.kind is not None and asked.has_partner is False and rules.partner_required_by_kind[asked.kind]:
        yield Broken("organisation.partner", PARTNER_MISSING, "This kind of organisation applies with a partner.")


def _contact(asked: Asked) -> Iterator[Broken]:
    if asked.email_valid is False:
        yield Broken("contact.email", EMAIL_INVALID, "This is not an e-mail address that letters can reach.")


def _themes(asked: Asked, rules: Rules) -> Iterator[Broken]:
    if asked.themes is not None:
        if not asked.themes:
            yield Broken("project.themes", THEME_MISSING, "Choose at least one theme.")
        for name in asked.themes:
            if name not in rules.themes:
                yield Broken("project.themes", THEME_UNKNOWN, f"This call has no theme {_quoted(name)}.")
    for name in asked.publics or ():
        if name not in rules.publics:
            yield Broken("project.publics", INVALID, f"This call has no target public {_quoted(name)}.")


def _amount(asked: Asked, rules: Rules) -> Iterator[Broken]:
    if asked.requested_eur is not None and not rules.min_eur <= asked.requested_eur <= rules.max_eur:
        bounds = f"A grant is between {rules.min_eur} and {rules.max_eur} euros."
        yield Broken("project.requested_eur", AMOUNT_OUT_OF_BOUNDS, bounds)


def _calendar(asked: Asked, rules: Rules) -> Iterator[Broken]:
    if asked.ends_on is not None and asked.ends_on > rules.ends_by:
        late = f"A project ends by {rules.ends_by.isoformat()}."
        yield Broken("project.ends_on", DATES_OUTSIDE_CALENDAR, late)
    if asked.starts_on is not None and asked.starts_on > rules.ends_by:
        late = f"A project starts and ends by {rules.ends_by.isoformat()}."
        yield Broken("project.starts_on", DATES_OUTSIDE_CALENDAR, late)
    elif asked.starts_on is not None and asked.starts_on < rules.opens_on:
        early = f"A project starts on {rules.opens_on.isoformat()}, when the call opens, or later."
        yield Broken("project.starts_on", DATES_OUTSIDE_CALENDAR, early)
    elif asked.starts_on is not None and asked.ends_on is not None and asked.starts_on > asked.ends_on:
        yield Broken("project.starts_on", DATES_OUTSIDE_CALENDAR, "A project starts before it ends.")


def _answers(asked: Asked, rules: Rules) -> Iterator[Broken]:
    if asked.answers is None:
        return
    for name, answer in asked.answers.items():
        field = f"project.answers.{name[:LONGEST_QUOTE]}"
        question = rules.questions.get(name)
        if question is None:
            yield Broken(field, INVALID, f"This call has no question {_quoted(name)}.")
        elif len(answer) > question.max_length:
            yield Broken(field, TEXT_TOO_LONG, f"An answer may have {question.max_length} characters.")
    for name, question in rules.questions.items():
        if question.required and not can_be_seen(asked.answers.get(name, "")):
            yield Broken(f"project.answers.{name}", INVALID, "This question needs an answer.")


def _declarations(asked: Asked) -> Iterator[Broken]:
    if asked.not_in_labelled_use is False:
        missing = "Declare that the means is not already in use in labelled trainings."
        yield Broken("declarations.not_in_labelled_use", DECLARATION_MISSING, missing)


def _quoted(name: str) -> str:
    return f"“{name[:LONGEST_QUOTE]}”"
