"""Owns the call file: what makes one funder's call differ from another's (`docs/design.md` §5); never a rule."""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Annotated, Literal, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from shared.events.agreement import Mistake, disagreements
from shared.events.base import STORABLE, Fact, Name, PositiveEuros, Siret, Slug
from shared.events.dates import WrittenDay, instant_as_written
from shared.events.wording import in_words, told

FIRST_YEAR, LAST_YEAR = 2000, 2999
LARGEST = 2**31 - 1
"""PostgreSQL's `int`."""
WRITTEN_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
NO_PLACES = frozenset({"Factory", "localtime", "posixrules"})
"""What lies beside the time zones of a machine: a machine's own setting, or none."""
Dated = TypeVar("Dated", date, datetime)


def _written(what: str) -> BeforeValidator:
    """A number, or the text of one; `what` says which kind."""

    def as_number(value: object) -> object:
        # To pydantic true is 1; and the zero 0e999999 is a number of a million digits to others.
        if isinstance(value, bool) or (isinstance(value, str) and not WRITTEN_NUMBER.fullmatch(value)):
            raise ValueError(f"must be {what}")
        return value

    return BeforeValidator(as_number)


def _in_our_time(value: Dated) -> Dated:
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise ValueError(f"not in the years {FIRST_YEAR} to {LAST_YEAR}")
    return value


NUMBER, WHOLE = _written("a number"), _written("a whole number")
Prefix = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]+(-[A-Z0-9]+)*$", max_length=20)]
Line = Annotated[str, StringConstraints(min_length=1, max_length=300, strip_whitespace=True), STORABLE]
Paragraph = Annotated[str, StringConstraints(min_length=1, max_length=5000, strip_whitespace=True), STORABLE]
Euros = Annotated[PositiveEuros, WHOLE]
Day = Annotated[WrittenDay, AfterValidator(_in_our_time)]
Moment = Annotated[AwareDatetime, BeforeValidator(instant_as_written), AfterValidator(_in_our_time)]
Points = Annotated[Decimal, Field(ge=0, le=100, max_digits=7, decimal_places=4), NUMBER]
"""Of 100, four decimals at most."""


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones()) - NO_PLACES  # a walk through hundreds of files


class Part(Fact):
    """A part of the call file. Unlike an event it refuses fields that it does not know: a slip must not pass."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Text(Part):
    """One text in the two languages that a person may choose."""

    fr: Paragraph
    en: Paragraph

    def of(self, language: str) -> str:
        """The text in `fr` or `en`; French for any other."""
        return self.en if language == "en" else self.fr


class Choice(Part):
    """Something that an application may name: a theme or a target public."""

    id: Name
    text: Text


class Kind(Choice):
    """A kind of organisation that may apply, and whether only with a partner."""

    partner_required: bool = False


class Question(Choice):
    """A free question of the form. `max_length` counts characters."""

    max_length: Annotated[int, Field(ge=1, le=20000), WHOLE] = 5000
    required: bool = False


class Funder(Part):
    """Who pays."""

    name: Line
    siret: Siret


class GrantBounds(Part):
    """The smallest and largest grant, whole euros, both included."""

    min_eur: Euros
    max_eur: Euros


class ProjectCalendar(Part):
    """When a project may run: it starts within so many months of the signature and ends by that date, included."""

    starts_within_months: Annotated[int, Field(ge=1, le=60), WHOLE]
    ends_by: Day


class Round(Part):
    """One cut-off (relevé) of the call. `list_ends_at` ends its waiting list; null means the default of §7."""

    id: Slug
    opens_at: Moment
    closes_at: Moment
    announce_at: Moment
    list_ends_at: Moment | None = None


class Check(Part):
    """One yes/no admissibility check; `machine` names the built-in check that prefills it."""

    id: Name
    text: Text
    machine: (
        Literal[
            "applications_per_organisation",
            "kind_allowed",
            "amount_in_bounds",
            "dates_in_calendar",
            "theme_present",
            "declared_not_in_use",
        ]
        | None
    ) = None


class Criterion(Part):
    """One criterion of the rubric; `anchors` say what each mark 0 to 5 means."""

    id: Name
    text: Text
    weight: Annotated[Decimal, Field(gt=0, le=100, max_digits=7, decimal_places=4), NUMBER]
    anchors: dict[int, Text]

    @field_validator("anchors")
    @classmethod
    def _marks_only(cls, anchors: dict[int, Text]) -> dict[int, Text]:
        if not set(anchors) <= set(range(6)):
            raise ValueError("an anchor belongs to a mark from 0 to 5")
        return anchors


class Rubric(Part):
    """How applications are scored: `pass_mark` and `max_spread` are points of 100."""

    criteria: tuple[Criterion, ...] = Field(min_length=1)
    reviewers_per_application: Annotated[int, Field(ge=1, le=9), WHOLE]
    max_spread: Points
    pass_mark: Points
    blind: bool = False


class Disagreement(ValueError):
    """Parts of a call file contradict each other, each of them right by itself."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("; ".join(f"{each.field}: {each.message}" for each in mistakes))
        self.mistakes = mistakes


class Call(Part):
    """One call for projects, as its administrator publishes it."""

    id: Slug
    version: Annotated[int, Field(ge=1, le=LARGEST), WHOLE]
    title: Text
    reference_prefix: Prefix
    time_zone: str
    grace_s: Annotated[int, Field(ge=0, le=86400), WHOLE]
    funder: Funder
    envelope_eur: Euros
    grant: GrantBounds
    kinds: tuple[Kind, ...] = Field(min_length=1)
    themes: tuple[Choice, ...] = Field(min_length=1)
    publics: tuple[Choice, ...] = ()
    questions: tuple[Question, ...] = ()
    project: ProjectCalendar
    rounds: tuple[Round, ...] = Field(min_length=1)
    admissibility: tuple[Check, ...] = Field(min_length=1)
    rubric: Rubric
    decision: Literal["chair", "automatic"]
    allocation: Literal["ranked", "rolling"]
    shortfall: Literal["stop", "skip", "reduce"]
    tie_break: tuple[Name, ...] = ()
    second_person: bool = False
    answer_within_days: Annotated[int, Field(ge=1, le=365), WHOLE]
    convention_within_days: Annotated[int, Field(ge=1, le=730), WHOLE]
    inadmissible_told: Literal["announcement", "at_once"] = "announcement"
    applications_per_organisation: Annotated[int, Field(ge=1, le=1000), WHOLE]
    appeal: Text

    def round(self, round_id: str) -> Round:
        """The round of that id; KeyError if the call has none."""
        for candidate in self.rounds:
            if candidate.id == round_id:
                return candidate
        raise KeyError(round_id)

    def round_at(self, at: AwareDatetime) -> Round | None:
        """The round that takes applications at that instant, the written grace included."""
        grace = timedelta(seconds=self.grace_s)
        return next((r for r in self.rounds if r.opens_at <= at <= r.closes_at + grace), None)

    @property
    def zone(self) -> ZoneInfo:
        """The time zone in which the call's days begin and end."""
        return ZoneInfo(self.time_zone)

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        if name not in _time_zones():
            raise ValueError("not a time zone of the IANA database")
        return name

    @model_validator(mode="after")
    def _parts_agree(self) -> "Call":
        found = disagreements(self.model_dump())
        if found:
            raise Disagreement(found)
        return self


def mistakes_of(document: object) -> Sequence[Mistake]:
    """Every mistake of a call file at once, given as plain values; empty if and only if `Call` takes it."""
    try:
        Call.model_validate(document)
    except ValidationError as broken:
        errors = broken.errors(include_url=False, include_input=False)
        reason = errors[0].get("ctx", {}).get("error")
        if isinstance(reason, Disagreement):
            # Found among the values as they were read: in the document a number may be a text.
            return reason.mistakes
        shape = [Mistake(each["loc"], in_words(each)) for each in told(errors)]
        return [*shape, *(disagreements(document) if isinstance(document, Mapping) else [])]
    return []
