"""Owns the bodies that review's API takes; they hold shapes, the rules are the domain's."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StringConstraints

from services.review.domain.assignment import Reviewer
from services.review.domain.evaluation import Evaluation, Mark
from shared.events.base import STORABLE, Name

Subject = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True), STORABLE]
Siren = Annotated[str, StringConstraints(pattern=r"^[0-9]{9}$")]
Words = Annotated[str, StringConstraints(max_length=5000, strip_whitespace=True), STORABLE]
Value = Annotated[StrictInt, Field(ge=0, le=5)]


class Form(BaseModel):
    """A body. Unknown fields are refused: a typing error must not pass for an omission."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class ReviewerForm(Form):
    """One listed reviewer: the token's `sub`, the SIREN of their organisations, the themes that they know."""

    subject: Subject
    organisations: list[Siren] = []
    themes: list[Name] = []

    def reviewer(self) -> Reviewer:
        """The rules' value."""
        return Reviewer(self.subject, frozenset(self.organisations), frozenset(self.themes))


class AdmissibilityForm(Form):
    """Every check of the call answered; `reason` is needed where one is no."""

    checks: dict[str, StrictBool]
    reason: Words = ""


class ConflictForm(Form):
    """A declaration of interests; soft and hard need a reason."""

    kind: Literal["none", "soft", "hard"]
    reason: Words = ""


class MarkForm(Form):
    """A mark of 0 to 5, or null where the criterion does not apply; each with a reason."""

    value: Value | None
    reason: Words = ""


class EvaluationForm(Form):
    """A reviewer's evaluation; criteria may be missing until it is submitted. Whole euros."""

    marks: dict[str, MarkForm]
    comment: Words = ""
    recommendation: Literal["fund", "reduce", "reject"]
    recommended_eur: StrictInt | None = None

    def evaluation(self) -> Evaluation:
        """The rules' value."""
        return Evaluation(_marks(self.marks), self.comment, self.recommendation, self.recommended_eur)


class ArbitrationForm(Form):
    """The chair's own marks, which replace the means."""

    marks: dict[str, MarkForm]
    recommended_eur: StrictInt | None = None
    reason: Words

    def evaluation(self) -> Evaluation:
        """The rules' value; the reason is its comment."""
        return Evaluation(_marks(self.marks), self.reason, None, self.recommended_eur)


class SubjectForm(Form):
    """A reviewer, and why: an assignment by hand, a waiver."""

    subject: Subject
    reason: Words = ""


def _marks(marks: dict[str, MarkForm]) -> dict[str, Mark]:
    return {name: Mark(mark.value, mark.reason) for name, mark in marks.items()}
